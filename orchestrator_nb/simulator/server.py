"""HTTP/1.1 on loopback: h11 reads strictly, answers go out plain, in pieces, or as raw bytes that need not be HTTP at all."""

# ruff: noqa: D102 - the methods are asyncio's, or say what they do by name

from __future__ import annotations

import asyncio
import json
import math
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import h11

from orchestrator_nb.simulator.vendor import Vendor
from orchestrator_nb.simulator.wire import MARK, Arrived, End, Raw, Reply, Stream
from orchestrator_nb.simulator.world import Performance, World

BODY_MOST = 32 * 1024 * 1024
HEAD_MOST = 64 * 1024
RAW_KEPT = 64 * 1024
RECORDS_MOST = 50_000
"""Older records of requests are forgotten."""


class Stage:
    """Everything that connections share: the world, the mounts, the records and the counts."""

    def __init__(self, world: World, mounts: Sequence[tuple[str, Vendor]]) -> None:
        self.world = world
        self.mounts = sorted(mounts, key=lambda mount: len(mount[0]), reverse=True)
        self.requests: list[Arrived] = []
        self.connections: set[Connection] = set()
        self.active = 0

    def perform(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Performance:
        """Record a request and decide its answer; ``None`` is a body that was too large to keep."""
        path, _, query = target.partition("?")
        mount, vendor = next(
            ((mount, vendor) for mount, vendor in self.mounts if path == mount or path.startswith(mount + "/")),
            ("", None),
        )
        name = vendor.name if vendor else ""
        asked = Arrived(
            name,
            method,
            unquote(path[len(mount) :]) or "/",
            dict(parse_qsl(query)),
            headers,
            _json(body or b""),
            self.world.clock(),
            (body or b"")[:RAW_KEPT],
        )
        self.record(asked)
        if vendor is None:
            return Performance(Reply(404, b"Nothing is simulated here.\n", (("content-type", "text/plain"), *MARK)))
        if body is None:
            return Performance(vendor.error(413).with_headers(MARK))
        return self.world.play(vendor, asked)

    def record(self, asked: Arrived) -> None:
        """Keep a record, within bounds."""
        self.requests.append(asked)
        if len(self.requests) > RECORDS_MOST:
            del self.requests[: RECORDS_MOST // 10]


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, stage: Stage, perform: Callable[[str, str, dict[str, str], bytes | None], Performance]) -> None:
        self.stage, self.perform = stage, perform
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MOST)
        self.request: h11.Request | None = None
        self.body: list[bytes] = []
        self.size = 0
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self.transport: asyncio.Transport

    # what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP server always gives a Transport
        self.stage.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.stage.connections.discard(self)
        if self.task is not None:
            self.task.cancel()
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self.http.receive_data(data)
            self.advance()
        except h11.RemoteProtocolError as error:
            self.refuse(error.error_status_hint, str(error))

    def eof_received(self) -> bool:
        """A client that closes its side has gone: stop answering."""
        return False

    # requests

    def advance(self) -> None:
        """Read as far as the bytes go."""
        while self.task is None:
            event = self.http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                break
            if isinstance(event, h11.Request):
                self.open(event)
            elif isinstance(event, h11.Data):
                self.collect(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.answer()
        if self.http.they_are_waiting_for_100_continue:
            self.write(h11.InformationalResponse(status_code=100, headers=[]))

    def open(self, request: h11.Request) -> None:
        self.request, self.body, self.size = request, [], 0
        if sum(len(name) + len(value) for name, value in request.headers) > HEAD_MOST:
            raise h11.RemoteProtocolError("the head of the request is too large", error_status_hint=431)

    def collect(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= BODY_MOST:
            self.body.append(bytes(data))
        else:
            self.body.clear()

    def answer(self) -> None:
        """Answer at once when nothing has to be waited for, else in a task."""
        assert self.request is not None  # noqa: S101 - h11 gives the head first
        request = self.request
        body = b"".join(self.body) if self.size <= BODY_MOST else None
        self.body.clear()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        played = self.perform(request.method.decode(), request.target.decode("latin-1"), headers, body)
        if isinstance(played.deed, Reply) and played.first_s <= 0:
            self.reply(played.deed)
            self.again()
            return
        self.stage.active += 1
        self.task = asyncio.get_running_loop().create_task(self.work(played))
        self.task.add_done_callback(self.finished)

    def finished(self, task: asyncio.Task[None]) -> None:
        self.stage.active -= 1
        self.task = None
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, ConnectionResetError):
            task.get_loop().call_exception_handler(
                {"message": "the simulator failed to answer", "exception": failure, "task": task}
            )
        if task.cancelled() or failure is not None:
            self.transport.abort()
        if self.transport.is_closing():
            return
        try:
            self.again()
            self.advance()
        except h11.RemoteProtocolError as error:
            self.refuse(error.error_status_hint, str(error))

    def again(self) -> None:
        """Ready for the next request, or close."""
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        elif self.http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self.transport.close()

    def refuse(self, status: int, why: str) -> None:
        """Bytes that are not HTTP."""
        if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.reply(
                Reply(status, f"{why}\n".encode(), (("content-type", "text/plain"), ("connection", "close"), *MARK))
            )
        self.transport.close()

    # answers

    def write(self, *events: Any) -> None:
        """Send h11 events."""
        self.transport.write(b"".join(self.http.send(event) or b"" for event in events))

    async def push(self, data: bytes) -> None:
        """Send bytes as they are and wait while the client does not read."""
        self.transport.write(data)
        await self.writable.wait()
        if self.transport.is_closing():
            raise ConnectionResetError

    def reply(self, reply: Reply) -> None:
        """A whole answer."""
        size = [] if reply.status == 204 else [("content-length", str(len(reply.body)))]
        body = b"" if self.request is not None and self.request.method == b"HEAD" else reply.body
        events: list[Any] = [h11.Response(status_code=reply.status, headers=[*reply.headers, *size])]
        events += [h11.Data(data=body)] if body else []
        self.write(*events, h11.EndOfMessage())

    async def work(self, played: Performance) -> None:
        """An answer that takes time."""
        if played.first_s > 0:
            await asyncio.sleep(played.first_s)
        if isinstance(played.deed, Reply):
            self.reply(played.deed)
        elif isinstance(played.deed, Stream):
            await self.stream(played.deed, played.gap_s)
        else:
            await self.raw(played.deed)

    async def stream(self, stream: Stream, gap_s: float) -> None:
        """Piece by piece; without a pause the loop still turns after each, so that the pieces leave one by one."""
        self.write(h11.Response(status_code=stream.status, headers=list(stream.headers)))
        for piece in stream.pieces():
            await self.push(self.http.send(h11.Data(data=piece)) or b"")
            await asyncio.sleep(gap_s)
        self.write(h11.EndOfMessage())

    async def raw(self, raw: Raw) -> None:
        """Bytes, silences, and an end."""
        for step in raw.steps:
            if isinstance(step, bytes):
                await self.push(step)
                await asyncio.sleep(0)
            elif isinstance(step, End):
                if step is End.RESET:
                    self.reset()
                break
            else:
                await silence(step)
        self.transport.close()

    def reset(self) -> None:
        """End with a TCP reset instead of an orderly close."""
        linger = struct.pack("ii", 1, 0)  # on, and for zero seconds: the kernel sends RST
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


async def silence(seconds: float) -> None:
    """Sleep; for ever when asked to, until the task is cancelled because the client left."""
    if math.isinf(seconds):
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(seconds)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
