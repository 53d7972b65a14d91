"""What the line below a chain's run says of the chain itself: its steps or rows, and where it broke off, why, and how it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator_nb.figures import count, cut
from orchestrator_nb.runs import Chained, Run

_OUTCOMES: Final = ("done", "failed", "stopped", "skipped")
ROWS: Final = 3
"""Rows whose failure is told; the others are counted."""


def headline(chained: Chained) -> str:
    """``review: 5 steps done, 1 skipped``; of several rows ``review on 12 rows: 11 done, 1 failed``."""
    name = cut(str(chained.definition.get("name") or "chain"), 80)
    if chained.over:
        rows = Counter(_row(chained, row) for row in range(len(chained.rows)))
        return f"{name} on {count(len(chained.rows), 'row')}{_listed(rows, '')}"
    return f"{name}{_listed(Counter(str(step['outcome']) for step in chained.steps), 'step')}"


def _listed(counts: Counter[str], noun: str) -> str:
    known = [word for word in _OUTCOMES if counts[word]]
    said = [
        f"{count(counts[word], noun) if noun and word == known[0] else f'{counts[word]:,}'} {word}" for word in known
    ]
    return f": {', '.join(said)}" if said else ""


def _row(chained: Chained, row: int) -> str:
    if row < len(chained.outputs) and chained.outputs[row] is not None:
        return "done"
    return "failed" if any(step["row"] == row and step["outcome"] == "failed" for step in chained.steps) else "stopped"


def failures(run: Run, *, reasons: bool) -> Iterator[str]:
    """Where it broke off and, with ``reasons``, why; then how it goes on. Nothing for a chain that came to its end."""
    chained = run.chained
    if chained is None:
        return
    broken = [row for row, outputs in enumerate(chained.outputs) if outputs is None]
    for row in broken[:ROWS] if reasons else ():
        yield f"{f'row {row}: ' if chained.over else ''}{reason(chained, row)}"
    if reasons and len(broken) > ROWS:
        yield f"and {count(len(broken) - ROWS, 'more row')} without outputs; df.llm.outputs has the reasons."
    if broken:
        yield f"%chain resume {run.id} goes on from there."


def reason(chained: Chained, row: int) -> str:
    """Why a row gave nothing: the sentence, with the steps that were under way where it was stopped: it does not name them."""
    error = (chained.errors[row] if row < len(chained.errors) else None) or "stopped before its end."
    under_way = _innermost([step for step in chained.steps if step["row"] == row and step["outcome"] == "stopped"])
    return (
        f"{error.rstrip('.')}, in {', '.join(under_way[:3])}."
        if under_way and _row(chained, row) == "stopped"
        else error
    )


def _innermost(steps: list[Mapping[str, Any]]) -> list[str]:
    paths = [str(step["step"]) for step in steps]
    return [path for path in paths if not any(other.startswith((f"{path}.", f"{path}/")) for other in paths)]
