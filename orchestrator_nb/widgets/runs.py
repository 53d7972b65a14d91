"""The run panel: the runs in the store, also of other notebooks; open them, go on with them, and see what the days cost.

    from orchestrator_nb.widgets import RunPanel

    RunPanel(days=7)

No trait is synchronised: what the store tells goes to the browser as messages when it asks, so no saved notebook holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.history import DAY_S, when
from orchestrator_nb.job import Job, Plan
from orchestrator_nb.kernel.amounts import usd_of
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.runs import Call, Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.store.firsts import firsts
from orchestrator_nb.store.store import Store
from orchestrator_nb.store.told import NOT_ASKED
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.pane import Pane
from orchestrator_nb.widgets.past_runs import (
    DAYS,
    OPENED,
    PAGE,
    STATES,
    Shown,
    Wanted,
    days_of,
    fitting,
    opened_of,
    shown_of,
    wanted_of,
)
from orchestrator_nb.widgets.past_still import still_of

_CELLS: Final = {
    "show": "%llm show {}",
    "grid": "%llm grid {}",
    "resume": "%llm resume {}",
    "errors": "%llm resume {} --errors",
}
_CHAIN_CELLS: Final = {**_CELLS, "resume": "%chain resume {}", "errors": "%chain resume {}"}


@dataclass(slots=True)
class _Going:
    """What was begun here: ``done`` of ``size`` questions are answered."""

    size: int
    done: int = 0
    job: Job | None = None

    def hear(self, _index: int, news: object) -> None:
        """Called on the loop's thread."""
        self.done += isinstance(news, Call)

    @property
    def has_ended(self) -> bool:
        return self.job is not None and self.job.done


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was told of a run before anybody said yes to it."""

    run: str
    errors: bool
    calls: int


class RunPanel(Pane):
    """The runs of the last ``days``, or all. ``session`` is the notebook's own when none is given."""

    _esm = code("runs")
    _css = style("runs")
    instead = "The run panel needs a front end with widgets; the runs are below."

    def __init__(self, days: float | None = None, *, session: Session | None = None) -> None:
        self._session = session or sessions.session()
        self._days, self._clock = days, SystemClock()
        shell = get_ipython()
        self._cell = place_of(shell).get("cell") if shell else None
        self._asked: _Asked | None = None
        self._going: dict[str, _Going] = {}
        super().__init__()

    def still(self) -> still.Still:
        """The newest runs as a table, for good."""
        return still_of(self._fitting(Wanted(days=self._days)), self._days)

    # The browser's side

    def _act(self, message: Mapping[str, Any], _buffers: object) -> None:
        match message:
            case {"kind": "ready"}:
                self._reply({"kind": "begin", "days": self._days, "states": list(STATES)})
            case {"kind": "list", "wanted": dict(wanted), "from": int(first)}:
                self._list(wanted_of(wanted), first)
            case {"kind": "days"}:
                days = days_of(*self._store().ledger.days(self._clock.wall() - DAYS * DAY_S))
                self._reply({"kind": "days", "days": days, "today": when(self._clock.wall())[:10]})
            case {"kind": "open", "run": str(run)}:
                self._open(run)
            case {"kind": "cell", "run": str(run), "what": str(what)} if what in _CELLS:
                words = _CHAIN_CELLS if self._run(run).chain else _CELLS
                self._reply({"kind": "insert", "cells": [words[what].format(run)], "after": self._cell})
            case {"kind": "estimate", "run": str(run), "errors": bool(errors)}:
                self._estimate(run, errors)
            case {"kind": "start", "run": str(run), "errors": bool(errors), "most": str(most)}:
                self._start(run, errors, most.strip().removeprefix("$"))
            case {"kind": "stop", "run": str(run)}:
                self._stop(run)

    def _list(self, wanted: Wanted, first: int) -> None:
        runs = self._runs()
        found = fitting(runs, wanted, self._clock.wall())
        first = max(0, min(first, (len(found) - 1) // PAGE * PAGE))
        page = [{**run.message(), **self._progress(run.id)} for run in found[first : first + PAGE]]
        names = {
            "notebooks": sorted({run.notebook for run in runs if run.notebook}),
            "models": sorted({model for run in runs for model in run.models}),
        }
        told = {"total": len(found), "all": len(runs), "page": PAGE, "from": first}
        self._reply({"kind": "runs", "runs": page, **told, **names})
        self._view = None  # how it ended is for all
        self._end_of_jobs()

    def _runs(self) -> list[Shown]:
        store, found = self._store(), self._session.told()
        working = store.owners.at_work(told.id for told, _ in found)
        first = firsts(store.database)
        return [shown_of(told, spent, first.get(told.id, {}), at_work=told.id in working) for told, spent in found]

    def _fitting(self, wanted: Wanted) -> list[Shown]:
        return fitting(self._runs(), wanted, self._clock.wall())

    def _run(self, run: str) -> Shown:
        """The run of exactly this id. Raises `UserError`."""
        for one in self._runs():
            if one.id == run:
                return one
        raise UserError("this run is not in the store any more; press Refresh.")

    def _store(self) -> Store:
        if store := self._session.store:
            if store.database.problem is None:
                store.database.flush()
            return store
        raise UserError("nothing is kept, for store.enabled is false; switch it on: %llm config store.enabled true")

    def _open(self, run: str) -> None:
        if (calls := self._run(run).calls) > OPENED:
            raise UserError(f"{calls:,} calls are too many to open here; %llm show {run} gives their frame.")
        self._reply(opened_of(self._session.retold(run), self._session.marks(run)))

    def _estimate(self, run: str, errors: bool) -> None:
        if self._run(run).chain:
            raise UserError(f"a chain goes on in a cell of its own: insert it, or type %chain resume {run}.")
        plan = self._session.rest(run, errors=errors)
        estimate = self._session.estimate(plan)
        self._asked = _Asked(run, errors, plan.size)
        told = {"calls": plan.size, "text": estimate.line, "notes": list(estimate.assumptions)}
        self._reply({"kind": "estimate", "run": run, "errors": errors, **told})

    def _start(self, run: str, errors: bool, most: str) -> None:
        """Only what the estimate was of: when there is more to ask by now, it is told anew first."""
        asked, self._asked = self._asked, None
        cap = usd_of(most) if most else None
        plan = self._session.rest(run, errors=errors)
        if asked is None or (asked.run, asked.errors) != (run, errors) or plan.size > asked.calls:
            return self._estimate(run, errors)
        self._going[run] = self._begun(plan, cap)
        self._say(f"{plan.size:,} asked now; the cells of the notebook are free meanwhile.")
        return self._reply({"kind": "changed", "run": run})

    def _begun(self, plan: Plan, cap: Decimal | None) -> _Going:
        """Begun on a thread of its own: there nobody is asked for a password, which a form without a cell could not do."""
        going, problems = _Going(plan.size), list[BaseException]()

        def begin() -> None:
            try:
                going.job = self._session.start(plan, progress=going.hear, max_cost=cap)
            except BaseException as error:  # noqa: BLE001  # it is raised where it was asked for
                problems.append(error)

        thread = threading.Thread(target=begin, name="orchestrator-nb resume")
        thread.start()
        thread.join()
        for problem in problems:
            raise problem
        return going

    def _stop(self, run: str) -> None:
        going = self._going.get(run)
        if going is None or going.job is None:
            raise UserError("only what was begun here can be stopped here; interrupt the cell that asks.")
        going.job.stop()
        self._say("Stopping: what is finished is kept.")

    def _progress(self, run: str) -> dict[str, Any]:
        going = self._going.get(run)
        return {"mine": {"done": going.done, "size": going.size} if going and not going.has_ended else None}

    def _end_of_jobs(self) -> None:
        """Say once how what was begun here ended."""
        for run in [run for run, going in self._going.items() if going.has_ended]:
            job, ended, why = self._going.pop(run).job, None, f"%llm resume {run} says why."
            try:
                ended = job.run if job else None
            except OrchestratorError as error:
                why = str(error)
            if ended is None:
                self._say(f"Run {run} could not go on: {why}", problem=True)
                continue
            told = _left(ended)
            self._say(f"Run {run} has ended{told}. %llm show {run} gives its frame.", problem=bool(told))


def _left(run: Run) -> str:
    """What of a run has no answer, and why."""
    kinds = [call.error.kind for call in run.calls if call.error]
    left = sum(kind in NOT_ASKED for kind in kinds)
    told = [f"{number:,} {what}" for number, what in ((len(kinds) - left, "failed"), (left, "left to ask")) if number]
    return f"; {', '.join(told)}" if told else ""
