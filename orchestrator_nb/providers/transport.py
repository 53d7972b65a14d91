"""How bytes travel: a thin transport behind httpx2's `AsyncBaseTransport`, and the choice between it and httpx2's own.

The thin one speaks HTTP/1.1 over TCP or TLS and nothing else: a pool per origin, last used first, idle connections closed after
`Network.keep_alive_s`. It does not follow redirects, keep cookies, inflate bodies or read the environment. A connection whose exchange was not
read to its end (cancelled, failed, too long) is closed, never reused. `docs/decisions/0001-transport.md` says why it exists.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Final, TypeVar, cast

import httpx2

from orchestrator_nb.providers.connection import Connection
from orchestrator_nb.providers.dial import dial
from orchestrator_nb.providers.keys import is_loopback
from orchestrator_nb.providers.network import Network

T = TypeVar("T")

SENT = "orchestrator_nb.sent"
"""Request extension: a function that is called when the request has been written, or has its place, and the far side's clock starts."""

_RECEIVE_BYTES = 256 * 1024
_SHARD = 20
"""Connections per pool of httpx2: above some dozens its bookkeeping grows with the square (10,000 calls, 1,000 at a time: 35 s, in shards 13 s)."""


def transport(network: Network) -> httpx2.AsyncBaseTransport:
    """The transport that this configuration asks for. Proxies are httpx2's business, and for addresses beyond this machine."""
    if network.proxy is None:
        return ThinTransport(network) if network.transport == "thin" else Shards(network)
    return Fork(transport(replace(network, proxy=None)), Shards(network))


def trusted(network: Network) -> ssl.SSLContext:
    """A context that checks certificate and host name, against the user's CA file or the system's roots; the environment is not asked.

    `ssl.create_default_context` would follow ``SSL_CERT_FILE`` and write keys to ``SSLKEYLOGFILE``.
    """
    if network.ca_file is None:
        return httpx2.create_ssl_context(trust_env=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(network.ca_file)
    return context


class ThinTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 on asyncio and httptools. Belongs to the loop it is first used in."""

    def __init__(self, network: Network | None = None) -> None:
        self._network = network or Network()
        self._pools: dict[tuple[str, str, int], _Pool] = {}
        self._open: set[Connection] = set()
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))

    @property
    def open_connections(self) -> int:
        """Sockets that are open now, idle ones included."""
        return len(self._open)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange, up to the answer's head. Raises `httpx2.TransportError`. The body is read, or closed, by the caller."""
        pool = self._pool_for(request.url)
        timeout = request.extensions.get("timeout", {})
        stream = request.stream
        if isinstance(stream, httpx2.ByteStream):
            body = b"".join(stream)
        else:  # its length was not known when the headers were made
            body = await request.aread()
            request.headers.pop("transfer-encoding", None)
            request.headers["content-length"] = str(len(body))
        await pool.places.acquire()
        connection = None
        try:
            connection = pool.take() or await self._connect(pool, timeout.get("connect", self._network.connect_s))
            _write(connection, request, body)
            await _within(timeout.get("read"), connection.head)
        except BaseException:
            if connection is not None:
                connection.close()
            pool.places.release()
            raise
        return httpx2.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(connection, pool, timeout.get("read")),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _pool_for(self, url: httpx2.URL) -> _Pool:
        key = (url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        if (pool := self._pools.get(key)) is None:
            if url.scheme not in {"http", "https"}:
                raise httpx2.UnsupportedProtocol(f"{url.scheme!r} is not http or https")
            pool = self._pools[key] = _Pool(*key, self._network)
        return pool

    async def _connect(self, pool: _Pool, timeout_s: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        protocol = partial(Connection, self._network, self._buffer, self._open)
        secure = pool.scheme == "https"
        try:
            async with asyncio.timeout(timeout_s):
                sock = await dial(pool.host, pool.port)
                _, connection = await loop.create_connection(
                    protocol,
                    sock=sock,
                    ssl=self._tls if secure else None,
                    server_hostname=pool.host if secure else None,
                )
        except TimeoutError:
            raise httpx2.ConnectTimeout(f"no connection within {timeout_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError("cannot connect") from error
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = trusted(self._network)
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def aclose(self) -> None:
        """Close every connection, used or idle, and wait until the sockets are gone."""
        connections = list(self._open)
        for pool in self._pools.values():
            pool.close()
        for connection in connections:
            connection.close()
        await asyncio.gather(*(connection.closed for connection in connections))


class _Pool:
    """The connections to one origin: places are counted, idle connections wait on a stack."""

    def __init__(self, scheme: str, host: str, port: int, network: Network) -> None:
        self.scheme, self.host, self.port = scheme, host, port
        self.places = asyncio.Semaphore(network.max_connections)
        self._keep_s = network.keep_alive_s
        self._idle: list[Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """The connection that was used last and is still good."""
        oldest = asyncio.get_running_loop().time() - self._keep_s
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > oldest and not connection.stale():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """After an exchange: keep the connection if it can take another one."""
        if connection.reuse():
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            self._sweeper = self._sweeper or loop.call_later(self._keep_s, self._sweep)
        else:
            connection.close()
        self.places.release()

    def _sweep(self) -> None:
        """Close what has been idle for too long; the stack's bottom is the oldest."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._keep_s
        for connection in [c for c in self._idle if c.idle_since <= oldest]:
            connection.close()
        self._idle = [c for c in self._idle if c.idle_since > oldest]
        self._sweeper = loop.call_at(self._idle[0].idle_since + self._keep_s, self._sweep) if self._idle else None

    def close(self) -> None:
        """Forget everything; the transport closes the connections."""
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()


class _Body(httpx2.AsyncByteStream):
    """The body of an answer. Read to the end, it gives its connection back; closed before, it closes it."""

    def __init__(self, connection: Connection, pool: _Pool, timeout_s: float | None) -> None:
        self._connection: Connection | None = connection
        self._pool, self._timeout_s = pool, timeout_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._connection is None:
            raise StopAsyncIteration
        read = self._connection.read
        if not (data := await (read() if self._timeout_s is None else _within(self._timeout_s, read))):
            await self.aclose()
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Give the connection back; unread, it is closed. Does not wait."""
        if (connection := self._connection) is not None:
            self._connection = None
            self._pool.give_back(connection)


async def _within(seconds: float | None, waiting: Callable[[], Coroutine[None, None, T]]) -> T:
    """httpx2's read limit; our own exchange has clocks of its own and sets none."""
    if seconds is None:
        return await waiting()
    try:
        async with asyncio.timeout(seconds):
            return await waiting()
    except TimeoutError:
        raise httpx2.ReadTimeout("the server was silent for too long") from None


def _write(connection: Connection, request: httpx2.Request, body: bytes) -> None:
    """Head and body in one piece. The bytes, in which the key stands, live in this frame only, and nothing waits in it."""
    headers = request.headers.raw
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in headers]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx2.LocalProtocolError("a header holds a line break")
    connection.ask(head + b"\r\n\r\n" + body)
    _tell_sent(request)


def _tell_sent(request: httpx2.Request) -> None:
    sent: Callable[[], None] | None = request.extensions.get(SENT)
    if sent is not None:
        sent()


class Fork(httpx2.AsyncBaseTransport):
    """To this machine without the proxy: it would read the key, as plain HTTP is allowed there, and it could not find the way."""

    def __init__(self, here: httpx2.AsyncBaseTransport, beyond: httpx2.AsyncBaseTransport) -> None:
        self._here, self._beyond = here, beyond

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange, by the way that its address takes."""
        way = self._here if is_loopback(request.url) else self._beyond
        return await way.handle_async_request(request)

    async def aclose(self) -> None:
        """Close both ways."""
        await self._here.aclose()
        await self._beyond.aclose()


_silent: Final = ContextVar("orchestrator_nb.silent", default=False)


def _speaks(_record: logging.LogRecord) -> bool:
    return not _silent.get()


def _hush() -> None:
    """Nothing about our own exchanges in the log of httpx2's engine: at DEBUG it writes an answer's headers, in which a server may repeat the key."""
    for name in ("connection", "http11", "http2", "proxy", "socks"):
        logging.getLogger(f"httpcore2.{name}").addFilter(_speaks)  # the same one is added once


class Shards(httpx2.AsyncBaseTransport):
    """httpx2's own transport, for proxies and as a setting: many small pools, and places in front so that no call waits inside one."""

    def __init__(self, network: Network) -> None:
        _hush()
        context = trusted(network)
        size = min(_SHARD, network.max_connections)
        limits = httpx2.Limits(
            max_connections=size, max_keepalive_connections=size, keepalive_expiry=network.keep_alive_s
        )
        proxy = _proxy(network.proxy, context) if network.proxy else None
        self._make = partial(httpx2.AsyncHTTPTransport, verify=context, trust_env=False, limits=limits, proxy=proxy)
        self._size, self._shards = size, list[_Shard]()
        self._places = asyncio.Semaphore(network.max_connections)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange through the shard that has least to do."""
        await self._places.acquire()
        shard = self._idlest()
        shard.busy += 1
        try:
            _tell_sent(request)
            response = await _silently(shard.transport.handle_async_request, request)
        except BaseException:
            self._give_back(shard)
            raise
        response.stream = _Counted(cast("httpx2.AsyncByteStream", response.stream), partial(self._give_back, shard))
        return response

    def _idlest(self) -> _Shard:
        shard = min(self._shards, key=lambda s: s.busy, default=None)
        if shard is None or shard.busy >= self._size:
            shard = _Shard(self._make())
            self._shards.append(shard)
        return shard

    def _give_back(self, shard: _Shard) -> None:
        shard.busy -= 1
        self._places.release()

    async def aclose(self) -> None:
        """Close every pool."""
        for shard in self._shards:
            await shard.transport.aclose()


async def _silently(
    ask: Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]], request: httpx2.Request
) -> httpx2.Response:
    before = _silent.set(True)
    try:
        return await ask(request)
    finally:
        _silent.reset(before)


def _proxy(address: str, context: ssl.SSLContext) -> httpx2.Proxy:
    """A proxy that is itself spoken to over TLS is checked as any server is; httpx2 refuses a context for one that is not."""
    url = httpx2.URL(address)
    return httpx2.Proxy(url, ssl_context=context if url.scheme == "https" else None)


@dataclass(slots=True)
class _Shard:
    transport: httpx2.AsyncHTTPTransport
    busy: int = 0


class _Counted(httpx2.AsyncByteStream):
    """A body that gives a place back when it is closed."""

    def __init__(self, body: httpx2.AsyncByteStream, done: Callable[[], None]) -> None:
        self._body, self._done = body, cast("Callable[[], None] | None", done)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        """Close once, and count once."""
        if (done := self._done) is not None:
            self._done = None
            try:
                await self._body.aclose()
            finally:
                done()
