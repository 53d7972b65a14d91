"""Takes keys out of what a server says: in answers, pieces of answers, and errors, in the forms in which it might echo them.

It looks for the values themselves (`orchestrator_nb.forms`), the call's own key and all that the vault has open, so it finds keys that no pattern knows and leaves
everything else alone. The call's own is kept for one exchange and wiped at its end; a vault's stands in the vault's own buffer only.
When that is wiped in the middle, pieces are no longer shown, and of the answer goes whatever begins as the key does. What a server spells in another way (reversed, in capitals) is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

import httpx2

from orchestrator_nb.calls import Delta, Event, Response, ThinkingDelta
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.forms import CUT, NOTHING, Forms, Sought
from orchestrator_nb.messages import Part, Text, Thinking, ToolCall
from orchestrator_nb.needles import SHORTEST
from orchestrator_nb.providers.keys import origin
from orchestrator_nb.secret import Hidden, Secret
from orchestrator_nb.types import Emit

NOTICE: Final = "the server repeated a key of yours in its answer; it stands there as [key]. Trust this server no further than the key."

_shared: Final[WeakValueDictionary[tuple[int, int], Forms]] = WeakValueDictionary()
"""Exchanges under way with the same key share its forms, found by a hash that differs in each process; with the last of them they are gone from here."""


def _forms(value: str, known: Forms) -> Forms:
    """The forms keep ``known`` alive, so its identity is nobody else's while they are here."""
    found = hash(value), id(known)
    if (forms := _shared.get(found)) is None:
        own = known.buffer_of(value) or Hidden(
            value
        )  # the vault's own buffer, which is wiped when it locks or the process forks
        forms = _shared[found] = Forms([Sought(own, "[key]", "the key it is sent with")], known)
    return forms


class Redaction:
    """One exchange's knowledge of keys: its own, and the ``known`` ones. Without any, everything passes as it is."""

    __slots__ = ("__forms", "__own", "__weakref__")

    def __init__(self, secret: Secret | None, url: httpx2.URL, known: Forms = NOTHING) -> None:
        value = secret.release(origin(url)) if secret else ""
        usable = len(value) >= SHORTEST and value.isascii()  # any other never leaves
        self.__forms = _forms(value, known) if usable else known
        self.__own = self.__forms.buffer_of(value) if usable else None

    def forget(self) -> None:
        """The exchange is over."""
        self.__forms, self.__own = NOTHING, None

    def held_by(self, body: bytes | None) -> str | None:
        """The label of a key that stands in what is about to be sent."""
        return self.__forms.held_by(body.decode("latin-1")) if body else None

    def text(self, text: str) -> str:
        """The text without keys, and without a beginning of one that an ellipsis or the end cuts off."""
        return self._without(self.__forms.uncut(text))

    def model(self, model: ModelSpec) -> ModelSpec:
        """What a server says of a model, without keys."""
        return replace(
            model,
            id=self._without(model.id),
            aliases=tuple(map(self._without, model.aliases)),
            retired=model.retired and self.text(model.retired),
            successor=self._maybe(model.successor),
        )

    def pieces(self, emit: Emit) -> Pieces | None:
        """An ``emit`` for an answer's pieces, or ``None`` where there is nothing to look for. Its `flush` must be called at the end."""
        return Pieces(emit, self.__forms, self.__own) if self.__forms else None

    def resembled_by(self, host: str) -> bool:
        """Whether a host's name holds a key, in any case and with any full stops."""
        return self.__forms.resembles(host)

    def response(self, response: Response) -> Response:
        """The response without keys, and with a notice if it held one."""
        everything = _everything(response) if self.__forms else ""
        if not self.__forms.suspects(everything):
            return response
        if self._without(everything) == everything and not self._breaks_off(response):
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

    def _without(self, text: str) -> str:
        text = self.__forms.without(str(text))  # whatever a dialect may have let through
        return self.__forms.guessed(text) if self.__own is not None and not self.__own else text

    def _maybe(self, text: str | None) -> str | None:
        return text and self._without(text)

    def _breaks_off(self, response: Response) -> bool:
        return max(self.__forms.begun(said) for said in (response.text, response.thinking)) >= CUT

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
    """An `Emit` for the pieces of an answer: the end of a piece that may begin a key is held back until the next one decides."""

    __slots__ = ("__emit", "__forms", "__held", "__own")

    def __init__(self, emit: Emit, forms: Forms, own: Hidden | None = None) -> None:
        """``own`` is the call's key: once it is wiped, no piece of text is shown any more, and the answer at its end tells all."""
        self.__emit, self.__forms, self.__own = emit, forms, own
        self.__held: dict[type[Delta | ThinkingDelta], str] = {}

    def __call__(self, event: Event) -> None:
        """Pass the event on, without keys. The usual piece costs one search."""
        if not isinstance(event, Delta | ThinkingDelta):
            self.__emit(event)
        elif self.__own is not None and not self.__own:
            self.__held = {}
        elif self.__held or not self.__forms.passes(event.text):
            self._look(event)
        else:
            self.__emit(event)

    def flush(self) -> None:
        """No more comes: what was held back is no key, or one that was cut off."""
        for kind, held in self.__held.items():
            self.__emit(kind(self.__forms.mark_of(held) if len(held) >= CUT else held))
        self.__held = {}

    def _look(self, event: Delta | ThinkingDelta) -> None:
        kind = type(event)
        text = self.__forms.without(self.__held.pop(kind, "") + event.text)
        if begun := self.__forms.begun(text):
            text, self.__held[kind] = text[:-begun], text[-begun:]
        if text:
            self.__emit(kind(text))


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
    return "\n".join((said, *map(str, filter(None, about))))


def _strings(value: Any) -> str:
    """Every text in a JSON value."""
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_strings(item)}" for key, item in value.items())
    return " ".join(map(_strings, value)) if isinstance(value, list) else str(value)
