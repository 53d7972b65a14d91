"""The look of our HTML: one small style sheet, with the phrases (money, counts, seconds) that every picture shares.

Colours are JupyterLab's variables with a fallback, so that light and dark themes both work; all class names start with ``onb-``; there is no script.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator_nb.figures import count, cut, money, seconds
from orchestrator_nb.results.safe_text import NO_MATH, escape

__all__ = ["STYLE", "box", "count", "cut", "money", "row_of", "seconds", "table"]

_LINE, _FAINT = "var(--jp-border-color2,rgba(128,128,128,.35))", "var(--jp-ui-font-color2,inherit)"

STYLE: Final = (
    "<style>"  # .onb-box before each table rule: JupyterLab's own `.jp-RenderedHTMLCommon td` would win otherwise
    ".onb-box{overflow-x:auto;line-height:1.5}"
    ".onb-box .onb-table{border-collapse:collapse;margin:.3em 0 .6em;color:inherit;font-size:inherit}"
    f".onb-box .onb-table th,.onb-box .onb-table td{{border:0;border-bottom:1px solid {_LINE};padding:.45em .8em;text-align:left;"
    "vertical-align:top;max-width:34em;overflow-wrap:break-word;white-space:normal;background:none}"
    f".onb-box .onb-table thead th{{font-weight:600;color:{_FAINT};border-bottom-width:2px}}"
    ".onb-box .onb-table tbody th{font-weight:500;min-width:8em}"
    ".onb-box .onb-table .onb-number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".onb-box .onb-short{white-space:nowrap}"
    ".onb-box .onb-answer>:first-child{margin-top:0}.onb-box .onb-answer>:last-child{margin-bottom:.3em}"
    ".onb-box .onb-table ul,.onb-box .onb-table ol{margin:.2em 0;padding-left:1.4em}"
    ".onb-text{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".onb-box .onb-table .onb-clip{white-space:nowrap;max-width:11em;overflow:hidden;text-overflow:ellipsis}"
    ".onb-tail{display:flex;flex-direction:column-reverse;min-width:14em;line-height:1.4;max-height:2.8em;overflow:hidden}"
    ".onb-box .onb-table tbody th.onb-index{min-width:2em}.onb-box .onb-table .onb-state{min-width:13em}.onb-box .onb-table .onb-calls{min-width:11em}"
    ".onb-stream{max-height:8.4em;margin:.1em 0 .5em}.onb-in1{padding-left:1.2em}.onb-in2{padding-left:2.4em}.onb-in3{padding-left:3.6em}"
    ".onb-in4{padding-left:4.8em}.onb-in5{padding-left:6em}.onb-in6{padding-left:7.2em}"
    ".onb-box pre.onb-yaml{max-height:32em;overflow:auto;white-space:pre-wrap;padding:.5em .8em;margin:.3em 0}"
    f".onb-sample+.onb-sample{{border-top:1px dashed {_LINE};margin-top:.5em;padding-top:.5em}}"
    f".onb-summary,.onb-note,.onb-more{{font-size:.9em;color:{_FAINT}}}"
    ".onb-error{color:var(--jp-error-color1,#c62828)}"
    ".onb-note ul,.onb-note li{margin:.1em 0}"
    f".onb-thinking{{border-left:3px solid {_LINE};padding-left:.7em;margin:.4em 0;color:{_FAINT}}}"
    ".onb-box summary{cursor:pointer}"
    ".onb-box progress{width:20em;height:.7em;accent-color:var(--jp-brand-color1,#1976d2)}"
    "</style>"
)


def box(*inside: str, math: bool = False) -> str:
    """One output. Math is off unless the inside looks after itself: ``$0.01 … $0.02`` is money."""
    return f'<div class="onb-box{"" if math else f" {NO_MATH}"}">{STYLE}{"".join(inside)}</div>'


def row_of(cells: Iterable[str]) -> str:
    """A table row of finished cells."""
    return f"<tr>{''.join(cells)}</tr>"


def table(heads: Iterable[str], rows: Iterable[str], caption: str = "") -> str:
    """A table with column headers that screen readers announce; ``rows`` are finished."""
    head = row_of(f'<th scope="col">{escape(name)}</th>' for name in heads)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<table class="onb-table">{title}<thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
