"""The simulator itself: in a daemon thread (``with``), in a running loop (``async with``), or in the foreground (:func:`serve`)."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator_nb.simulator import faults
from orchestrator_nb.simulator.mounts import MOUNTS, URLS
from orchestrator_nb.simulator.quota import Quota
from orchestrator_nb.simulator.script import Script, entry, load
from orchestrator_nb.simulator.server import Connection, Stage
from orchestrator_nb.simulator.vendor import JSON
from orchestrator_nb.simulator.wire import MARK, Arrived, Reply
from orchestrator_nb.simulator.world import Performance, World

BACKLOG = 2048


class Simulator:
    """Plays the vendors on loopback.

    ::

        with Simulator(pace=0.05) as sim:
            sim.say("capital of France", "Paris.")
            sim.fail("429", times=2)
            ...  # talk to sim.url("anthropic")

    ``script``: a file or a list of entries, see :mod:`orchestrator_nb.simulator.script`. ``seed``: another seed, other answers. ``pace``:
    seconds between the chunks of a stream. ``latency``: seconds before an answer begins. ``quota``: one for all vendors or one per vendor.
    ``key``: the only key that is taken; without it every key is good that does not start with ``bad``. ``lively``: models answer at their
    own speed, and a repeated prompt differently. ``awkward``: lawful bytes that quick readers get wrong.
    """

    def __init__(
        self,
        *,
        script: str | Path | Iterable[Mapping[str, Any]] | Script | None = None,
        seed: int = 0,
        pace: float = 0.0,
        latency: float = 0.0,
        quota: Quota | Mapping[str, Quota] | None = None,
        key: str | None = None,
        lively: bool = False,
        awkward: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not _is_loopback(host):
            raise ValueError(f"host {host!r} is not loopback; the simulator only listens on 127.0.0.1 or ::1.")
        self.host, self.port = host, port
        options: dict[str, Any] = {"seed": seed, "pace": pace, "latency": latency, "quota": quota, "key": key}
        self._script = load(script)
        self._world = World(script=self._script, lively=lively, awkward=awkward, clock=clock, **options)
        self._stage = Stage(self._world, MOUNTS)
        self._elsewhere = Stage(self._world, ())
        self._servers: list[asyncio.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # what to answer

    def say(self, pattern: str, answer: str = "", **how: Any) -> None:
        """Answer prompts in which the pattern (a regular expression or plain text) is found; the latest ``say`` is tried first.

        ``how``: thinking, finish, tool_calls, delay, model, cut_after, as in a script file. Raises ``ScriptError``.
        """
        self._world.script = self._world.script.before(
            entry(f"say({pattern!r})", {"match": pattern, "answer": answer, **how})
        )

    def fail(
        self, fault: str, *, times: int | None = None, match: str | None = None, seconds: float | None = None
    ) -> None:
        """Let a fault of :data:`FAULTS` happen to the next ``times`` calls (``None``: all) whose ``vendor/model`` or prompt matches.

        ``seconds``: how long silences last, or the hint of a 429. Raises ``ValueError`` for an unknown fault.
        """
        self._world.board.add(faults.Order(faults.known(fault), times, match, seconds))

    def clear(self) -> None:
        """Forget the requests, the faults ordered, and everything said since the start."""
        self._stage.requests.clear()
        self._elsewhere.requests.clear()
        self._world.board.clear()
        self._world.script = self._script

    # where it is and what it saw

    def url(self, vendor: str) -> str:
        """The base URL at which a vendor is played."""
        if vendor not in URLS:
            raise ValueError(f"unknown vendor {vendor!r}; use one of {', '.join(URLS)}.")
        return f"{self.origin}{URLS[vendor]}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def requests(self) -> tuple[Arrived, ...]:
        """The requests that arrived, oldest first (the last 50,000)."""
        return tuple(self._stage.requests)

    @property
    def elsewhere(self) -> tuple[Arrived, ...]:
        """The requests that reached the other origin, to which the redirect faults point: nothing should."""
        return tuple(self._elsewhere.requests)

    @property
    def open_connections(self) -> int:
        """Connections that clients hold open."""
        return len(self._stage.connections)

    @property
    def active(self) -> int:
        """Requests that are being answered at this moment."""
        return self._stage.active

    # in a running loop

    async def start(self) -> None:
        """Begin to listen, in the running loop."""
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(
            lambda: Connection(self._stage, self._stage.perform), self.host, self.port, backlog=BACKLOG
        )
        other = await self._loop.create_server(lambda: Connection(self._elsewhere, self._strayed), self.host, 0)
        self._servers = [server, other]
        self.port = server.sockets[0].getsockname()[1]
        self._world.elsewhere_url = f"http://{self.host}:{other.sockets[0].getsockname()[1]}/elsewhere"

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        for server in self._servers:
            server.close()
        tasks = [
            connection.task
            for stage in (self._stage, self._elsewhere)
            for connection in stage.connections
            if connection.task
        ]
        for stage in (self._stage, self._elsewhere):
            for connection in tuple(stage.connections):
                connection.transport.abort()
        await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._servers = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # in a thread of its own

    def __enter__(self) -> Self:
        ready: list[BaseException | None] = []
        began = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready, began), name="onb-simulator", daemon=True)
        self._thread.start()
        began.wait()
        if ready[0] is not None:
            raise ready[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self, ready: list[BaseException | None], began: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self.start())
        except OSError as error:
            ready.append(error)
            began.set()
        else:
            ready.append(None)
            began.set()
            loop.run_forever()
        finally:
            loop.close()

    def _strayed(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Performance:
        self._elsewhere.record(
            Arrived("elsewhere", method, target, {}, headers, None, self._world.clock(), (body or b"")[:1024])
        )
        return Performance(Reply(200, b"{}", JSON + MARK))


def serve(port: int = 0, *, host: str = "127.0.0.1", say: Callable[[str], None] = print, **options: Any) -> None:
    """Play the vendors in the foreground until Ctrl-C; tells the base URLs through ``say``. Options as for :class:`Simulator`."""
    with Simulator(host=host, port=port, **options) as sim:
        try:
            say(f"Simulating on {sim.origin} (Ctrl-C stops):")
            for vendor in URLS:
                say(f"  {vendor:18} {sim.url(vendor)}")
            threading.Event().wait()
        except KeyboardInterrupt:
            say(f"Stopped after {len(sim.requests)} requests.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
