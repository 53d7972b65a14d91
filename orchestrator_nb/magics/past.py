"""``%llm runs | show | grid | cost | resume``: what the store remembers. Tables come back as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from orchestrator_nb.figures import count
from orchestrator_nb.history import BY
from orchestrator_nb.magics import watch
from orchestrator_nb.magics.args import Line, usd
from orchestrator_nb.magics.asking import confirm, start
from orchestrator_nb.magics.chain_watch import show as display
from orchestrator_nb.magics.paneled import with_panel
from orchestrator_nb.magics.shell import say
from orchestrator_nb.results.frames import frame

if TYPE_CHECKING:
    from orchestrator_nb.magics.cell import Magics
    from orchestrator_nb.magics.commands import Words

_RUN = ("run", {"nargs": "?", "default": "last"})


def runs(magics: Magics, words: Words) -> pd.DataFrame:
    """All runs, or those of the last days; in a notebook below the panel to look through them and go on with them."""
    days = words.read(("--days", {"type": _days, "metavar": "N"})).days
    return with_panel(magics.session.runs(days), magics, days)


def _days(text: str) -> float:
    days = float(text)
    if not days > 0:
        raise ValueError("a number of days above 0")
    return days


def show(magics: Magics, words: Words) -> pd.DataFrame:
    """An earlier run as it was: its display and its frame."""
    run = magics.session.retold(words.read(_RUN).run)
    display(run, magics.shell)
    return frame(run)


def grid(magics: Magics, words: Words) -> None:
    """An earlier run as a grid to search, compare and rate in; in a terminal, its display."""
    run = words.read(_RUN).run
    if not hasattr(magics.shell, "kernel"):  # a terminal has no widgets, and need not load them
        return display(magics.session.retold(run), magics.shell)
    from orchestrator_nb.widgets import RunGrid  # ipywidgets and anywidget: only when a widget is wanted

    return RunGrid(run, session=magics.session).show()


def cost(magics: Magics, words: Words) -> pd.DataFrame:
    """What was spent; where that is nothing, it says why."""
    costs = magics.session.costs(words.read(("--by", {"choices": BY, "default": "model"})).by)
    if costs.empty:
        played = sum(bool(told.about.get("simulated")) for told, _ in magics.session.told())
        say("nothing was spent yet" + (f": the simulator answered in {count(played, 'run')}." if played else "."))
    return costs


def resume(magics: Magics, words: Words) -> pd.DataFrame:
    """Ask for the rest of a run."""
    switch = {"action": "store_true"}
    most = ("--max-cost", {"type": usd, "metavar": "USD"})
    given = words.read(_RUN, ("--errors", switch), ("--yes", switch), most)
    session = magics.session
    plan = session.rest(given.run, errors=given.errors)
    line = Line(yes=given.yes, max_cost=given.max_cost)
    confirm(plan, line, session)
    asked = start(plan, line, session, magics.shell)
    return magics.ended(asked, watch.block(asked.job, asked.screen.draw))
