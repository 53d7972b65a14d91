"""What a dry run of a chain shows: how often it asks at least and at most, of whom, what is known of its cost, and its steps. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from orchestrator_nb.calls import Request
from orchestrator_nb.chaining import ChainPlan
from orchestrator_nb.chains.chain import Ask, Block, Parallel
from orchestrator_nb.chains.counts import Count, count, depends_on_inputs
from orchestrator_nb.chains.expressions import Expression, Template
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.inputs import bind
from orchestrator_nb.chains.outline import outline
from orchestrator_nb.chains.work import ExpressionError
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.figures import count as counted_words
from orchestrator_nb.figures import money
from orchestrator_nb.forecast import GLANCE
from orchestrator_nb.job import Plan
from orchestrator_nb.messages import Message
from orchestrator_nb.prompts.options import params_of
from orchestrator_nb.runs import Item
from orchestrator_nb.sessions import Session
from orchestrator_nb.structured import json_schema_of

_SHOWN: Final = 600
_INPUTS_SHOWN: Final = 6


def counted(plan: ChainPlan) -> Count:
    """The calls of all rows, at least and at most."""
    rows = range(len(plan.rows))
    if not depends_on_inputs(plan.made):
        return count(plan.made, plan.given(0)).times(len(rows), len(rows))
    return sum((count(plan.made, plan.given(row)) for row in rows), Count())


def preview(plan: ChainPlan, session: Session, max_cost: Decimal | None) -> Iterator[str]:
    """The lines of a dry run."""
    calls = counted(plan)
    where = "the simulator" if session.simulating else "nobody has been asked yet"
    again = " (a failed call that is tried again counts anew)" if _tries(plan) else ""
    rows = [
        ("calls", f"{calls}{again}; {where}"),
        ("source", str(session.source_of(plan))),
        ("models", ", ".join(model.ref for model in plan.models) or "none"),
        ("cost", _cost(plan, session, calls)),
    ]
    if (cap := _cap(session, max_cost)) is not None:
        rows.append(("at most", f"${cap}: what does not fit is not asked"))
    if plan.over:
        rows.insert(0, ("rows", f"{len(plan.rows):,}, each a run of the chain"))
    rows += [("inputs" if not place else "", text) for place, text in enumerate(_inputs(plan))]
    yield "\n".join(f"{name:<10}{_indented(text)}" for name, text in rows)
    yield f"\n{outline(plan.made)}"


def _tries(plan: ChainPlan) -> bool:
    return any(
        node.step.retry is not None or (isinstance(node.step.do, Ask) and node.step.do.fallback)
        for node in plan.made.nodes
    )


def _cap(session: Session, max_cost: Decimal | None) -> Decimal | None:
    return max_cost if max_cost is not None else session.config.settings.limits.max_cost_usd


def _inputs(plan: ChainPlan) -> Iterator[str]:
    """What the chain is given, in the first row of several."""
    given = bind(plan.made.chain, plan.given(0))
    for name, value in islice(given.items(), _INPUTS_SHOWN):
        yield f"{name} = {_cut(repr(value), 100)}"
    if len(given) > _INPUTS_SHOWN:
        yield f"and {counted_words(len(given) - _INPUTS_SHOWN, 'other')}"


def _cost(plan: ChainPlan, session: Session, calls: Count) -> str:
    """A range for the questions that can be written down now; what the others say depends on answers."""
    items = list(islice(_all_questions(plan), GLANCE))
    if not items:
        return "not known: every question depends on an answer"
    some: Any = tuple(items)  # the estimate only looks at its items, wherever they come from
    try:
        estimate = session.estimate(Plan(some, plan.models, plan.source))
    except OrchestratorError as error:
        return f"not known: {error}"
    whole = calls.most == calls.least == len(items)
    known = (
        f" for the {counted_words(len(items), 'call')} that can be told now; of the others it depends on the answers"
    )
    unknown = f"; no price is known for {', '.join(estimate.unknown)}" if estimate.unknown else ""
    if estimate.usd is None:
        return f"not known{unknown}"
    low, high = money(float(estimate.usd.low)), money(float(estimate.usd.high))
    span = low if low == high else f"{low} to {high}"
    cached = f"; {counted_words(estimate.cached, 'call')} answered already" if estimate.cached else ""
    free = "; nothing with the simulator, which answers" if estimate.simulated else ""
    return f"{span}{'' if whole else known}{cached}{unknown}{free}"


def _all_questions(plan: ChainPlan) -> Iterator[Item]:
    for row in range(len(plan.rows)):
        known = bind(plan.made.chain, plan.given(row))
        own = {node.id for node in plan.made.nodes} - {"input"}
        values = {name: value for name, value in known.items() if name not in own}
        yield from _questions(plan, plan.made.graph, values, row)


def _questions(plan: ChainPlan, graph: Graph, known: Mapping[str, Any], row: int) -> Iterator[Item]:
    for node in graph.nodes:
        if node.step.when is None and node.step.input is None:
            for names in _contexts(node, known):
                yield from _of(plan, node, names, row)


def _contexts(node: Node, known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is known in a step, once or for each of its items."""
    names = dict(known)
    if node.given_by or not node.from_outside:
        names.pop("input", None)
    each = node.step.each
    if each is None:
        yield names
        return
    for index, item in enumerate(_list(each.over, names)):
        yield {**names, each.name: item, "index": index, "input": item}


def _list(over: str | list[Any], known: Mapping[str, Any]) -> list[Any]:
    if isinstance(over, list):
        return over
    try:
        expression = Expression.of(over)
        value = expression.value(known) if expression.names <= known.keys() else []
    except ExpressionError:
        return []
    return value if isinstance(value, list) else []


def _of(plan: ChainPlan, node: Node, known: Mapping[str, Any], row: int) -> Iterator[Item]:
    match node.step.do:
        case Ask() as ask:
            yield from _asked(plan, ask, known, row)
        case Block() | Parallel():
            for graph in node.inside.values():
                yield from _questions(plan, graph, known, row)


def _asked(plan: ChainPlan, ask: Ask, known: Mapping[str, Any], row: int) -> Iterator[Item]:
    prompt = _text(ask.prompt if ask.prompt is not None else "{{ input }}", known)
    system = _text(ask.system, known) if ask.system else plan.roles.system(ask.role, ask.persona)
    if not prompt or system is None:
        return
    schema = None if ask.schema is None else json_schema_of(ask.schema)
    params = replace(params_of({**plan.params, **ask.options}), schema=schema)
    for model in ask.model or (None,):
        for sample in range(ask.samples or 1):
            request = Request(plan.model_of(model), (Message.user(prompt),), system or None, params, sample)
            yield Item(request, row, sample)


def _text(template: str, known: Mapping[str, Any]) -> str | None:
    """The text, where all that it names is known."""
    try:
        made = Template.of(template)
        return made.text(known) if made.names <= known.keys() else None
    except (ExpressionError, UserError):
        return None


def _indented(text: str) -> str:
    return _cut(text, _SHOWN).replace("\n", f"\n{'':10}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
