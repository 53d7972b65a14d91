"""What each step of a chain took: calls, time, tokens and money, with the steps inside it; and which steps decided when the run ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from orchestrator_nb.chains.profile import Span, critical_path, least_s, shares, wall_s
from orchestrator_nb.errors import UserError
from orchestrator_nb.results.chain_told import ChainTold, StepTold

_WORST: Final = ("failed", "stopped", "running", "done", "skipped")
_SUMS: Final = ("calls", "input_tokens", "output_tokens", "cost_usd", "model_s", "waiting_s")


def parent(path: str) -> str:
    """The step that a step is in; "" for one of the chain itself."""
    return path[: max(path.rfind("."), path.rfind("/"), 0)]


def _beside(path: str, name: str) -> str:
    """The path of the step ``name`` in the same room."""
    return f"{path[: max(path.rfind('.'), path.rfind('/')) + 1]}{name}"


def above(path: str) -> Iterator[str]:
    """The step and those that it is in."""
    while path:
        yield path
        path = parent(path)


@dataclass(frozen=True)
class Figures:
    """A chain's run in figures; ``frame`` has the calls, all of them or what a filter left."""

    told: ChainTold
    frame: pd.DataFrame

    @cached_property
    def _parts(self) -> Mapping[str, frozenset[str]]:
        """Every planned step with those it waits for, in the order of the plan; nothing where the chain cannot be planned again."""
        from orchestrator_nb.chains.scene import scene, walk

        try:
            root = scene(self.told.plan)
        except UserError:
            return {}
        return {part.path: frozenset(_beside(part.path, name) for name in part.node.needs) for part in walk(root)}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Every step, in the order of the plan; proposed ones behind the step that they were proposed for. Without a plan, as they were told."""
        return _merged(list(self._parts), [step.step for step in self.told.steps])

    @cached_property
    def sums(self) -> Mapping[str, Mapping[str, float]]:
        """By step, what its calls took together, also those of the steps in it."""
        found: dict[str, dict[str, float]] = {}
        for path, own in _by_step(self._calls).items():
            for name in above(path):
                found[name] = _added(found[name], own) if name in found else dict(own)
        return found

    @cached_property
    def outcomes(self) -> Mapping[str, StepTold]:
        """By step, all rows together: the worst outcome, the times, the sum of the walls."""
        found: dict[str, list[StepTold]] = {}
        for step in self.told.steps:
            found.setdefault(step.step, []).append(step)
        return {path: _together(steps) for path, steps in found.items()}

    # The slowest row

    @cached_property
    def slowest(self) -> int:
        """The row that took longest."""
        return max(self.told.numbers, key=lambda row: wall_s(_spans(self._of(row, ""), self._parts)), default=0)

    def _of(self, row: int, above_it: str) -> list[StepTold]:
        return self._rooms.get((row, above_it), [])

    @cached_property
    def _rooms(self) -> Mapping[tuple[int, str], list[StepTold]]:
        found: dict[tuple[int, str], list[StepTold]] = {}
        for step in self.told.steps:
            found.setdefault((step.row, parent(step.step)), []).append(step)
        return found

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The critical path of the slowest row, over the chain's own steps."""
        return tuple(span.name for span in critical_path(self._spans))

    @cached_property
    def critical(self) -> frozenset[str]:
        """The critical path, and that inside each step on it."""
        found, ahead = set[str](), list(self.path)
        while ahead:
            path = ahead.pop()
            found.add(path)
            ahead += [span.name for span in critical_path(_spans(self._of(self.slowest, path), self._parts))]
        return frozenset(found)

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Each own step's part of the critical path's time."""
        return shares(self._spans)

    @property
    def wall_s(self) -> float:
        """How long the slowest row took."""
        return wall_s(self._spans)

    @property
    def least_s(self) -> float:
        """About how long it would have taken with no limits at all."""
        try:
            return min(least_s(self._spans), self.wall_s)
        except ValueError:  # a circle, which no plan has: the attributes were changed
            return self.wall_s

    @cached_property
    def _spans(self) -> tuple[Span, ...]:
        steps = self._of(self.slowest, "")
        return tuple(_spans(steps, self._parts, {step.step: self._waited(step) for step in steps}))

    def _waited(self, step: StepTold) -> float:
        """How much of a step's time limits took. Its calls waited side by side, so their sum says nothing; the share of waiting in all their time does."""
        wall = step.wall_s or 0.0
        mine = self._slow[[step.step in above(str(path)) for path in self._slow["step"]]]
        if mine.empty:
            return 0.0
        if step.step in self._mapped and mine["first_item"].notna().any():
            return max(wall - max(_needed(group) for _, group in mine.groupby("first_item")), 0.0)
        return wall * (1 - _active(mine))

    @cached_property
    def _calls(self) -> pd.DataFrame:
        return _calls(self.frame, self.told)

    @cached_property
    def _slow(self) -> pd.DataFrame:
        return self._calls[self._calls["row"] == self.slowest]

    @cached_property
    def _mapped(self) -> frozenset[str]:
        """The chain's own steps with ``each``: their items could all run at the same time."""
        steps = self.told.definition.get("steps")
        listed = steps if isinstance(steps, list | tuple) else ()
        return frozenset(str(step.get("id")) for step in listed if isinstance(step, Mapping) and "each" in step)


def _merged(planned: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    order = {path: (index, 0) for index, path in enumerate(planned)}
    extra = dict.fromkeys(path for path in known if path not in order)
    for number, path in enumerate(extra, 1):
        nearest = next((name for name in above(parent(path)) if name in order), "")
        order[path] = (order[nearest][0] if nearest else len(order), number)
    return tuple(sorted(order, key=order.__getitem__))


def _together(steps: Sequence[StepTold]) -> StepTold:
    worst = min(steps, key=lambda step: _WORST.index(step.outcome) if step.outcome in _WORST else 0)
    walls = [step.wall_s for step in steps if step.wall_s is not None]
    times = sum(step.times for step in steps)
    return StepTold(worst.row, worst.step, worst.outcome, 0.0, sum(walls) if walls else None, times, why=worst.why)


def _spans(
    steps: Iterable[StepTold], needs: Mapping[str, frozenset[str]], waited: Mapping[str, float] | None = None
) -> list[Span]:
    """Those that ran; what is unfinished has no end, and so no span. ``needs`` are those of the plan."""
    return [
        Span(
            step.step,
            step.began or 0.0,
            step.ended or 0.0,
            step.needs | needs.get(step.step, frozenset()),
            (waited or {}).get(step.step, 0.0),
        )
        for step in steps
        if step.wall_s is not None and step.outcome != "skipped"
    ]


# Calls


def _calls(frame: pd.DataFrame, told: ChainTold) -> pd.DataFrame:
    """What is needed of the calls, whatever columns are left of them."""
    size = len(frame)

    def column(name: str) -> Any:
        return frame[name].array if name in frame else [pd.NA] * size

    free = [source in ("cache", "replay") for source in column("source")]
    usd = [0.0 if gone else _number(cost) for gone, cost in zip(free, column("cost_usd"), strict=True)]
    return pd.DataFrame(
        {
            "step": [str(path) if isinstance(path, str) else "" for path in column("step")],
            "row": [_number(row) for row in column("row")],
            "first_item": [_first_item(*pair) for pair in zip(column("outer"), column("item"), strict=True)],
            "calls": [1.0] * size,
            "input_tokens": [_number(tokens) for tokens in column("input_tokens")],
            "output_tokens": [_number(tokens) for tokens in column("output_tokens")],
            "cost_usd": usd,
            "model_s": [_number(seconds) for seconds in column("latency_s")],
            "waiting_s": [told.waited.get(str(call), 0.0) for call in column("call_id")],
            "started": _started(column("started_at")),
        }
    )


def _first_item(outer: Any, item: Any) -> float:
    """The item of the outermost map, from ``item 1 turn 2`` or the call's own."""
    words = str(outer).split() if isinstance(outer, str) else []
    if "item" in words[:-1]:
        text = words[words.index("item") + 1]
        return float(text) if text.isdecimal() else np.nan
    return _number(item)


def _number(value: Any) -> float:
    if value is None or value is pd.NA:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _started(times: Any) -> Any:
    """Seconds; from a CSV they come as text."""
    stamps = pd.to_datetime(pd.Series(times), utc=True, errors="coerce", format="ISO8601")
    return (stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()


def _by_step(calls: pd.DataFrame) -> dict[str, dict[str, float]]:
    if calls.empty:
        return {}
    grouped = calls.groupby("step", sort=False)[list(_SUMS)].sum(min_count=1)
    return {str(path): {name: float(row[name]) for name in _SUMS} for path, row in grouped.iterrows() if path}


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The sum of what is known; NaN only where neither is."""
    return {name: _plus(one[name], other[name]) for name in _SUMS}


def _plus(one: float, other: float) -> float:
    return other if np.isnan(one) else one if np.isnan(other) else one + other


def _active(calls: pd.DataFrame, waiting: float | None = None) -> float:
    """The part of the calls' time that was the models', 0 to 1."""
    model = float(calls["model_s"].sum())
    waited = float(calls["waiting_s"].sum()) if waiting is None else waiting
    return model / (model + waited) if model + waited > 0 else 1.0


def _needed(calls: pd.DataFrame) -> float:
    """How long the calls of one item would have taken without waiting. A call starts when its own waiting is over, so that of the first is not in this time."""
    ordered = calls.sort_values("started")
    whole = float((ordered["started"] + ordered["model_s"]).max() - ordered["started"].min())
    longest, between = float(ordered["model_s"].max()), float(ordered["waiting_s"].iloc[1:].sum())
    active = 0.0 if np.isnan(whole) else whole * _active(ordered, between)
    return max(active, 0.0 if np.isnan(longest) else longest)
