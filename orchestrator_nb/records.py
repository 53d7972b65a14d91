"""Questions and answers as JSON records: the form in which the store and a tape keep them. Pure; nothing here reads or writes a file.

A request's record holds exactly the fields that its key hashes, so that the key proves the record. A response's record leaves out what is as usual
(the defaults of version 1, listed in `_USUAL`); reading it is strict: an unknown field, version or type is a `ValueError`, never a guess.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from orchestrator_nb.calls import KEY_VERSION, Cost, Finish, Request, Response, Source, Usage
from orchestrator_nb.canonical import canonical, digest, plain
from orchestrator_nb.messages import Image, Part, Text, Thinking, ToolCall, ToolResult

__all__ = [
    "RECORD_VERSION",
    "REPLACED",
    "canonical",
    "digest",
    "part_of",
    "request_record",
    "response_of",
    "response_record",
    "usage_record",
]

RECORD_VERSION: Final = 1
REPLACED: Final = "Characters that no file can hold (lone surrogates) were replaced by U+FFFD."
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def request_record(request: Request) -> dict[str, Any]:
    """What is asked, by name: ``digest(canonical(record))`` is `Request.key`. Raises `ValueError` for NaN in the parameters once it is made canonical."""
    vendor = request.model.vendor
    return {
        "kind": vendor.kind,
        "messages": [plain(message) for message in request.messages],
        "model": request.model.id,
        "origin": vendor.origin,
        "params": plain(request.params.given),
        "sample": request.sample,
        "system": request.system,
        "v": KEY_VERSION,
    }


def response_record(response: Response) -> dict[str, Any]:
    """An answer as JSON. Money is text, bytes are base64. Raises `ValueError` for NaN, infinities, and values that JSON does not have.

    Lone surrogates, which neither UTF-8 nor SQLite can hold, become U+FFFD; the record's notices then say so.
    """
    writer = _Writer()
    record = writer.response(response)
    if writer.replaced and REPLACED not in record.get("notices", ()):
        record["notices"] = [*record.get("notices", ()), REPLACED]
    return record


class _Writer:
    """One answer being written; remembers whether a character had to be replaced."""

    def __init__(self) -> None:
        self.replaced = False

    def response(self, response: Response) -> dict[str, Any]:
        full = {
            "model": self.text(response.model),
            "parts": [self.part(part) for part in response.parts],
            "finish": response.finish,
            "finish_raw": self.optional(response.finish_raw),
            "usage": usage_record(response.usage),
            "raw_id": self.optional(response.raw_id),
            "complete": response.complete,
            "cost_reported": _money_record(response.cost_reported),
            "cost": self.cost(response.cost),
            "source": response.source,
            "resume": self.optional(response.resume),
            "parsed": self.json(response.parsed),
            "notices": [self.text(notice) for notice in response.notices],
        }
        return {"v": RECORD_VERSION, **{name: value for name, value in full.items() if value != _USUAL[name]}}

    def text(self, text: str) -> str:
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError:
            self.replaced = True
            return _SURROGATE.sub("\ufffd", text)
        return text

    def optional(self, text: str | None) -> str | None:
        return None if text is None else self.text(text)

    def cost(self, cost: Cost) -> dict[str, Any] | None:
        return None if cost == Cost() else {"usd": _money_record(cost.usd), "source": self.text(cost.source)}

    def part(self, part: Part) -> dict[str, Any]:
        """In the form that requests have their parts in."""
        if type(part) is Text:  # nearly every answer is one of these
            return {"type": "Text", "text": self.text(part.text)}
        if isinstance(part, Image):
            return {"type": "Image", "data": b64encode(part.data).decode(), "media_type": self.text(part.media_type)}
        names: tuple[str, ...] = _FIELDS[type(part).__name__]
        return {"type": type(part).__name__, **{name: self.json(getattr(part, name)) for name in names}}

    def json(self, value: Any) -> Any:
        try:
            return self._json(value)
        except RecursionError:
            raise ValueError("the answer nests too deeply to be kept.") from None

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return _finite(value)
        if isinstance(value, Mapping):
            return {self._name(name): self._json(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._json(item) for item in value]
        raise ValueError(f"a {type(value).__name__} in an answer is no JSON value and cannot be kept.")

    def _name(self, name: Any) -> str:
        if not isinstance(name, str):
            raise ValueError(f"a {type(name).__name__} as a name in an answer is no JSON and cannot be kept.")
        return self.text(name)


_TOKENS: Final = ("input", "output", "cached", "written", "reasoning")
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "Text": ("text",),
    "Thinking": ("text", "signature"),
    "ToolCall": ("id", "name", "arguments"),
    "ToolResult": ("id", "name", "text", "is_error"),
}
_USUAL: Final[dict[str, Any]] = {
    "model": ...,  # is never left out
    "parts": [],
    "finish": "stop",
    "finish_raw": None,
    "usage": {},
    "raw_id": None,
    "complete": True,
    "cost_reported": None,
    "cost": None,
    "source": "live",
    "resume": None,
    "parsed": None,
    "notices": [],
}
"""What a record leaves out. Fixed with version 1: the defaults in `Response` may change, these may not."""


def usage_record(usage: Usage) -> dict[str, int]:
    """Tokens by name; what the vendor did not say is left out."""
    return {name: count for name in _TOKENS if (count := getattr(usage, name)) is not None}


def _money_record(usd: Decimal | None) -> str | None:
    if usd is not None and not usd.is_finite():
        raise ValueError("a cost that is no number cannot be kept.")
    return None if usd is None else str(usd)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("NaN and infinities are no JSON and cannot be kept.")
    return number


def response_of(record: Mapping[str, Any]) -> Response:
    """The answer that `response_record` wrote. Raises `ValueError`, which names the field, for anything it did not write."""
    if not _is_object(record) or record.get("v") != RECORD_VERSION or isinstance(record["v"], bool):
        raise ValueError("this answer was written by another version; update orchestrator-nb to read it.")
    if not record.keys() <= _FIELDS_READ:
        strange = min(str(name) for name in record.keys() - _FIELDS_READ)
        raise ValueError(f"the answer has the unknown field {strange!r}.")
    if "model" not in record:
        raise ValueError("the answer names no model.")
    return Response(**{name: _READ[name](name, value) for name, value in record.items() if name != "v"})


def _is_object(value: Any) -> bool:
    """What JSON gives is told at once; to ask for a `Mapping` takes ten times as long."""
    return type(value) is dict or isinstance(value, Mapping)


def _text_of(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "text")
    return value


def _optional_of(name: str, value: Any) -> str | None:
    return None if value is None else _text_of(name, value)


def _flag_of(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _count_of(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "a whole number")
    return value


def _one_of(*accepted: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if value not in accepted:
            raise _wrong(name, " or ".join(accepted))
        return str(value)

    return read


def _money_of(name: str, value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        usd = Decimal(_text_of(name, value))
    except InvalidOperation:
        raise _wrong(name, "an amount as text") from None
    if not usd.is_finite():
        raise _wrong(name, "an amount as text")
    return usd


def _usage_of(name: str, value: Any) -> Usage:
    return Usage(**{token: _count_of(token, count) for token, count in _named(name, value, _TOKENS).items()})


def _cost_of(name: str, value: Any) -> Cost:
    found = _exactly(name, value, ("usd", "source"))
    return Cost(_money_of("cost.usd", found["usd"]), _text_of("cost.source", found["source"]))


def _texts_of(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_text_of(name, item) for item in _list(name, value))


def _parts_of(name: str, value: Any) -> tuple[Part, ...]:
    return tuple(part_of(item) for item in _list(name, value))


def part_of(value: Any) -> Part:
    """A part of a message or an answer. Raises `ValueError` for what is none."""
    kind = value.get("type") if _is_object(value) else None
    read = _PARTS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _wrong("parts", f"parts of the types {', '.join(_PARTS)}")
    return read(value)


def _read_text(value: Any) -> Text:
    return Text(_text_of("text", _exactly("Text", value, ("type", "text"))["text"]))


def _read_image(value: Any) -> Image:
    found = _exactly("Image", value, ("type", "data", "media_type"))
    try:
        data = b64decode(_text_of("data", found["data"]), validate=True)
    except (NoBase64, ValueError):
        raise _wrong("data", "base64") from None
    return Image(data, _text_of("media_type", found["media_type"]))


def _read_thinking(value: Any) -> Thinking:
    found = _exactly("Thinking", value, ("type", *_FIELDS["Thinking"]))
    return Thinking(_text_of("text", found["text"]), _optional_of("signature", found["signature"]))


def _read_call(value: Any) -> ToolCall:
    found = _exactly("ToolCall", value, ("type", *_FIELDS["ToolCall"]))
    if not isinstance(found["arguments"], dict):
        raise _wrong("arguments", "an object")
    return ToolCall(_text_of("id", found["id"]), _text_of("name", found["name"]), found["arguments"])


def _read_result(value: Any) -> ToolResult:
    found = _exactly("ToolResult", value, ("type", *_FIELDS["ToolResult"]))
    id_, name, text = (_text_of(field, found[field]) for field in ("id", "name", "text"))
    return ToolResult(id_, name, text, _flag_of("is_error", found["is_error"]))


def _named(name: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not _is_object(value) or any(field not in known for field in value):
        raise _wrong(name, f"an object with {', '.join(known)}")
    found: Mapping[str, Any] = value
    return found


def _exactly(name: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    found = _named(name, value, known)
    if len(found) != len(known):
        raise _wrong(name, f"an object with {', '.join(known)}")
    return found


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(name, "a list")
    return value


def _wrong(name: str, expected: str) -> ValueError:
    return ValueError(f"the answer's {name} is not {expected}.")


_PARTS: Final[dict[str, Callable[[Any], Part]]] = {
    "Text": _read_text,
    "Image": _read_image,
    "Thinking": _read_thinking,
    "ToolCall": _read_call,
    "ToolResult": _read_result,
}
_READ: Final[dict[str, Callable[[str, Any], Any]]] = {
    "model": _text_of,
    "parts": _parts_of,
    "finish": _one_of(*get_args(Finish)),
    "finish_raw": _optional_of,
    "usage": _usage_of,
    "raw_id": _optional_of,
    "complete": _flag_of,
    "cost_reported": _money_of,
    "cost": _cost_of,
    "source": _one_of(*get_args(Source)),
    "resume": _optional_of,
    "parsed": lambda _, value: value,
    "notices": _texts_of,
}
_FIELDS_READ: Final = frozenset({*_READ, "v"})
