"""A plan as what a picture shows: parts, the spaces inside them, and the arrows between. A chain in use is opened, as long as the picture stays in bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator_nb.chains.chain import Use
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.wants import saves_in

OPENED: Final = 200
"""Steps of chains in use that a picture shows; beyond, such a step stays closed. (Eight deep they could be more than memory holds.)"""

Leads = Literal["data", "goto", "order"]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a step to one that waits for it, by their places in the space: for its value, because a ``goto`` leads there, or only because a ``goto`` could pass over it."""

    source: int
    target: int
    leads: Leads


@dataclass(frozen=True, slots=True)
class Space:
    """One room: its parts in the chain's order, in ``waves`` (places of parts) of those that may run at the same time. ``name`` is a branch's or a case's."""

    name: str
    parts: tuple[Part, ...]
    arrows: tuple[Arrow, ...]
    waves: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A step. ``path`` is its own in a run: ``short/draft`` is in the chain that ``short`` uses. ``closed``: so many steps in it are not shown."""

    path: str
    node: Node
    spaces: tuple[Space, ...] = ()
    closed: int = 0


def scene(plan: Plan) -> Space:
    """The whole plan."""
    return _Opening().space("", plan.graph, plan, "")


class _Opening:
    def __init__(self) -> None:
        self._left = OPENED

    def space(self, name: str, graph: Graph, plan: Plan, chain: str) -> Space:
        places = {node.id: index for index, node in enumerate(graph.nodes)}
        return Space(
            name,
            tuple(self._part(node, plan, chain) for node in graph.nodes),
            tuple(arrow for node in graph.nodes for arrow in _arrows(node, graph, places)),
            tuple(tuple(places[node.id] for node in wave) for wave in graph.waves()),
        )

    def _part(self, node: Node, plan: Plan, chain: str) -> Part:
        path = f"{chain}{node.path}"
        spaces = tuple(self.space(name, graph, plan, chain) for name, graph in node.inside.items())
        if not isinstance(node.step.do, Use) or (made := plan.used.get(node.step.do.chain)) is None:
            return Part(path, node, spaces)
        if (size := len(made.nodes)) > self._left:
            return Part(path, node, closed=size)
        self._left -= size
        return Part(path, node, (self.space("", made.graph, made, f"{path}/"),))


def _arrows(node: Node, graph: Graph, places: dict[str, int]) -> Iterator[Arrow]:
    for name in sorted(node.needs & places.keys(), key=places.__getitem__):
        data = name in node.given_by or name in node.reads or not node.reads.isdisjoint(saves_in(graph[name].step))
        if data:
            yield Arrow(places[name], places[node.id], "data")
        if name in node.errors_of:
            yield Arrow(places[name], places[node.id], "goto")
        elif not data:
            yield Arrow(places[name], places[node.id], "order")


def walk(space: Space) -> Iterator[Part]:
    """Every part, each before what is in it."""
    for part in space.parts:
        yield part
        for inner in part.spaces:
            yield from walk(inner)
