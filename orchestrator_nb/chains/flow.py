"""Which kind of value flows where: walks a plan in the order in which it would run and notes what cannot fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator_nb.chains import kinds
from orchestrator_nb.chains.chain import REQUIRED, Ask, Block, Chain, Parallel, Switch, Use
from orchestrator_nb.chains.expressions import Expression, Template
from orchestrator_nb.chains.functions import word
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.kinds import ANY, BOOLEAN, NUMBER, TEXT, Kind
from orchestrator_nb.chains.problems import Origin, Problem
from orchestrator_nb.chains.wants import Words, words_of
from orchestrator_nb.chains.work import ExpressionError
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.errors import UserError
from orchestrator_nb.structured import json_schema_of

Outputs = Callable[[str], tuple[Chain, Kind] | None]
"""A chain by name, with the kind of what it gives; ``None`` when it is not known."""


@dataclass
class Flow:
    """One walk over a plan."""

    origin: Origin
    used: Outputs
    problems: list[Problem] = field(default_factory=list)
    saved: dict[str, Kind] = field(default_factory=dict)

    def room(self, graph: Graph, known: Mapping[str, Kind], given: Kind) -> Kind:
        """The kind of a room's value: that of its last step. ``given`` is that of its input."""
        values = dict[str, Kind]()
        for node in graph.ordered():
            sources = [values[name] for name in node.given_by if name in values] + (
                [given] if node.from_outside else []
            )
            before = kinds.joined(sources) if sources else given
            values[node.id] = self.step(node, {**known, **self.saved, **values}, before)
            if node.step.save:
                self.saved[node.step.save] = values[node.id]
        return values[graph.nodes[-1].id] if graph.nodes and graph.nodes[-1].id in values else ANY

    def step(self, node: Node, known: Mapping[str, Kind], before: Kind) -> Kind:
        """The kind of a step's value."""
        step, early = node.step, {**known, "input": before}
        items = self._each(node, early)
        given = self._input(node, early, items if items is not None else before)
        during = {**known, "input": ANY if step.repeat else given, "error": ANY}
        if step.each:
            during |= {step.each.name: items or ANY, "index": NUMBER}
        if step.repeat:
            during |= {"previous": ANY, "turn": NUMBER}
        if step.when is not None:
            self._condition(node, ("when",), step.when, early)
        value = self._deed(node, during, given if not step.repeat else ANY)
        if step.repeat and step.repeat.until is not None:
            self._condition(node, ("repeat", "until"), step.repeat.until, {**during, "current": value})
        if step.on_error and step.on_error.act == "default" and step.on_error.value is not None:
            value = kinds.joined((value, kinds.of_value(step.on_error.value)))
        return kinds.listed(value) if step.each else value

    def _each(self, node: Node, known: Mapping[str, Kind]) -> Kind | None:
        if node.step.each is None:
            return None
        over = node.step.each.over
        if not isinstance(over, str):
            return kinds.of_value(over).items
        kind = self._expression(node, ("each",), over, known)
        if kind.name not in {"list", "any"}:
            hint = " A text becomes one by lines(…), split(…) or chunks(…)." if kind.name == "text" else ""
            self._note(node, ("each",), f"each takes a list, and this is {kind}.{hint}")
        return kind.items or ANY

    def _input(self, node: Node, known: Mapping[str, Kind], otherwise: Kind) -> Kind:
        step = node.step
        if step.input is None:
            return otherwise
        if step.each:
            known = {**known, step.each.name: otherwise, "index": NUMBER, "input": otherwise}
        return self._filled(
            node, ("input",), step.input, {**known, **({"turn": NUMBER, "previous": ANY} if step.repeat else {})}
        )

    def _deed(self, node: Node, known: Mapping[str, Kind], given: Kind) -> Kind:
        known = {**known, "input": given}
        match node.step.do:
            case Ask() as ask:
                self._texts(node, known)
                return _answer(ask)
            case Block():
                return self.room(node.inside[""], known, given)
            case Parallel():
                return kinds.record({name: self.room(graph, known, given) for name, graph in node.inside.items()})
            case Switch() as switch:
                return self._switch(node, switch, known, given)
            case Use() as use:
                return self._use(node, use, known)
        self._texts(node, known)
        return ANY

    def _switch(self, node: Node, switch: Switch, known: Mapping[str, Kind], given: Kind) -> Kind:
        self._texts(node, known)
        if switch.on is not None:
            kind = self._expression(node, ("switch", "on"), switch.on, known)
            self._cases(node, switch, kind)
        return kinds.joined([self.room(graph, known, given) for graph in node.inside.values()])

    def _cases(self, node: Node, switch: Switch, kind: Kind) -> None:
        if kind.name in {"list", "object"}:
            self._note(node, ("switch", "on"), f"a switch goes by a word, and this is {kind}.")
        values = (True, False) if kind.name == "boolean" else kind.values
        possible = {word(value) for value in values}
        for case in switch.cases:
            if possible and word(case.id) not in possible:
                self._note(
                    node,
                    ("switch", "cases", case.id),
                    f"{unknown(case.id, [str(value).lower() if isinstance(value, bool) else str(value) for value in values], 'value')}; this case is never reached.",
                )

    def _use(self, node: Node, use: Use, known: Mapping[str, Kind]) -> Kind:
        given = {name: self._filled(node, ("with", name), value, known) for name, value in use.given.items()}
        if (found := self.used(use.chain)) is None:
            return ANY
        chain, gives = found
        declared = {item.name: item for item in chain.inputs}
        for name, kind in given.items():
            if name not in declared:
                self._note(node, ("with", name), f"{unknown(name, declared, f'input of {use.chain!r}')}.")
            elif not _fits(kind, kinds.named(declared[name].type)):
                self._note(
                    node,
                    ("with", name),
                    f"the input {name!r} of {use.chain!r} is {kinds.named(declared[name].type)}, and this is {kind}.",
                )
        for item in chain.inputs:
            if item.default is REQUIRED and item.name not in given:
                self._note(node, ("use",), f"{use.chain!r} needs the input {item.name!r}; give it under 'with'.")
        return gives

    # Texts

    def _texts(self, node: Node, known: Mapping[str, Kind]) -> None:
        for words in words_of(node.step):
            if words.place[0] in {"prompt", "system", "with"} or words.place in {("switch", "ask"), ("plan", "task")}:
                self._template(node, words, known)

    def _template(self, node: Node, words: Words, known: Mapping[str, Kind]) -> None:
        self._filled(node, words.place, words.text, known)

    def _filled(self, node: Node, place: Place, value: Any, known: Mapping[str, Kind]) -> Kind:
        return filled(value, known, lambda line, message: self._note(node, place, message, line))

    def _expression(self, node: Node, place: Place, text: str, known: Mapping[str, Kind]) -> Kind:
        try:
            tree = Expression.of(text).node
        except ExpressionError:
            return ANY  # told elsewhere
        return kinds.of(tree, known, lambda line, message: self._note(node, place, message, line))

    def _condition(self, node: Node, place: Place, text: str, known: Mapping[str, Kind]) -> None:
        kind = self._expression(node, place, text, known)
        if kind not in (BOOLEAN, ANY) and kind.name != "boolean":
            self._note(node, place, f"a condition is true or false, and this is {kind}; compare it with something.")

    def _note(self, node: Node, place: Place, message: str, line: int = 1) -> None:
        self.problems.append(self.origin.problem((*node.place, *place), message, step=node.path, text_line=line))


def filled(value: Any, known: Mapping[str, Kind], note: kinds.Note) -> Kind:
    """The kind of a JSON value in which texts are templates."""
    if isinstance(value, str):
        try:
            template = Template.of(value)
        except ExpressionError:
            return ANY
        if template.alone is not None:
            return kinds.of(template.alone, known, note)
        kinds.of_text(template.body, known, note)
        return TEXT
    if isinstance(value, Mapping):
        return kinds.record({key: filled(inner, known, note) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return kinds.listed(kinds.joined([filled(inner, known, note) for inner in value]))
    return kinds.of_value(value)


def _answer(ask: Ask) -> Kind:
    kind = TEXT
    if ask.schema is not None:
        try:
            kind = kinds.of_schema(json_schema_of(ask.schema))
        except (UserError, RecursionError):
            kind = ANY  # told elsewhere
    return kinds.listed(kind) if len(ask.model) > 1 or ask.samples is not None else kind


def _fits(kind: Kind, wanted: Kind) -> bool:
    return "any" in (kind.name, wanted.name) or kind.name == wanted.name
