"""A chain's outputs on a screen: one text alone, several in a small table, lists of texts one below the other, anything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator_nb.figures import count, cut
from orchestrator_nb.results.compare import FOLD, FORMATTED, folded
from orchestrator_nb.results.page import row_of, table
from orchestrator_nb.results.safe_text import NO_MATH, escape, plain, safe_html

SHOWN: Final = 20_000
"""Characters of one output that are shown in a terminal, and of one that is not text; the frame has the whole."""
PLACES: Final = 100
"""Items of a list that are shown."""


def inner(outputs: Mapping[str, Any]) -> str:
    """HTML without the surrounding box."""
    formatted = size(outputs) <= FORMATTED
    if len(outputs) == 1:
        [value] = outputs.values()
        return html(value, formatted=formatted, whole=True)
    rows = (
        row_of([f'<th scope="row">{words(name)}</th>', f"<td>{html(value, formatted=formatted)}</td>"])
        for name, value in outputs.items()
    )
    return table(["output", "value"], rows)


def listed(outputs: Mapping[str, Any]) -> str:
    """For a terminal."""
    if len(outputs) == 1:
        return "".join(text(value) for value in outputs.values())
    return "\n\n".join(f"▸ {plain(name)}\n{text(value)}" for name, value in outputs.items())


def words(name: str) -> str:
    """A name."""
    return f'<span class="{NO_MATH}">{escape(cut(name, 200))}</span>'


def html(value: Any, *, formatted: bool, whole: bool = False) -> str:
    """A text as readable text, a list of texts one below the other, anything else as JSON. ``whole``: not folded."""
    if isinstance(value, str):
        shown = safe_html(value) if formatted else f'<div class="onb-text">{escape(value[:FORMATTED])}</div>'
        return shown if whole else folded(value, shown)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        parts = "".join(f'<div class="onb-sample">{html(part, formatted=formatted)}</div>' for part in value[:PLACES])
        left = len(value) - PLACES
        return parts + (f'<div class="onb-note">… {count(left, "more item")}</div>' if left > 0 else "")
    said = text(value)
    shown = f'<div class="onb-text {NO_MATH}">{escape(said)}</div>'
    return shown if whole or len(said) <= FOLD else folded(said, shown)


def text(value: Any) -> str:
    """For a terminal, and for what is not text."""
    if isinstance(value, str):
        said = value
    elif isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        said = "\n".join(f"{number}. {part}" for number, part in enumerate(value, 1))
    else:
        said = json.dumps(value, ensure_ascii=False, indent=1)
    return plain(said if len(said) <= SHOWN else f"{said[:SHOWN]}… ({len(said):,} characters)")


def size(outputs: Mapping[str, Any]) -> int:
    """How many characters of text they are."""
    return sum(len(value) if isinstance(value, str) else _size_of(value) for value in outputs.values())


def _size_of(value: Any) -> int:
    return sum(len(part) for part in value if isinstance(part, str)) if isinstance(value, list) else 0
