"""One call as values: what is asked (`Request`), what comes back (`Response`), and what happens meanwhile (events).

Nothing here has an identity or does I/O; equal content is equal. Ids, rows and times belong to `orchestrator_nb.runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from orchestrator_nb.canonical import canonical, digest, plain, quoted
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.messages import Message, Part, Text, Thinking, ToolCall

Finish = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error"]
Source = Literal["live", "cache", "replay", "simulated"]

KEY_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may ask for; ``schema`` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Params:
    """What the user set, and only that: a field that is ``None`` (or empty) is never sent.

    ``max_tokens`` counts thinking too. ``effort`` is one of none minimal low medium high xhigh max. ``thinking`` is a budget in tokens, or True/False.
    ``schema`` is a JSON Schema for the answer, ``json`` asks for any valid JSON. ``extra`` goes into the vendor's body as it is.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    effort: str | None = None
    thinking: bool | int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    schema: Mapping[str, Any] | None = None
    json: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def given(self) -> dict[str, Any]:
        """The fields the user set, by name."""
        unset = {f.name: {} if f.default is MISSING else f.default for f in fields(self)}
        return {name: value for name in unset if (value := getattr(self, name)) != unset[name]}

    @cached_property
    def canonical(self) -> str:
        """`given` as canonical JSON; all requests of a grid share their parameters, so it is made once."""
        return canonical(plain(self.given))


@dataclass(frozen=True)
class Request:
    """One question to one model.

    ``sample`` is the index of a repeat and part of the key: five repeats are five answers. ``resume`` is a vendor's token for the rest of a paused answer.
    ``stream`` and ``tags`` change how the answer travels, never what it is, so they are not part of the key.
    """

    model: ModelSpec
    messages: tuple[Message, ...]
    system: str | None = None
    params: Params = Params()
    sample: int = 0
    resume: str | None = None
    stream: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The text of the last user turn."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) over `canonical`. Never depends on a secret. The store asks for it at the call, the frame at the end: it is made once."""
        return digest(self.canonical)

    @property
    def canonical(self) -> str:
        """Canonical JSON of a named list of fields and a version; `records.request_record` is the same as a dict."""
        vendor = self.model.vendor
        fields = (  # in the order of their names, as canonical JSON has them
            f'"kind":{quoted(vendor.kind)}',
            f'"messages":[{",".join(map(_message_json, self.messages))}]',
            f'"model":{quoted(self.model.id)}',
            f'"origin":{quoted(vendor.origin)}',
            f'"params":{self.params.canonical}',
            f'"sample":{self.sample}',
            f'"system":{"null" if self.system is None else quoted(self.system)}',
            f'"v":{KEY_VERSION}',
        )
        return f"{{{','.join(fields)}}}"


def _message_json(message: Message) -> str:
    """`canonical` with a short way for the usual message, one piece of text: a frame of 100,000 rows asks for as many keys."""
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return f'{{"parts":[{{"text":{quoted(parts[0].text)},"type":"Text"}}],"role":{quoted(message.role)},"type":"Message"}}'
    return canonical(plain(message))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. ``input`` contains ``cached`` (read from the vendor's cache) and ``written`` (stored there); ``output`` contains ``reasoning``.

    ``None`` means that the vendor did not say.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = asdict(self), asdict(other)
        return Usage(**{name: _sum(mine[name], theirs[name]) for name in mine})


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


@dataclass(frozen=True, slots=True)
class Cost:
    """USD, or ``None`` when unknown, never 0 for unknown; ``source`` says who priced it: user, server, genai-prices, estimate, none."""

    usd: Decimal | None = None
    source: str = "none"


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered. ``model`` is the id in the vendor's answer, ``raw_id`` the vendor's id of this exchange.

    ``complete`` is False when the stream broke: the text so far is kept. ``notices`` are sentences for the user (a dropped parameter, replaced bytes).
    ``parsed`` is the JSON value when a schema or JSON was asked for. ``resume`` is set with ``finish == "pause"`` where the vendor can go on.
    """

    model: str
    parts: tuple[Part, ...] = ()
    finish: Finish = "stop"
    finish_raw: str | None = None
    usage: Usage = Usage()
    raw_id: str | None = None
    complete: bool = True
    cost_reported: Decimal | None = None
    cost: Cost = Cost()
    source: Source = "live"
    resume: str | None = None
    parsed: Any = None
    notices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The answer's text without thoughts."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        """The thoughts the vendor showed, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls the model asks for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


# Events: progress only. The outcome is returned or raised, never an event.


@dataclass(frozen=True, slots=True)
class Started:
    """The request is going out (attempt ``number``, from 1)."""

    number: int = 1


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the thoughts."""

    text: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """Attempt ``number`` failed with ``kind``; the next starts after ``wait_s`` seconds."""

    number: int
    wait_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Held back for ``wait_s`` seconds (``None``: until a place is free) because of ``reason``."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """What the row is to say instead of what is measured around the call: the figures that stand on a tape, so that the row and the tape agree.

    ``replayed``: they are those of an earlier call, whose answers were ``recorded`` as live or simulated.
    """

    started_at: float | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    attempts: int = 0
    replayed: bool = False
    recorded: Source | None = None


Event = Started | Delta | ThinkingDelta | Retrying | Waiting | Timed
