"""Ask the questions of one run that arise while it is under way, when nobody knows beforehand how many there will be.

At most ``parallel`` are under way. A free place goes to the vendor that has the fewest: one that makes its callers wait holds no more than its share.
Every question is written down with its place before it goes out, settled as in a fan-out, and kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from orchestrator_nb.calls import Event, Waiting
from orchestrator_nb.kernel.budget import Cap
from orchestrator_nb.kernel.capped import held_by
from orchestrator_nb.kernel.fanout import Keeper
from orchestrator_nb.kernel.settle import settle
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.types import Clock, Handler

News = Callable[[int, Item | Event | Call], None]
"""Hears of a place of the run: its question when it arises, every event, the finished call once it is safe."""


class Growing(Keeper, Protocol):
    """Who keeps calls whose questions were not planned."""

    def add(self, place: int, item: Item) -> None:
        """A question arises."""


class _Nobody:
    """A call is told at once."""

    def add(self, _place: int, _item: Item) -> None:
        """Nothing is kept."""

    async def keep(self, _index: int, _call: Call, tell: Callable[[], None]) -> None:
        tell()

    async def kept(self) -> None:
        """Nothing waits."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call, and how long it waited (seconds): for a place, for limits, for a retry, but not for the model."""

    call: Call
    waited_s: float


class Desk:
    """The desk of one run."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        run_id: str,
        *,
        parallel: int,
        progress: News = lambda _place, _news: None,
        keeper: Growing | None = None,
    ) -> None:
        self._handler, self._clock, self._run, self._progress = handler, clock, run_id, progress
        self._keeper = keeper or _Nobody()
        self._places = Places(parallel)

    async def ask(self, place: int, item: Item, *, known: bool = False, caps: Sequence[Cap] = ()) -> Answered:
        """The call at ``place`` of the run; ``known``: the place is written down already. ``caps`` hold for it beside those of the run.

        A cancellation while it is under way is an outcome as any other, as in `settle`; before that it is raised, and nothing was asked.
        """
        began, tell = self._clock.monotonic(), partial(self._progress, place)
        tell(item)
        async with self._places.taken(item.request.model.vendor.name, partial(tell, _FULL)):
            if not known:
                self._keeper.add(place, item)
            with held_by(caps):
                call = await settle(self._handler, item, tell, self._clock, f"{self._run}-{place}")
            waited = max(0.0, self._clock.monotonic() - began - (call.latency_s or 0.0))
            with suppress(
                asyncio.CancelledError
            ):  # it is handed over, and its owner sees the cancellation all the same
                await self._keeper.keep(place, call, partial(tell, call))
        return Answered(call, waited)

    async def close(self) -> None:
        """All that was asked is safe, and told."""
        await self._keeper.kept()


_FULL: Final = Waiting("a free place in this run")


class Places:
    """At most ``number`` at once. Who waits at a vendor that has the fewest under way comes first; at one vendor, who came first."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._busy: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self, vendor: str, waits: Callable[[], object]) -> AsyncIterator[None]:
        """A place for the block; ``waits`` is called when there is none at once."""
        if self._free:
            self._take(vendor)
        else:
            waits()
            await self._turn(vendor)
        try:
            yield
        finally:
            self._give(vendor)

    def _take(self, vendor: str) -> None:
        self._free -= 1
        self._busy[vendor] += 1

    async def _turn(self, vendor: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(vendor, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came in the same moment
                self._give(vendor)
            raise

    def _give(self, vendor: str) -> None:
        self._free += 1
        self._busy[vendor] -= 1
        while waiting := [name for name, turns in self._waiting.items() if turns]:
            name = min(waiting, key=self._busy.__getitem__)
            turn = self._waiting[name].popleft()
            if not turn.done():
                self._take(name)
                turn.set_result(None)
                return
