"""A plan as a picture: one SVG that needs nothing else, and after a run says what became of each step.

It looks the same in a light and a dark notebook, because it brings its own paper, and wherever notebooks are shown, because it has no script, no style sheet, no
font and no reference of its own: only shapes, texts and their presentation attributes, which every sanitizer leaves
(https://github.com/jupyter/nbconvert/issues/1894). It says what it shows in ``<title>`` and ``<desc>``, to whoever does not see it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_nb.chains.boxes import LINE, PAD, SIZES, Box, Inside, Measure, fit, text_width, wrapped
from orchestrator_nb.chains.chain import Ask, Block, Parallel, Propose, Python, Switch, Use
from orchestrator_nb.chains.labels import State, clean, gist, given, kind, marks
from orchestrator_nb.chains.layout import Point, n
from orchestrator_nb.chains.outline import outline
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.scene import Arrow, scene

__all__ = ["Drawing", "State", "draw", "outline", "svg"]

_INK, _FAINT, _EDGE, _PAPER, _BORDER = "#1f2328", "#57606a", "#7a8490", "#ffffff", "#d0d7de"
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MARGIN: Final = 20.0
_STATES: Final = {
    "done": "#1a7f37",
    "failed": "#cf222e",
    "skipped": "#6e7781",
    "stopped": "#9a6700",
    "running": "#0969da",
}
_CRITICAL: Final = "#bc4c00"
_MARKS: Final = {"when": "#8250df", "each": "#0550ae", "repeat": "#0a6b5e"}
_GOTO: Final = "#b35900"
_FILLS: Final[Mapping[type, str]] = {Block: "#f6f8fa", Parallel: "#eef4fc", Switch: "#f6f0fc", Use: "#eef8f0"}
_STRIPES: Final[Mapping[type, str]] = {
    Ask: "#4f7cac",
    Python: "#b08a2e",
    Use: "#3c8a5a",
    Block: "#8c959f",
    Parallel: "#4f7cac",
    Switch: "#8250df",
    Propose: "#b35900",
}
_TOLD: Final = 160
"""Signs of a question that its box tells on pointing at it."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of a chain. Displays itself; ``svg`` and ``text`` are the same as strings."""

    svg: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}


def draw(plan: Plan, states: Mapping[str, State] | None = None, *, title: str = "") -> Drawing:
    """The picture and the tree of a plan; ``states`` by the steps' paths."""
    return Drawing(svg(plan, states, title=title), outline(plan, states))


def svg(plan: Plan, states: Mapping[str, State] | None = None, *, title: str = "") -> str:
    """The whole graph of a plan. ``states`` by the steps' paths; a step without one has not been reached, unless there are none at all."""
    known = states or {}
    body = Measure(known).inside(scene(plan))
    return _Painter().page(plan, body, clean(title) or clean(plan.chain.name), outline(plan, known), known)


class _Painter:
    def __init__(self) -> None:
        self._out: list[str] = []

    def page(self, plan: Plan, body: Inside, title: str, told: str, states: Mapping[str, State]) -> str:
        width = max(body.laid.width, 340.0) + 2 * _MARGIN
        heads = _heads(plan, title, width - 2 * _MARGIN)
        top = _MARGIN + LINE * 1.25 * len(heads) + 8
        legend = _legend(body, states)
        height = top + body.laid.height + _MARGIN + (LINE + 6 if legend else 0)
        self._out.append(
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{n(width)}" height="{n(height)}" viewBox="0 0 {n(width)} {n(height)}" '
            f'font-family="{html.escape(_FONT)}" font-size="11" fill="{_INK}">'
            f"<title>{_safe(f'Chain {title}')}</title><desc>{_said(told)}</desc>"
            f'<rect x=".5" y=".5" width="{n(width - 1)}" height="{n(height - 1)}" rx="8" fill="{_PAPER}" stroke="{_BORDER}"/>'
        )
        for number, (words, size, look) in enumerate(heads):
            self._text(_MARGIN, _MARGIN + 8 + number * LINE * 1.25, words, size, look)
        self._inside(body, (width - body.laid.width) / 2, top, critical=_criticals(body))
        self._legend(legend, height - _MARGIN + 3)
        return "".join([*self._out, "</svg>"])

    # Boxes

    def _inside(self, inside: Inside, x: float, y: float, critical: frozenset[Arrow]) -> None:
        for box, at in zip(inside.boxes, inside.laid.at, strict=True):
            self._box(box, x + at[0], y + at[1])
        if not inside.space.arrows:
            return
        self._out.append(f'<g transform="translate({n(x)} {n(y)})" fill="none" stroke="{_EDGE}" stroke-width="1.3">')
        for arrow, line, end in zip(inside.space.arrows, inside.laid.lines, inside.laid.ends, strict=True):
            self._arrow(inside, arrow, line, end, arrow in critical)
        self._out.append("</g>")

    def _arrow(self, inside: Inside, arrow: Arrow, line: str, end: Point, critical: bool) -> None:
        look = {"goto": f' stroke="{_GOTO}" stroke-dasharray="5 3"', "order": ' stroke-dasharray="1.5 3"'}.get(
            arrow.leads, ""
        )
        colour = _CRITICAL if critical else _GOTO if arrow.leads == "goto" else _EDGE
        if critical:
            look = f' stroke="{_CRITICAL}" stroke-width="2.2"'
        ids = [_safe(clean(inside.space.parts[index].node.id)) for index in (arrow.source, arrow.target)]
        why = {"goto": " on error", "order": " (waits only)"}.get(arrow.leads, "")
        self._out.append(f'<path d="{line}"{look}><title>{ids[0]} → {ids[1]}{why}</title></path>')
        self._out.append(f'<path d="M{n(end[0] - 4)} {n(end[1] - 7)}h8l-4 7z" fill="{colour}" stroke="none"/>')

    def _box(self, box: Box, x: float, y: float) -> None:
        step = box.part.node.step
        self._out.append(f"<g><title>{_safe(_whole(box))}</title>")
        if step.each is not None:  # a pile: many of the same
            for off in (6, 3):
                self._out.append(_rect(x + off, y + off, box.width, box.height, "#ffffff", _BORDER))
        critical = box.state is not None and box.state.critical
        dashed = (
            ' stroke-dasharray="4 3"' if step.when is not None or (box.state and box.state.outcome == "skipped") else ""
        )
        border = f'{_CRITICAL}" stroke-width="2' if critical else "#b6bec8"
        fill = _FILLS.get(type(step.do), "#ffffff") if box.inside else "#ffffff"
        self._out.append(_rect(x, y, box.width, box.height, fill, border, dashed))
        stripe = _STRIPES.get(type(step.do), "#8c959f")
        self._out.append(
            f'<path d="M{n(x + 1.5)} {n(y + 7)}v{n(box.head - 14)}" stroke="{stripe}" stroke-width="3" fill="none"/>'
        )
        self._lines(box, x, y)
        self._out.append("</g>")
        self._branches(box, x, y)
        for inside in box.inside:
            self._inside(inside, x + inside.x, y + inside.y, _criticals(inside))
        if step.repeat is not None and box.inside:
            self._loop(x + box.width, y + box.head, y + box.height)

    def _lines(self, box: Box, x: float, y: float) -> None:
        for number, line in enumerate(box.lines):
            base = y + PAD + 7 + number * LINE
            left = x + PAD
            if line.look in _MARKS:
                self._out.append(_mark(line.look, left, base))
                left += 16
            if line.look == "state":
                self._state(box, line.words, left, base)
            else:
                self._text(left, base, line.words, SIZES[line.look], line.look)

    def _state(self, box: Box, words: str, x: float, base: float) -> None:
        outcome = box.state.outcome if box.state else ""
        colour = _STATES.get(outcome, "#6e7781")
        self._out.append(_sign(outcome, x + 5, base - 4, colour))
        self._out.append(f'<text x="{n(x + 14)}" y="{n(base)}" fill="{colour}" font-weight="600">{_safe(words)}</text>')

    def _branches(self, box: Box, x: float, y: float) -> None:
        """The bar above branches, with an arrow down to each."""
        rows: dict[float, list[Inside]] = {}
        for inside in box.inside:
            if inside.fork is not None:
                rows.setdefault(inside.fork, []).append(inside)
        for fork, row in rows.items():
            middles = [x + inside.x + inside.laid.width / 2 for inside in row]
            left, right = min(middles) - 10, max(middles) + 10
            self._out.append(
                f'<path d="M{n(left)} {n(y + fork)}H{n(right)}" stroke="{_EDGE}" stroke-width="2.5" fill="none"/>'
            )
            for inside, middle in zip(row, middles, strict=True):
                self._branch(inside, middle, y + fork, y + inside.y)

    def _branch(self, inside: Inside, x: float, top: float, bottom: float) -> None:
        self._out.append(f'<path d="M{n(x)} {n(top)}V{n(bottom)}" stroke="{_EDGE}" stroke-width="1.3" fill="none"/>')
        self._out.append(f'<path d="M{n(x - 4)} {n(bottom - 7)}h8l-4 7z" fill="{_EDGE}"/>')
        if inside.label:
            words = fit(inside.label, inside.laid.width / 2 + 8, 11)
            self._text(x + 7, (top + bottom) / 2 + 3, words, 11, "case")

    def _loop(self, x: float, top: float, bottom: float) -> None:
        """Back to the beginning, beside a box whose inside is repeated."""
        colour, low, high = _MARKS["repeat"], bottom - 14, top + 6
        self._out.append(
            f'<path d="M{n(x)} {n(low)}h4q6 0 6 -6V{n(high + 6)}q0 -6 -6 -6h-2" stroke="{colour}" stroke-width="1.6" fill="none"/>'
            f'<path d="M{n(x)} {n(high)}l7 -4v8z" fill="{colour}"/>'
        )

    def _legend(self, legend: Sequence[tuple[str, str, str]], y: float) -> None:
        x = _MARGIN
        for colour, look, words in legend:
            self._out.append(f'<path d="M{n(x)} {n(y - 4)}h22" stroke="{colour}" {look} fill="none"/>')
            self._text(x + 28, y, words, 10.5, "rest")
            x += 28 + text_width(words, 10.5) + 16

    def _text(self, x: float, y: float, words: str, size: float, look: str) -> None:
        extra = _LOOKS.get(look, "")
        sized = "" if size == 11 else f' font-size="{n(size)}"'
        self._out.append(f'<text x="{n(x)}" y="{n(y)}"{sized}{extra}>{_safe(words)}</text>')


_LOOKS: Final = {
    "title": ' font-weight="600"',
    "head": ' font-weight="700"',
    "gist": f' font-style="italic" fill="{_FAINT}"',
    "rest": f' fill="{_FAINT}"',
    "case": f' font-weight="600" fill="{_MARKS["when"]}"',
    **{name: f' fill="{colour}"' for name, colour in _MARKS.items()},
}


def _heads(plan: Plan, title: str, width: float) -> list[tuple[str, float, str]]:
    chain = plan.chain
    said = [(title, 15.0, "head")]
    said += [(line, 11.0, "rest") for line in wrapped(clean(chain.description), width, 11.0, 3) if line]
    said += [(f"given: {given(chain)}", 11.0, "rest")] if chain.inputs else []
    said.append((f"gives: {', '.join(map(clean, plan.outputs))}", 11.0, "rest"))
    return [(fit(words, width, size), size, look) for words, size, look in said]


def _legend(body: Inside, states: Mapping[str, State]) -> list[tuple[str, str, str]]:
    leads = {arrow.leads for inside in _insides(body) for arrow in inside.space.arrows}
    found = [(_CRITICAL, 'stroke-width="2.2"', "critical path")] if any(s.critical for s in states.values()) else []
    found += [(_GOTO, 'stroke-dasharray="5 3"', "on error")] if "goto" in leads else []
    found += [(_EDGE, 'stroke-dasharray="1.5 3"', "waits only")] if "order" in leads else []
    return found


def _insides(inside: Inside) -> Iterator[Inside]:
    yield inside
    for box in inside.boxes:
        for inner in box.inside:
            yield from _insides(inner)


def _criticals(inside: Inside) -> frozenset[Arrow]:
    """The arrows of the critical path: to each step on it from the last one on it that it waited for."""
    on_it = {index for index, box in enumerate(inside.boxes) if box.state is not None and box.state.critical}
    wave = {index: number for number, places in enumerate(inside.space.waves) for index in places}
    last: dict[int, Arrow] = {}
    for arrow in inside.space.arrows:
        if {arrow.source, arrow.target} <= on_it:
            known = last.setdefault(arrow.target, arrow)
            last[arrow.target] = max(known, arrow, key=lambda one: wave[one.source])
    return frozenset(last.values())


def _whole(box: Box) -> str:
    """What a box tells on pointing at it: all that may have been cut."""
    step, state = box.part.node.step, box.state
    said = [clean(box.part.path), kind(step), *(words for _, words in marks(step))]
    said += [f"“{question[:_TOLD]}{'…' if len(question) > _TOLD else ''}”"] if (question := gist(step)) else []
    said += [state.words] if state else []
    said += [clean(state.why)[:300]] if state and state.why else []
    return "\n".join(part[:300] for part in said)


def _rect(x: float, y: float, width: float, height: float, fill: str, stroke: str, more: str = "") -> str:
    return f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}" rx="7" fill="{fill}" stroke="{stroke}"{more}/>'


def _mark(look: str, x: float, base: float) -> str:
    """A sign before words: a rhomb for a condition, a pile for items, a circle with an arrow for turns. Fonts that lack the signs are many."""
    colour, middle = _MARKS[look], base - 4
    match look:
        case "when":
            return f'<path d="M{n(x + 5)} {n(middle - 5)}l5 5l-5 5l-5 -5z" fill="none" stroke="{colour}" stroke-width="1.4"/>'
        case "each":
            return f'<path d="M{n(x)} {n(middle - 3.5)}h10m-10 3.5h10m-10 3.5h10" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    return (
        f'<path d="M{n(x + 8.5)} {n(middle - 2.5)}a4 4 0 1 0 .6 3.6" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<path d="M{n(x + 10.5)} {n(middle - 5)}v4.6h-4.6z" fill="{colour}"/>'
    )


def _sign(outcome: str, x: float, y: float, colour: str) -> str:
    """A sign for a state, so that it is not told by colour alone."""
    shapes = {
        "done": "m-4 0l3 3l5 -6",
        "failed": "m-3.5 -3.5l7 7m0 -7l-7 7",
        "skipped": "m-4 0h8",
        "stopped": "m-2.5 -4v8m5 -8v8",
        "running": "m-3 -4l6.5 4l-6.5 4z",
    }
    return (
        f'<path d="M{n(x)} {n(y)}{shapes.get(outcome, "m-1 0h2")}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    )


def _safe(text: str) -> str:
    return html.escape(text)


def _said(text: str) -> str:
    """The tree as a list, whose branches nobody wants to hear."""
    return _safe("\n".join(clean(line.lstrip("│├└─ ")) for line in text[:20_000].splitlines()))
