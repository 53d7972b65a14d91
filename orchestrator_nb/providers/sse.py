"""Framing: bytes in pieces of any size become payloads. Server-sent events and JSON lines; knows nothing of JSON or vendors.

Lines end at CR, LF or CRLF and nowhere else: U+2028, U+2029 and U+0085 may stand raw inside JSON strings, so
``str.splitlines`` and everything built on it is wrong here. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from typing import Final

MAX_LINE: Final = 1 << 20
"""Bytes of one line, and of one event of several lines."""

MAX_STRAY: Final = 1 << 16
"""Bytes of lines that are no event: an error in bare JSON fits, a web page need not."""

_FIELDS: Final = (b"data", b"event", b"id", b"retry")
_BOM: Final = b"\xef\xbb\xbf"


class Oversize(Exception):
    """A cap was passed; the text says which."""


class Lines:
    """Cuts bytes into lines. A line is given out as soon as its end is seen, also when CRLF is cut in two."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._after_cr = False
        self._started = False
        self._between = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this piece completes, without their ends. Raises `Oversize`."""
        if self._between and chunk[-1:] == b"\n" and b"\r" not in chunk and len(chunk) <= MAX_LINE:
            lines = chunk.split(b"\n")  # the common case: whole lines
            del lines[-1]
            return lines
        lines = self._cut(chunk)
        self._between = self._started and not self._pieces and not self._after_cr
        return lines

    def _cut(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        if self._pieces:
            chunk = b"".join((*self._pieces, chunk))
            self._pieces, self._held = [], 0
        if not self._started:
            self._started = True
            chunk = chunk.removeprefix(_BOM)
        lines = chunk.split(b"\n")
        if rest := lines.pop():
            self._hold(rest)
        if len(chunk) > MAX_LINE and any(len(line) > MAX_LINE for line in lines):
            raise Oversize(f"a line is longer than {MAX_LINE:,} bytes")
        return lines

    def close(self) -> bytes:
        """What stands after the last line end."""
        rest = b"".join(self._pieces)
        self._pieces, self._held = [], 0
        return rest if self._started else rest.removeprefix(_BOM)

    def _hold(self, piece: bytes) -> None:
        """Pieces are joined once, when their line ends: joining each time would cost the square of a long line."""
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
            if self._held > MAX_LINE:
                raise Oversize(f"a line is longer than {MAX_LINE:,} bytes")


class EventReader:
    """Server-sent events: the ``data`` of each event. Comments, names and ids are passed over: vendors repeat the name inside the data.

    Lines that are no field at all are kept in `stray`: some servers send an error as bare JSON, a proxy sends HTML.
    """

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []
        self._size = 0
        self._stray: list[bytes] = []
        self._stray_size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that this piece completes. Raises `Oversize`."""
        payloads: list[bytes] = []
        data = self._data
        for line in self._lines.feed(chunk):
            if line[:6] == b"data: ":
                self._more(line[6:]) if data else data.append(line[6:])
            elif line:
                self._other(line)
            elif data:
                payloads.append(data.pop() if len(data) == 1 else self._event())
        return payloads

    def close(self) -> list[bytes]:
        """The last event, which need not be closed by a blank line."""
        if line := self._lines.close():
            self._other(line)
        return [self._event()] if self._data else []

    @property
    def stray(self) -> bytes:
        """Everything that was no field, line by line."""
        return b"\n".join(self._stray)

    def _event(self) -> bytes:
        event = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return event

    def _more(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value)
        if self._size > MAX_LINE:
            raise Oversize(f"an event is longer than {MAX_LINE:,} bytes")

    def _other(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._more(value.removeprefix(b" "))
        elif name and name not in _FIELDS:
            self._stray.append(line)
            self._stray_size += len(line)
            if self._stray_size > MAX_STRAY:
                raise Oversize(f"over {MAX_STRAY:,} bytes of what should be an event stream are none")


class LineReader:
    """JSON lines (``application/x-ndjson``): one payload per line that is not blank."""

    stray = b""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that this piece completes. Raises `Oversize`."""
        return [line for line in self._lines.feed(chunk) if line.strip()]

    def close(self) -> list[bytes]:
        """The last line, which need not have an end."""
        line = self._lines.close()
        return [line] if line.strip() else []


class BodyReader:
    """One plain body: nothing until the end, then all of it. Also the reader of an answer that is empty."""

    stray = b""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Nothing yet."""
        self._pieces.append(chunk)
        return []

    def close(self) -> list[bytes]:
        """The body, without the blank lines that keep a connection awake. https://api-docs.deepseek.com/quick_start/rate_limit"""
        body = b"".join(self._pieces).removeprefix(_BOM).strip()
        return [body] if body else []


Reader = EventReader | LineReader | BodyReader
