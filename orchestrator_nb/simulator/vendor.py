"""The vendor's side of the conversation: what each vendor module has to know how to do."""

# ruff: noqa: ARG002 - a dialect need not use all it is given

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator_nb.simulator import models
from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.wire import Arrived, Form, Frame, Headers, Reply, dumps

JSON = (("content-type", "application/json"),)
CREATED = 1_795_334_400
"""2026-11-22 08:00 UTC: the birthday of every answer."""


class Refusal(Exception):
    """The vendor does not take the request; carries its answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys are taken: exactly one, or any that does not start with ``bad``."""

    only: str | None = None

    def takes(self, key: str) -> bool:
        """Whether a key is good."""
        return key == self.only if self.only is not None else bool(key) and not key.startswith("bad")


class Vendor(ABC):
    """One vendor's door. Knows its dialect and its rules, not how answers are made or sent."""

    name: ClassVar[str]
    family: ClassVar[str]
    """Which models of the data file it serves."""
    form: ClassVar[Form] = "sse"
    ill: ClassVar[int] = 503
    """The status of an error inside a stream."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The models it serves."""
        return models.of(self.family)

    @abstractmethod
    def key(self, call: Arrived) -> str:
        """The key of a request, in the form the vendor wants it, or ``""``."""

    @abstractmethod
    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        """The vendor's own error answer. ``kind`` names a case that the status alone does not tell."""

    @abstractmethod
    def route(self, call: Arrived) -> str | Reply:
        """``ask``, ``count``, or the answer itself for lists and unknown paths."""

    @abstractmethod
    def read(self, call: Arrived) -> Ask:
        """The request, checked as the vendor checks it. Raises :class:`Refusal`."""

    @abstractmethod
    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        """The body of a plain answer."""

    @abstractmethod
    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        """The events of a streamed answer."""

    @abstractmethod
    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        """The event that reports an error inside a stream that began with 200."""

    def count(self, ask: Ask) -> dict[str, Any]:
        """The body of a token count."""
        return {"input_tokens": ask.input_tokens}

    def check_key(self, call: Arrived, keys: Keys) -> None:
        """Raises :class:`Refusal` for a missing or refused key."""
        key = self.key(call)
        if not keys.takes(key):
            raise Refusal(self.error(401, "bad_key" if key else "no_key"))

    def stream_form(self, ask: Ask) -> Form:
        """How a stream is written."""
        return self.form

    def stream_type(self, ask: Ask) -> str:
        """The content type of a stream."""
        return "text/event-stream; charset=utf-8"

    def limit_headers(self, state: State) -> Headers:
        """The vendor's rate-limit headers."""
        return ()

    def rate_limited(self, state: State) -> Reply:
        """The vendor's 429, with its own hint when to come back."""
        return self.error(429, wait_s=state.wait_s, tokens=state.short_of == "tokens")

    def extra_headers(self, serial: int) -> Headers:
        """Request ids and the like, for every answer."""
        return ()

    # helpers for the dialects

    def body(self, call: Arrived) -> Mapping[str, Any]:
        """The JSON object of a request. Raises :class:`Refusal`."""
        if not isinstance(call.body, Mapping):
            raise Refusal(self.error(400, "json"))
        return call.body

    def model(self, name: object) -> Model:
        """The model of a request. Raises :class:`Refusal`."""
        found = models.find(self.models, name) if isinstance(name, str) else None
        if found is None:
            raise Refusal(self.error(404, "model", model=name))
        return found


def bearer(call: Arrived) -> str:
    """The key of an ``Authorization: Bearer`` header."""
    scheme, _, key = call.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def reply(status: int, body: Any, *headers: tuple[str, str]) -> Reply:
    """A JSON answer."""
    return Reply(status, dumps(body), JSON + headers)


def text_of(content: Any) -> str:
    """The text of a message's content in any dialect: text, or a list of parts that have one."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return text_of(content.get("text") or content.get("content") or content.get("output") or "")
    return "".join(text_of(part) for part in content) if isinstance(content, list) else ""


def pieces(text: str, words: int = 3) -> list[str]:
    """A text in pieces of a few words (short texts: word by word), as models stream it; joined they are the text again."""
    parts, start, seen = [], 0, 0
    words = words if len(text) > 60 else 1
    for at, letter in enumerate(text):
        seen += letter == " "
        if seen == words:
            parts.append(text[start : at + 1])
            start, seen = at + 1, 0
    return [*parts, text[start:]] if start < len(text) else parts


def weigh(value: Any) -> int:
    """Characters of text in a request value; pictures and other data count as 1,000 each."""
    if isinstance(value, str):
        return 1_000 if value.startswith("data:") else len(value)
    if isinstance(value, Mapping):
        return sum(1_000 if key == "data" else weigh(part) for key, part in value.items())
    return sum(weigh(part) for part in value) if isinstance(value, list) else 1
