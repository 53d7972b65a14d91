"""A chain as a graph in plain JSON, for a front end that draws it: every step with its place in the YAML, its words, and where it stands, laid out as the drawing is.

A sound chain is drawn from its plan. While it is broken it is drawn from its plain value, as well as that goes, so that every step can be seen and mended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_nb.chains.boxes import Box, Inside, Measure
from orchestrator_nb.chains.chain import Ask, Block, Each, OnError, Parallel, Propose, Python, Repeat, Step, Switch, Use
from orchestrator_nb.chains.drawing import Drawing, draw
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.labels import clean
from orchestrator_nb.chains.load import CELL, Reading, read
from orchestrator_nb.chains.planning import ANYWHERE, Plan, all_problems, planned
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.scene import Arrow, Part, Space, scene
from orchestrator_nb.chains.spots import Spot, spots
from orchestrator_nb.chains.world import World
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.config.yaml import read as read_yaml
from orchestrator_nb.errors import ConfigError

_FREE: Final = "…"


@dataclass(frozen=True, slots=True)
class Told:
    """A problem, and the place of its step or key in the chain's value, where it has one."""

    problem: Problem
    place: Place | None

    def message(self) -> dict[str, Any]:
        """As JSON."""
        one = self.problem
        told = {"line": one.line, "column": one.column, "step": one.step or None, "key": one.key or None}
        return {**told, "place": None if self.place is None else list(self.place), "message": one.message}


@dataclass(frozen=True)
class Sheet:
    """One state of a chain's text, looked at: its plain ``value``, its problems, and its plan where it has one."""

    value: Any
    problems: tuple[Told, ...]
    reading: Reading
    plan: Plan | None

    @classmethod
    def of(cls, text: str, *, name: str, root: Place = (), world: World = ANYWHERE, file: str = CELL) -> Sheet:
        """By the text; ``root`` is the chain's place in it."""
        reading = read(text, file=file, name=name)
        document = _document(text, file)
        value = _value(text, document, root)
        made = planned(reading.chain, world)[0] if reading.chain else None
        found = all_problems(reading, world)
        places = {spot.path: spot.place for spot in spots(value)}
        return cls(value, tuple(Told(one, _place_of(one, document, root, places)) for one in found), reading, made)

    def graph(self) -> dict[str, Any]:
        """The steps with their sizes and places, and the arrows between them."""
        steps = {spot.place: spot for spot in spots(self.value)}
        drawn = _planned_space(self.plan, steps) or _rough(steps)
        inside = Measure().inside(drawn)
        counts = Counter(_step_of(told.place, steps) for told in self.problems)
        nodes = list(_nodes(inside, None, 0.0, 0.0, steps, counts))
        return {"width": inside.laid.width, "height": inside.laid.height, "nodes": nodes, "edges": list(_edges(inside))}

    def drawing(self, title: str = "") -> Drawing | None:
        """The picture that needs nobody, where there is a plan to draw."""
        if self.plan is None or any(graph.cycle() for graph in _graphs(self.plan)):
            return None
        return draw(self.plan, title=title)


def _document(text: str, file: str) -> Document | None:
    try:
        return read_yaml(text.encode("utf-8", "surrogatepass"), file)
    except ConfigError:
        return None


def _value(text: str, document: Document | None, root: Place) -> Any:
    from orchestrator_nb.chains.editing import Refused, value_in

    try:
        return value_in(text, root)
    except Refused:
        return document.value if document and not root else None


def _graphs(plan: Plan) -> Iterator[Graph]:
    yield plan.graph
    for node in plan.nodes:
        yield from node.inside.values()


# Problems


def _place_of(problem: Problem, document: Document | None, root: Place, places: Mapping[str, Place]) -> Place | None:
    found = _at_line(problem, document, root) if document and document.value else None
    return places.get(problem.step) if found is None else found


def _at_line(problem: Problem, document: Document, root: Place) -> Place | None:
    """What begins just there, or the text of several lines that the line is in."""
    here = [
        place
        for place, line in document.lines.items()
        if line == problem.line and document.columns.get(place) == problem.column
    ]
    if not here:
        blocks = [(line, place) for place, line in document.blocks.items() if line <= problem.line]
        here = [max(blocks)[1]] if blocks and problem.column == 1 and problem.line > 1 else []
    inside = [place[len(root) :] for place in here if place[: len(root)] == root]
    return max(inside, key=len, default=None)


def _step_of(place: Place | None, steps: Mapping[Place, Spot]) -> Place | None:
    """The innermost step around a place."""
    while place and place not in steps:
        place = place[:-1]
    return place or None


# From a plan


def _planned_space(plan: Plan | None, steps: Mapping[Place, Spot]) -> Space | None:
    """The plan's scene, if it has every step that was written."""
    if plan is None or any(graph.cycle() for graph in _graphs(plan)):
        return None
    return scene(plan) if steps.keys() <= {node.place for node in plan.nodes} else None


# From a plain value


def _rough(steps: Mapping[Place, Spot]) -> Space:
    return _space("", [spot for spot in steps.values() if spot.within is None])


def _space(name: str, found: list[Spot]) -> Space:
    parts = tuple(map(_part, found))
    arrows = tuple(Arrow(index, index + 1, "data") for index in range(len(found) - 1))
    return Space(name, parts, arrows, tuple((index,) for index in range(len(found))))


def _part(spot: Spot) -> Part:
    inside = spot.inside
    forks = any(not inner.named for inner in inside)
    spaces = (
        [_space(inner.name, [inner]) for inner in inside] if forks else [_space("", list(inside))] if inside else []
    )
    return Part(spot.path, Node(_step(spot), spot.path, spot.place), tuple(spaces))


def _step(spot: Spot) -> Step:
    """What can be told of a step that may be no step."""
    get = spot.get
    each, repeat, on_error = get("each"), get("repeat"), get("on_error")
    over = each.get("over") if isinstance(each, dict) else each
    turns = repeat.get("max") if isinstance(repeat, dict) else repeat
    until = repeat.get("until") if isinstance(repeat, dict) else None
    goto = on_error.get("goto") if isinstance(on_error, dict) else None
    return Step(
        clean(spot.name) or _FREE,
        _deed(spot),
        when=None if get("when") is None else str(get("when")),
        each=None if over is None else Each(over if isinstance(over, str | list) else str(over)),
        repeat=None
        if repeat is None
        else Repeat(turns if isinstance(turns, int) else 5, None if until is None else str(until)),
        on_error=OnError("goto", step=str(goto)) if goto else None,
        save=str(get("save")) if get("save") else None,
    )


def _deed(spot: Spot) -> Any:  # noqa: PLR0911  # one of each kind
    get, inside = spot.get, tuple(map(_step, spot.inside))
    switch, plan = get("switch"), get("plan")
    if isinstance(spot.value, list) or get("steps") is not None:
        return Block(inside)
    if get("parallel") is not None:
        return Parallel(inside)
    if switch is not None:
        return _switch(switch if isinstance(switch, dict) else {}, inside)
    if get("use") is not None:
        return Use(str(get("use")))
    if get("python") is not None:
        return Python(str(get("python")))
    if plan is not None:
        return Propose(Ask(str(plan.get("task", "") if isinstance(plan, dict) else plan)))
    said = {key: None if get(key) is None else str(get(key)) for key in ("prompt", "role", "persona")}
    return Ask(said["prompt"], said["role"], said["persona"], model=_names(get("model")))


def _switch(switch: Mapping[str, Any], inside: tuple[Step, ...]) -> Switch:
    default = inside[-1] if "default" in switch and inside else None
    cases = inside[:-1] if default else inside
    on, ask = switch.get("on"), switch.get("ask")
    return Switch(cases, str(on) if on is not None else None, None if ask is None else Ask(str(ask)), default)


def _names(given: Any) -> tuple[str, ...]:
    several = given if isinstance(given, list) else [given]
    return tuple(str(one) for one in several if one is not None)


# As JSON


def _nodes(
    inside: Inside,
    parent: str | None,
    x: float,
    y: float,
    steps: Mapping[Place, Spot],
    counts: Mapping[Place | None, int],
) -> Iterator[dict[str, Any]]:
    for box, at in zip(inside.boxes, inside.laid.at, strict=True):
        path = box.part.path
        place = box.part.node.place if "/" not in path else None  # what is in a chain in use stands in its own file
        spot = steps.get(place) if place is not None else None
        yield _node(box, parent, (x + at[0], y + at[1]), spot, counts.get(place, 0) if spot else 0)
        for inner in box.inside:
            yield from _nodes(inner, path, inner.x, inner.y, steps, counts)


def _node(box: Box, parent: str | None, at: tuple[float, float], spot: Spot | None, problems: int) -> dict[str, Any]:
    looks = {"title", "kind", "gist"}
    return {
        "path": box.part.path,
        "place": list(spot.place) if spot else None,
        "parent": parent,
        "id": box.part.node.id,
        "kind": _kind(box.part.node.step),
        "title": clean(box.part.node.id),
        "lines": [line.words for line in box.lines if line.look in looks - {"title"}],
        "marks": [line.words for line in box.lines if line.look not in looks],
        "x": round(at[0], 1),
        "y": round(at[1], 1),
        "w": round(box.width, 1),
        "h": round(box.height, 1),
        "container": bool(box.inside) or bool(spot and _slots(spot)),
        "problems": problems,
        "slots": _slots(spot) if spot else [],
    }


def _kind(step: Step) -> str:
    match step.do:
        case Ask(prompt=None):
            return "role"
        case Ask():
            return "prompt"
    kind = _KINDS[type(step.do)]
    return "repeat" if kind == "block" and step.repeat else "each" if kind == "block" and step.each else kind


_KINDS: Final[Mapping[type, str]] = {Block: "block", Parallel: "parallel", Switch: "switch", Use: "use", Python: "python", Propose: "plan"}  # fmt: skip


def _slots(spot: Spot) -> list[dict[str, Any]]:
    """Where steps can be put into a step."""
    if isinstance(spot.value, list):
        return [{"label": spot.name, "place": list(spot.place)}]
    if spot.get("steps") is not None:
        return [{"label": spot.name, "place": [*spot.place, "steps"]}]
    return [
        {"label": inner.name, "place": list(inner.place)}
        for inner in spot.inside
        if not inner.named and not isinstance(inner.value, list) and inner.get("steps") is None
    ]


def _edges(inside: Inside) -> Iterator[dict[str, str]]:
    for arrow in inside.space.arrows:
        source, target = (inside.space.parts[index].path for index in (arrow.source, arrow.target))
        yield {"source": source, "target": target, "leads": arrow.leads}
    for box in inside.boxes:
        for inner in box.inside:
            yield from _edges(inner)
