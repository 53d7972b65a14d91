"""An answer while it arrives: blocks of text, thought and tool calls in the order they came, and what is known about the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from orchestrator_nb.calls import Delta, Event, Finish, Response, ThinkingDelta, Usage
from orchestrator_nb.messages import Part, Text, Thinking, ToolCall
from orchestrator_nb.providers.jsontext import REPLACED, Malformed

NO_OBJECT: Final = "a tool call whose arguments are no JSON object"
_ABSURD: Final = 1 << 40
"""No answer has a million million tokens; such a count is left out."""


@dataclass(slots=True)
class Block:
    """A stretch of one kind. ``pieces`` are text, thoughts, or the JSON of a tool call's arguments."""

    kind: Literal["text", "thinking", "tool"]
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    id: str = ""
    name: str = ""
    arguments: Mapping[str, Any] | None = None

    def part(self) -> Part | None:
        """The finished part; ``None`` for one that holds nothing."""
        joined = "".join(self.pieces)
        match self.kind:
            case "text":
                return Text(joined) if joined else None
            case "thinking":
                signature = said(self.signature)
                return Thinking(joined, signature) if joined or signature else None
            case "tool":
                given = arguments(joined) if self.arguments is None else self.arguments
                if not isinstance(given, dict):
                    raise Malformed(NO_OBJECT)
                return ToolCall(said(self.id) or "", said(self.name) or "", given)


class Draft:
    """What has arrived. A dialect's decoder fills it; `response` is a snapshot at any time."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.model: str | None = None
        self.id: str | None = None
        self.finish: Finish | None = None
        self.finish_raw: str | None = None
        self.usage = Usage()
        self.cost: Decimal | None = None
        self.resume: str | None = None
        self._notices: dict[str, None] = {}
        self._held = ""
        self._held_in: Block | None = None

    def say(self, piece: str, events: list[Event]) -> None:
        """A piece of the answer's text."""
        blocks = self.blocks
        block = blocks[-1] if blocks and blocks[-1].kind == "text" else self.open("text")
        self.add(block, piece, events)

    def think(self, piece: str, events: list[Event]) -> None:
        """A piece of the thoughts."""
        block = self.blocks[-1] if self.blocks and self.blocks[-1].kind == "thinking" else self.open("thinking")
        self.add(block, piece, events)

    def open(self, kind: Literal["text", "thinking", "tool"], **fields: Any) -> Block:
        """A new block at the end."""
        block = Block(kind, **fields)
        self.blocks.append(block)
        return block

    def add(self, block: Block, piece: str, events: list[Event]) -> None:
        """A piece for this block, and its event."""
        if not piece.isascii() or self._held:
            piece = self._whole(piece, block)
        if not piece:
            return
        block.pieces.append(piece)
        if block.kind == "text":
            events.append(Delta(piece))
        elif block.kind == "thinking":
            events.append(ThinkingDelta(piece))

    def note(self, sentence: str) -> None:
        """A sentence for the user, once."""
        self._notices[sentence] = None

    def end(self, finish: Finish, raw: str | None) -> None:
        """Why the answer ended, in our words and the vendor's."""
        self.finish, self.finish_raw = finish, raw

    def close(self) -> None:
        """No more comes: half a surrogate pair that still waits is a broken character."""
        if self._held and self._held_in:
            self._held_in.pieces.append("\ufffd")
            self._held = ""
            self.note(REPLACED)

    def response(self, model: str, *, complete: bool, strict: bool = True) -> Response:
        """The answer so far. What is of no such type as the format has raises `Malformed`, and so does a tool call that is cut short; unless ``strict`` it is left out."""
        word = said if strict else _said_if_text
        parts = tuple(part for block in self.blocks if (part := _part(block, strict)) is not None)
        finish: Finish = self.finish or "stop"
        if finish == "stop" and any(isinstance(part, ToolCall) for part in parts):
            finish = "tool_calls"  # Gemini and Ollama say stop, and so do some compatible servers
        return Response(
            model=word(self.model) or model,
            parts=parts,
            finish=finish,
            finish_raw=word(self.finish_raw),
            usage=self.usage,
            raw_id=word(self.id),
            complete=complete,
            cost_reported=self.cost,
            resume=word(self.resume),
            notices=tuple(self._notices),
        )

    def _whole(self, piece: str, block: Block) -> str:
        """The piece without lone surrogates. Half a pair at the end waits for the other half in the next piece."""
        if self._held:
            piece = self._held + piece if self._held_in is block else piece
            self._held = ""
        try:
            piece.encode()
        except UnicodeEncodeError:
            pass
        else:
            return piece
        if "\ud800" <= piece[-1] <= "\udbff":
            piece, self._held, self._held_in = piece[:-1], piece[-1], block
        mended = mend(piece)
        if "�" in mended and "�" not in piece:
            self.note(REPLACED)
        return mended


def said(value: Any) -> str | None:
    """A text that a server may leave out, mended. Raises `Malformed` for anything else."""
    if isinstance(value, str):
        return value if value.isascii() else mend(value)
    if value is None:
        return None
    raise Malformed(f"a value of another type ({type(value).__name__}) where a text belongs")


def _said_if_text(value: Any) -> str | None:
    return said(value) if isinstance(value, str) else None


def mend(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended(value: Any) -> Any:
    """`mend` through a JSON value."""
    if isinstance(value, str):
        return value if value.isascii() else mend(value)
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    return [mended(item) for item in value] if isinstance(value, list) else value


def arguments(text: str) -> Mapping[str, Any]:
    """The arguments of a tool call. Nothing at all means none. Raises `Malformed` for anything but an object."""
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Malformed(NO_OBJECT)
    return {mended(key): mended(item) for key, item in value.items()}


def count(value: Any) -> int | None:
    """A token count, or ``None`` for one that is missing or cannot be."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _ABSURD else None


def inner(value: Any, key: str) -> Any:
    """``value[key]`` where that makes sense, else ``None``: details of usage come and go."""
    return value.get(key) if isinstance(value, dict) else None


def money(value: Any) -> Decimal | None:
    """USD that a server reports, or ``None`` for what cannot be a price."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ABSURD:
        return None
    return Decimal(str(value))


def _part(block: Block, strict: bool) -> Part | None:
    try:
        return block.part()
    except (Malformed, TypeError):
        if strict:
            raise
        return None
