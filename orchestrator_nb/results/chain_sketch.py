"""A plan as far as a picture of its progress needs it."""

from __future__ import annotations

from functools import partial
from typing import Any

from orchestrator_nb.chains.chain import Ask, Block, Parallel, Python, Step, Switch, Use
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.results.chain_state import Sketch


def sketch(plan: Plan) -> tuple[Sketch, ...]:
    """The steps of the chain, in its order; what is in them is made when it is asked for."""
    return _room(plan.graph, _Lengths(plan), "")


def _room(graph: Graph, lengths: _Lengths, above: str) -> tuple[Sketch, ...]:
    waves = {node.id: wave for wave, nodes in enumerate(graph.waves()) for node in nodes}
    return tuple(_one(node, waves[node.id], lengths, above) for node in graph.nodes)


def _one(node: Node, wave: int, lengths: _Lengths, above: str) -> Sketch:
    step, path = node.step, f"{above}{node.path}"
    return Sketch(
        id=step.id,
        path=path,
        needs=node.needs,
        wave=wave,
        maps=step.each is not None,
        turns=step.repeat.max if step.repeat else 0,
        may_end_early=step.repeat is not None and step.repeat.until is not None,
        on_error=step.on_error.act if step.on_error else "fail",
        calls=lengths.of(node),
        chooses=isinstance(step.do, Switch),
        parts=partial(_parts, node, lengths, path, above),
    )


def _parts(node: Node, lengths: _Lengths, path: str, above: str) -> tuple[Sketch, ...]:
    if isinstance(node.step.do, Use):
        inner = lengths.used(node.step.do.chain)
        return _room(inner.plan.graph, inner, f"{path}/") if inner else ()
    return tuple(part for graph in node.inside.values() for part in _room(graph, lengths, above))


class _Lengths:
    """How many calls come one after the other in each step of a plan; ``None`` where nobody can know. Each chain in use is looked at once."""

    def __init__(self, plan: Plan, known: dict[str, _Lengths] | None = None) -> None:
        self.plan = plan
        self._known = {} if known is None else known
        self._room: int | None = -1

    def used(self, name: str) -> _Lengths | None:
        """Those of a chain that this one uses."""
        if name not in self._known and name in self.plan.used:
            self._known[name] = _Lengths(self.plan.used[name], self._known)
        return self._known.get(name)

    @property
    def whole(self) -> int | None:
        """Of the whole chain."""
        if self._room == -1:
            self._room = self._longest(self.plan.graph)
        return self._room

    def of(self, node: Node) -> int | None:
        """Of one step; all turns that it may take count."""
        if node.step.each is not None:
            return None
        once = self._once(node.step, node)
        turns = node.step.repeat.max if node.step.repeat else 1
        return None if once is None else once * turns

    def _once(self, step: Step, node: Node) -> int | None:
        match step.do:
            case Ask():
                return 1
            case Python():
                return 0
            case Use(chain):
                inner = self.used(chain)
                return inner.whole if inner else None
            case Block() | Parallel() | Switch():
                longest = _most([self._longest(graph) for graph in node.inside.values()])
                return None if longest is None else longest + _asks_first(step.do)
        return None  # of a kind whose calls arise as it goes

    def _longest(self, graph: Graph) -> int | None:
        """The longest way through a room."""
        ends = dict[str, int | None]()
        for node in graph.ordered():
            own, before = self.of(node), _most([ends[name] for name in node.needs])
            ends[node.id] = None if own is None or before is None else before + own
        return _most(list(ends.values()))


def _asks_first(deed: Any) -> int:
    return isinstance(deed, Switch) and deed.ask is not None


def _most(found: list[int | None]) -> int | None:
    known = [number for number in found if number is not None]
    return max(known, default=0) if len(known) == len(found) else None
