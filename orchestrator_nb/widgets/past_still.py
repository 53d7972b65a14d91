"""The run panel as it stands in a saved notebook: the newest runs as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator_nb.history import when
from orchestrator_nb.results.page import count, cut, money, row_of, table
from orchestrator_nb.results.safe_text import escape
from orchestrator_nb.widgets.past_runs import Shown
from orchestrator_nb.widgets.still import Still

MOST: Final = 30
_HEADS: Final = ("run", "when", "state", "asked by", "models", "calls", "cost")


def still_of(runs: Sequence[Shown], days: float | None = None) -> Still:
    """The newest of them; ``days`` says of when they are."""
    head = f"{count(len(runs), 'run')}{f' in the last {days:g} days' if days else ''}"
    if len(runs) > MOST:
        head += f", the newest {MOST}"
    lines = [_cells(run) for run in runs[:MOST]]
    rows = (row_of(f"<td>{escape(cell)}</td>" for cell in cells) for cells in lines)
    html = f'<div class="onb-summary">{escape(head)}</div>{table(_HEADS, rows) if lines else ""}'
    return Still(html, "\n".join((head, *("  ".join(filter(None, cells)) for cells in lines))))


def _cells(run: Shown) -> list[str]:
    source = run.chain or run.notebook.rpartition("/")[2]
    calls = f"{run.done:,} of {run.calls:,}" if run.done < run.calls else f"{run.calls:,}"
    failed = f", {run.failed:,} failed" if run.failed else ""
    models = cut(", ".join(run.models), 80)
    return [run.id, when(run.at), run.state, source, models, f"{calls} calls{failed}", " ".join(_cost(run))]


def _cost(run: Shown) -> Iterator[str]:
    yield "simulated" if run.simulated else money(run.billed)
    if run.possibly:
        yield f"(+ {money(run.possibly)}?)"
    if run.saved:
        yield f"(saved {money(run.saved)})"
