"""One answer that arrives for a chat: asked and followed on a thread of its own, so that the kernel stays free and nobody is asked for a password."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator_nb.calls import Delta, Event, Retrying, ThinkingDelta, Waiting
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.job import Plan
from orchestrator_nb.results.progress import held_by
from orchestrator_nb.runs import Call, Run

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session

PERIOD_S: Final = 0.07

Arrived = Callable[[str, str, bool], object]
"""Text, what it waits for (or nothing), and whether what came before does not count any more."""


class Answer:
    """``arrived`` is called while it comes, ``ended(run, error)`` once; both on its thread."""

    def __init__(
        self,
        plan: Plan,
        session: Session,
        arrived: Arrived,
        ended: Callable[[Run | None, OrchestratorError | None], object],
    ) -> None:
        self._plan, self._session, self._arrived, self._ended = plan, session, arrived, ended
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._state, self._anew, self._changed = "asked", False, True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="orchestrator-nb chat", daemon=True)

    def start(self) -> None:
        """Ask."""
        self._thread.start()

    def stop(self) -> None:
        """What came is kept."""
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended, after so long at most."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _follow(self) -> None:
        run, error = None, None
        try:
            job = self._session.start(self._plan, progress=self._hear)
            while not job.wait(PERIOD_S):
                if self._stopped.is_set():
                    job.stop()
                self._flush()
            run = job.run
        except OrchestratorError as refused:
            error = refused
        finally:
            self._ended(run, error)

    def _hear(self, _index: int, news: Event | Call) -> None:
        """On the loop's thread: it only records."""
        with self._lock:
            match news:
                case Delta(text):
                    self._pieces.append(text)
                    self._note("")
                case ThinkingDelta():
                    self._note("thinking")
                case Retrying():
                    self._pieces, self._anew = [], True
                    self._note(held_by(news))
                case Waiting():
                    self._note(held_by(news))

    def _note(self, state: str) -> None:
        self._state, self._changed = state, True

    def _flush(self) -> None:
        with self._lock:
            if not self._changed:
                return
            text, state, anew = "".join(self._pieces), self._state, self._anew
            self._pieces, self._anew, self._changed = [], False, False
        self._arrived(text, state, anew)
