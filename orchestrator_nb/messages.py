"""What is said: text, images, thoughts and tool calls, gathered in messages. Plain values, no identity, no vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["user", "assistant", "system", "tool"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its bytes; ``media_type`` is ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/webp``."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought aloud. ``signature`` is the vendor's seal, sent back unchanged on a later turn."""

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. ``arguments`` is the parsed JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to a `ToolCall`, matched by ``id``. ``name`` repeats the tool's name, which Gemini asks for."""

    id: str
    name: str
    text: str
    is_error: bool = False


Part = Text | Image | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks and what is said."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def user(cls, text: str, *more: Part) -> Message:
        """A user's turn: the text first, then images or tool results."""
        return cls("user", (Text(text), *more))

    @classmethod
    def assistant(cls, text: str) -> Message:
        """A model's turn in plain text."""
        return cls("assistant", (Text(text),))

    @property
    def text(self) -> str:
        """All text parts joined; thoughts and images are left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))
