"""A chain that runs from the editor: on a thread of its own, so that the kernel stays free, and told to the browser a few times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.calls import Delta, Event
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.results.chain_sketch import sketch
from orchestrator_nb.results.chain_state import ChainState, Step
from orchestrator_nb.runs import Call, Item, Run

if TYPE_CHECKING:
    from orchestrator_nb.chaining import ChainPlan
    from orchestrator_nb.job import Job
    from orchestrator_nb.sessions import Session

PERIOD_S: Final = 0.1
TAIL: Final = 200
_ALL: Final = 300
"""Steps up to which those that wait are told too."""

States = dict[str, dict[str, Any]]


class LiveRun:
    """One run. ``tell(states, ended)`` is called at most ten times a second while something changes, ``end(run, error)`` once; both on the run's thread."""

    def __init__(
        self,
        plan: ChainPlan,
        session: Session,
        tell: Callable[[States, bool], object],
        end: Callable[[Run | None, OrchestratorError | None], object],
    ) -> None:
        self._plan, self._session, self._tell, self._end = plan, session, tell, end
        self._state = ChainState(plan.made.chain.name, sketch(plan.made))
        self._where = dict[int, str]()
        self._tails = dict[str, str]()
        self._stopped = threading.Event()
        self._job: Job | None = None
        self._thread = threading.Thread(target=self._run, name="onb-chain-editor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """What is finished is kept, the rest is cancelled."""
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended, after so long at most."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

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

    def _run(self) -> None:
        run, error = None, None
        try:
            job = self._session.start_chain(self._plan, progress=self._hear, tell=self._state.told)
            self._attend(job)
            run = job.run
        except OrchestratorError as refused:
            error = refused
        finally:
            self._tell(self.states(ended=True), True)
            self._end(run, error)

    def _attend(self, job: Job) -> None:
        last: States = {}
        while not job.wait(PERIOD_S):
            if self._stopped.is_set():
                job.stop()
            if (states := self.states()) != last:
                self._tell(states, False)
                last = states

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
