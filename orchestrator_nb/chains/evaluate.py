"""Evaluates the allowed part of Jinja's tree over JSON values. No Python attribute is ever looked up and nothing is compiled; see `gate` for what gets here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from operator import add, eq, ge, gt, le, lt, mul, sub, truediv
from typing import Any, Final

from jinja2 import nodes

from orchestrator_nb.chains.functions import FILTERS, FUNCTIONS, TESTS, Function, kind_of
from orchestrator_nb.chains.gate import constant
from orchestrator_nb.chains.work import ExpressionError, Missing, Work, capped
from orchestrator_nb.prompts.template import nearest

NODE: Final = 10
"""Units of work for a node, whatever it is."""


class Evaluation:
    """One evaluation: the names it may see, and the work it may still do."""

    def __init__(self, names: Mapping[str, Any], work: Work | None = None) -> None:
        self.names = dict(names)
        self.work = work or Work()

    def value(self, node: nodes.Node) -> Any:
        """The value of an expression. Raises `ExpressionError` with the line."""
        self.work.spend(NODE)
        try:
            return _VALUES[type(node)](self, node)
        except ExpressionError as error:
            error.line = max(error.line, node.lineno)
            raise

    def text(self, body: Iterable[nodes.Node]) -> str:
        """The text of a template."""
        parts, size = [], 0
        for part in self._parts(body):
            size += len(part)
            capped(size)
            parts.append(part)
        return "".join(parts)

    def _parts(self, body: Iterable[nodes.Node]) -> Iterator[str]:
        for node in body:
            self.work.spend(NODE)
            if isinstance(node, nodes.Output):
                for part in node.nodes:
                    yield part.data if isinstance(part, nodes.TemplateData) else self.work.text(self.value(part))
            elif isinstance(node, nodes.If):
                yield from self._parts(self._branch(node))
            elif isinstance(node, nodes.For):
                yield from self._loop(node)

    def _branch(self, node: nodes.If) -> list[nodes.Node]:
        for test in (node, *node.elif_):
            if self.value(test.test):
                return test.body
        return node.else_

    def _loop(self, node: nodes.For) -> Iterator[str]:
        name = node.target.name  # type: ignore[attr-defined]  # the gate lets names through only
        outer = {key: self.names[key] for key in (name, "loop") if key in self.names}
        items = self._items(node, name)
        for index, item in enumerate(items):
            self.names[name] = item
            self.names["loop"] = _place(index, len(items))
            yield from self._parts(node.body)
        for key in (name, "loop"):
            self.names.pop(key, None)
        self.names |= outer
        if not items:
            yield from self._parts(node.else_)

    def _items(self, node: nodes.For, name: str) -> list[Any]:
        found = self.value(node.iter)
        if not isinstance(found, list):
            raise ExpressionError(f"'for' takes a list, not {kind_of(found)}.", node.lineno)
        self.work.spend(len(found))
        if node.test is None:
            return found
        inner = Evaluation(self.names, self.work)
        return [item for item in found if inner.given(name, item).value(node.test)]

    def given(self, name: str, value: Any) -> Evaluation:
        """Itself, with one more name."""
        self.names[name] = value
        return self


def _place(index: int, count: int) -> dict[str, Any]:
    return {"index": index + 1, "index0": index, "first": index == 0, "last": index == count - 1, "length": count}


def _name(run: Evaluation, node: nodes.Name) -> Any:
    if node.name in run.names:
        return run.names[node.name]
    raise Missing(f"{node.name!r} is not known here{nearest(node.name, run.names) or '.'}", node.lineno)


def _attribute(run: Evaluation, node: nodes.Getattr) -> Any:
    return _key(run.value(node.node), node.attr)


def _item(run: Evaluation, node: nodes.Getitem) -> Any:
    whole = run.value(node.node)
    if isinstance(node.arg, nodes.Slice):
        return _slice(run, whole, node.arg)
    index = constant(node.arg)
    if isinstance(index, str):
        return _key(whole, index)
    if not isinstance(whole, list):
        raise _no_part(whole, f"[{index}]", "a list")
    if not -len(whole) <= index < len(whole):
        raise Missing(f"there is no [{index}] in a list of {len(whole)}.")
    return whole[index]


def _slice(run: Evaluation, whole: Any, part: nodes.Slice) -> Any:
    if not isinstance(whole, list | str):
        raise _no_part(whole, "[a:b]", "a list or a text")
    bounds = [None if bound is None else constant(bound) for bound in (part.start, part.stop, part.step)]
    if bounds[2] == 0:
        raise ExpressionError("a step of 0 leads nowhere.")
    run.work.spend(len(whole))
    return whole[slice(*bounds)]


def _key(whole: Any, key: str) -> Any:
    if not isinstance(whole, dict):
        raise _no_part(whole, repr(key), "an object")
    if key not in whole:
        raise Missing(f"there is no {key!r} in the object{nearest(key, whole) or '.'}")
    return whole[key]


def _no_part(whole: Any, part: str, expected: str) -> ExpressionError:
    kind = Missing if whole is None else ExpressionError  # what was skipped has no parts, and may have a default
    return kind(f"{part} is a part of {expected}, not of {kind_of(whole)}.")


def _compare(run: Evaluation, node: nodes.Compare) -> bool:
    left = run.value(node.expr)
    for operand in node.ops:
        right = run.value(operand.expr)
        run.work.weigh(left)
        run.work.weigh(right)
        if not _holds(operand.op, left, right):
            return False
        left = right
    return True


def _holds(op: str, left: Any, right: Any) -> bool:
    if op in _ORDER:
        return _ORDER[op](left, right)
    return _in(left, right) if op == "in" else not _in(left, right)


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        both_texts = isinstance(left, str) and isinstance(right, str)
        if not both_texts and not (_is_number(left) and _is_number(right)):
            raise ExpressionError(f"{kind_of(left)} and {kind_of(right)} have no order.")
        return bool(compare(left, right))

    return holds


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        if not isinstance(left, str):
            raise ExpressionError(f"'in' a text takes a text, not {kind_of(left)}.")
        return left in right
    if isinstance(right, list | dict):
        return not (isinstance(right, dict) and not isinstance(left, str)) and left in right
    raise ExpressionError(f"'in' takes a text, a list or an object, not {kind_of(right)}.")


def _equal(left: Any, right: Any) -> bool:
    """JSON's equality: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(eq(left, right))


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "gt": _compared(gt),
    "gteq": _compared(ge),
    "lt": _compared(lt),
    "lteq": _compared(le),
}


def _and(run: Evaluation, node: nodes.And) -> Any:
    return run.value(node.left) and run.value(node.right)


def _or(run: Evaluation, node: nodes.Or) -> Any:
    return run.value(node.left) or run.value(node.right)


def _if(run: Evaluation, node: nodes.CondExpr) -> Any:
    if run.value(node.test):
        return run.value(node.expr1)
    return None if node.expr2 is None else run.value(node.expr2)


def _arithmetic(act: Callable[[Any, Any], Any], sign: str) -> Callable[[Evaluation, Any], Any]:
    def value(run: Evaluation, node: nodes.BinExpr) -> Any:
        left, right = run.value(node.left), run.value(node.right)
        if not (_is_number(left) and _is_number(right)):
            hint = " Join texts with ~." if isinstance(left, str) and sign == "+" else ""
            raise ExpressionError(f"{sign!r} takes numbers, not {kind_of(left)} and {kind_of(right)}.{hint}")
        return _finite(act, left, right)

    return value


def _finite(act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    try:
        result = act(left, right)
        if isfinite(result) and (isinstance(result, float) or abs(result) < 10**300):
            return result
    except (ZeroDivisionError, OverflowError):
        pass
    raise ExpressionError("the result is no number.")


def _sign(act: int) -> Callable[[Evaluation, Any], Any]:
    def value(run: Evaluation, node: nodes.UnaryExpr) -> Any:
        number = run.value(node.node)
        if not _is_number(number):
            raise ExpressionError(f"'-' and '+' before a value take a number, not {kind_of(number)}.")
        return act * number

    return value


def _concat(run: Evaluation, node: nodes.Concat) -> str:
    parts = [run.work.text(run.value(part)) for part in node.nodes]
    capped(sum(map(len, parts)))
    return "".join(parts)


def _call(run: Evaluation, node: nodes.Call) -> Any:
    name = node.node.name  # type: ignore[attr-defined]  # the gate lets names through only
    return _apply(run, name, FUNCTIONS[name], [run.value(part) for part in node.args])


def _filter(run: Evaluation, node: nodes.Filter) -> Any:
    assert node.node is not None  # noqa: S101  # only a filter block has none, and the gate refuses it
    rest = [run.value(part) for part in node.args]
    try:
        first = run.value(node.node)
    except Missing:
        if node.name != "default":
            raise
        first = None
    return _apply(run, node.name, FILTERS[node.name], [first, *rest])


def _apply(run: Evaluation, name: str, function: Function, given: list[Any]) -> Any:
    if function.cost:
        run.work.spend(function.cost * sum(map(run.work.weigh, given)))
    try:
        result = function.call(*given)
    except (ValueError, OverflowError) as error:
        problem = f"{name} {error}."
    except RecursionError:
        problem = f"{name} takes no value that nests so deep."
    else:
        if isinstance(result, str):
            capped(len(result))
        return result
    raise ExpressionError(problem)


def _test(run: Evaluation, node: nodes.Test) -> bool:
    try:
        return TESTS[node.name](run.value(node.node))
    except Missing:
        if node.name != "defined":
            raise
        return False


_VALUES: Final[Mapping[type[nodes.Node], Callable[[Evaluation, Any], Any]]] = {
    nodes.Const: lambda _run, node: node.value,
    nodes.Name: _name,
    nodes.Getattr: _attribute,
    nodes.Getitem: _item,
    nodes.List: lambda run, node: [run.value(part) for part in node.items],
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: lambda run, node: not run.value(node.node),
    nodes.CondExpr: _if,
    nodes.Concat: _concat,
    nodes.Add: _arithmetic(add, "+"),
    nodes.Sub: _arithmetic(sub, "-"),
    nodes.Mul: _arithmetic(mul, "*"),
    nodes.Div: _arithmetic(truediv, "/"),
    nodes.Neg: _sign(-1),
    nodes.Pos: _sign(1),
    nodes.Call: _call,
    nodes.Filter: _filter,
    nodes.Test: _test,
}
