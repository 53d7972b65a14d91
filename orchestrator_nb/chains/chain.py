"""A chain as values: what a YAML file loads to, and what a Python user writes by hand. Frozen; equal content is equal, wherever it came from.

A `Step` has one deed (`do`): `Ask`, `Block`, `Parallel`, `Switch`, `Use`, `Python` or `Propose`. What each field means stands in docs/chain-format.md under the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from orchestrator_nb.chains.problems import Origin

VERSION: Final = 2


class Absent(Enum):
    """What is not there, where null would be a value."""

    REQUIRED = "required"


REQUIRED: Final = Absent.REQUIRED

InputType = Literal["text", "number", "integer", "boolean", "list", "object", "any"]


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that a chain is given. Without a ``default`` it must be."""

    name: str
    type: InputType = "text"
    default: Any = REQUIRED
    description: str = ""
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """A failed step is tried ``times`` more, each after ``wait_s`` seconds."""

    times: int = 1
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OnError:
    """What a failure leads to: ``default`` leaves ``value``, ``goto`` leads on to the ``step``."""

    act: Literal["fail", "skip", "default", "goto"] = "fail"
    value: Any = None
    step: str = ""


@dataclass(frozen=True, slots=True)
class Each:
    """The step for each item of a list: ``over`` is an expression, or the list itself. ``parallel`` ``None``: as many as the limits allow."""

    over: str | list[Any]
    name: str = "item"
    parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """Turns: at most ``max``, until the condition is true."""

    max: int = 5
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to one model, or to several at once. ``model`` empty: that of the defaults, then the session's."""

    prompt: str | None = None
    role: str | None = None
    persona: str | None = None
    system: str | None = None
    model: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    mode: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schema: str | Mapping[str, Any] | None = None
    samples: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Steps, one room of names."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches at the same time; the ``id`` of each is its name."""

    branches: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Switch:
    """One of several branches: by the value of ``on``, or by a model's one-word answer to ``ask`` (its prompt, model and options)."""

    cases: tuple[Step, ...]
    on: str | None = None
    ask: Ask | None = None
    default: Step | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Another chain as a step; ``given`` are its inputs, texts in them are templates."""

    chain: str
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Python:
    """A function that the notebook registered under a name; ``given`` are its arguments."""

    function: str
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Propose:
    """Steps that a model proposes; ``ask`` has the task (as its prompt), the model and its options. ``allow`` empty: the model that proposes, alone."""

    ask: Ask
    allow: tuple[str, ...] = ()
    max_steps: int = 5
    max_calls: int = 20
    max_cost_usd: Decimal | None = None
    trusted: bool = False
    repair: int = 3

    @property
    def models(self) -> tuple[str, ...]:
        """What proposed steps may name, the first for those that name none."""
        return self.allow or self.ask.model


Deed: TypeAlias = Ask | Block | Parallel | Switch | Use | Python | Propose


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``input`` ``None``: the value of the step before it (docs/chain-format.md says it exactly)."""

    id: str
    do: Deed
    input: Any = None
    when: str | None = None
    each: Each | None = None
    repeat: Repeat | None = None
    retry: Retry | None = None
    on_error: OnError | None = None
    timeout_s: float | None = None
    budget_usd: Decimal | None = None
    save: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the steps that ask have in common, where they do not say otherwise."""

    model: tuple[str, ...] = ()
    persona: str | None = None
    mode: str | None = None
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    retry: Retry | None = None
    on_error: OnError | None = None
    timeout_s: float | None = None
    budget_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A whole chain. ``outputs`` are templates by name; empty: the value of the last step under its id. ``origin`` knows the lines of its file."""

    name: str
    steps: tuple[Step, ...]
    inputs: tuple[Input, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    defaults: Defaults = Defaults()
    description: str = ""
    origin: Origin = field(default=Origin(), compare=False, repr=False)


def inner(step: Step) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """The rooms inside a step, by the name under which a plan keeps them: "" for a block, the branches, the cases, "default"."""
    match step.do:
        case Block(steps):
            return (("", steps),)
        case Parallel(branches):
            return tuple((branch.id, (branch,)) for branch in branches)
        case Switch(cases, default=default):
            other = ((ELSE, (default,)),) if default else ()
            return (*((case.id, (case,)) for case in cases), *other)
        case _:
            return ()


ELSE: Final = "default"
"""The name of a switch's last branch; no case may have it."""
