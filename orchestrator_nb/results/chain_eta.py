"""How long a chain will still take, where that can be told.

**Once**: a step that ran through some of its items takes as long for the rest; one in its second turn or later takes as long for each turn to come. Any other step takes as long
as the calls that come one after the other in it, at the mean of those that have ended, measured from when each went out. The time left is that of the
longest way through the steps that are not over. Nothing is said while a step is to come whose number of calls nobody knows (a map before its list is
there), and before the first call has ended. Where turns may end early, it is the most that it may be.

**Over rows**: by the share of the steps, of all rows, that are over, once two rows are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestrator_nb.results.chain_state import ChainState, Step

SHORT_S: Final = 1.0
"""What takes less is not worth saying."""
ROWS: Final = 2


def left(progress: ChainState) -> str:
    """``about 2 min left``, ``at most 20 s left``, or nothing."""
    seconds = _of_rows(progress) if progress.rows > 1 else _of_steps(progress)
    if seconds is None or seconds < SHORT_S:
        return ""
    early = any(step.plan.may_end_early and not step.over for step in progress.steps)
    return f"{'at most' if early else 'about'} {roughly(seconds)} left"


def roughly(seconds: float) -> str:
    """As exact as a guess is: ``7 s``, ``40 s``, ``2 min``, ``1 h 10 min``."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{round(seconds / 5) * 5} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 5) * 5, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _of_rows(progress: ChainState) -> float | None:
    over = progress.rows_done + progress.rows_failed
    if over < ROWS or not progress.steps:
        return None
    steps = sum(min(step.over, progress.rows) for step in progress.steps) / (progress.rows * len(progress.steps))
    share = max(steps, over / progress.rows)
    return (progress.now() - progress.began) * (1 - share) / share


def _of_steps(progress: ChainState) -> float | None:
    if progress.rows_failed or not progress.spans:
        return None
    return _longest(progress.steps, _Pace(progress.now(), progress.spent_s / progress.spans))


@dataclass(frozen=True, slots=True)
class _Pace:
    now: float
    call_s: float


def _longest(steps: list[Step], pace: _Pace) -> float | None:
    """The longest way through steps that wait for each other."""
    ends = dict[str, float]()
    for step in sorted(steps, key=lambda step: step.plan.wave):
        own = _rest(step, pace)
        if own is None:
            return None
        ends[step.plan.id] = own + max((ends.get(name, 0.0) for name in step.plan.needs), default=0.0)
    return max(ends.values(), default=0.0)


def _rest(step: Step, pace: _Pace) -> float | None:
    if step.under_way and step.began is not None:
        return _running(step, pace, pace.now - step.began)
    if step.over:
        return 0.0
    return None if step.plan.calls is None else step.plan.calls * pace.call_s


def _running(step: Step, pace: _Pace, spent_s: float) -> float | None:
    if step.plan.maps:
        return spent_s * (step.items - step.items_done) / step.items_done if step.items_done else None
    if step.plan.turns and step.turn > 1:
        return spent_s / (step.turn - 0.5) * (step.plan.turns - step.turn + 0.5)
    if step.plan.calls is not None:
        return max(step.plan.calls * pace.call_s - spent_s, 0.0)
    return _longest(step.parts, pace) if step.parts and not step.plan.turns else None
