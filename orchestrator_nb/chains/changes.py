"""What a change of a chain makes undone: the steps that differ, and those that wait for them. Finished answers of all others hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator_nb.chains.chain import Use
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.planning import Plan


@dataclass(frozen=True, slots=True)
class _Touched:
    """What is another than before: names of values, and names of chains in use."""

    names: frozenset[str]
    chains: frozenset[str]

    def __contains__(self, node: Node) -> bool:
        return bool(node.reads & self.names) or (isinstance(node.step.do, Use) and node.step.do.chain in self.chains)

    def __or__(self, names: frozenset[str]) -> _Touched:
        return _Touched(self.names | names, self.chains)


def changed(old: Plan, new: Plan) -> frozenset[str]:
    """The paths of ``new`` that must run again after ``old``; a step in which something changed is among them itself, with those of its parts that are concerned."""
    before, after = ({item.name: item for item in made.chain.inputs} for made in (old, new))
    names = frozenset(name for name in after if before.get(name) != after[name])
    chains = frozenset(
        name for name, made in new.used.items() if name not in old.used or made.chain != old.used[name].chain
    )
    return _room(old.graph, new.graph, _Touched(names, chains))


def _room(old: Graph | None, new: Graph, touched: _Touched) -> frozenset[str]:
    before: Mapping[str, Node] = {node.id: node for node in old.nodes} if old else {}
    again = new.dependants(
        {node.id for node in new.nodes if _differs(before.get(node.id), node) or _touches(node, touched)}
    )
    found = set[str]()
    for node in new.ordered():
        if node.id in again:
            found.add(node.path)
            found |= _within(before.get(node.id), node, touched | again)
    return frozenset(found)


def _touches(node: Node, touched: _Touched) -> bool:
    return node in touched or any(part in touched for graph in node.inside.values() for part in graph.walk())


def _differs(before: Node | None, now: Node) -> bool:
    return before is None or before.step != now.step or before.given_by != now.given_by or before.needs != now.needs


def _within(before: Node | None, now: Node, touched: _Touched) -> set[str]:
    """What must run again inside a step: everything, unless only a part of it changed and its input did not. A turn depends on the turn before it."""
    fresh = (
        before is None or bool(now.needs & touched.names) or _own(before) != _own(now) or now.step.repeat is not None
    )
    found = set[str]()
    for name, graph in now.inside.items():
        if fresh or before is None:
            found |= {part.path for part in graph.walk()}
        else:
            found |= _room(before.inside.get(name), graph, touched)
    return found


def _own(node: Node) -> tuple[object, ...]:
    """What a step says beside what is in it."""
    step = node.step
    return step.input, step.when, step.each, step.repeat, sorted(node.inside)
