"""A chain that runs from the editor, told to the browser a few times a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.calls import Delta, Event
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.results.chain_sketch import sketch
from orchestrator_nb.results.chain_state import ChainState, Step
from orchestrator_nb.runs import Call, Item, Run
from orchestrator_nb.widgets.following import Ended, Follower

if TYPE_CHECKING:
    from orchestrator_nb.chaining import ChainPlan
    from orchestrator_nb.sessions import Session

PERIOD_S: Final = 0.1
TAIL: Final = 200
_ALL: Final = 300
"""Steps up to which those that wait are told too."""

States = dict[str, dict[str, Any]]


class LiveRun(Follower):
    """One run. ``tell(states, ended)`` is called at most ten times a second while something changes, ``end(run, error)`` once; both on the run's thread."""

    def __init__(self, plan: ChainPlan, session: Session, tell: Callable[[States, bool], object], end: Ended) -> None:
        self._tell, self._end = tell, end
        self._state = state = ChainState(plan.made.chain.name, sketch(plan.made))
        self._where = dict[int, str]()
        self._tails = dict[str, str]()
        self._last: States = {}
        super().__init__(
            lambda: session.start_chain(plan, progress=self._hear, tell=state.told), self._look, self._over, PERIOD_S
        )

    def states(self, *, ended: bool = False) -> States:
        """What is known of each step, by its path."""
        with self._state.lock:
            steps = list(_all(self._state.steps))
            return {
                step.plan.path: self._told(step, ended)
                for step in steps
                if len(steps) <= _ALL or step.began is not None or step.over
            }

    # On its thread

    def _look(self) -> None:
        if (states := self.states()) != self._last:
            self._tell(states, False)
            self._last = states

    def _over(self, run: Run | None, error: OrchestratorError | None) -> None:
        self._tell(self.states(ended=True), True)
        self._end(run, error)

    def _hear(self, number: int, news: Item | Event | Call) -> None:
        self._state.heard(number, news)
        if isinstance(news, Item):
            self._where[number] = str(news.at.get("step", ""))
        elif isinstance(news, Delta) and (path := self._where.get(number)):
            self._tails[path] = (self._tails.get(path, "") + news.text)[-TAIL:]
        elif isinstance(news, Call) and (path := self._where.get(number)) and news.answer:
            self._tails[path] = news.answer.text[-TAIL:]

    def _told(self, step: Step, ended: bool) -> dict[str, Any]:
        counts = (step.items_done, step.items) if step.items else (step.turn, step.plan.turns) if step.turn else None
        until = step.ended if step.ended is not None and not step.under_way else self._state.now()
        return {
            "state": _state(step, ended),
            "done": counts[0] if counts else None,
            "total": counts[1] if counts else None,
            "text": step.why[-TAIL:] if step.failed and step.why else self._tails.get(step.plan.path, ""),
            "cost_usd": step.usd if step.calls and not step.unknown else None,
            "seconds": None if step.began is None else round(until - step.began, 1),
        }


def _state(step: Step, ended: bool) -> str:
    if step.under_way:
        return "stopped" if ended else "running"
    if step.failed:
        return "failed"
    if step.done:
        return "done"
    return "skipped" if step.skipped else "stopped" if ended else "waiting"


def _all(steps: list[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all(step.parts)
