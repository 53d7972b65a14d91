"""Where the boxes of one room stand and how its arrows run: rows from top to bottom, boxes above those that wait for them, long arrows in lanes beside the boxes.

Geometry alone: sizes and pairs of numbers in, coordinates out. Time grows with the boxes and arrows, so a chain of a thousand steps is drawn at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

BETWEEN: Final = 22.0
"""From box to box in a row."""
GAP: Final = 34.0
"""From row to row, without tracks."""
TRACK: Final = 7.0
"""From one horizontal piece of an arrow to the next."""
LANE: Final = 8.0
PORT: Final = 18.0
"""How far beside the middle of a box a long arrow leaves or enters it."""
ROUND: Final = 5.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Edge:
    """From box to box; ``aside`` runs on the right, the others on the left, where there is more than one row between."""

    source: int
    target: int
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Laid:
    """The upper left corner of each box, the whole size, and for each edge the drawing of its line, whose last point is ``ends``."""

    at: tuple[Point, ...]
    width: float
    height: float
    lines: tuple[str, ...]
    ends: tuple[Point, ...]


def lay(sizes: Sequence[Point], waves: Sequence[Sequence[int]], edges: Sequence[Edge], most: float) -> Laid:
    """Lays out boxes of these sizes. A wave that is wider than ``most`` takes several rows."""
    rows = _ordered(_split(sizes, waves, most), edges)
    return _Layout(sizes, rows, edges).laid()


def flow(sizes: Sequence[Point], most: float, between: float) -> list[list[int]]:
    """Boxes in rows from left to right that are no wider than ``most``, in their order."""
    rows, width = list[list[int]](), 0.0
    for index, (wide, _) in enumerate(sizes):
        if not rows or width + between + wide > most:
            rows.append([])
            width = -between
        rows[-1].append(index)
        width += between + wide
    return rows


def _split(sizes: Sequence[Point], waves: Sequence[Sequence[int]], most: float) -> list[list[int]]:
    return [
        [wave[index] for index in row]
        for wave in waves
        for row in flow([sizes[index] for index in wave], most, BETWEEN)
    ]


def _ordered(rows: list[list[int]], edges: Sequence[Edge]) -> list[list[int]]:
    """Each row sorted by where those stand that its boxes wait for; otherwise the order stays."""
    before = _by_target(edges)
    place: dict[int, float] = {}
    found = list[list[int]]()
    for row in rows:
        usual = {index: (number + 0.5) / len(row) for number, index in enumerate(row)}
        wish = {index: _mean([place[s] for s in before.get(index, ()) if s in place], usual[index]) for index in row}
        found.append(sorted(row, key=lambda index: (wish[index], usual[index])))
        place |= {index: (number + 0.5) / len(row) for number, index in enumerate(found[-1])}
    return found


def _by_target(edges: Sequence[Edge]) -> dict[int, list[int]]:
    found = dict[int, list[int]]()
    for edge in edges:
        found.setdefault(edge.target, []).append(edge.source)
    return found


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def spread(wishes: Sequence[float], widths: Sequence[float], between: float) -> list[float]:
    """The middles of boxes in a row, as near to the wished ones as their widths and order allow (least squares, by pooling neighbours that touch)."""
    offsets, total = [0.0], 0.0
    for left, right in pairwise(widths):
        total += (left + right) / 2 + between
        offsets.append(total)
    pools = list[tuple[float, int]]()  # mean of the wishes less the offsets, and how many
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, many = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, many = (mean * many + other * others) / (many + others), many + others
        pools.append((mean, many))
    starts = [mean for mean, many in pools for _ in range(many)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


@dataclass
class _Bus:
    """Long edges that share a lane: all of one source, or all to one target."""

    edges: list[int] = field(default_factory=list)
    aside: bool = False
    lane: int = 0
    gaps: set[int] = field(default_factory=set)
    tracks: dict[int, int] = field(default_factory=dict)


class _Layout:
    def __init__(self, sizes: Sequence[Point], rows: Sequence[Sequence[int]], edges: Sequence[Edge]) -> None:
        self._sizes, self._rows, self._edges = sizes, rows, edges
        self._row = {index: number for number, row in enumerate(rows) for index in row}
        self._middle = self._middles()
        self._buses = self._bused()
        self._used = self._tracked()
        self._top, self._bottom = self._heights()

    def laid(self) -> Laid:
        left, right = self._sides()
        lanes = {
            aside: 1 + max((bus.lane for bus in self._buses if bus.aside is aside), default=-1)
            for aside in (False, True)
        }
        shift = lanes[False] * LANE - left + (6.0 if lanes[False] else 0.0)
        self._middle = {index: middle + shift for index, middle in self._middle.items()}
        edge_x = (lanes[False] * LANE, right + shift + (6.0 if lanes[True] else 0.0))
        at = tuple((self._middle[i] - wide / 2, self._top[self._row[i]]) for i, (wide, _) in enumerate(self._sizes))
        points = self._points(edge_x)
        lines = tuple(
            rounded(points[number]) if number in points else curve(*self._direct(edge))
            for number, edge in enumerate(self._edges)
        )
        ends = tuple(
            points[number][-1] if number in points else self._direct(edge)[2] for number, edge in enumerate(self._edges)
        )
        return Laid(at, edge_x[1] + lanes[True] * LANE, self._bottom[-1] if self._bottom else 0.0, lines, ends)

    # Across

    def _middles(self) -> dict[int, float]:
        middle: dict[int, float] = {}
        for row in self._rows:
            widths = [self._sizes[index][0] for index in row]
            middle |= dict(zip(row, spread([0.0] * len(row), widths, BETWEEN), strict=True))
        above, below = self._neighbours()
        for rows, near in ((self._rows, above), (self._rows[::-1], below), (self._rows, above)):
            for row in rows:
                wishes = [_mean([middle[other] for other in near.get(index, ())], middle[index]) for index in row]
                middle |= dict(zip(row, spread(wishes, [self._sizes[i][0] for i in row], BETWEEN), strict=True))
        return middle

    def _neighbours(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        above, below = dict[int, list[int]](), dict[int, list[int]]()
        for edge in self._edges:
            if self._row[edge.target] - self._row[edge.source] == 1:
                above.setdefault(edge.target, []).append(edge.source)
                below.setdefault(edge.source, []).append(edge.target)
        return above, below

    def _sides(self) -> tuple[float, float]:
        if not self._middle:
            return 0.0, 0.0
        return (
            min(self._middle[i] - wide / 2 for i, (wide, _) in enumerate(self._sizes)),
            max(self._middle[i] + wide / 2 for i, (wide, _) in enumerate(self._sizes)),
        )

    # Lanes and tracks

    def _bused(self) -> list[_Bus]:
        long = [n for n, e in enumerate(self._edges) if self._row[e.target] - self._row[e.source] > 1]
        out = Counter(self._edges[n].source for n in long)
        into = Counter(self._edges[n].target for n in long)
        found: dict[tuple[bool, str, int], _Bus] = {}
        for number in long:
            edge = self._edges[number]
            gathers = into[edge.target] > out[edge.source]
            key = (edge.aside, "to" if gathers else "from", edge.target if gathers else edge.source)
            bus = found.setdefault(key, _Bus(aside=edge.aside))
            bus.edges.append(number)
            bus.gaps |= {self._row[edge.source], self._row[edge.target] - 1}
        return _in_lanes(list(found.values()))

    def _tracked(self) -> Mapping[int, int]:
        """How many tracks each gap needs; gap 0 is below row 0."""
        used = Counter[int]()
        for bus in self._buses:
            for gap in sorted(bus.gaps):
                bus.tracks[gap] = used[gap]
                used[gap] += 1
        return used

    def _heights(self) -> tuple[list[float], list[float]]:
        top, bottom, now = list[float](), list[float](), 0.0
        for number, row in enumerate(self._rows):
            top.append(now)
            bottom.append(now + max(self._sizes[index][1] for index in row))
            now = bottom[-1] + GAP + TRACK * self._used.get(number, 0)
        return top, bottom

    # Lines

    def _points(self, edge_x: Point) -> dict[int, list[Point]]:
        """The corners of each long edge."""
        found = dict[int, list[Point]]()
        for bus in self._buses:
            lane = edge_x[1] + (bus.lane + 0.5) * LANE if bus.aside else edge_x[0] - (bus.lane + 0.5) * LANE
            for number in bus.edges:
                found[number] = list(self._corners(self._edges[number], bus, lane))
        return found

    def _corners(self, edge: Edge, bus: _Bus, lane: float) -> Iterator[Point]:
        first, last = self._row[edge.source], self._row[edge.target] - 1
        start, end = self._port(edge.source, bus.aside), self._port(edge.target, bus.aside)
        high, low = self._track(first, bus), self._track(last, bus)
        yield start, self._top[first] + self._sizes[edge.source][1]
        yield from ((start, high), (lane, high), (lane, low), (end, low))
        yield end, self._top[last + 1]

    def _track(self, gap: int, bus: _Bus) -> float:
        return self._bottom[gap] + 12.0 + TRACK * bus.tracks[gap]

    def _port(self, index: int, aside: bool) -> float:
        return self._middle[index] + min(PORT, self._sizes[index][0] / 4) * (1 if aside else -1)

    def _direct(self, edge: Edge) -> tuple[Point, Point, Point]:
        """From the bottom of a box to the top of one in the next row: where it starts, where it may bend, where it ends."""
        shift = PORT if edge.aside else 0.0
        row = self._row[edge.source]
        start, end = self._middle[edge.source] + shift, self._middle[edge.target] + shift
        low = self._top[row] + self._sizes[edge.source][1]
        return (start, low), (start, self._bottom[row]), (end, self._top[row + 1])


def _in_lanes(buses: list[_Bus]) -> list[_Bus]:
    """Each in the first lane that is free along its way; short ways stand nearest to the boxes."""
    taken: dict[tuple[bool, int], list[tuple[int, int]]] = {}
    for bus in sorted(buses, key=lambda bus: (max(bus.gaps) - min(bus.gaps), min(bus.gaps))):
        first, last = min(bus.gaps), max(bus.gaps)
        while any(first <= end and start <= last for start, end in taken.get((bus.aside, bus.lane), ())):
            bus.lane += 1
        taken.setdefault((bus.aside, bus.lane), []).append((first, last))
    return buses


def curve(start: Point, bend: Point, end: Point) -> str:
    """Straight down to ``bend``, then in a soft curve to ``end``."""
    half = (end[1] - bend[1]) / 2
    if abs(start[0] - end[0]) < 1:
        return f"M{n(start[0])} {n(start[1])}V{n(end[1])}"
    down = f"V{n(bend[1])}" if bend[1] - start[1] > 1 else ""
    return f"M{n(start[0])} {n(start[1])}{down}C{n(bend[0])} {n(bend[1] + half)} {n(end[0])} {n(end[1] - half)} {n(end[0])} {n(end[1])}"


def rounded(points: Sequence[Point]) -> str:
    """A way along horizontal and vertical pieces, its corners rounded."""
    said = [f"M{n(points[0][0])} {n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(corner, before), _towards(corner, after)
        said.append(f"L{n(near[0])} {n(near[1])}Q{n(corner[0])} {n(corner[1])} {n(far[0])} {n(far[1])}")
    return "".join([*said, f"L{n(points[-1][0])} {n(points[-1][1])}"])


def _towards(corner: Point, other: Point) -> Point:
    across, down = other[0] - corner[0], other[1] - corner[1]
    length = abs(across) + abs(down)
    part = min(ROUND, length / 2) / length if length else 0.0
    return corner[0] + across * part, corner[1] + down * part


def n(number: float) -> str:
    """A coordinate in as few signs as it needs."""
    return f"{number:.1f}".removesuffix(".0")
