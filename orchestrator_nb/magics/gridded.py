"""A fan-out in a notebook that a person looks at: the grid beside the static display, which stays below and is what a saved notebook holds.

The grid is made only where a front end asks for the cell (programs that run notebooks do not say which cell it is), and shown only once the browser has said that it
has its code. So a notebook that a program runs, or one without widgets, is as it was: one display.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.calls import Event
from orchestrator_nb.history import Rest
from orchestrator_nb.job import Plan
from orchestrator_nb.magics.screen import FIRST_S, Live, Picture
from orchestrator_nb.magics.shell import display
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.runs import Call, Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets.grid_feed import MOST, Feed
from orchestrator_nb.widgets.still import AFTER

if TYPE_CHECKING:
    from orchestrator_nb.widgets.grid import RunGrid

TICK_S: Final = 0.1
HIDDEN_S: Final = 2.0
"""How often the static display is drawn while the grid covers it: it is there for a page that is closed meanwhile."""


def fits(plan: Plan, session: Session, place: dict[str, str]) -> bool:
    """Whether this fan-out is shown as a grid."""
    size = len(plan.items.before) if isinstance(plan.items, Rest) else plan.size
    return plan.size > 1 and size <= MOST and session.config.settings.display.grid == "auto" and "cell" in place


class Gridded(Live):
    """`Live`, with the grid above it once the browser has it."""

    def __init__(self, progress: Progress, period_s: float, plan: Plan, session: Session, budget: float | None) -> None:
        super().__init__(progress, period_s)
        self._often_s = period_s
        self._session = session
        self._rest = plan.items if isinstance(plan.items, Rest) else None
        self._feed = feed_of(plan, budget)
        self._grid: RunGrid | None = None
        self._shown = self._tried = False
        self._stop: Callable[[], object] = lambda: None
        self._look_at = time.monotonic() + FIRST_S

    def begun(self, stop: Callable[[], object]) -> None:
        """The run can be stopped from now on."""
        self._stop = stop

    def hear(self, index: int, news: Event | Call) -> None:
        """Recorded for both."""
        self._progress.feed(index, news)
        if self._rest and isinstance(news, Call):
            news = replace(news, id=f"{self._rest.run_id}-{self._rest.place(index)}")
        self._feed.hear(index, news)

    def draw(self, *, now: bool = False) -> None:
        """The state as it is now, in both."""
        super().draw(now=now)
        if (time_s := time.monotonic()) >= self._look_at:
            self._look_at = time_s + TICK_S
            self._look()

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result in place of the progress; the grid stays for rating where the browser has it."""
        super().finish(run, told=told)
        if self._grid is not None:
            self._grid.end(run)
            if not self._shown:
                self._grid.close()

    def _look(self) -> None:
        if not self._tried:
            self._tried = True
            self._grid = self._made()
        if (grid := self._grid) is None:
            return
        if grid.here and not self._shown:
            self._shown = True
            data, metadata = grid.view()
            display(data, metadata=metadata, raw=True)
        if grid.ready:
            self._period_s = max(self._often_s, HIDDEN_S)
        grid.flush()

    def _made(self) -> RunGrid | None:
        try:
            from orchestrator_nb.widgets.grid import RunGrid  # ipywidgets and anywidget: only when a widget is wanted
        except ImportError:
            return None
        return RunGrid(session=self._session, feed=self._feed, stop=self._cancel)

    def _cancel(self) -> None:
        self.stopped = True
        self._stop()

    def _dressed(self, picture: Picture) -> Picture:
        """With what hides the place of a grid that is no more."""
        if not self._shown:
            return picture
        return Picture(f"{picture.html}{AFTER}", picture.text)

    def _show(self, picture: Any) -> None:
        super()._show(self._dressed(picture))


def feed_of(plan: Plan, budget: float | None) -> Feed:
    """The whole run, also where only the rest of it is asked."""
    rest = plan.items
    if not isinstance(rest, Rest):
        return Feed(rest, budget=budget)
    made = Feed((call.item for call in rest.before), budget=budget, place=rest.place)
    asked = set(rest.places)
    for number, call in enumerate(rest.before):
        if number not in asked:
            made.end(number, call)
    return made
