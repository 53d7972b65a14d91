"""What the store tells as frames: runs, and money. Amounts are `Decimal` until here, and summed as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import pandas as pd

from orchestrator_nb.store.told import RunTold, Spent

RUNS: Final = {
    "run": "string",
    "when": "datetime64[us, UTC]",
    "notebook": "string",
    "models": "object",
    "calls": "Int64",
    "failed": "Int64",
    "missing": "Int64",  # what resuming asks: stopped, never sent, or the kernel ended before
    "cost_usd": "float64",
    "possibly_usd": "float64",
    "saved_usd": "float64",
    "sources": "object",
}
COSTS: Final = {
    "attempts": "Int64",
    "billed_usd": "float64",
    "possibly_usd": "float64",  # attempts whose end is unknown, at their worst case
    "saved_usd": "float64",
    "ambiguous": "Int64",
    "unpriced": "Int64",  # billed, and nobody knows how much: in no figure
}


def runs_frame(runs: Iterable[tuple[RunTold, Spent]]) -> pd.DataFrame:
    """A row per run."""
    return _frame([_run(told, spent) for told, spent in runs], RUNS)


def _run(told: RunTold, spent: Spent) -> list[Any]:
    when = pd.Timestamp(round(told.started_at * 1e6), unit="us", tz="UTC")
    notebook, models = told.about.get("notebook"), list(told.about.get("models", ()))
    money = [_usd(spent.billed), _usd(spent.possibly), _usd(spent.saved)]
    return [told.id, when, notebook, models, told.items, told.failed, told.missing, *money, dict(told.sources)]


def costs_frame(spent: Sequence[Spent], by: str) -> pd.DataFrame:
    """A row per group; the first column is named by what was grouped."""
    rows = [
        [s.name, s.attempts, _usd(s.billed), _usd(s.possibly), _usd(s.saved), s.ambiguous, s.unpriced] for s in spent
    ]
    return _frame(rows, {by: "string", **COSTS})


def _usd(amount: Decimal) -> float:
    return float(amount)


def _frame(rows: list[list[Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
