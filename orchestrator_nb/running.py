"""One run from its first question to its last word: the way that its questions go, what is written down of it, and what the user is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.canonical import plain
from orchestrator_nb.history import Rest, written_down
from orchestrator_nb.job import Plan
from orchestrator_nb.kernel.cached import Cache, Within
from orchestrator_nb.kernel.capped import Caps
from orchestrator_nb.kernel.fanout import Progress, Stop, fan_out
from orchestrator_nb.kernel.recorded import Book, recorded
from orchestrator_nb.kernel.taped import taped, written
from orchestrator_nb.line import Line, on_tape
from orchestrator_nb.prompts.grid import Items
from orchestrator_nb.runs import Call, Item, Run
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter
from orchestrator_nb.types import Clock, Handler

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Tell = Callable[[str], object]
Way = Callable[[int, Tell, Book | None], AbstractAsyncContextManager[Handler]]
"""How one run's questions go, given how many go at once, who hears notices, and what the run is written down in."""

_SHAPING: Final = ("orchestrator-nb", "httpx2", "pandas", "genai-prices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A run that is ready to go. ``notices`` are what the user should know beside what the run itself has to say; ``about`` is JSON kept with it."""

    id: str
    plan: Plan
    way: Way
    book: Book | None
    clock: Clock
    parallel: int
    timeout_s: float | None
    stop: Stop
    stop_on_error: bool
    progress: Progress
    notices: Callable[[], Iterable[str]]
    about: Mapping[str, Any]

    async def run(self) -> Run:
        """Ask, on the loop's thread, until every item has its outcome."""
        try:
            return await self._whole()
        finally:
            if self.book:
                self.book.leave()

    async def _whole(self) -> Run:
        began = self.clock.monotonic()
        told: list[str] = []
        items = await self._begun()
        async with self.way(self.parallel, told.append, self.book) as handler:
            calls = await self._asked(handler, items)
        notices = (*self.notices(), *self.plan.items.notices, *told)
        run = Run(self.id, self._rows(calls), versions(), notices, self.clock.monotonic() - began)
        return await written_down(run, calls, self.book) if self.book else run

    async def _begun(self) -> Sequence[Item]:
        if self.book is None:
            return self.plan.items
        return await asyncio.to_thread(self.book.begin, self.plan.items, self.about)

    async def _asked(self, handler: Handler, items: Sequence[Item]) -> Sequence[Call]:
        return await fan_out(
            handler,
            items,
            parallel=self.parallel,
            clock=self.clock,
            run_id=self.id,
            stop_on_error=self.stop_on_error,
            progress=self.progress,
            timeout_s=self.timeout_s,
            stop=self.stop,
            keeper=self.book,
        )

    def _rows(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        return self.plan.items.whole(calls) if isinstance(self.plan.items, Rest) else tuple(calls)


def asking(
    line: Line,
    clock: Clock,
    *,
    lease: Callable[[], AbstractContextManager[object]],
    cache: Cache | None,
    tape: TapeWriter | None,
    caps: Caps | None = None,
) -> Way:
    """Ask the vendors what the ``cache`` has no answer to, and write the answers to the ``tape`` if there is one. ``lease`` holds the run's keys, ``caps`` its money."""

    @asynccontextmanager
    async def way(parallel: int, tell: Tell, book: Book | None) -> AsyncIterator[Handler]:
        async with AsyncExitStack() as stack:
            stack.enter_context(lease())
            layer = None
            if tape:
                await stack.enter_async_context(written(tape, clock, tell))
                layer = taped(tape.add, clock)
            sent = recorded(book, line.worst) if book else None
            known = cache.layer(book.serve) if cache and book else Within().layer if tape else None
            yield await stack.enter_async_context(line.in_use(parallel, layer, sent, known, caps))
            for notice in caps.notices if caps else ():
                tell(notice)

    return way


def replaying(tape: Tape) -> Way:
    """Answer from the tape: no line, no key, no vault."""
    return partial(_replaying, tape)


@asynccontextmanager
async def _replaying(tape: Tape, _parallel: int, _tell: Tell, _book: Book | None) -> AsyncIterator[Handler]:
    yield on_tape(tape)


def told_of(plan: Plan, *, simulated: bool, source: str, keep_prompts: bool) -> dict[str, Any]:
    """What stands with a run besides its calls, as JSON."""
    about: dict[str, Any] = {
        "models": [model.ref for model in plan.models],
        "params": plain(plan.items[0].request.params.given),
        "simulated": simulated,
        "source": source,
        "versions": versions(),
    }
    if isinstance(plan.items, Items) and keep_prompts:
        about["template"] = {"prompt": plan.items.template.prompt, "system": plan.items.template.system}
    return about


def versions() -> dict[str, str]:
    """What made this run: our version and those that shape an answer or a frame."""
    return {name: found for name in _SHAPING if (found := _version(name))}


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None
