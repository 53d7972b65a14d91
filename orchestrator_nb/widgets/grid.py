"""The grid of a run: prompts × models, while it runs and afterwards.

    from orchestrator_nb.widgets import RunGrid

    RunGrid()                 # the last run
    RunGrid("20261122-1405")  # an earlier one, by the beginning of its id

No trait is synchronised: what a run says goes to the browser as messages when the browser asks, so no saved notebook holds it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from orchestrator_nb import sessions
from orchestrator_nb.errors import UserError
from orchestrator_nb.marks import MARKS, Mark
from orchestrator_nb.results.view import view
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.grid_feed import MOST, Feed
from orchestrator_nb.widgets.pane import Pane


class RunGrid(Pane):
    """The run called ``run`` (an id, the beginning of one, ``last``, or a `Run`), or of it only those ``calls``, by id, to look at, compare and rate.

    With a ``feed`` it is the grid of a run that goes on: ``stop`` ends that, and whoever feeds it calls `flush` now and then, and `end` at the end.
    """

    _esm = code("grid")
    _css = style("grid")
    instead = "The grid needs a front end with widgets; the result stands beside it."

    def __init__(
        self,
        run: Run | str = "last",
        *,
        session: Session | None = None,
        calls: Iterable[str] | None = None,
        feed: Feed | None = None,
        stop: Callable[[], object] | None = None,
    ) -> None:
        self._session = session or sessions.session()
        self._run = None if feed else _only(_run_of(run, self._session), calls)
        self._feed = feed or _feed_of(self._run)
        self._stop, self._folds = stop, feed is not None
        self.here = self.ready = False
        """Whether the browser has the widget's code, and whether it has drawn it."""
        super().__init__()

    def view(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The widget alone, as a MIME bundle and its metadata; where it is not drawn, nothing is."""
        data, metadata = self._repr_mimebundle_()
        return {**data, "text/plain": ""}, metadata

    def still(self) -> still.Still:
        """The comparison as a table, for good. Raises `UserError` while the run goes on."""
        if self._run is None:
            raise UserError("the run has not ended yet.")
        shown = view(self._run)
        return still.Still(shown.html, shown.text)

    def flush(self) -> None:
        """Tell the browser what has happened since the last time."""
        if self.ready:
            with self._turn:
                self._tick()

    def end(self, run: Run) -> None:
        """The run has ended."""
        self._run, self._stop = run, None
        self._feed.finish(run.calls, run.wall_s)
        self.flush()

    # The browser's side

    def _act(self, message: Mapping[str, Any], _buffers: object) -> None:
        match message:
            case {"kind": "here"}:
                self.here = True
            case {"kind": "ready"}:
                self.here = self.ready = True
                self._tell({**self._feed.grid(), "stoppable": self._stop is not None, "folds": self._folds})
                self._tell_marks()
            case {"kind": "watch", "view": str(name), "cells": list(cells)}:
                self._feed.watch(name[:80], [cell for cell in cells[:MOST] if isinstance(cell, int)])
                self._tick()
            case {"kind": "full", "cell": int(cell), "since": int(since)} if 0 <= cell < len(self._feed.items):
                self._tell(self._feed.full(cell, since))
            case {"kind": "find", "text": str(text)}:
                self._tell({"kind": "found", "text": text, "cells": self._feed.find(text)})
            case {"kind": "mark", "cell": int(cell), "set": dict(given)}:
                self._mark(cell, given)
            case {"kind": "cancel"}:
                self._cancel()

    def _tick(self) -> None:
        if (news := self._feed.tick()) is not None:
            self._tell(news)

    def _cancel(self) -> None:
        if self._stop is None:
            raise UserError("the run has ended already.")
        self._stop()
        self._say("Stopping: what is finished is kept.")

    def _mark(self, cell: int, given: Mapping[str, Any]) -> None:
        call = self._feed.call(cell)
        if call is None:
            raise UserError("only what has ended can be rated; wait for this answer.")
        # what is empty takes away
        changes: dict[str, Any] = {name: given[name] or False for name in MARKS if name in given}
        self._session.mark(call.id, **changes)
        self._tell_marks()

    def _tell_marks(self) -> None:
        """How the answers were judged so far."""
        ids = {call.id: cell for cell in range(len(self._feed.items)) if (call := self._feed.call(cell))}
        marks: dict[str, Mark] = {}
        for run in {call.rpartition("-")[0] for call in ids}:
            with suppress(UserError):  # a run that the store does not have
                marks |= self._session.marks(run)
        told = [{"cell": cell, **asdict(mark)} for call, cell in ids.items() if (mark := marks.get(call))]
        self._tell({"kind": "marks", "marks": told})


def _run_of(run: Run | str, session: Session) -> Run:
    if isinstance(run, Run):
        return run
    if (last := session.last) and run in ("last", last.id):
        return last
    return session.retold(run)


def _only(run: Run, calls: Iterable[str] | None) -> Run:
    wanted = None if calls is None else set(calls)
    return run if wanted is None else replace(run, calls=tuple(call for call in run.calls if call.id in wanted))


def _feed_of(run: Run | None) -> Feed:
    if run is None or not run.calls:
        raise UserError("this run has no calls, so there is nothing to show.")
    if len(run.calls) > MOST:
        raise UserError(f"the grid takes {MOST:,} calls, and this run has {len(run.calls):,}; %llm show shows it.")
    return Feed.of(run.calls, run.wall_s)
