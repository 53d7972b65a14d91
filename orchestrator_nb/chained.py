"""What a chain's run tells of its steps, and the order of its calls. Values in, values out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.walk import Began, Ended, News, Unmet, Where
from orchestrator_nb.kernel.desk import Answered
from orchestrator_nb.runs import Item


class Steps:
    """Hears of steps and sums up, by row and path, what happened: all items and turns of a step together. ``now`` is the run's start on the clock."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._steps: dict[tuple[int, str], _Step] = {}
        self._unmet: Counter[tuple[str, int]] = Counter()

    def hear(self, row: int, news: News) -> None:
        """One step begins or has ended."""
        step = self._steps.setdefault((row, news.where.step), _Step())
        match news:
            case Began(at=at):
                step.begin(news.where, round(at - self._start, 6))
            case Ended(at=at):
                step.end(news, round(at - self._start, 6))
            case Unmet():
                self._unmet[news.where.step, news.turns] += 1

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of loops that ended because their turns did."""
        return tuple(
            f"{path}: the condition of its loop was not met in {turns} turn{'s' * (turns != 1)}{f' ({times:,} times)' * (times > 1)}."
            for (path, turns), times in self._unmet.items()
        )

    def told(self, plan: Plan) -> list[dict[str, Any]]:
        """In the order of the rows and of the plan."""
        order = _paths(plan)
        found = sorted(self._steps.items(), key=lambda entry: (entry[0][0], _rank(order, entry[0][1])))
        return [{"row": row, "step": path, **step.told} for (row, path), step in found]


@dataclass(slots=True)
class _Step:
    began: float | None = None
    ended: float | None = None
    times: int = 0
    outcomes: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    running: set[Where] = field(default_factory=set)
    why: str = ""

    def begin(self, where: Where, at: float) -> None:
        self.began = at if self.began is None else self.began
        self.times += 1
        self.running.add(where)

    def end(self, news: Ended, at: float) -> None:
        self.began = at if self.began is None else self.began
        self.ended = at
        self.running.discard(news.where)
        self.outcomes.add(news.outcome)
        self.needs |= news.needs
        self.why = news.why or self.why

    @property
    def told(self) -> dict[str, Any]:
        outcomes = self.outcomes | ({"stopped"} if self.running else set())
        return {
            "began": self.began, "ended": None if self.running else self.ended,
            "outcome": next((name for name in ("failed", "stopped", "done") if name in outcomes), "skipped"),
            "times": self.times, "needs": sorted(self.needs), "why": self.why,
        }  # fmt: skip


def _paths(plan: Plan, above: str = "") -> dict[str, int]:
    """The place in the plan of every step, also of the chains in use."""
    found: list[str] = []

    def walk(made: Plan, chain: str) -> None:
        for node in made.nodes:
            found.append(f"{chain}{node.path}")
            used = made.used.get(getattr(node.step.do, "chain", ""))
            if used is not None:
                walk(used, f"{chain}{node.path}/")

    walk(plan, above)
    return {path: index for index, path in enumerate(found)}


def _rank(order: Mapping[str, int], path: str) -> tuple[float, str]:
    """A step that was not planned (a model proposed it) stands behind the one that it is in."""
    known = path
    while known not in order and (cut := max(known.rfind("."), known.rfind("/"))) > 0:
        known = known[:cut]
    return order.get(known, len(order)) + (0.0 if known == path else 0.5), path if known != path else ""


_NUMBERS: Final = re.compile(r"\d+")


def in_order(done: Iterable[Answered], steps: Sequence[str]) -> list[Answered]:
    """The calls as the chain has them, whatever order they came in: row by row, step by step; inside a loop, item by item and turn by turn. ``steps`` are all paths in order."""
    order = {path: index for index, path in reversed(list(enumerate(steps)))}

    def key(answered: Answered) -> tuple[Any, ...]:
        item: Item = answered.call.item
        path = str(item.at.get("step", ""))
        first = re.split(r"[./]", path, maxsplit=1)[0]
        outer = [int(number) for number in _NUMBERS.findall(str(item.at.get("outer", "")))]
        loops = (outer, item.at.get("item", -1), item.at.get("turn", 0))
        return item.row, order.get(first, len(order)), *loops, order.get(path, len(order)), item.repeat

    return sorted(done, key=key)
