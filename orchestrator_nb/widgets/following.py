"""A job that is followed on a thread of its own, so that the kernel stays free and nobody is asked for a password."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.runs import Run

if TYPE_CHECKING:
    from orchestrator_nb.job import Job

Ended = Callable[[Run | None, OrchestratorError | None], object]


class Follower:
    """``begin`` starts the job, ``look`` is called every ``period_s`` seconds while it goes on, ``ended(run, error)`` once; all on the follower's thread."""

    def __init__(self, begin: Callable[[], Job], look: Callable[[], object], ended: Ended, period_s: float) -> None:
        self._begin, self._look, self._ended, self._period_s = begin, look, ended, period_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="orchestrator-nb widget", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """What came, and what is finished, is kept."""
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended, after so long at most."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _follow(self) -> None:
        run, error = None, None
        try:
            run = self._attend(self._begin())
        except OrchestratorError as refused:
            error = refused
        finally:
            self._ended(run, error)

    def _attend(self, job: Job) -> Run | None:
        while not job.wait(self._period_s):
            if self._stopped.is_set():
                job.stop()
            self._look()
        return job.run
