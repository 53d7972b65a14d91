"""A conversation as Markdown, for people. What models and users wrote stands in fences that it cannot close, so that nobody's text looks like another turn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.messages import Image, Message, Part, Text, Thinking, ToolCall, ToolResult

_TICKS: Final = re.compile("`+")
_UNSAFE: Final = re.compile(r"[^\w./:@+ ,()'-]")
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def to_markdown(name: str, tree: Tree) -> str:
    """The path to the current head: a heading for each speaker, texts in fences."""
    blocks = [head_of(name), *(block for turn in tree.current for block in _turn(turn, tree))]
    return "\n\n".join(blocks) + "\n"


def head_of(name: str) -> str:
    """How an export of this conversation begins."""
    return f"# {_word(name)}\n\nA conversation, exported by orchestrator-nb."


def _turn(turn: Turn, tree: Tree) -> Iterator[str]:
    when = f", {datetime.fromtimestamp(turn.at, UTC):%Y-%m-%d %H:%M} UTC" if turn.at else ""
    if turn.system is not None and turn.system != _system_before(turn, tree):
        yield "## System"
        yield fenced(turn.system)
    yield f"## User ({_word(turn.id)}{when})"
    yield from _said(turn.question)
    if turn.answer is not None:
        yield f"## Assistant ({_word(turn.model or 'unknown')})"
        yield from _said([turn.answer])
    if turn.outcome != "answered":
        yield f"*This answer is not whole: {_word(turn.why or turn.outcome)}*"


def _system_before(turn: Turn, tree: Tree) -> str | None:
    return tree.turns[turn.parent].system if turn.parent else None


def _said(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        for part in message.parts:
            yield from _part(part)


def _part(part: Part) -> Iterator[str]:
    match part:
        case Text(text):
            yield fenced(text)
        case Thinking(text) if text:
            yield "Thoughts:"
            yield fenced(text)
        case Image():
            yield f"(an image: {_word(part.media_type)}, {len(part.data):,} bytes)"
        case ToolCall():
            yield f"Call of {_word(part.name)} ({_word(part.id)}):"
            yield fenced(json.dumps(dict(part.arguments), ensure_ascii=False, indent=1))
        case ToolResult():
            yield f"Result of {_word(part.name)} ({_word(part.id)}):"
            yield fenced(part.text)


def fenced(text: str) -> str:
    """The text in a fence that is longer than any in it. Line ends are made one kind, and signs that steer a screen are shown as what they are."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = _CONTROL.sub("\ufffd", lines)
    fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"


def _word(text: str) -> str:
    """A name between our own words: nothing in it is markup."""
    return re.sub(r"([_*`\[\]<>#|~])", r"\\\1", _UNSAFE.sub("?", " ".join(text.split())))[:200]
