"""The clocks of one attempt. One timer per attempt looks at the deadlines when it rings, instead of one timer per piece of a stream."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from orchestrator_nb.providers.network import Network


class Clocks:
    """``async with Clocks(network) as clocks``: raises `TimeoutError` inside when one runs out, whose name is then in `expired`.

    They start when the request is `sent`: waiting for a place is not the far side's time, and connecting has a limit in the transport. Each
    piece of the answer moves the gap; only a piece with content moves the payload clock, so that comments can not keep a stream alive for ever.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = "first_byte_s"
        self._silent = self._idle = self._total = math.inf
        self.expired: str | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def sent(self) -> None:
        """The request is out."""
        now = self._loop.time()
        self._silent = now + self._network.first_byte_s
        self._idle = now + max(self._network.payload_s, self._network.first_byte_s)
        self._total = now + self._network.total_s
        if self._timer is None:
            self._arm(now)

    def piece(self, *, payload: bool) -> None:
        """Something has arrived; ``payload`` says that it was more than a sign of life."""
        now = self._loop.time()
        self._waiting, self._silent = "gap_s", now + self._network.gap_s
        if payload:
            self._idle = now + self._network.payload_s

    def limit(self) -> float:
        """The seconds of the clock that ran out."""
        return float(getattr(self._network, self.expired or "total_s"))

    def _due(self) -> tuple[float, str]:
        return min((self._silent, self._waiting), (self._idle, "payload_s"), (self._total, "total_s"))

    def _arm(self, now: float) -> None:
        """A piece can bring the next deadline nearer, but never nearer than one gap from now."""
        self._timer = self._loop.call_at(min(self._due()[0], now + self._network.gap_s), self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        due, name = self._due()
        if now < due:
            self._arm(now)
        else:
            self.expired = name
            self._timeout.reschedule(now)
