"""What waits for what: the steps of one room with the ids they need. Values only; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from orchestrator_nb.chains.chain import Step
from orchestrator_nb.config.yaml import Place


@dataclass(frozen=True, slots=True)
class Node:
    """A step in its place.

    ``needs`` are the ids, in the same room, that must have ended (well, skipped or failed) before it begins. Its input, where it takes one, is the value
    of the first of ``given_by`` that was not skipped, and else, with ``from_outside``, the input of the room. ``skipped_by``: the steps whose failure
    skips it with a ``goto``. ``errors_of``: the steps whose failure leads to it. ``reads`` are the names from around the step that it or what is in it uses.
    """

    step: Step
    path: str
    place: Place
    needs: frozenset[str] = frozenset()
    given_by: tuple[str, ...] = ()
    from_outside: bool = False
    takes_input: bool = False
    skipped_by: frozenset[str] = frozenset()
    errors_of: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    inside: Mapping[str, Graph] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The step's id."""
        return self.step.id


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of one room, in the order of the chain."""

    nodes: tuple[Node, ...] = ()

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.id == name)

    def under(self, path: str) -> Graph:
        """The same steps as parts of the step at ``path``."""
        nodes = [replace(node, path=f"{path}.{node.path}", inside={name: graph.under(path) for name, graph in node.inside.items()}) for node in self.nodes]  # fmt: skip
        return Graph(tuple(nodes))

    def waves(self) -> tuple[tuple[Node, ...], ...]:
        """The steps by the time at which each could begin if all took equally long; those of one wave may run at the same time."""
        sorter, order = self._sorter(), {node.id: index for index, node in enumerate(self.nodes)}
        with suppress(CycleError):  # then those that do not wait for the circle
            sorter.prepare()
        found: list[tuple[Node, ...]] = []
        while wave := sorter.get_ready():
            found.append(tuple(self.nodes[index] for index in sorted(order[name] for name in wave)))
            sorter.done(*wave)
        return tuple(found)

    def _sorter(self) -> TopologicalSorter[str]:
        return TopologicalSorter({node.id: sorted(node.needs) for node in self.nodes})

    def dependants(self, names: Collection[str]) -> frozenset[str]:
        """These steps of the room and all that wait for them, directly or not."""
        found = set(names)
        for wave in self.waves():
            found |= {node.id for node in wave if node.needs & found}
        return frozenset(found)

    def ordered(self) -> tuple[Node, ...]:
        """The steps, each behind those that it needs."""
        return tuple(node for wave in self.waves() for node in wave)

    def cycle(self) -> tuple[str, ...]:
        """Steps that wait for each other in a circle, the first again at the end; empty when there is none."""
        try:
            self._sorter().prepare()
        except CycleError as error:
            return tuple(reversed(error.args[1]))
        return ()

    def walk(self) -> tuple[Node, ...]:
        """Every step, also inside others, each before what is in it."""
        return tuple(
            found
            for node in self.nodes
            for found in (node, *(part for graph in node.inside.values() for part in graph.walk()))
        )
