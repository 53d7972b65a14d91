"""One run from its first question to its last word: the way that its questions go, what is written down of it, and what the user is told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.canonical import plain
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.history import Rest, written_down
from orchestrator_nb.job import Plan
from orchestrator_nb.kernel.cached import Cache, Within
from orchestrator_nb.kernel.capped import Caps
from orchestrator_nb.kernel.fanout import Progress, fan_out
from orchestrator_nb.kernel.recorded import Book, recorded
from orchestrator_nb.kernel.stopping import Stop
from orchestrator_nb.kernel.taped import taped, written
from orchestrator_nb.line import Line, on_tape
from orchestrator_nb.prompts.grid import Items
from orchestrator_nb.runs import Call, Chained, Item, Run
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter
from orchestrator_nb.types import Clock, Handler

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Tell = Callable[[str], object]
Way = Callable[[int, Tell, Book | None], AbstractAsyncContextManager[Handler]]
"""How one run's questions go, given how many go at once, who hears notices, and what the run is written down in."""

_SHAPING: Final = ("orchestrator-nb", "httpx2", "pandas", "genai-prices")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run has asked: ``rows`` is the whole run's, ``left`` are the rows that are not written down yet."""

    rows: tuple[Call, ...]
    left: Sequence[Call] = ()
    notices: tuple[str, ...] = ()
    chained: Chained | None = None


@dataclass(frozen=True, kw_only=True)
class Running(ABC):
    """A run that is ready to go. ``notices`` are what the user should know beside what the run itself has to say; ``about`` is JSON kept with it."""

    id: str
    way: Way
    book: Book | None
    clock: Clock
    parallel: int
    timeout_s: float | None
    stop: Stop
    progress: Any
    notices: Callable[[], Iterable[str]]
    about: Mapping[str, Any]

    async def run(self) -> Run:
        """Ask, on the loop's thread, until there is an outcome for everything."""
        try:
            return await self._whole()
        finally:
            if self.book:
                self.book.leave()

    async def _whole(self) -> Run:
        began = self.clock.monotonic()
        told: list[str] = []
        items = await asyncio.to_thread(self._begin)
        async with self.way(self.parallel, told.append, self.book) as handler:
            asked = await self._asked(handler, items)
        notices = (*self.notices(), *asked.notices, *told)
        run = Run(self.id, asked.rows, versions(), notices, self.clock.monotonic() - began, asked.chained)
        return await written_down(run, asked.left, self.book) if self.book else run

    @abstractmethod
    def _begin(self) -> Sequence[Item]:
        """Write down that it begins, and wait for the disk; what is known already to be asked."""

    @abstractmethod
    async def _asked(self, handler: Handler, items: Sequence[Item]) -> Asked:
        """Ask."""


@dataclass(frozen=True, kw_only=True)
class GridRunning(Running):
    """A grid, or the rest of one."""

    plan: Plan
    stop_on_error: bool
    progress: Progress

    def _begin(self) -> Sequence[Item]:
        return self.book.begin(self.plan.items, self.about) if self.book else self.plan.items

    async def _asked(self, handler: Handler, items: Sequence[Item]) -> Asked:
        calls = await fan_out(
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
        rows = self.plan.items.whole(calls) if isinstance(self.plan.items, Rest) else calls
        return Asked(rows, calls, self.plan.items.notices)


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


def told_of(models: Iterable[ModelSpec], params: Mapping[str, Any], *, simulated: bool, source: str) -> dict[str, Any]:
    """What stands with every run besides its calls, as JSON."""
    return {
        "models": [model.ref for model in models],
        "params": plain(params),
        "simulated": simulated,
        "source": source,
        "versions": versions(),
    }


def told_of_grid(plan: Plan, *, keep_prompts: bool) -> dict[str, Any]:
    """What stands with a grid's run."""
    if not isinstance(plan.items, Items) or not keep_prompts:
        return {}
    return {"template": {"prompt": plan.items.template.prompt, "system": plan.items.template.system}}


def versions() -> dict[str, str]:
    """What made this run: our version and those that shape an answer or a frame."""
    return {name: found for name in _SHAPING if (found := _version(name))}


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None
