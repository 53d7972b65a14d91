"""What a change of a chain makes undone: the steps that differ, and those that wait for them. Finished answers of all others hold."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.planning import Plan


def changed(old: Plan, new: Plan) -> frozenset[str]:
    """The paths of ``new`` that must run again after ``old``; a step in which something changed is among them itself, with those of its parts that are concerned."""
    return _room(old.graph, new.graph, frozenset(_given_otherwise(old, new)))


def _given_otherwise(old: Plan, new: Plan) -> set[str]:
    """Names from outside whose declaration is another: inputs, and chains in use."""
    before, after = ({item.name: item for item in made.chain.inputs} for made in (old, new))
    return {name for name in after if before.get(name) != after[name]}


def _room(old: Graph | None, new: Graph, touched: frozenset[str]) -> frozenset[str]:
    before: Mapping[str, Node] = {node.id: node for node in old.nodes} if old else {}
    direct = {node.id for node in new.nodes if _differs(before.get(node.id), node) or node.reads & touched}
    again = new.dependants(direct)
    found = set[str]()
    for node in new.ordered():
        if node.id in again:
            found.add(node.path)
            found |= _within(before.get(node.id), node, touched | again)
    return frozenset(found)


def _differs(before: Node | None, now: Node) -> bool:
    return before is None or before.step != now.step or before.given_by != now.given_by or before.needs != now.needs


def _within(before: Node | None, now: Node, touched: frozenset[str]) -> set[str]:
    """What must run again inside a step: everything, unless only a part of it changed and its input did not."""
    fresh = before is None or bool(now.needs & touched) or _own(before) != _own(now)
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
