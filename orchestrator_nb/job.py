"""A run before and while it happens: `Plan` is what will be asked, `Job` is the asking under way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.history import Rest
from orchestrator_nb.kernel import portal as kernel
from orchestrator_nb.kernel.fanout import Progress
from orchestrator_nb.kernel.portal import Portal
from orchestrator_nb.kernel.stopping import Stop
from orchestrator_nb.prompts.grid import Items
from orchestrator_nb.runs import Run
from orchestrator_nb.source import AnswersFrom


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked: a grid of items, not yet sent. ``items`` is lazy, or what is left of an earlier run; ``size`` counts without building. ``source`` and ``max_cost`` (USD) are this cell's own, if it has them.

    ``listening`` is put before whoever hears of the run's progress, and ``about`` stands with the run: a conversation remembers by them.
    """

    items: Items | Rest
    models: tuple[ModelSpec, ...]
    source: AnswersFrom | None = None
    listening: Callable[[Progress], Progress] = lambda hear: hear
    about: Mapping[str, Any] = field(default_factory=dict)
    max_cost: Decimal | None = None

    @property
    def size(self) -> int:
        """The number of calls."""
        return len(self.items)


class Job:
    """A run under way. Block on `result`, or await it.

    An interrupt (or `stop`) keeps what is finished and marks the rest ``cancelled``; `KeyboardInterrupt` or `CancelledError` goes on to the caller,
    and `run` then holds all rows. ``attend`` is called on the waiting thread now and then: there it may ask the user what the run needs to know,
    after it has called what it is given.
    """

    def __init__(self, portal: Portal, future: kernel.Job[Run], stop: Stop, attend: Callable[..., None]) -> None:
        self._portal, self._future, self._stop, self.attend = portal, future, stop, attend

    def result(self) -> Run:
        """The run, when all calls have an outcome."""
        return self._portal.block(self._future, self.stop, self.attend)

    def __await__(self) -> Generator[Any, None, Run]:
        return self._portal.wait(self._future, self.stop, self.attend).__await__()

    def stop(self) -> None:
        """Cancel what is not finished; the run still returns."""
        self._portal.call_soon(self._stop.set)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait on this thread, at most ``timeout_s``; whether the run has ended. For a face that draws meanwhile."""
        return bool(futures.wait([self._future], timeout_s).done)

    @property
    def done(self) -> bool:
        """Whether every call has an outcome."""
        return self._future.done()

    @property
    def run(self) -> Run | None:
        """The run, if it has ended; also after an interrupt."""
        return self._future.result() if self.done and not self._future.cancelled() else None
