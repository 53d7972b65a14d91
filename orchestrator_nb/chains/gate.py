"""What may stand in an expression or template of a chain: a list of allowed nodes of Jinja's tree. What is not on it is refused before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from jinja2 import nodes

from orchestrator_nb.chains.functions import FILTERS, FUNCTIONS, TESTS, Function
from orchestrator_nb.prompts.template import nearest

FOR_DEPTH: Final = 2

_PLAIN: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Const, nodes.List, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.Neg, nodes.Pos,
)  # fmt: skip
"""Nodes that are fine when their parts are."""

_WORDS: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Assign: "'set'", nodes.AssignBlock: "'set'", nodes.Macro: "'macro'", nodes.CallBlock: "'call'", nodes.FilterBlock: "'filter'",
    nodes.Include: "'include'", nodes.Import: "'import'", nodes.FromImport: "'import'", nodes.Extends: "'extends'", nodes.Block: "'block'",
    nodes.With: "'with'", nodes.Pow: "'**'", nodes.Mod: "'%'", nodes.FloorDiv: "'//'", nodes.Dict: "a {…} object", nodes.Tuple: "a tuple",
    nodes.ScopedEvalContextModifier: "'autoescape'",
}  # fmt: skip

Refusal = tuple[int, str]
"""A line of the text, and what is wrong there."""


def refusals(node: nodes.Node, depth: int = 0) -> Iterator[Refusal]:
    """Everything in the tree that is not allowed."""
    if check := _CHECKS.get(type(node)):
        yield from ((node.lineno, reason) for reason in check(node))
    elif not isinstance(node, _PLAIN):
        yield node.lineno, f"{_WORDS.get(type(node), type(node).__name__)} cannot be used in a chain's template"
        return
    depth += isinstance(node, nodes.For)
    if depth > FOR_DEPTH:
        yield node.lineno, f"'for' stands more than {FOR_DEPTH} deep"
        return
    for inner in _parts(node):
        yield from refusals(inner, depth)


def _parts(node: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(node, nodes.Call):
        yield from node.args
    elif isinstance(node, nodes.Getitem):
        yield node.node  # its index was checked as a whole
    else:
        yield from node.iter_child_nodes()


def _name(node: nodes.Name) -> Iterator[str]:
    if node.name.startswith("_"):
        yield f"{node.name!r} begins with '_', which no name does"


def _attribute(node: nodes.Getattr) -> Iterator[str]:
    if node.attr.startswith("_"):
        yield f"{node.attr!r} begins with '_', which no part does"


def _item(node: nodes.Getitem) -> Iterator[str]:
    bounds = [node.arg.start, node.arg.stop, node.arg.step] if isinstance(node.arg, nodes.Slice) else [node.arg]
    for bound in bounds:
        value = constant(bound) if bound is not None else 0
        if isinstance(value, str) and value.startswith("_"):
            yield f"{value!r} begins with '_', which no part does"
        elif isinstance(value, bool) or not isinstance(value, int | str):
            yield "an index is a number or a text, written out"
        elif isinstance(value, str) and isinstance(node.arg, nodes.Slice):
            yield "the ends of a part [a:b] are numbers"


def constant(node: nodes.Expr) -> Any:
    """The value of a constant, also a negative one; an object of its own for everything else."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and isinstance(node.node.value, int):
        return -node.node.value
    return node


def _for(node: nodes.For) -> Iterator[str]:
    if not isinstance(node.target, nodes.Name):
        yield "'for' takes one name"
    elif node.target.name == "loop":
        yield "'loop' is not free as a name"
    if node.recursive:
        yield "'recursive' cannot be used in a chain's template"


def _call(node: nodes.Call) -> Iterator[str]:
    if not isinstance(node.node, nodes.Name):
        yield "only functions can be called, not parts of a value"
    elif (function := FUNCTIONS.get(node.node.name)) is None:
        yield f"{node.node.name!r} is not a function{_near(node.node.name, FUNCTIONS)}"
    else:
        yield from _arguments(node.node.name, function, len(node.args), node)


def _filter(node: nodes.Filter) -> Iterator[str]:
    if (function := FILTERS.get(node.name)) is None:
        yield f"{node.name!r} is not a filter{_near(node.name, FILTERS)}"
    else:
        yield from _arguments(node.name, function, len(node.args) + 1, node)


def _test(node: nodes.Test) -> Iterator[str]:
    if node.name not in TESTS:
        yield f"'is {node.name}' is not a test{_near(node.name, TESTS)}"
    if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
        yield f"'is {node.name}' takes nothing"


def _arguments(name: str, function: Function, count: int, node: nodes.Call | nodes.Filter) -> Iterator[str]:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        yield f"{name!r} takes its arguments by place only"
    elif not function.least <= count <= function.most:
        some = f"{function.least}" if function.least == function.most else f"{function.least} to {function.most}"
        yield f"{name!r} takes {some} argument{'s' if function.most > 1 else ''}, not {count}"


def _near(name: str, known: Collection[str]) -> str:
    return nearest(name, known).rstrip("?") + "?" if nearest(name, known) else f"; there are {', '.join(known)}"


_CHECKS: Final[Mapping[type[nodes.Node], Callable[[Any], Iterator[str]]]] = {
    nodes.Name: _name,
    nodes.Getattr: _attribute,
    nodes.Getitem: _item,
    nodes.For: _for,
    nodes.Call: _call,
    nodes.Filter: _filter,
    nodes.Test: _test,
}
