"""What travels: a request as it arrived, and the forms an answer has before it becomes bytes on a connection."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

Headers = tuple[tuple[str, str], ...]
Part = Literal["open", "thinking", "text", "tool", "finish", "usage", "end", "ping", "other"]
Form = Literal["sse", "sse-crlf", "sse-cr", "ndjson", "array"]

MARK: Headers = (("x-simulated", "1"),)
"""Every answer says that it is simulated."""

HANG = math.inf
"""A step that waits until the client leaves."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request as it reached the simulator. ``path`` is inside the vendor's mount; header names are lower case."""

    vendor: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    """The JSON body; ``None`` when there was none or it was not JSON."""
    at: float
    """Seconds of the simulator's monotonic clock."""
    raw: bytes = b""
    """The body as it came (the first 64 KiB)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream. ``data`` is JSON-able, or text that is sent as it is."""

    data: Any
    event: str = ""
    part: Part = "other"

    def encode(self, form: Form) -> bytes:
        """The event as bytes of one stream form."""
        text = self.data.encode() if isinstance(self.data, str) else dumps(self.data)
        if form in ("ndjson", "array"):
            return text + b"\n" if form == "ndjson" else text
        newline = {"sse": b"\n", "sse-crlf": b"\r\n", "sse-cr": b"\r"}[form]
        if self.part == "ping" and isinstance(self.data, str) and self.data.startswith(":"):
            return text + newline * 2
        name = b"event: " + self.event.encode() + newline if self.event else b""
        return name + b"data: " + text + newline * 2


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes
    headers: Headers = ()

    def with_headers(self, more: Headers) -> Reply:
        """The same answer with more headers."""
        return replace(self, headers=self.headers + more)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that comes in pieces."""

    frames: tuple[Frame, ...]
    headers: Headers
    form: Form = "sse"
    status: int = 200
    pieces_of: int | None = None
    """Cut the bytes into pieces of this size, wherever that falls; ``None``: one piece per event."""

    def with_headers(self, more: Headers) -> Stream:
        """The same answer with more headers."""
        return replace(self, headers=self.headers + more)

    def pieces(self) -> list[bytes]:
        """The body, piece by piece."""
        parts = [frame.encode(self.form) for frame in self.frames]
        if self.form == "array":
            parts = [(b"[" if i == 0 else b",\r\n") + part for i, part in enumerate(parts)] + [b"]"]
        if self.pieces_of is None:
            return parts
        whole, size = b"".join(parts), self.pieces_of
        return [whole[i : i + size] for i in range(0, len(whole), size)]


class End(Enum):
    """How a raw answer leaves the connection."""

    CLOSE = "close"
    RESET = "reset"


Step = bytes | float | End
"""Bytes are written, numbers are seconds of silence."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that need not be HTTP: bytes, silences and an end. The connection is closed after it."""

    steps: Iterable[Step]


Deed = Reply | Stream | Raw


def dumps(value: Any) -> bytes:
    """Compact JSON with raw UTF-8, or with escapes when the text has no UTF-8 form (lone surrogates)."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def head(status: int, headers: Headers, reason: str = "Simulated") -> bytes:
    """The head of a raw answer."""
    lines = [
        f"HTTP/1.1 {status} {reason}",
        *(f"{name}: {value}" for name, value in headers),
        "connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def chunk(piece: bytes) -> bytes:
    """A piece in chunked transfer coding; the empty piece ends the body."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)
