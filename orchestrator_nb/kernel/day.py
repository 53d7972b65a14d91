"""A cap on what a day costs, over all processes that share a store. Days begin at 00:00 UTC, so that processes in several time zones mean the same day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Final

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.kernel.amounts import ZERO
from orchestrator_nb.kernel.budget import Reservation, figures, refusal
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.spending import Room, Spending
from orchestrator_nb.types import Clock

DAY_S: Final = 86_400
LOOK_S: Final = 0.25
"""How often a call that waits for other processes looks whether there is room now."""

_ASLEEP: Final = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""A clock that nobody sets and that goes on while the machine sleeps, where there is one (Linux, macOS)."""


def since_boot() -> float:
    """Seconds of that clock."""
    return 0.0 if _ASLEEP is None else time.clock_gettime(_ASLEEP)


class Calendar:
    """Which day it is, counted from 1970-01-01 UTC. Once made, it goes by clocks that nobody sets: moving the wall clock opens no new day."""

    def __init__(self, clock: Clock, boot: Callable[[], float] = since_boot) -> None:
        self._clock, self._boot = clock, boot
        self._began, self._since = clock.wall(), (clock.monotonic(), boot())

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        passed = (self._clock.monotonic() - self._since[0], self._boot() - self._since[1])
        return self._began + max(0.0, *passed)

    @property
    def today(self) -> int:
        """The day's number."""
        return int(self.now // DAY_S)

    @property
    def left_s(self) -> float:
        """Seconds until the next."""
        return DAY_S - self.now % DAY_S


class Day:
    """The day's cap (`orchestrator_nb.kernel.budget.Cap`). One for each session; used on its loop's thread. ``calendar`` tells the day."""

    name = "limits.max_cost_day_usd"

    def __init__(self, limit: Decimal, spending: Spending, clock: Clock, calendar: Calendar | None = None) -> None:
        self.limit = limit
        self._spending, self._clock, self.calendar = spending, clock, calendar or Calendar(clock)
        self._queue, self._news = asyncio.Lock(), asyncio.Event()
        self._room = Room(ZERO, ZERO)

    @property
    def database(self) -> Database:
        """Where it is kept."""
        return self._spending.database

    @property
    def why(self) -> str:
        """The figures when it was last looked at, and when the next day begins."""
        minutes = round(self.calendar.left_s / 60)
        told = figures(self, self._room.spent, self._room.in_flight)
        return f"{told}; the next day begins in {minutes // 60} h {minutes % 60:02d} min (00:00 UTC)"

    async def reserve(self, worst: Decimal, waits: Callable[[], object] = lambda: None) -> Reservation:
        """As in `Cap`. Raises `StoreError` when it cannot be written down."""
        if not self._queue.locked() and (held := await self._tried(worst)):
            return held
        waits()
        async with self._queue:  # who comes first is served first, and one of us looks at a time
            while True:
                self._news.clear()
                if held := await self._tried(worst):
                    return held
                await self._pause()

    async def _tried(self, worst: Decimal) -> Reservation | None:
        """The reservation, or ``None`` when it is worth waiting."""
        future = self._spending.reserve(self.calendar.today, worst, self.limit)
        try:
            self._room = room = await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(self._given_back)  # it is written all the same
            raise
        if room.id is not None:
            return _HeldToday(self, room.id, worst)
        if room.never(worst, self.limit):
            raise refusal(self, worst)
        return None

    def _given_back(self, future: Future[Room]) -> None:
        if not future.exception() and (id_ := future.result().id) is not None:
            with suppress(OrchestratorError):
                self._spending.settle(id_, ZERO)

    async def _pause(self) -> None:
        """Until something of ours was settled, or others may have settled something."""
        tasks = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(self._clock.sleep(LOOK_S))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def settle(self, id_: int, usd: Decimal) -> None:
        """A reservation is over. Where that cannot be written it stays, at its worst."""
        with suppress(OrchestratorError):
            self._spending.settle(id_, usd)  # what asks later is written later
        self._news.set()


class _HeldToday:
    """A `Reservation` of a `Day`."""

    __slots__ = ("_settle", "_worst")

    def __init__(self, day: Day, id_: int, worst: Decimal) -> None:
        self._settle: Callable[[Decimal], None] | None = partial(day.settle, id_)
        self._worst = worst

    def settle(self, usd: Decimal | None) -> None:
        settle, self._settle = self._settle, None
        if settle:
            settle(self._worst if usd is None else usd)
