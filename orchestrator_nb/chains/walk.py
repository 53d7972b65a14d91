"""What the engine carries along while it walks through a plan: where it is, what is known there, and what it says of its way. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from orchestrator_nb.chains.chain import Ask
from orchestrator_nb.chains.graph import Node
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.kernel.budget import Budget


class StepFailed(OrchestratorError):
    """A step cannot go on. The message names it and what went wrong."""

    kind = "chain"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a run: the step's path (``short/draft`` is in the chain that the step ``short`` uses), items and turns from the outermost in, and the innermost branch."""

    step: str = ""
    items: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    branch: str = ""
    chain: str = ""

    def at(self, node: Node) -> Where:
        """The place of ``node`` in the same room."""
        return replace(self, step=f"{self.chain}{node.path}")

    def inside(self) -> Where:
        """In the chain that this step uses."""
        return replace(self, chain=f"{self.step}/")


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one model; ``model`` ``None`` is the session's. ``sample`` counts from 0. ``budgets`` are the steps' caps that hold for it, the outermost first."""

    where: Where
    ask: Ask
    model: str | None
    prompt: str
    system: str | None
    sample: int = 0
    budgets: tuple[Budget, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts under a limit: so many ``calls`` may be asked and ``deeds`` begun, so that loops which ask nothing end as well. ``over`` once it was one too many."""

    step: str
    calls: int
    deeds: int
    over: bool = False

    def call(self) -> None:
        """One question. Raises `StepFailed` when it is one too many."""
        self.calls -= 1
        self._check()

    def deed(self) -> None:
        """A step is begun, one more time. Raises `StepFailed` as well."""
        self.deeds -= 1
        self._check()

    def items(self, number: int) -> None:
        """A list of so many is begun, none of them if they are too many. Raises `StepFailed` as well."""
        self._check(number)

    def _check(self, more: int = 0) -> None:
        self.over = self.over or self.calls < 0 or self.deeds < more
        if self.over:
            raise self.failure

    @property
    def failure(self) -> StepFailed:
        """Why it does not go on."""
        return StepFailed(
            f"{self.step}: the proposed steps ask more often than max_calls allows; raise it, or narrow the task."
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known in one room: ``names`` from around it, its ``given`` input, and what the whole chain has ``saved`` so far. ``tallies`` count for steps that a model proposed."""

    names: Mapping[str, Any]
    given: Any
    where: Where = Where()
    budgets: tuple[Budget, ...] = ()
    saved: dict[str, Any] = field(default_factory=dict)
    tallies: tuple[Tally, ...] = ()

    def seen(self, values: Mapping[str, Any], before: Any, error: str | None) -> dict[str, Any]:
        """The names that a step sees."""
        return {**self.names, **self.saved, **values, "input": before, "error": error}


Outcome: TypeAlias = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Began:
    """A step begins; ``at`` is the clock's monotonic seconds."""

    where: Where
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A step has ended: with its ``value``, or ``why`` not. ``needs`` are the paths of the steps that it waited for."""

    where: Where
    at: float
    outcome: Outcome
    value: Any = None
    why: str = ""
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unmet:
    """A loop has taken all its ``turns``, and its condition was not met."""

    where: Where
    at: float
    turns: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """Of a step with ``each``: it has ``items``, and so many of them are ``done``, well or not. Told when the list is known, and after each item."""

    where: Where
    at: float
    items: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class Proposed:
    """A model has proposed steps: the ``yaml`` of what is to run, or, refused because of its ``problems``, what the model wrote."""

    where: Where
    yaml: str
    problems: tuple[Problem, ...] = ()


News: TypeAlias = Began | Ended | Mapped | Proposed | Unmet
