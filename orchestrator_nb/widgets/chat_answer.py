"""One answer that arrives for a chat."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator_nb.calls import Delta, Event, Retrying, ThinkingDelta, Waiting
from orchestrator_nb.job import Plan
from orchestrator_nb.results.progress import held_by
from orchestrator_nb.runs import Call
from orchestrator_nb.widgets.following import Ended, Follower

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session

PERIOD_S: Final = 0.07

Arrived = Callable[[str, str, bool], object]
"""Text, what it waits for (or nothing), and whether what came before does not count any more."""


class Answer(Follower):
    """``arrived`` is called while it comes, ``ended(run, error)`` once; both on its thread."""

    def __init__(self, plan: Plan, session: Session, arrived: Arrived, ended: Ended) -> None:
        super().__init__(lambda: session.start(plan, progress=self._hear), self._flush, ended, PERIOD_S)
        self._arrived = arrived
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._state, self._anew, self._changed = "asked", False, True

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
