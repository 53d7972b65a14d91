"""What every vendor's request and answer have in common: the simulator's own small vocabulary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator_nb.simulator.models import Model

Finish = Literal[
    "stop",
    "stop_sequence",
    "length",
    "tool_calls",
    "content_filter",
    "refusal",
    "blocked",
    "pause",
    "continuation",
    "resources",
]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    about: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function, with its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, read from a vendor's dialect."""

    vendor: str
    model: Model
    name: str
    """The model as it was asked for."""
    prompt: str
    """The text of the last turn of the user."""
    system: str = ""
    input_tokens: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    schema: Mapping[str, Any] | None = None
    json_mode: bool = False
    stream: bool = False
    thinks: bool = False
    shows: bool = False
    """Whether the text of the thinking is part of the answer."""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """``auto``, ``any``, ``none`` or the name of a tool."""
    after_tool: bool = False
    given: str = ""
    """Text that the model has already given: a pause or a prefill to go on from."""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of one answer; ``thinking`` is not part of ``text``."""

    input: int
    text: int
    thinking: int

    @property
    def output(self) -> int:
        """All tokens that the model made."""
        return self.text + self.thinking


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, before it is put into a vendor's dialect."""

    text: str
    counts: Counts | None
    """``None`` when the vendor forgets to send them."""
    finish: Finish = "stop"
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stopped_at: str | None = None
    id: str = "0"
    delay_s: float = 0.0
    resumed: bool = False
    """Whether it went on from the text that was given."""
    cut_after: int | None = None
    """Drop the connection after so many characters of text."""


def tokens(text: str) -> int:
    """About four characters are a token; nothing is none."""
    return math.ceil(len(text) / 4)
