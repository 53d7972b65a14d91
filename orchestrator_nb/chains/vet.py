"""The parts of a step that can be judged by themselves: texts that cannot be read, unknown roles, models, options, schemas, functions; branches nobody reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator_nb.chains.chain import Ask, Parallel, Propose, Python, Step, Switch
from orchestrator_nb.chains.expressions import Expression, faults
from orchestrator_nb.chains.functions import word
from orchestrator_nb.chains.graph import Node
from orchestrator_nb.chains.problems import Origin, Problem
from orchestrator_nb.chains.wants import words_of
from orchestrator_nb.chains.work import ExpressionError
from orchestrator_nb.chains.world import World
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.errors import UserError
from orchestrator_nb.prompts.options import params_of
from orchestrator_nb.structured import json_schema_of

Finding = tuple[Place, str]
"""A place below the step, and what is wrong there."""


def vet(node: Node, world: World, origin: Origin) -> Iterator[Problem]:
    """Everything that is wrong with a step by itself."""
    yield from _texts(node, origin)
    for place, message in _findings(node.step, world):
        yield origin.problem((*node.place, *place), message, step=node.path)


def _texts(node: Node, origin: Origin) -> Iterator[Problem]:
    for words in words_of(node.step):
        for fault in faults(words.text, expression=words.expression):
            yield origin.problem((*node.place, *words.place), str(fault), step=node.path, text_line=fault.line)


def _findings(step: Step, world: World) -> Iterator[Finding]:
    yield from _never(step)
    match step.do:
        case Ask() as ask:
            yield from asking(ask, world)
        case Switch() as switch:
            yield from _switch(switch, world)
        case Python(function=name):
            yield from _function(name, world)
        case Propose() as propose:
            yield from _propose(propose, world)
        case Parallel():
            pass


def asking(ask: Ask, world: World, place: Place = ()) -> Iterator[Finding]:
    """What is wrong with a question's role, models, options and schema."""
    if ask.role and (problem := world.roles.problem("role", ask.role)):
        yield (*place, "role"), problem
    if ask.persona and (problem := world.roles.problem("persona", ask.persona)):
        yield (*place, "persona"), problem
    if world.model_problem:
        for key, names in (("model", ask.model), ("fallback", ask.fallback)):
            yield from (((*place, key), problem) for name in names if (problem := world.model_problem(name)))
    if ask.mode and world.modes is not None and ask.mode not in world.modes:
        yield (*place, "mode"), f"{unknown(ask.mode, world.modes, 'mode')}."
    yield from _options(ask.options, place)
    if ask.schema is not None:
        yield from _schema(ask.schema, place)


def _options(options: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    for name, value in options.items():
        try:
            params_of({name: value})
        except UserError as error:
            yield (*place, "options", name), str(error)


def _schema(schema: str | Mapping[str, Any], place: Place) -> Iterator[Finding]:
    try:
        json_schema_of(schema)
    except UserError as error:
        yield (*place, "schema"), str(error)
    except RecursionError:
        yield (*place, "schema"), "the schema nests too deep."


def _switch(switch: Switch, world: World) -> Iterator[Finding]:
    if switch.ask:
        yield from asking(switch.ask, world, ("switch",))
    seen = dict[str, str]()
    for case in switch.cases:
        if (same := seen.setdefault(word(case.id), case.id)) != case.id:
            yield ("switch", "cases", case.id), f"it is never chosen: it means the same as {same!r}."


def _function(name: str, world: World) -> Iterator[Finding]:
    if not world.trusted:
        yield ("python",), "a chain that is not trusted may not call Python functions."
    elif world.functions is not None and name not in world.functions:
        yield ("python",), f"{unknown(name, world.functions, 'function')}; register it in the notebook."


def _propose(propose: Propose, world: World) -> Iterator[Finding]:
    yield from asking(propose.ask, world, ("plan",))
    yield from ((("plan", "allow"), why) for _, why in asking(Ask(model=propose.allow), world))
    if propose.trusted and not world.trusted:
        why = "a chain that is not trusted cannot trust what a model proposes; leave 'trusted' out, so that the steps are shown before they run."
        yield ("plan", "trusted"), why


def _never(step: Step) -> Iterator[Finding]:
    """Conditions that hold whatever happens are mistakes."""
    if step.when is not None and _constant(step.when) is False:
        yield ("when",), "the condition is never true, so the step never runs."
    if step.repeat and step.repeat.until is not None and _constant(step.repeat.until) is True:
        yield ("repeat", "until"), "the condition is always true, so there is no second turn."


def _constant(text: str) -> Any:
    try:
        expression = Expression.of(text)
        return None if expression.names else expression.value({})
    except (ExpressionError, RecursionError):
        return None
