"""How often steps ask: the most that can be told before they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator_nb.chains.chain import Ask, Step, Switch, inner
from orchestrator_nb.chains.expressions import Expression
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.work import ExpressionError


def most_calls(plan: Plan, names: Mapping[str, Any], unknown: int = 1) -> int:
    """The most calls that a plan makes where ``names`` are known; a list that only the run will know counts as ``unknown`` items."""
    count = _Count(names, unknown)
    return sum(count.most(node.step) for node in plan.graph.nodes)


@dataclass(frozen=True, slots=True)
class _Count:
    names: Mapping[str, Any]
    unknown: int

    def most(self, step: Step) -> int:
        turns = step.repeat.max if step.repeat else 1
        tries = 1 + (step.retry.times if step.retry else 0)
        return self._items(step) * turns * tries * self._once(step)

    def _once(self, step: Step) -> int:
        rooms = [sum(self.most(part) for part in steps) for _, steps in inner(step)]
        match step.do:
            case Ask() as ask:
                return _asked(ask)
            case Switch(ask=ask):
                return (_asked(ask) if ask else 0) + max(rooms)
        return sum(rooms)

    def _items(self, step: Step) -> int:
        if step.each is None:
            return 1
        over = step.each.over if isinstance(step.each.over, list) else _known(step.each.over, self.names)
        return len(over) if isinstance(over, list) else self.unknown


def _asked(ask: Ask) -> int:
    return max(len(ask.model), 1) * (ask.samples or 1) * (1 + len(ask.fallback))


def _known(text: str, names: Mapping[str, Any]) -> Any:
    try:
        expression = Expression.of(text)
        return expression.value(names) if expression.names <= names.keys() else None
    except (ExpressionError, RecursionError):
        return None
