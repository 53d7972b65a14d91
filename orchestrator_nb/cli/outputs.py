"""Whether two outputs of a cell are the same, and how they differ.

What may differ is on this list and nowhere else: memory addresses, our run ids, the simulator's port, seconds in our own displays, and the lines of ours that say where
answers came from or will come from (a dry run's table and the line above a large grid), for a notebook saved while it was recorded says "live" there, and its replay
"replayed". Widgets do not count, for a program that runs a notebook shows none, nor what hides their places. All else counts, a column that a cell prints too.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.canonical import canonical

MOST_LINES: Final = 12
"""Of a difference that is shown."""
_WIDTH: Final = 160
_PASSING: Final = (
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "0x…"),
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b"), "RUN"),
    (re.compile(r"\bhttp://127\.0\.0\.1:\d+"), "http://127.0.0.1:…"),
    (re.compile(r"^source(:| {3}) .*$", re.MULTILINE), "source: …"),
    (re.compile(r"^estimate: [\d,]+ calls: .*\n?", re.MULTILINE), ""),
)
_WORD: Final = r"(?:[\d,]+ )?(?:live|cached|replayed(?: \([\w ,]+\))?|simulated|failed|cancelled|skipped)"
_SUMMARY: Final = re.compile(
    rf"^([\d,]+ calls?: |\S+ · )({_WORD}(?:, {_WORD})*)( · [\d,]+ tokens?(?: \([\d,]+ unknown\))?)?(?: · [^\n<]*)?$",
    re.MULTILINE,
)
_FAILURE: Final = re.compile(r"(?:[\d,]+ )?(?:failed|cancelled|skipped)")
_IN_HTML: Final = re.compile(r'(<div class="onb-summary"[^>]*>)([^<]*)')
_SECONDS: Final = re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min|h)\b")
_OURS: Final = 'class="onb-'
_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
_BEFORE_A_WIDGET: Final = re.compile(r'<span class="onb-before-view"><style>[^<]*</style></span>')
_BESIDE_A_WIDGET: Final = '<span class="onb-beside">'
_ESTIMATE: Final = '<div class="onb-summary onb-estimate"'


def settled(outputs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each output as a name and a text, without what may differ. Text that arrived in several pieces is one."""
    joined: list[tuple[str, str]] = []
    for name, text in _texts(outputs):
        if joined and joined[-1][0] == name and name in {"stdout", "stderr"}:
            joined[-1] = name, joined[-1][1] + text
        else:
            joined.append((name, text))
    return [(name, told) for name, text in joined if (told := _settled(text)) or not text]


def _texts(outputs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for output in outputs:
        if output["output_type"] == "stream":
            yield str(output["name"]), _joined(output["text"])
        elif output["output_type"] == "error":
            yield "error", f"{output['ename']}: {output['evalue']}"
        elif not _is_beside(output["data"]):
            ours = _OURS in _joined(output["data"].get("text/html", ""))
            yield from ((name, _shown(name, data, ours)) for name, data in sorted(output["data"].items()))


def _is_beside(data: Mapping[str, Any]) -> bool:
    """Whether this output says nothing by itself."""
    html = _joined(data.get("text/html", ""))
    return _WIDGET in data or any(sign in html for sign in (_ESTIMATE, _BESIDE_A_WIDGET))


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def _shown(name: str, data: Any, ours: bool) -> str:
    if not isinstance(data, str | list):
        return canonical(data)
    text = _BEFORE_A_WIDGET.sub("", _joined(data)) if ours else _joined(data)
    if (
        not name.startswith(("text/", "image/svg")) and len(text) > _WIDTH
    ):  # a picture: whether it is the same is all there is to say
        return f"{len(text):,} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return _SECONDS.sub("… s", text) if ours else text


def _settled(text: str) -> str:
    for pattern, instead in _PASSING:
        text = pattern.sub(instead, text)
    return _IN_HTML.sub(lambda found: found[1] + _SUMMARY.sub(_counts, found[2]), _SUMMARY.sub(_counts, text))


def _counts(summary: re.Match[str]) -> str:
    """What of our line below a run must be the same: how many calls, failures and tokens."""
    return "".join([summary[1], ", ".join(_FAILURE.findall(summary[2])) or "answered", summary[3] or ""])


def difference(saved: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines that differ, a few of them; nothing when the outputs are the same."""
    old, new = settled(saved), settled(fresh)
    if old == new:
        return []
    shown = _plainest(old, new)
    lines = [
        line for line in difflib.unified_diff(*shown, lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))
    ]
    cut = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…" for line in lines[:MOST_LINES]]
    return cut + ([f"… {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else [])


def _plainest(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """As lines: text alone where it tells the difference, else with the HTML that no one likes to read."""
    without = [[pair for pair in pairs if pair[0] != "text/html"] for pairs in (old, new)]
    pairs = without if without[0] != without[1] else [old, new]
    return _lines(pairs[0]), _lines(pairs[1])


def _lines(outputs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {line}" for name, text in outputs for line in text.splitlines()]
