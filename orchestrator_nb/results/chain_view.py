"""What a finished chain shows: its outputs, and the summary below them. One text stands alone, several outputs in a small table, those of many rows in a table with a line for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.figures import count, cut
from orchestrator_nb.results.compare import FOLD, FORMATTED, PROMPTS, folded
from orchestrator_nb.results.page import box, row_of, table
from orchestrator_nb.results.safe_text import NO_MATH, escape, plain, safe_html
from orchestrator_nb.results.summary import summary
from orchestrator_nb.results.view import View, view
from orchestrator_nb.runs import Chained, Run

SHOWN: Final = 20_000
"""Characters of one output that are shown in a terminal, and of one that is not text; the frame has the whole."""
PLACES: Final = 100
"""Items of a list that are shown."""
COLUMNS: Final = 12
_GIVEN: Final = 120


def chain_view(run: Run, *, told: bool = False) -> View:
    """The picture of a chain's run; ``told``: its failure is raised, so it need not be said here too."""
    if run.chained is None:
        return view(run, told=told)
    lines, chained = summary(run), run.chained
    inner = _rows(chained) if chained.over else _once(chained, told=told)
    words = _rows_text(chained) if chained.over else _once_text(chained, told=told)
    footer = f'<div class="{NO_MATH}">{lines.inner}</div>'
    return View(box(inner, footer, math=True), f"{words}\n\n{lines.text}".lstrip(), lines.text)


# Once


def _once(chained: Chained, *, told: bool) -> str:
    outputs, error = _of(chained, 0)
    if outputs is None:
        return "" if told else _failure(error)
    formatted = _size(outputs) <= FORMATTED
    if len(outputs) == 1:
        [value] = outputs.values()
        return _value(value, formatted=formatted, whole=True)
    rows = (
        row_of([f'<th scope="row">{_words(name)}</th>', f"<td>{_value(value, formatted=formatted)}</td>"])
        for name, value in outputs.items()
    )
    return table(["output", "value"], rows)


def _once_text(chained: Chained, *, told: bool) -> str:
    outputs, error = _of(chained, 0)
    if outputs is None:
        return "" if told else plain(f"✗ {error}")
    if len(outputs) == 1:
        return "".join(_text(value) for value in outputs.values())
    return "\n\n".join(f"▸ {plain(name)}\n{_text(value)}" for name, value in outputs.items())


# Over rows


def _rows(chained: Chained) -> str:
    names = _names(chained)
    shown = range(min(len(chained.outputs), PROMPTS))
    formatted = sum(_size(chained.outputs[row] or {}) for row in shown) <= FORMATTED
    rows = (row_of(_cells(chained, row, names, formatted=formatted)) for row in shown)
    left = len(chained.outputs) - PROMPTS
    more = f'<div class="onb-note">… {count(left, "more row")}; .llm.outputs has them all.</div>' if left > 0 else ""
    return table(["row", "given", *names], rows) + more


def _cells(chained: Chained, row: int, names: Sequence[str], *, formatted: bool) -> Iterator[str]:
    outputs, error = _of(chained, row)
    yield f'<th scope="row">{row}</th>'
    yield f"<td>{_words(_given(chained, row))}</td>"
    if outputs is None:
        yield f'<td colspan="{max(len(names), 1)}">{_failure(error)}</td>'
    else:
        yield from (f"<td>{_value(outputs.get(name), formatted=formatted)}</td>" for name in names)


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
        yield f"  {name}: {cut(_text(value), 2000)}".replace("\n", "\n    ")


def _names(chained: Chained) -> list[str]:
    """The outputs' names, as far as there is room."""
    found = dict.fromkeys(name for outputs in chained.outputs if outputs for name in outputs)
    return list(found)[:COLUMNS]


def _given(chained: Chained, row: int) -> str:
    """The chain's inputs in this row, in short; not all the frame's columns."""
    declared = chained.definition.get("inputs") or {}
    given = chained.rows[row]
    told = [f"{name}: {cut(' '.join(_text(given[name]).split()), 60)}" for name in declared if name in given]
    return cut(" · ".join(told), _GIVEN)


# Values


def _of(chained: Chained, row: int) -> tuple[Mapping[str, Any] | None, str]:
    """What the row gave, or why nothing."""
    outputs = chained.outputs[row] if row < len(chained.outputs) else None
    error = chained.errors[row] if row < len(chained.errors) else None
    return outputs, error or "stopped before its end."


def _failure(error: str) -> str:
    return f'<div class="onb-error {NO_MATH}">✗ {escape(cut(error, 2000))}</div>'


def _words(text: str) -> str:
    return f'<span class="{NO_MATH}">{escape(cut(text, 200))}</span>'


def _value(value: Any, *, formatted: bool, whole: bool = False) -> str:
    """A text as readable text, a list of texts one below the other, anything else as JSON. ``whole``: not folded."""
    if isinstance(value, str):
        shown = safe_html(value) if formatted else f'<div class="onb-text">{escape(value[:FORMATTED])}</div>'
        return shown if whole else folded(value, shown)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        parts = "".join(f'<div class="onb-sample">{_value(part, formatted=formatted)}</div>' for part in value[:PLACES])
        left = len(value) - PLACES
        return parts + (f'<div class="onb-note">… {count(left, "more item")}</div>' if left > 0 else "")
    text = _text(value)
    shown = f'<div class="onb-text {NO_MATH}">{escape(text)}</div>'
    return shown if whole or len(text) <= FOLD else folded(text, shown)


def _text(value: Any) -> str:
    """For a terminal, and for what is not text."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        text = "\n".join(f"{number}. {part}" for number, part in enumerate(value, 1))
    else:
        text = json.dumps(value, ensure_ascii=False, indent=1)
    return plain(text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)")


def _size(outputs: Mapping[str, Any]) -> int:
    return sum(len(value) if isinstance(value, str) else _size_of(value) for value in outputs.values())


def _size_of(value: Any) -> int:
    return sum(len(part) for part in value if isinstance(part, str)) if isinstance(value, list) else 0
