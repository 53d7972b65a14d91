"""The look of our HTML: one small style sheet, and the few phrases (money, counts, seconds) that every picture shares.

Colours are JupyterLab's variables with a fallback, so that light and dark themes both work; all class names start with ``onb-``; there is no script.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator_nb.results.safe_text import NO_MATH, escape

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


def count(number: int, noun: str) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(usd: float) -> str:
    """USD with as many digits as it needs."""
    if usd == 0:
        return "$0"
    if usd < 0.000001:
        return "< $0.000001"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.001 else f"${usd:.6f}"


def seconds(value: float) -> str:
    """``0.42 s``, ``4.1 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def cut(text: str, most: int) -> str:
    """The beginning of a text, with an ellipsis where it goes on."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
