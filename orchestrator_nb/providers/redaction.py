"""Takes the key out of what a server says: in answers, pieces of answers, and errors, in the forms in which it might echo it.

It looks for the value itself (plain, URL-quoted, JSON, hex, base64 at each alignment), so it finds keys that no pattern knows and leaves everything else alone.
The value is kept for one exchange and forgotten at its end. What a server spells in another way (reversed, in capitals) is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

import httpx2

from orchestrator_nb.calls import Delta, Event, Response, ThinkingDelta
from orchestrator_nb.messages import Part, Text, Thinking, ToolCall
from orchestrator_nb.needles import SHORTEST, needles
from orchestrator_nb.providers.keys import origin
from orchestrator_nb.secret import Secret
from orchestrator_nb.types import Emit

NOTICE: Final = (
    "the server repeated your key in its answer; it stands there as [key]. Trust this server no further than the key."
)

_KEY: Final = "[key]"
_HEAD: Final = 4
_CUT: Final = 8
"""Signs of a beginning that count as the key where a text is cut off; fewer may be an ordinary word."""


class _Forms:
    """The forms of one key, and their beginnings."""

    __slots__ = ("__weakref__", "beginnings", "heads", "needles", "short")

    def __init__(self, needles: Iterable[str]) -> None:
        self.needles = tuple(dict.fromkeys(needles))
        self.beginnings = tuple(needle[:_CUT] for needle in self.needles)
        self.heads = tuple(needle[:_HEAD] for needle in self.needles)
        self.short = tuple(needle[:length] for needle in self.needles for length in range(1, _HEAD))


_NONE: Final = _Forms(())
_shared: Final[WeakValueDictionary[str, _Forms]] = WeakValueDictionary()
"""Exchanges under way with the same key share its forms; with the last of them they are gone from here."""


def _forms(value: str) -> _Forms:
    if (forms := _shared.get(value)) is None:
        forms = _shared[value] = _Forms(needles(value))
    return forms


class Redaction:
    """One exchange's knowledge of its key. Without a key, or with one that is no vendor's, everything passes as it is."""

    __slots__ = ("__forms", "__weakref__")

    def __init__(self, secret: Secret | None, url: httpx2.URL) -> None:
        value = secret.release(origin(url)) if secret else ""
        usable = len(value) >= SHORTEST and value.isascii()  # any other never leaves
        self.__forms = _forms(value) if usable else _NONE

    def forget(self) -> None:
        """The exchange is over."""
        self.__forms = _NONE

    def text(self, text: str) -> str:
        """The text without the key, and without a beginning of it that an ellipsis or the end cuts off."""
        return "…".join(map(self._uncut, self._without(text).split("…"))) if self.__forms.needles else text

    def body(self, body: bytes) -> bytes:
        """A body whose encoding is not known yet."""
        return self._without(body.decode("latin-1")).encode("latin-1") if self.__forms.needles else body

    def pieces(self, emit: Emit) -> Pieces | None:
        """An ``emit`` for an answer's pieces, or ``None`` where there is nothing to look for. Its `flush` must be called at the end."""
        return Pieces(emit, self.__forms) if self.__forms.needles else None

    def response(self, response: Response) -> Response:
        """The response without the key, and with a notice if it held it."""
        everything = _everything(response) if self.__forms.needles else ""
        if not any(beginning in everything for beginning in self.__forms.beginnings):
            return response
        if not self._is_in(everything) and not self._breaks_off(response):
            return response
        return replace(
            response,
            model=self._without(response.model),
            parts=self._parts(response.parts),
            finish_raw=self._maybe(response.finish_raw),
            raw_id=self._maybe(response.raw_id),
            resume=self._maybe(response.resume),
            notices=(*map(self._without, response.notices), NOTICE),
        )

    def _is_in(self, text: str) -> bool:
        return any(needle in text for needle in self.__forms.needles)

    def _without(self, text: str) -> str:
        for needle in self.__forms.needles:
            text = text.replace(needle, _KEY)
        return text

    def _maybe(self, text: str | None) -> str | None:
        return text and self._without(text)

    def _breaks_off(self, response: Response) -> bool:
        return max(_begun(said, self.__forms.needles) for said in (response.text, response.thinking)) >= _CUT

    def _uncut(self, text: str) -> str:
        begun = _begun(text, self.__forms.needles)
        return text[:-begun] + _KEY if begun >= _CUT else text

    def _parts(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Each part without the key; texts or thoughts that spell it across several parts become one."""
        clean = tuple(map(self._part, parts))
        for kind in (Text, Thinking):
            whole = "".join(part.text for part in clean if isinstance(part, kind))
            if (safe := self.text(whole)) != whole:
                clean = (*(part for part in clean if not isinstance(part, kind)), kind(safe))
        return clean

    def _part(self, part: Part) -> Part:
        match part:
            case Text(text):
                return Text(self._without(text))
            case Thinking(text, signature):
                return Thinking(self._without(text), self._maybe(signature))
            case ToolCall(id=name, name=tool, arguments=arguments):
                return ToolCall(self._without(name), self._without(tool), self._value(arguments))
        return part

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._without(value)
        if isinstance(value, Mapping):
            return {self._value(key): self._value(item) for key, item in value.items()}
        return [self._value(item) for item in value] if isinstance(value, list) else value

    def __repr__(self) -> str:
        return "Redaction()"


class Pieces:
    """An `Emit` for the pieces of an answer: the end of a piece that may begin the key is held back until the next one decides."""

    __slots__ = ("__emit", "__forms", "__held")

    def __init__(self, emit: Emit, forms: _Forms) -> None:
        self.__emit, self.__forms = emit, forms
        self.__held: dict[type[Delta | ThinkingDelta], str] = {}

    def __call__(self, event: Event) -> None:
        """Pass the event on, without the key. The usual piece costs a few searches."""
        if isinstance(event, Delta | ThinkingDelta) and (self.__held or self._suspicious(event.text)):
            self._look(event)
        else:
            self.__emit(event)

    def flush(self) -> None:
        """No more comes: what was held back is no key, or one that was cut off."""
        for kind, held in self.__held.items():
            self.__emit(kind(_KEY if len(held) >= _CUT else held))
        self.__held = {}

    def _suspicious(self, text: str) -> bool:
        for head in self.__forms.heads:  # any() would cost three times as much, for every piece of every answer
            if head in text:
                return True
        return text.endswith(self.__forms.short)

    def _look(self, event: Delta | ThinkingDelta) -> None:
        kind = type(event)
        text = self.__held.pop(kind, "") + event.text
        for needle in self.__forms.needles:
            text = text.replace(needle, _KEY)
        if begun := _begun(text, self.__forms.needles):
            text, self.__held[kind] = text[:-begun], text[-begun:]
        if text:
            self.__emit(kind(text))


def _begun(text: str, needles: tuple[str, ...]) -> int:
    """How many signs at the end of the text may be the beginning of a needle."""
    return max((_overlap(text, needle) for needle in needles), default=0)


def _overlap(text: str, needle: str) -> int:
    start = text.find(needle[0], max(0, len(text) - len(needle) + 1))
    while start >= 0:
        if needle.startswith(text[start:]):
            return len(text) - start
        start = text.find(needle[0], start + 1)
    return 0


def _everything(response: Response) -> str:
    """All that a server put into the response, for one search."""
    parts = response.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        said = parts[0].text
    else:
        seals = (part.signature for part in parts if isinstance(part, Thinking))
        tools = (f"{part.id} {part.name} {_strings(part.arguments)}" for part in parts if isinstance(part, ToolCall))
        said = "\n".join((response.text, response.thinking, *filter(None, seals), *tools))
    about = (response.model, response.finish_raw, response.raw_id, response.resume, *response.notices)
    return "\n".join((said, *filter(None, about)))


def _strings(value: Any) -> str:
    """Every text in a JSON value."""
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_strings(item)}" for key, item in value.items())
    return " ".join(map(_strings, value)) if isinstance(value, list) else str(value)
