"""How many questions a plan asks, at least and at most, before any is asked: as far as its inputs tell. Pure.

Failures are left out: what is tried again, a fallback, and a step that a ``goto`` skips are not foreseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator_nb.chains.chain import REQUIRED, Ask, Block, Parallel, Python, Step, Switch, Use
from orchestrator_nb.chains.expressions import Expression, Template, templates
from orchestrator_nb.chains.expressions import filled as filled_in
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.work import ExpressionError

_NOBODY_KNOWS: Final = object()
Known = Mapping[str, Any]
"""The values that are known before anything is asked."""


@dataclass(frozen=True, slots=True)
class Count:
    """Questions: ``least`` and ``most`` (``None``: nobody can say), and by model (``None``: that of steps that name none) how many at most are known."""

    least: int = 0
    most: int | None = 0
    models: Counter[str | None] = field(default_factory=Counter)

    def __add__(self, other: Count) -> Count:
        most = None if self.most is None or other.most is None else self.most + other.most
        return Count(self.least + other.least, most, self.models + other.models)

    def times(self, least: int, most: int | None) -> Count:
        """So many times."""
        top = None if most is None or self.most is None else self.most * most
        top = 0 if self.most == 0 or most == 0 else top
        scale = most if most is not None else max(least, 1)
        return Count(self.least * least, top, Counter({name: number * scale for name, number in self.models.items()}))

    @property
    def sure(self) -> int:
        """As many as may be counted on: the most, or the least where that is not known."""
        return self.least if self.most is None else self.most

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least:,}; how many in all depends on the answers"
        return f"{self.most:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"


def count(plan: Plan, given: Mapping[str, Any]) -> Count:
    """The questions of one run with these inputs."""
    return _room(plan.graph, _known(plan, given), plan)


def by_step(plan: Plan, given: Mapping[str, Any]) -> dict[str, Count]:
    """The same for each step of the chain itself, by its id."""
    known = _known(plan, given)
    return {node.id: _node(node, known, plan) for node in plan.graph.nodes}


def _known(plan: Plan, given: Mapping[str, Any]) -> Known:
    """The inputs, without those that a step hides by its name."""
    hidden = {name for node in plan.nodes for name in (node.id, node.step.save)}
    defaults = {item.name: item.default for item in plan.chain.inputs if item.default is not REQUIRED}
    return {name: value for name, value in {**defaults, **given}.items() if name not in hidden}


def depends_on_inputs(plan: Plan) -> bool:
    """Whether different inputs may make different numbers of questions."""
    plans = [plan, *(_all_used(plan).values())]
    return any(node.step.each is not None for made in plans for node in made.nodes)


def _all_used(plan: Plan) -> dict[str, Plan]:
    found = dict(plan.used)
    for inner in plan.used.values():
        found |= _all_used(inner)
    return found


def _room(graph: Graph, known: Known, plan: Plan) -> Count:
    return sum((_node(node, known, plan) for node in graph.nodes), Count())


def _node(node: Node, known: Known, plan: Plan) -> Count:
    step = node.step
    if node.given_by or not node.from_outside or "." in node.path:
        known = {name: value for name, value in known.items() if name != "input"}  # which is another's value here
    inside = {step.each.name, "index"} if step.each else set[str]()
    found = _deed(node, {name: value for name, value in known.items() if name not in inside}, plan)
    if step.repeat:
        found = found.times(1 if step.repeat.until is not None else step.repeat.max, step.repeat.max)
    if step.each is not None:
        items = _items(step, known)
        found = found.times(items or 0, items)
    if step.when is not None:
        found = found.times(0, 1)
    return found


def _deed(node: Node, known: Known, plan: Plan) -> Count:
    match node.step.do:
        case Ask() as ask:
            return _asking(ask)
        case Block() | Parallel():
            return sum((_room(graph, known, plan) for graph in node.inside.values()), Count())
        case Switch() as switch:
            return _switch(switch, node, known, plan)
        case Use() as use:
            return _use(use, known, plan)
        case Python():
            return Count()
        case other:
            return _proposed(other)


def _asking(ask: Ask) -> Count:
    samples = ask.samples or 1
    models = Counter[str | None](dict.fromkeys(ask.model or (None,), samples))
    return Count(models.total(), models.total(), models)


def _switch(switch: Switch, node: Node, known: Known, plan: Plan) -> Count:
    first = _asking(switch.ask) if switch.ask else Count()
    branches = [_room(graph, known, plan) for graph in node.inside.values()]
    if switch.default is None:
        branches.append(Count())
    most = None if any(branch.most is None for branch in branches) else max(branch.most or 0 for branch in branches)
    models = Counter[str | None]()
    for branch in branches:
        models |= branch.models
    return first + Count(min(branch.least for branch in branches), most, models)


def _use(use: Use, known: Known, plan: Plan) -> Count:
    inner = plan.used.get(use.chain)
    if inner is None:
        return Count(0, None)
    given = {name: found for name, value in use.given.items() if (found := _value(value, known)) is not _NOBODY_KNOWS}
    unknown = use.given.keys() - given.keys()
    names = _known(inner, given)
    return _room(inner.graph, {name: value for name, value in names.items() if name not in unknown}, inner)


def _proposed(deed: Any) -> Count:
    """A model proposes steps: how many there will be is not known, how many there may be is."""
    first = _asking(deed.ask)
    most = deed.max_calls + 1 + deed.repair
    return Count(first.least, most, first.models)


def _items(step: Step, known: Known) -> int | None:
    """How many items there are, where that can be told."""
    assert step.each is not None  # noqa: S101  # asked just before
    over = step.each.over
    if isinstance(over, list):
        return len(over)
    try:
        expression = Expression.of(over)
        value = expression.value(known) if expression.names <= known.keys() else None
    except ExpressionError:
        return None
    return len(value) if isinstance(value, list) else None


def _value(value: Any, known: Known) -> Any:
    try:
        names: Iterable[str] = {name for text in templates(value) for name in Template.of(text).names}
        return filled_in(value, known) if set(names) <= known.keys() else _NOBODY_KNOWS
    except ExpressionError:
        return _NOBODY_KNOWS
