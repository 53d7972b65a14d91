"""One HTTP/1.1 connection: an asyncio protocol that writes one request at a time and hands over the answer in pieces.

The parser is httptools (llhttp, the parser of Node.js). What makes it cheap: bytes are received into one buffer that all connections share, a waiting
task is woken once per arrival and not once per piece, and pieces that arrived together are handed over together. Reading stops while nobody
takes what has arrived. Everything runs in the loop's thread; there are no locks.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools
import httpx2

from orchestrator_nb.providers.network import Network

Headers = list[tuple[bytes, bytes]]

_HIGH_WATER = 512 * 1024


class TooMuch(httpx2.RemoteProtocolError):
    """A cap on headers or framing was passed."""


class NotHttp(httpx2.RemoteProtocolError):
    """What came back is not HTTP/1.1."""


class Connection(asyncio.BufferedProtocol):
    """States: idle → asked (`ask`) → answering (head is here) → done (body is here) → idle (`reuse`). Any of them → closed."""

    __slots__ = (
        "_answering", "_asked", "_body_bytes", "_buffer", "_done", "_failure", "_framed", "_head_bytes", "_keep", "_network", "_open_now", "_parser",
        "_paused", "_pieces", "_received", "_speaks", "_transport", "_unread", "_waiter", "closed", "headers", "idle_since", "status",
    )  # fmt: skip

    def __init__(self, network: Network, buffer: memoryview, open_now: set[Connection]) -> None:
        self._network, self._buffer, self._open_now = network, buffer, open_now
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._failure: httpx2.TransportError | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self.status, self.headers = 0, Headers()
        self._pieces: list[bytes] = []
        self._received = self._body_bytes = self._head_bytes = self._unread = 0
        self._asked = self._answering = self._done = self._keep = self._paused = self._framed = False

    # what the pool and the body of an answer ask for

    def ask(self, request: bytes) -> None:
        """Write a request."""
        self._asked = True
        if self._transport is not None:
            self._transport.write(request)

    async def head(self) -> None:
        """Wait until ``status`` and ``headers`` are here."""
        while not self._answering:
            await self._news()

    async def read(self) -> bytes:
        """All that has arrived since the last time; ``b""`` at the end. Raises `httpx2.TransportError` when the answer breaks off."""
        while not self._pieces:
            if self._done:
                return b""
            await self._news()
        pieces, self._pieces = self._pieces, []
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _news(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def reuse(self) -> bool:
        """Make ready for the next request; False when this connection can not take one."""
        usable = self._done and self._keep and self._failure is None and not self._pieces
        self._reset()
        return usable

    def stale(self) -> bool:
        """Whether the far side has closed it, or said something unasked, while it was idle: looks at the socket itself, for the loop may not have yet."""
        if self._failure is not None or self._transport is None or self._transport.is_closing():
            return True
        return self._speaks()

    def close(self) -> None:
        """Close at once, whatever is under way."""
        self._fail(httpx2.ReadError("the connection was closed"))

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; with TLS, the certificate has been checked."""
        self._transport = cast("asyncio.Transport", transport)
        self._speaks = _watch(transport.get_extra_info("socket").fileno())
        self._open_now.add(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to put what arrives."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what has arrived, then wake who waits."""
        if not self._asked or self._done:
            return self._fail(NotHttp("the server spoke without being asked"))
        self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return self._fail(NotHttp("the answer is not HTTP/1.1"))
        self._check_caps()
        self._wake()
        return None

    def _check_caps(self) -> None:
        if self._head_bytes > self._network.header_bytes or (
            not self._answering and self._received > self._network.header_bytes
        ):
            self._fail(TooMuch("the answer's headers are too long"))
        elif self._received - self._body_bytes > self._network.body_bytes:
            self._fail(TooMuch("the answer's framing is too long"))
        elif self._unread > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The far side has finished; asyncio closes our side next, and `connection_lost` says the rest."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone. An answer without a length ends here; any other breaks off here."""
        if self._answering and not self._framed and exc is None and self._failure is None:
            self._done = True
        failure = httpx2.ReadError("the server closed the connection")
        failure.__cause__ = exc
        self._fail(failure)
        self._open_now.discard(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def _fail(self, failure: httpx2.TransportError) -> None:
        self._keep = False
        self._failure = self._failure or failure
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # what the parser finds

    def on_message_begin(self) -> None:
        """An answer begins; a second one to one question is refused."""
        if self._done:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those that come after the body are not taken as headers of the answer."""
        self._head_bytes += len(name) + len(value) + 4
        if not self._answering:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is here, unless it is an interim one (1xx)."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._done:
            self.status = status
            self._framed = status in {204, 304} or any(
                name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self.headers
            )
            self._answering = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self._done:
            self._pieces.append(piece)
            self._unread += len(piece)
            self._body_bytes += len(piece)

    def on_message_complete(self) -> None:
        """The answer is whole; an interim one is forgotten."""
        if not self._answering:
            self.headers.clear()
        elif not self._done:
            self._done = True
            self._keep = self._parser.should_keep_alive()


def _watch(fileno: int) -> Callable[[], bool]:
    """Tells whether there is something to read. ``poll`` takes any number; ``select`` (Windows) has no such limit there either."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([fileno], [], [], 0)[0])
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return lambda: bool(poll.poll(0))
