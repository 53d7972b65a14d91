"""Steps that a model proposes: how it is asked for them, and its answer read as the hostile text that it is. Values only; the engine asks, and runs what is sound.

A proposal is planned like a chain file from a stranger. Beyond that it may only ask, only the models and only as often as its step allows, and names nothing but
what is visible there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from orchestrator_nb.chains.answers import MOST_SIGNS, document_in
from orchestrator_nb.chains.chain import Ask, Chain, Input, InputType, Propose, Python, Step, Switch, Use
from orchestrator_nb.chains.graph import Node
from orchestrator_nb.chains.inwords import in_short
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.planning import Plan, planned
from orchestrator_nb.chains.problems import Origin, Problem, listed, sorted_problems
from orchestrator_nb.chains.rooms import DECLARE, during_of
from orchestrator_nb.chains.tally import most_calls
from orchestrator_nb.chains.walk import StepFailed, Where
from orchestrator_nb.chains.world import World
from orchestrator_nb.chains.write import to_yaml
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.prompts.options import OPTION_NAMES

FILE: Final = "<proposal>"
OPTIONS: Final = tuple(name for name in OPTION_NAMES if name != "tool_choice")
"""What a proposed step may set; `body.NAME` would be a way past every limit."""
MOST_WAIT_S: Final = 60.0
_WITHOUT: Final = ("version", "name", "inputs", "outputs", "mode", "save", "use", "python", "plan", "with")
_SHOWN: Final = 20
_PLANNER: Final = (
    "You plan work for language models. You answer with further steps of a chain, in YAML, and nothing else; the steps are checked and then run in your place. "
    "The value of the last step is the result."
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Steps that a model proposes in the place of the step at ``where``. ``text`` is the YAML of what would run; of a refused one, what the model wrote.

    ``calls``: how often it can ask at most; ``models``: whom (empty: the session's); ``max_cost_usd``: what it may cost.
    """

    where: Where
    text: str
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    calls: int = 0
    models: tuple[str, ...] = ()
    max_cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """What a proposal is made for: the step's limits, the values that its steps may name, and the world that it is planned in."""

    where: Where
    path: str
    propose: Propose
    names: Mapping[str, Any]
    budget_usd: Decimal | None = None
    world: World = field(default_factory=World)

    def system(self) -> str:
        """The system prompt: the language, the names, the limits."""
        known = self.world.roles
        return "\n\n".join(
            [
                _PLANNER,
                in_short(_WITHOUT),
                f"Roles: {', '.join(known.roles)}. Personas: {', '.join(known.personas)}.",
                "Names that your steps may use beside their own ids, with what they are (you are not shown their values; name them in {{ }} where a step needs them):\n"
                + "\n".join(f"- {name}: {_kind(value)}" for name, value in self.names.items()),
                "\n".join(self._limits()),
            ]
        )

    def _limits(self) -> Iterator[str]:
        propose, models = self.propose, ", ".join(self.propose.models)
        yield "Limits:"
        yield f"- models: {models}; a step that names none asks the first." if models else "- name no model."
        yield f"- at most {propose.max_steps} steps, those inside others included."
        yield f"- they may ask at most {propose.max_calls} times in all, with every item, turn, sample, retry and fallback."
        yield f"- options: {', '.join(OPTIONS)}."
        if propose.max_cost_usd is not None:
            yield f"- they may cost {propose.max_cost_usd} USD together."
        yield "- top-level keys: steps, maybe defaults and description. Nothing else; declare no inputs and no outputs."

    def read(self, answer: str) -> Proposal:
        """The answer as a proposal; sound if it has a plan."""
        document, problems = document_in(answer, FILE)
        if document is None:
            return Proposal(self.where, answer, None, problems)
        reading = read_value(document.value, "proposal", origin=Origin.of(document))
        if reading.chain is None:
            return Proposal(self.where, answer, None, reading.problems)
        chain = self._fitted(reading.chain)
        made, later = planned(chain, World(roles=self.world.roles))
        nodes = made.nodes if made else ()
        found = [*reading.problems, *self._keys(document.value, chain)]
        known = {(problem.line, problem.column) for problem in reading.problems}
        found += [_undeclared(problem) for problem in later if (problem.line, problem.column) not in known]
        found += [problem for node in nodes for problem in self._refused(node, chain)]
        calls = 0 if found or not made else most_calls(made, self.names)
        found += self._many(chain, nodes, calls)
        if found or made is None:
            return Proposal(self.where, answer, None, sorted_problems(found))
        shown = to_yaml(replace(chain, inputs=()))
        plan = replace(made, graph=made.graph.under(self.path))
        most = self.propose.max_calls
        calls = min(most_calls(made, self.names, most), most)
        return Proposal(self.where, shown, plan, (), calls, self.propose.models, self.propose.max_cost_usd)

    def _fitted(self, chain: Chain) -> Chain:
        """The chain with what is visible as its inputs, and the model of steps that name none."""
        inputs = tuple(Input(name, _type(value)) for name, value in self.names.items())
        model = chain.defaults.model or self.propose.models[:1]
        return replace(chain, name="proposal", inputs=inputs, defaults=replace(chain.defaults, model=model))

    # What a chain file may do, and a proposal may not

    def _keys(self, value: Mapping[str, Any], chain: Chain) -> Iterator[Problem]:
        for key, why in (
            ("inputs", "its steps see what is visible at the step that it stands for"),
            ("outputs", "its value is that of its last step"),
        ):
            if key in value:
                yield chain.origin.problem((key,), f"a proposal has no {key!r}: {why}.")

    def _many(self, chain: Chain, nodes: tuple[Node, ...], calls: int) -> Iterator[Problem]:
        propose = self.propose
        if len(nodes) > propose.max_steps:
            why = f"{len(nodes):,} steps, those inside others included; {propose.max_steps:,} are allowed (max_steps)."
            yield chain.origin.problem(("steps",), why)
        if calls > propose.max_calls:
            shown = f"{calls:,}" if calls < 10**15 else "far too many"
            why = f"the steps could ask {shown} times with all items, turns, samples, retries and fallbacks; {propose.max_calls:,} are allowed (max_calls)."
            yield chain.origin.problem(("steps",), why)

    def _refused(self, node: Node, chain: Chain) -> Iterator[Problem]:
        for place, why in _findings(node.step, self.propose.models, self._cap):
            yield chain.origin.problem((*node.place, *place), why, step=node.path)

    @property
    def _cap(self) -> Decimal | None:
        caps = [cap for cap in (self.budget_usd, self.propose.max_cost_usd) if cap is not None]
        return min(caps, default=None)


def seen(node: Node, names: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """What proposed steps may name: what was given or had ended before the step, whatever else has ended by now, so that it is the same each time."""
    found = {name: names[name] for name in sorted(node.reads | during_of(node.step)) if name in names}
    return found if given is None else {**found, "input": given}


def request(task: str, refused: Proposal | None) -> str:
    """The question: the task, and what was wrong with the proposal before, if there was one."""
    if refused is None:
        return f"The task:\n{task}\n\nAnswer with the YAML of the steps only."
    return (
        f"The task:\n{task}\n\nYou proposed this:\n\n{refused.text[:MOST_SIGNS]}\n\nIt was refused:\n{listed(refused.problems)}\n\n"
        "Answer with the whole YAML again, repaired, and nothing else."
    )


def not_sound(refused: Proposal, tries: int) -> StepFailed:
    """The failure of a step whose model proposes nothing sound."""
    times = "once" if tries == 1 else f"{tries} times"
    return StepFailed(f"{refused.where.step}: steps were proposed {times} and refused:\n{listed(refused.problems)}")


def _undeclared(problem: Problem) -> Problem:
    """A chain's file can declare what it misses, and a proposal cannot."""
    return replace(problem, message=problem.message.removesuffix(DECLARE))


# One step


def _findings(step: Step, models: tuple[str, ...], cap: Decimal | None) -> Iterator[tuple[Place, str]]:
    if step.save:
        yield ("save",), "a proposal cannot save: nothing of it is seen outside but its value."
    if cap is not None and step.budget_usd is not None and step.budget_usd > cap:
        yield ("budget",), f"{step.budget_usd} USD is more than the {cap} USD that the step may cost."
    if step.retry and step.retry.wait_s > MOST_WAIT_S:
        yield ("retry",), f"a proposal waits at most {MOST_WAIT_S:g} s before it tries again."
    match step.do:
        case Ask() as ask:
            yield from _asking(ask, models, ())
        case Switch(ask=Ask() as ask):
            yield from _asking(ask, models, ("switch",))
        case Use() | Python() | Propose() as deed:
            key = {Use: "use", Python: "python", Propose: "plan"}[type(deed)]
            yield (key,), f"{key!r} cannot stand in a proposal: its steps may only ask models."


def _asking(ask: Ask, models: tuple[str, ...], place: Place) -> Iterator[tuple[Place, str]]:
    for key, names in (("model", ask.model), ("fallback", ask.fallback)):
        for name in names:
            if name not in models:
                known = f"allowed: {', '.join(models)}" if models else "none may be named"
                yield (*place, key), f"the model {name!r} is not allowed here; {known}."
    if ask.mode:
        yield (*place, "mode"), "'mode' cannot stand in a proposal."
    for name in ask.options:
        if name not in OPTIONS:
            yield (*place, "options", name), f"the option {name!r} is not allowed in a proposal; allowed: {', '.join(OPTIONS)}."  # fmt: skip


# What is visible


def _type(value: Any) -> InputType:
    match value:
        case bool():
            return "boolean"
        case str():
            return "text"
        case int() | float():
            return "number"
        case list():
            return "list"
        case dict():
            return "object"
    return "any"


def _kind(value: Any) -> str:
    """A value in words, without itself: ``a list of 12, each a text``."""
    match value:
        case None:
            return "null"
        case str():
            return f"a text of {len(value):,} signs"
        case list():
            kinds = {_type(item) for item in value}
            return f"a list of {len(value):,}{f', each: {kinds.pop()}' if len(kinds) == 1 else ''}"
        case dict():
            keys = [json.dumps(str(key)[:60], ensure_ascii=False) for key in list(value)[:_SHOWN]]
            return f"an object with the keys {', '.join(keys)}"
    return "true or false" if isinstance(value, bool) else "a number"
