"""Write down what goes over the wire, as it happens: an attempt before its first byte and again at its end, a call when it has its outcome.

The loop's thread hands rows over and never touches the disk. What waits for it waits together, so that a run of thousands takes few commits: an attempt goes
out when it is on disk, and with it all that was handed over before; a call is told when it is on disk, and its worker goes on meanwhile. So of a run whose
process is killed, no more calls are unwritten than were under way, for a worker sends its next only when its last is written.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import OrchestratorError, ProviderError, StoreError
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.ledger import Attempt, Billed
from orchestrator_nb.store.store import Store
from orchestrator_nb.store.told import ZERO, Spent, charged, spent_record
from orchestrator_nb.types import Emit, Handler, Layer

TOGETHER_S: Final = 0.008
"""How long after one commit the next may begin: those who finish meanwhile share it."""
SOON_S: Final = 0.002
"""How long what only wants to be told waits for company: who answers a chain's step asks the next one in a moment, and waits for the disk then."""
BEHIND: Final = 500
"""Calls that may wait to be told before their workers wait too: calls that nothing goes out for are quicker than the disk."""

Worst = Callable[[Request], Decimal | None]
Heard = Callable[[StoreError | None], None]


def recorded(book: Book, worst: Worst) -> Layer:
    """The layer; innermost but for the price, so that what it writes is one request on the wire and what that cost.

    ``worst`` tells the most that a question can cost.
    """

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            attempt = await book.sent(request, worst(request))
            try:
                response = await call(request, emit)
            except ProviderError as error:
                book.failed(attempt, error)
                raise
            except OrchestratorError as error:  # no key, or nothing that could be sent
                book.settled(attempt, "no", outcome=error.kind)
                raise
            except asyncio.CancelledError:
                book.settled(attempt, "maybe", outcome="cancelled")
                raise
            book.answered(attempt, response)
            return response

        return handle

    return layer


class Book:
    """What one run writes down. Its methods are for the loop's thread, but for `begin`, `resume` and `end`, which wait for the disk.

    In a run that was taken up again, ``places`` tells the place of the run for each item; the outcomes of those that are ``spared`` stay until there is a better
    one; ``seen`` are all outcomes as they were when the places were chosen.
    When writing fails, ``problem`` says why: nothing more is sent then, and what is there stays with the user. ``served`` and ``oldest`` tell of the cache.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        places: Callable[[int], int] | None = None,
        spared: Set[int] = frozenset(),
        seen: Sequence[Mapping[str, Any] | None] = (),
    ) -> None:
        self._store, self._ledger, self._run = store, store.ledger, run_id
        self._places, self._spared, self._seen = places, spared, seen
        self._disk = Together(store.database.written)
        self._kept: set[int] = set()
        self._charged: list[tuple[Billed, Decimal | None, Decimal | None]] = []
        self._saved = ZERO
        self._owned = False
        self.problem: StoreError | None = None
        self.served, self.oldest = 0, math.inf

    @property
    def keeps_prompts(self) -> bool:
        """Whether what was asked is kept, and not only its key."""
        return self._store.keep_prompts

    def begin(
        self, items: Sequence[Item], about: Mapping[str, Any], models: Sequence[ModelSpec] = ()
    ) -> Sequence[Item]:
        """The run starts, or goes on; the items as they will be asked. ``models`` are asked later (`add`). Raises `StoreError` when nothing can be written, or when the run goes on elsewhere:
        better before anything is paid.
        """
        self._store.owners.take(self._run)
        self._owned = True
        if self._places is not None:
            self._take_up()
            return items
        planned = list(items)  # one request for each place, whose key is made once
        self._ledger.begin(self._run, planned, about, models)
        return planned

    def add(self, place: int, item: Item) -> None:
        """A question arises while the run is under way."""
        with self._watched():
            self._ledger.add(self._run, place, item)

    def _take_up(self) -> None:
        if [place.outcome for place in self._ledger.resume(self._run)] != [*self._seen]:
            raise StoreError(f"run {self._run} has gone on since you looked; resume it again for what is left now.")

    def leave(self) -> None:
        """Nobody works at the run any more, whether or not it came to its end."""
        if self._owned:
            self._owned = False
            self._store.owners.give(self._run)

    async def sent(self, request: Request, worst: Decimal | None) -> Attempt:
        """An attempt is on disk and may go out. Raises `StoreError`."""
        if problem := self.problem or self._store.database.problem:
            raise StoreError(*problem.args)
        model = request.model
        attempt = self._ledger.sent(
            self._run, model=model.ref, key=request.key, worst=worst, simulated=model.vendor.simulated
        )
        try:
            await self._disk.wait()
        except (StoreError, asyncio.CancelledError):
            self.settled(attempt, "no", outcome="not sent")
            raise
        return attempt

    def answered(self, attempt: Attempt, response: Response) -> None:
        """The answer is whole. What the simulator plays for a vendor of the user's costs nothing."""
        billed: Billed = "no" if response.source == "simulated" and not attempt.simulated else "yes"
        self.settled(attempt, billed, usd=response.cost.usd, usage=response.usage, request_id=response.raw_id)

    def failed(self, attempt: Attempt, error: ProviderError) -> None:
        """The attempt failed; it may have cost something all the same."""
        billed: Billed = "no" if error.simulated and not attempt.simulated else error.billed
        usd = error.response.cost.usd if error.response else None
        usage = error.response.usage if error.response else None
        self.settled(
            attempt, billed, outcome=error.kind, usd=usd, usage=usage, request_id=error.request_id, status=error.status
        )

    def settled(self, attempt: Attempt, billed: Billed, *, usd: Decimal | None = None, **told: Any) -> None:
        """How an attempt ended. A store that fails now is told when the next row is written, and the attempt counts at its worst."""
        if not attempt.simulated:
            self._charged.append((billed, usd, attempt.worst))  # summed up at the end
        with self._watched():
            self._ledger.settled(attempt, billed=billed, usd=usd, **told)

    def serve(self, at: float) -> None:
        """An answer of the moment ``at`` was served from the cache."""
        self.served += 1
        self.oldest = min(self.oldest, at)

    def put(self, index: int, call: Call) -> None:
        """The item ``index`` has its outcome."""
        self._kept.add(index)
        if (place := self._place(index, call)) is None:
            return
        if call.source in {"cache", "replay"} and call.recorded != "simulated" and call.answer:
            self._saved += call.answer.cost.usd or ZERO
        if place != index:
            call = replace(call, id=f"{self._run}-{place}")
        with self._watched():
            self._ledger.finished(self._run, place, call)

    def _place(self, index: int, call: Call) -> int | None:
        if self._places is None:
            return index
        place = self._places(index)
        return None if call.error is not None and place in self._spared else place

    async def keep(self, index: int, call: Call, tell: Callable[[], None]) -> None:
        """`put`, and ``tell`` when it is on disk, or when it is clear that it will not be."""
        self.put(index, call)
        self._disk.then(partial(self._told, tell))
        if self._disk.behind > BEHIND:
            await self.kept()
        elif call.source in {"cache", "replay"} or not call.attempts:
            await asyncio.sleep(0)  # it waited for nothing, and others want the loop too

    def _told(self, tell: Callable[[], None], error: StoreError | None) -> None:
        if error:
            self.problem = self.problem or error
        tell()

    async def kept(self) -> None:
        """All that was put is on disk, and told."""
        with self._watched():
            await self._disk.wait()

    def end(self, calls: Sequence[Call], told: Mapping[str, Any]) -> None:
        """The run is over: also calls that were never asked are written. Waits for the disk; a failure becomes ``problem``."""
        for index, call in enumerate(calls):
            if index not in self._kept:
                self.put(index, call)
        with self._watched():
            spent = self._sum() if self._places is None else self._ledger.spent(self._run)
            self._ledger.ended(self._run, **told, spent=spent_record(spent))

    def _sum(self) -> Spent:
        return sum((charged(*attempt) for attempt in self._charged), Spent(self._run, saved=self._saved))

    def _watched(self) -> _Watched:
        return _Watched(self)


class _Watched:
    """Keeps a `StoreError` as the book's problem; rows that could not be written are kept by the store and written later."""

    __slots__ = ("_book",)

    def __init__(self, book: Book) -> None:
        self._book = book

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, StoreError):
            return False
        self._book.problem = self._book.problem or StoreError(*error.args)
        return True


class Together:
    """Waiting for the disk, many at once: one commit at a time, for all who came before it began. ``written`` asks for a commit."""

    def __init__(self, written: Callable[[], Any]) -> None:
        self._written = written
        self._waiting: list[Heard] = []
        self._asked = 0
        self._busy = False
        self._soon: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> int:
        """How many have not heard yet."""
        return len(self._waiting) + self._asked

    def wait(self) -> asyncio.Future[None]:
        """Done when all that was handed over before is on disk. Raises `StoreError` when it cannot be."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(partial(_settle, future))
        if not self._busy:
            self._begin(loop)
        return future

    def then(self, heard: Heard) -> None:
        """Call ``heard`` when all that was handed over before is on disk, in the order of these calls; with the error when it cannot be."""
        self._waiting.append(heard)
        if not self._busy and not self._soon:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_later(SOON_S, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._soon:
            self._soon.cancel()
        self._busy, self._soon = True, None
        loop.call_soon(self._ask, loop)  # the others of this turn come along

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        self._asked = len(batch)
        try:
            done = self._written()
        except StoreError as error:
            self._tell(loop, batch, error)
            return
        done.add_done_callback(lambda done: _on(loop, self._tell, loop, batch, done.exception()))

    def _tell(self, loop: asyncio.AbstractEventLoop, batch: list[Heard], error: BaseException | None) -> None:
        self._asked = 0
        for heard in batch:
            try:
                heard(StoreError(*error.args) if error else None)
            except Exception as bug:  # noqa: BLE001  of whoever heard it; the others want to hear too
                loop.call_exception_handler({"message": "telling what is on disk failed", "exception": bug})
        if self._waiting:
            loop.call_later(TOGETHER_S, self._ask, loop)
        else:
            self._busy = False


def _settle(future: asyncio.Future[None], error: StoreError | None) -> None:
    if not future.done():
        future.set_exception(error) if error else future.set_result(None)


def _on(loop: asyncio.AbstractEventLoop, act: Callable[..., object], *args: Any) -> None:
    """On the loop's thread, if there still is a loop."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act, *args)
