"""Ask for many items at once and give back all calls in the order of the grid.

A few workers serve all items. A free worker takes the next item of the vendor that has the fewest calls under way: a vendor that makes its
callers wait holds its even share of the places and no more, as long as another has work.

A stop (the user's, the run's time limit, or a failure with ``stop_on_error``) is an outcome, not an exception: what is finished stays, what
was under way becomes `Cancelled`, what had not begun becomes `Cancelled` or `Skipped`. So a fan-out that is cancelled ends its workers and
returns its calls. A second cancellation goes through to the workers too, and cuts short whatever they still tidy up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal, Protocol

from orchestrator_nb.calls import Event
from orchestrator_nb.errors import CLASS_OF, ProviderError
from orchestrator_nb.kernel.settle import Why, asked_of, settle, time_is_over
from orchestrator_nb.kernel.stopping import Stop, stopped_by
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.types import Clock, Handler

Progress = Callable[[int, Event | Call], None]


class Keeper(Protocol):
    """Who keeps the calls that were asked."""

    async def keep(self, index: int, call: Call, tell: Callable[[], None]) -> None:
        """Take a call; ``tell`` is called once it is safe. The worker takes its next when this returns."""

    async def kept(self) -> None:
        """All that was taken is safe, and told."""


class _Nobody:
    """A call is told at once."""

    async def keep(self, _index: int, _call: Call, tell: Callable[[], None]) -> None:
        tell()

    async def kept(self) -> None:
        """Nothing waits."""


FIRST_LOOK: Final = 1024
LOOK_AHEAD: Final = 64
"""Items read ahead to learn which vendors have work: at the start, and for each item taken. A grid is lazy and may be long."""


async def fan_out(
    handler: Handler,
    items: Sequence[Item],
    *,
    parallel: int,
    clock: Clock,
    run_id: str = "",
    stop_on_error: bool = False,
    progress: Progress = lambda _index, _news: None,
    timeout_s: float | None = None,
    stop: Stop | None = None,
    keeper: Keeper | None = None,
) -> tuple[Call, ...]:
    """All calls, in grid order; at most ``parallel`` are under way at any time. A call's id is its run's and its place.

    ``progress`` hears, on the loop's thread, every event with its item's index, and each finished `Call` once it is safe with ``keeper``. ``stop_on_error``
    starts nothing new after the first failure. ``timeout_s`` and ``stop`` end the whole run. A bug in a layer (not an `OrchestratorError`) ends it and is raised.
    """
    safe = keeper or _Nobody()

    async def worker() -> None:
        while not _stopping() and (taken := queues.take()):
            index, item = taken
            call = await settle(handler, item, partial(progress, index), clock, f"{run_id}-{index}")
            queues.done(item)
            calls[index] = call
            if call.error is not None and stop_on_error:
                queues.close(_after_failure)
            await safe.keep(index, call, partial(progress, index, call))
        await safe.kept()

    def left_over(index: int) -> Call:
        call = Call(
            items[index], f"{run_id}-{index}", error=queues.why_not(items[index]), source=asked_of(items[index])
        )
        progress(index, call)
        return call

    queues = _Queues(items)
    calls: list[Call | None] = [None] * len(items)
    crew = _Crew(queues)
    with stopped_by(stop, clock, timeout_s, crew.end):
        await crew.work(worker, min(parallel, len(items)))
    return tuple(call or left_over(index) for index, call in enumerate(calls))


class _Queues:
    """What is still to do, one queue for each vendor, and how many of each are under way."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._unread: Iterator[tuple[int, Item]] = iter(enumerate(items))
        self._waiting: dict[str, deque[tuple[int, Item]]] = {}
        self._busy: Counter[str] = Counter()
        self.why_not: Callable[[Item], ProviderError] = _stopped
        for _ in range(FIRST_LOOK):
            self._read()

    def take(self) -> tuple[int, Item] | None:
        """The next place of the vendor with the fewest calls under way."""
        for _ in range(LOOK_AHEAD):
            if not self._waiting or self._waiting[min(self._waiting, key=self._busy.__getitem__)] or not self._read():
                break
        vendors = [vendor for vendor, waiting in self._waiting.items() if waiting]
        if not vendors:
            return None
        vendor = min(vendors, key=self._busy.__getitem__)
        self._busy[vendor] += 1
        return self._waiting[vendor].popleft()

    def done(self, item: Item) -> None:
        """A call has ended."""
        self._busy[_vendor(item)] -= 1

    def close(self, why_not: Callable[[Item], ProviderError]) -> None:
        """Nothing more is taken; ``why_not`` tells the error of what was left."""
        self.why_not = why_not
        self._unread = iter(())
        self._waiting.clear()

    def _read(self) -> bool:
        if (place := next(self._unread, None)) is None:
            return False
        self._waiting.setdefault(_vendor(place[1]), deque()).append(place)
        return True


class _Crew:
    """The workers of one fan-out, and the end of them."""

    def __init__(self, queues: _Queues) -> None:
        self._queues = queues
        self._tasks: list[asyncio.Task[None]] = []

    async def work(self, worker: Callable[[], Coroutine[Any, Any, None]], number: int) -> None:
        """Wait for all workers, passing on every cancellation; raise the first bug once all have ended."""
        self._tasks = [asyncio.create_task(worker()) for _ in range(number)]
        pending = set(self._tasks)
        while pending:
            try:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            except asyncio.CancelledError:
                self.stop(_stopped)
                continue
            if any(map(_bug, done)):
                self.stop(_stopped)
        if bug := next(filter(None, map(_bug, self._tasks)), None):
            raise bug

    def end(self, timeout_s: float | None) -> None:
        """Stop: its user says so, or ``timeout_s`` are over."""
        if timeout_s is None:
            self.stop(_stopped)
        else:
            self.stop(partial(_too_late, timeout_s=timeout_s), time_is_over(timeout_s))

    def stop(self, why_not: Callable[[Item], ProviderError], why: Why | None = None) -> None:
        """Let nothing start and cancel what is under way, for a reason of its own where there is one."""
        self._queues.close(why_not)
        for task in self._tasks:
            task.cancel(why)


def _bug(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() or not task.done() else task.exception()


def _stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _vendor(item: Item) -> str:
    return item.request.model.vendor.name


def _stopped(item: Item) -> ProviderError:
    return _error("cancelled", item, "not asked: the run was stopped before its turn; run it again for the rest.")


def _too_late(item: Item, timeout_s: float) -> ProviderError:
    return _error(
        "cancelled", item, f"not asked: the run's {timeout_s:g} s were over; give it more time with --timeout."
    )


def _after_failure(item: Item) -> ProviderError:
    return _error(
        "skipped", item, "not asked: an earlier call failed and --on-error is 'stop'; mend that one and run again."
    )


def _error(kind: Literal["cancelled", "skipped"], item: Item, message: str) -> ProviderError:
    model = item.request.model
    return CLASS_OF[kind](message, kind=kind, vendor=model.vendor.name, model=model.id)
