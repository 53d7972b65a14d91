"""What a finished chain shows: its outputs, and the summary below them. One text stands alone, several outputs in a small table, those of many rows in a table with a line for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.figures import count, cut
from orchestrator_nb.results.chain_summary import reason
from orchestrator_nb.results.chain_values import html, inner, listed, size, text, words
from orchestrator_nb.results.compare import FORMATTED, PROMPTS
from orchestrator_nb.results.page import box, row_of, table
from orchestrator_nb.results.safe_text import NO_MATH, escape, plain
from orchestrator_nb.results.summary import summary
from orchestrator_nb.results.view import View, view
from orchestrator_nb.runs import Chained, Run

COLUMNS: Final = 12
_GIVEN: Final = 120


def chain_view(run: Run, *, told: bool = False) -> View:
    """The picture of a chain's run; ``told``: its failure is raised, so it need not be said here too."""
    if run.chained is None:
        return view(run, told=told)
    lines, chained = summary(run, reasons=False), run.chained
    page = _rows(chained) if chained.over else _once(chained, told=told)
    said = _rows_text(chained) if chained.over else _once_text(chained, told=told)
    footer = f'<div class="{NO_MATH}">{lines.inner}</div>'
    return View(box(page, footer, math=True), f"{said}\n\n{lines.text}".lstrip(), lines.text)


# Once


def _once(chained: Chained, *, told: bool) -> str:
    outputs, error = _of(chained, 0)
    if outputs is None:
        return "" if told else _failure(error)
    return inner(outputs)


def _once_text(chained: Chained, *, told: bool) -> str:
    outputs, error = _of(chained, 0)
    if outputs is None:
        return "" if told else plain(f"✗ {error}")
    return listed(outputs)


# Over rows


def _rows(chained: Chained) -> str:
    names = _names(chained)
    shown = range(min(len(chained.outputs), PROMPTS))
    formatted = sum(size(chained.outputs[row] or {}) for row in shown) <= FORMATTED
    rows = (row_of(_cells(chained, row, names, formatted=formatted)) for row in shown)
    left = len(chained.outputs) - PROMPTS
    more = f'<div class="onb-note">… {count(left, "more row")}; .llm.outputs has them all.</div>' if left > 0 else ""
    return table(["row", "given", *names], rows) + more


def _cells(chained: Chained, row: int, names: Sequence[str], *, formatted: bool) -> Iterator[str]:
    outputs, error = _of(chained, row)
    yield f'<th scope="row" class="onb-index">{row}</th>'
    yield f"<td>{words(_given(chained, row))}</td>"
    if outputs is None:
        yield f'<td colspan="{max(len(names), 1)}">{_failure(error)}</td>'
    else:
        yield from (f"<td>{html(outputs.get(name), formatted=formatted)}</td>" for name in names)


def _rows_text(chained: Chained) -> str:
    lines = [plain(line) for row in range(min(len(chained.outputs), PROMPTS)) for line in _row_text(chained, row)]
    left = len(chained.outputs) - PROMPTS
    return "\n".join([*lines, *([f"… {count(left, 'more row')}; .llm.outputs has them all."] if left > 0 else [])])


def _row_text(chained: Chained, row: int) -> Iterator[str]:
    outputs, error = _of(chained, row)
    yield f"▸ {row}  {_given(chained, row)}"
    if outputs is None:
        yield f"  ✗ {error}"
    for name, value in (outputs or {}).items():
        yield f"  {name}: {cut(text(value), 2000)}".replace("\n", "\n    ")


def _names(chained: Chained) -> list[str]:
    """The outputs' names, as far as there is room."""
    found = dict.fromkeys(name for outputs in chained.outputs if outputs for name in outputs)
    return list(found)[:COLUMNS]


def _given(chained: Chained, row: int) -> str:
    """The chain's inputs in this row, in short; not all the frame's columns."""
    declared = chained.definition.get("inputs") or {}
    given = chained.rows[row]
    told = [f"{name}: {cut(' '.join(text(given[name]).split()), 60)}" for name in declared if name in given]
    return cut(" · ".join(told), _GIVEN)


# Values


def _of(chained: Chained, row: int) -> tuple[Mapping[str, Any] | None, str]:
    """What the row gave, or why nothing."""
    outputs = chained.outputs[row] if row < len(chained.outputs) else None
    return outputs, "" if outputs is not None else reason(chained, row)


def _failure(error: str) -> str:
    return f'<div class="onb-error {NO_MATH}">✗ {escape(cut(error, 2000))}</div>'
