"""One text for one value: JSON with sorted names, no spaces, ASCII only, no NaN. What is hashed or compared goes through here."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

quoted = json.encoder.encode_basestring_ascii
"""A string as JSON in ASCII."""
_encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
_ordered = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _quickest() -> Callable[[Any], str]:
    """What `JSONEncoder.encode` does, with the C encoder made once: to make it takes longer than to write a small record with it."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)  # not everywhere
    if make is None:
        return _encoder.encode
    chunks = make(None, _encoder.default, quoted, None, ":", ",", True, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _quickest()


def canonical(value: Any) -> str:
    """A JSON value as its one text. Raises `ValueError` for NaN, infinities and what nests too deeply, `TypeError` for what is no JSON."""
    try:
        return _encode(value)
    except RecursionError:
        raise ValueError("it nests too deeply to be written as JSON.") from None


def ordered(value: Any) -> str:
    """A JSON value as a text that keeps the order of its keys, for what is read back and never compared. Raises as `canonical` does."""
    try:
        return _ordered.encode(value)
    except RecursionError:
        raise ValueError("it nests too deeply to be written as JSON.") from None


def digest(text: str) -> str:
    """SHA-256 of a text, in hex. A canonical text is ASCII, so that there is one way to encode it."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """JSON types only: dataclasses by name and fields, bytes as base64."""
    match value:
        case bytes():
            return b64encode(value).decode()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return {"type": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in fields(value)}}
