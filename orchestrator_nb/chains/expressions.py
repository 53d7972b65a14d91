"""Expressions and templates of chains: read once, checked against the allow-list, evaluated over JSON values as often as needed.

The grammar is that of prompts (`orchestrator_nb.prompts.template`): ``{``, ``}``, ``$`` and ``{#`` mean themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser

from orchestrator_nb.chains.evaluate import Evaluation
from orchestrator_nb.chains.functions import kind_of
from orchestrator_nb.chains.gate import refusals
from orchestrator_nb.chains.work import ExpressionError, Work
from orchestrator_nb.prompts.template import ENVIRONMENT, OUTPUT_CAP

_BRACED: Final = re.compile(r"\s*\{\{(.*)\}\}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition or value, such as ``similarity(previous, current) >= 0.95``. ``names`` are those it needs from outside."""

    text: str
    names: frozenset[str]
    node: nodes.Expr = field(compare=False, repr=False)

    @classmethod
    def of(cls, text: str) -> Expression:
        """The expression in a text, with or without ``{{ }}`` around it. Raises `ExpressionError`."""
        return _expression(text)

    def value(self, context: Mapping[str, Any]) -> Any:
        """Its value where the names have these JSON values. Raises `ExpressionError`."""
        return _evaluated(self.node, context)

    def condition(self, context: Mapping[str, Any]) -> bool:
        """Its value, which must be true or false: a model's "no" is neither. Raises `ExpressionError`."""
        value = self.value(context)
        if isinstance(value, bool):
            return value
        raise ExpressionError(f"a condition is true or false, and this is {kind_of(value)}; compare it with something.")


@dataclass(frozen=True, slots=True)
class Template:
    """A text with ``{{ }}`` and ``{% %}``. ``alone`` is its expression when it is nothing but one ``{{ }}``."""

    source: str
    names: frozenset[str]
    body: tuple[nodes.Node, ...] = field(compare=False, repr=False)
    alone: nodes.Expr | None = field(compare=False, repr=False)

    @classmethod
    def of(cls, text: str) -> Template:
        """The template in a text. Raises `ExpressionError` with the line."""
        return _template(text)

    def text(self, context: Mapping[str, Any]) -> str:
        """The text, filled; lists and objects as JSON. Raises `ExpressionError`."""
        try:
            return Evaluation(context).text(self.body)
        except RecursionError:
            raise _too_deep() from None

    def value(self, context: Mapping[str, Any]) -> Any:
        """The value of its one expression as it is; else its text."""
        return self.text(context) if self.alone is None else _evaluated(self.alone, context)


def filled(value: Any, context: Mapping[str, Any]) -> Any:
    """A JSON value with every text in it taken as a template. Raises `ExpressionError`."""
    if isinstance(value, str):
        return Template.of(value).value(context)
    if isinstance(value, list | tuple):
        return [filled(item, context) for item in value]
    if isinstance(value, Mapping):
        return {key: filled(item, context) for key, item in value.items()}
    return value


def templates(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from templates(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from templates(item)


def faults(text: str, *, expression: bool) -> tuple[ExpressionError, ...]:
    """Everything that is wrong with the text of an expression or a template, with lines."""
    return tuple(ExpressionError(message, line) for message, line in _checked(text, expression)[1])


@lru_cache(maxsize=4096)
def _checked(text: str, expression: bool) -> tuple[nodes.Node | None, tuple[tuple[str, int], ...]]:
    """The tree of a text, and what is wrong with it as sentences with lines."""
    try:
        node = _parsed_expression(text) if expression else _parsed(text)
        return node, tuple((_sentence(reason), line) for line, reason in refusals(node))
    except ExpressionError as error:
        return None, ((str(error), error.line),)
    except RecursionError:
        return None, ((str(_too_deep()), 1),)


def _sentence(reason: str) -> str:
    return reason if reason.endswith("?") else f"{reason.rstrip('.')}."


def _tree(text: str, *, expression: bool) -> Any:
    """The tree of a text with which nothing is wrong. Raises `ExpressionError`."""
    node, found = _checked(text, expression)
    if found or node is None:
        raise ExpressionError(*found[0])
    return node


def _evaluated(node: nodes.Expr, context: Mapping[str, Any]) -> Any:
    work = Work()
    try:
        value = Evaluation(context, work).value(node)
        if work.weigh(value) > OUTPUT_CAP:
            raise ExpressionError(f"the value is larger than {OUTPUT_CAP:,} signs; put in less.")
    except RecursionError:
        raise _too_deep() from None
    return value


@lru_cache(maxsize=4096)
def _expression(text: str) -> Expression:
    node = _tree(text, expression=True)
    return Expression(text, frozenset(_names(node, frozenset())), node)


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    tree = _tree(text, expression=False)
    return Template(text, frozenset(_names(tree, frozenset())), tuple(tree.body), _alone(tree))


def _alone(tree: nodes.Template) -> nodes.Expr | None:
    match tree.body:
        case [nodes.Output(nodes=[only])] if not isinstance(only, nodes.TemplateData):
            return only
    return None


def _parsed(text: str) -> nodes.Template:
    try:
        return ENVIRONMENT.parse(text)
    except jinja2.TemplateSyntaxError as error:
        message, line = (
            f"{(error.message or 'not a template').rstrip('.')}. Put {{% raw %}} … {{% endraw %}} around braces that mean themselves.",
            error.lineno,
        )
    except ValueError:
        message, line = "a number has too many digits.", 1
    raise ExpressionError(message, line)


def _parsed_expression(text: str) -> nodes.Expr:
    inner = braced[1] if (braced := _BRACED.fullmatch(text)) else text
    try:
        parser = Parser(ENVIRONMENT, inner, state="variable")
        node = parser.parse_expression()
        if parser.stream.eos:
            return node
        message, line = (
            f"{parser.stream.current.value!r} is one thing too many in the expression {_shown(text)!r}.",
            parser.stream.current.lineno,
        )
    except jinja2.TemplateSyntaxError as error:
        message, line = (
            f"{(error.message or 'not an expression').rstrip('.')} in the expression {_shown(text)!r}.",
            error.lineno,
        )
    except ValueError:
        message, line = "a number has too many digits.", 1
    raise ExpressionError(message, line)


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def _too_deep() -> ExpressionError:
    return ExpressionError("it nests too deep.")


def _names(node: nodes.Node, own: frozenset[str]) -> Iterator[str]:
    """The names that a tree needs from outside; what a loop defines is known inside it."""
    if isinstance(node, nodes.Name):
        yield from () if node.name in own else (node.name,)
    elif isinstance(node, nodes.For):
        yield from _loop_names(node, own)
    else:
        for part in node.args if isinstance(node, nodes.Call) else node.iter_child_nodes():
            yield from _names(part, own)


def _loop_names(node: nodes.For, own: frozenset[str]) -> Iterator[str]:
    inner = own | {node.target.name, "loop"} if isinstance(node.target, nodes.Name) else own
    yield from _names(node.iter, own)
    for part in (*node.body, *([node.test] if node.test else [])):
        yield from _names(part, inner)
    for part in node.else_:
        yield from _names(part, own)
