"""Tokens of input from the length of the text: by how earlier calls of the same model were counted, else by what is usual for the vendor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from orchestrator_nb.calls import Request
from orchestrator_nb.canonical import canonical, plain
from orchestrator_nb.messages import Image, Part, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.results.estimate import Tokens
from orchestrator_nb.store.lookback import Used

BYTES_PER_TOKEN: Final[Mapping[str, float]] = {"anthropic": 3.5, "gemini": 4.2, "openai": 4.2, "deepseek": 4.0}
"""Of plain Latin text, by the vendor's kind, where no earlier call tells; a little less than vendors say, as prompts hold names and figures."""
USUAL: Final = 3.9
"""For all other kinds."""
OTHER_SIGNS: Final = 0.3
"""Tokens for a byte of text that is not ASCII."""
EACH_TURN: Final = 8
"""Tokens that a vendor adds around a message."""
AN_IMAGE: Final = Tokens(85, 1_500, 6_000)
UNSURE: Final = Tokens(70, 100, 135)
"""Percent of the guess, where no earlier call tells."""
FEW: Final = 3
"""Earlier calls that are too few to tell how a model counts."""


class Size(NamedTuple):
    """How long a question is: bytes of ASCII and of all else, pictures, turns."""

    ascii: int = 0
    other: int = 0
    images: int = 0
    turns: int = 1


def size_of(request: Request) -> Size:
    """How long this question is, with what is sent beside its text."""
    params = request.params
    parts = [part for message in request.messages for part in message.parts]
    texts = [request.system or "", *map(_text, parts)]
    if params.schema or params.tools:
        texts.append(canonical(plain([params.schema, params.tools])))
    return _size(texts, sum(isinstance(part, Image) for part in parts), len(request.messages))


def _text(part: Part) -> str:
    match part:
        case Text(text=text) | Thinking(text=text) | ToolResult(text=text):
            return text
        case ToolCall(name=name, arguments=arguments):
            return name + canonical(plain(arguments))
        case Image():
            return ""


def size_of_record(record: Mapping[str, Any]) -> Size:
    """The same for a question's record (`orchestrator_nb.records.request_record`)."""
    parts = [part for message in record["messages"] for part in message["parts"]]
    params, images = record["params"], sum(part["type"] == "Image" for part in parts)
    texts = [record["system"] or "", *(part.get("text") or _called(part) for part in parts)]
    if params.get("schema") or params.get("tools"):
        texts.append(canonical([params.get("schema"), params.get("tools", [])]))
    return _size(texts, images, len(record["messages"]))


def _called(part: Mapping[str, Any]) -> str:
    return part["name"] + canonical(part["arguments"]) if part["type"] == "ToolCall" else ""


def _size(texts: Iterable[str], images: int, turns: int) -> Size:
    signs = other = 0
    for text in texts:
        if text.isascii():
            signs += len(text)
        else:
            whole = len(text.encode("utf-8", "surrogatepass"))
            beyond = sum(sign > "\x7f" for sign in text)
            signs, other = signs + len(text) - beyond, other + whole - (len(text) - beyond)
    return Size(signs, other, images, turns)


@dataclass(frozen=True, slots=True)
class Counting:
    """How a model counts: tokens are ``turn`` for each turn and ``scale`` times the guess. ``low`` and ``high`` are the share that the truth may differ by.

    ``calls`` are the earlier ones that it was learned from; 0 where it is what is usual.
    """

    kind: str
    scale: float = 1.0
    turn: float = EACH_TURN
    low: float = UNSURE.low / UNSURE.likely
    high: float = UNSURE.high / UNSURE.likely
    calls: int = 0

    def __call__(self, size: Size) -> Tokens:
        """Tokens of a question of this size."""
        likely = self.turn * size.turns + self.scale * _guess(self.kind, size)
        low, high = (round(share * likely) for share in (self.low, self.high))
        if not self.calls:
            low, high = max(low - EACH_TURN * size.turns, 1), high + EACH_TURN * size.turns
        return Tokens(
            *(part + size.images * image for part, image in zip((low, round(likely), high), AN_IMAGE, strict=True))
        )


def _guess(kind: str, size: Size) -> float:
    return size.ascii / BYTES_PER_TOKEN.get(kind, USUAL) + size.other * OTHER_SIGNS


def learned(kind: str, earlier: Sequence[Used]) -> Counting:
    """How the model of these calls counts; what is usual where they do not tell."""
    pairs = [pair for call in earlier if (pair := _pair(kind, call))]
    if len(pairs) < FEW:
        return Counting(kind)
    scale, turn = _line(pairs)
    off = max(max(abs(turn + scale * guess - tokens) - 1, 0) / tokens for guess, tokens in pairs)  # counts are whole
    unsure = min(max(0.04 + off, 0.05) + 0.3 / len(pairs), 0.35)
    return Counting(kind, scale, turn, 1 - unsure, 1 + unsure, len(pairs))


def _pair(kind: str, call: Used) -> tuple[float, int] | None:
    """What would have been guessed for an earlier question of one turn, and what it was."""
    tokens, size = call.answer.usage.input, size_of_record(call.asked) if call.asked else None
    if size is None or not tokens or tokens < 1 or size.images or size.turns != 1:
        return None
    return _guess(kind, size), tokens


def _line(pairs: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Scale and constant that fit best (least squares); where all are of one length, the scale alone."""
    count = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / count, sum(y for _, y in pairs) / count
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    if spread > count * (0.1 * mean_x) ** 2:
        scale = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
        turn = mean_y - scale * mean_x
        if 0.2 <= scale <= 5 and turn >= 0:
            return scale, turn
    return mean_y / max(mean_x, 1.0), 0.0
