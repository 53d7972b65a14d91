"""Which screen a ``%%llm`` cell gets."""

from __future__ import annotations

from IPython.core.displaypub import CapturingDisplayPublisher

from orchestrator_nb.job import Plan
from orchestrator_nb.magics.args import Line
from orchestrator_nb.magics.gridded import Gridded, fits
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.magics.screen import Dark, Live, Screen, Still, Terminal
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.sessions import Session


def screen_for(plan: Plan, line: Line, session: Session, shell: Shell) -> Screen:
    """The screen that fits this shell and these options."""
    if line.quiet:
        return Dark()
    if not hasattr(shell, "kernel"):
        return Terminal(streams=plan.size == 1 and not line.no_stream)
    captured = isinstance(shell.display_pub, CapturingDisplayPublisher)  # %%capture keeps every redrawing as an output
    if captured or line.no_stream:
        return Still()
    settings = session.config.settings
    progress, period_s = Progress(plan.items, large=settings.display.large_grid), 1 / settings.display.rate_hz
    if fits(plan, session, place_of(shell)):
        limits = (line.max_cost, plan.max_cost, settings.limits.max_cost_usd)
        budget = next((float(usd) for usd in limits if usd is not None), None)
        return Gridded(progress, period_s, plan, session, budget)
    return Live(progress, period_s)
