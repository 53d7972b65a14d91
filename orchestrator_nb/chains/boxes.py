"""The boxes of a drawing with their sizes: how much room the words of a step need, and what is in it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator_nb.chains.chain import Parallel, Step, Switch
from orchestrator_nb.chains.labels import State, clean, gist, kind, marks
from orchestrator_nb.chains.layout import Edge, Laid, flow, lay
from orchestrator_nb.chains.scene import Part, Space
from orchestrator_nb.figures import count

LINE: Final = 16.0
PAD: Final = 12.0
FORK: Final = 30.0
"""From the bar of a parallel or a switch down to its branches."""
_MOST: Final = {"title": 230.0, "kind": 230.0, "gist": 200.0, "state": 330.0}
"""The width to which a line may widen its box; for others `_MARKS_MOST`."""
_NARROW, _MARKS_MOST, _ROOM_MOST = 150.0, 300.0, 1_100.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of words in a box: ``look`` is title, kind, gist, when, each, repeat, rest or state."""

    words: str
    look: str


@dataclass(frozen=True, slots=True)
class Box:
    """A step, measured. ``laid`` holds the layout of each space inside, ``at`` where it stands below the box's own lines."""

    part: Part
    lines: tuple[Line, ...]
    width: float
    height: float
    state: State | None = None
    inside: tuple[Inside, ...] = ()

    @property
    def head(self) -> float:
        """The height of its own lines."""
        return 2 * PAD - 6 + LINE * len(self.lines)


@dataclass(frozen=True, slots=True)
class Inside:
    """A space in a box: its boxes, their layout, and where its upper left corner is, from that of the box. ``fork``: the bar above it, where it is a branch."""

    space: Space
    boxes: tuple[Box, ...]
    laid: Laid
    x: float = 0.0
    y: float = 0.0
    fork: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """Measures parts; ``states`` are those of a run, empty before one."""

    states: Mapping[str, State] = field(default_factory=dict)

    def inside(self, space: Space, most: float = _ROOM_MOST) -> Inside:
        """A space with everything in it."""
        boxes = tuple(self._box(part, most) for part in space.parts)
        edges = [Edge(arrow.source, arrow.target, arrow.leads == "goto") for arrow in space.arrows]
        return Inside(space, boxes, lay([(box.width, box.height) for box in boxes], space.waves, edges, most))

    def _box(self, part: Part, most: float) -> Box:
        state = self.states.get(part.path)
        lines = self._lines(part, state)
        room = max(_NARROW, most - 2 * PAD)
        width = max(_NARROW, *(min(_width(line), _MOST.get(line.look, _MARKS_MOST)) for line in lines))
        if not part.spaces:
            return Box(part, _fitted(lines, width - 2 * PAD), width, 2 * PAD - 6 + LINE * len(lines), state)
        inside = [self.inside(space, room) for space in part.spaces]
        placed, across, down = _branches(part.node.step, inside, room) if _forks(part) else _single(inside[0])
        wide = max(across + 2 * PAD, width)
        head = 2 * PAD - 6 + LINE * len(lines)
        centred = tuple(
            Inside(i.space, i.boxes, i.laid, i.x + (wide - across) / 2, i.y + head, i.fork and i.fork + head, i.label)
            for i in placed
        )
        return Box(part, _fitted(lines, wide - 2 * PAD), wide, head + down + PAD, state, centred)

    def _lines(self, part: Part, state: State | None) -> tuple[Line, ...]:
        step = part.node.step
        closed = f" ({count(part.closed, 'step')})" if part.closed else ""
        said = [Line(clean(part.node.id), "title"), Line(kind(step) + closed, "kind")]
        said += [Line(gist(step), "gist")] if gist(step) else []
        said += [Line(words, look) for look, words in marks(step)]
        if self.states:
            said.append(Line(state.words if state else "not reached", "state"))
        return tuple(said)


def _forks(part: Part) -> bool:
    return isinstance(part.node.step.do, Parallel | Switch)


def _single(inside: Inside) -> tuple[list[Inside], float, float]:
    return [inside], inside.laid.width, inside.laid.height


def _branches(step: Step, inside: list[Inside], most: float) -> tuple[list[Inside], float, float]:
    """Branches or cases beside each other below a bar, in rows where they need several."""
    rows = flow([(part.laid.width, 0.0) for part in inside], most, PAD * 1.5)
    across = max(sum(inside[i].laid.width for i in row) + PAD * 1.5 * (len(row) - 1) for row in rows)
    placed, y = list[Inside](), 0.0
    for row in rows:
        x = (across - sum(inside[i].laid.width for i in row) - PAD * 1.5 * (len(row) - 1)) / 2
        for index in row:
            one = inside[index]
            placed.append(Inside(one.space, one.boxes, one.laid, x, y + FORK, y + 4.0, _case(step, one.space.name)))
            x += one.laid.width + PAD * 1.5
        y += FORK + max(inside[i].laid.height for i in row) + PAD
    return placed, across, y - PAD


def _case(step: Step, name: str) -> str:
    if not isinstance(step.do, Switch):
        return ""
    return "otherwise" if step.do.default is not None and step.do.default.id == name else f"if {clean(name)}"


def _fitted(lines: tuple[Line, ...], width: float) -> tuple[Line, ...]:
    return tuple(
        Line(fit(line.words, width - (16 if line.look in _MARKED else 0), SIZES[line.look]), line.look)
        for line in lines
    )


_MARKED: Final = {"when", "each", "repeat", "state"}
SIZES: Final = {
    "title": 13.5,
    "kind": 11.5,
    "gist": 11.0,
    "when": 11.0,
    "each": 11.0,
    "repeat": 11.0,
    "rest": 10.5,
    "state": 11.8,
}
"""The size of the letters of each look, in pixels; for bold ones rather more, as they are wider."""


def _width(line: Line) -> float:
    return text_width(line.words[:200], SIZES[line.look]) + 2 * PAD + 16


def text_width(words: str, size: float) -> float:
    """About how wide a text is, rather too wide than too narrow: every viewer has other fonts."""
    return size * sum(map(_sign, words))


def _sign(sign: str) -> float:
    if sign in "ijl.,:;'|!() ":
        return 0.36
    if sign.isascii():
        return 0.7 if sign.isupper() or sign in "mw@%" else 0.63 if sign.isdigit() else 0.58
    return 1.05 if unicodedata.east_asian_width(sign) in "WF" else 0.75


def wrapped(words: str, width: float, size: float, most: int) -> list[str]:
    """A text in at most so many lines, the last one cut where it goes on."""
    lines, now = list[str](), ""
    for word in words.split():
        longer = f"{now} {word}".lstrip()
        if now and text_width(longer, size) > width and len(lines) < most - 1:
            lines.append(now)
            now = word
        else:
            now = longer
    return [fit(line, width, size) for line in (*lines, now)]


def fit(words: str, width: float, size: float) -> str:
    """The beginning that fits, with an ellipsis where it goes on."""
    room = width / size + 0.01  # what was measured fits
    for index, sign in enumerate(words):
        room -= _sign(sign)
        if room < 0:
            return f"{words[: max(index - 2, 0)].rstrip()}…"
    return words
