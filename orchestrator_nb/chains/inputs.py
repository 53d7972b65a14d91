"""What a chain is given: filled up with defaults, checked against the declared types, all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator_nb.chains.chain import REQUIRED, Chain, Input
from orchestrator_nb.chains.functions import kind_of
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.work import ExpressionError, Work
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.errors import ChainError

_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "list": (list,), "object": (dict,)
}  # fmt: skip


def bind(chain: Chain, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs' values by name, defaults included. Raises `ChainError` for what is missing, unknown, or of another type."""
    declared = {item.name: item for item in chain.inputs}
    problems = [_problem(chain, name, f"{unknown(name, declared, 'input')}.") for name in given if name not in declared]
    values = dict[str, Any]()
    for item in chain.inputs:
        value = given.get(item.name, item.default)
        if reason := misfit(item, value):
            problems.append(_problem(chain, item.name, reason))
        values[item.name] = value
    if problems:
        raise ChainError(problems)
    return values


def misfit(item: Input, value: Any) -> str:
    """Why a value cannot be this input; "" when it can."""
    if value is REQUIRED:
        return f"the input {item.name!r} is missing; it is {_article(item.type)}."
    if value is None and item.default is None:
        return ""
    if not is_a(value, item.type):
        return f"the input {item.name!r} is {_article(item.type)}, not {kind_of(value)}."
    if item.choices and not any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in item.choices
    ):
        return f"the input {item.name!r} is one of {', '.join(map(repr, item.choices))}, not {str(value)[:60]!r}."
    return ""


def is_a(value: Any, name: str) -> bool:
    """Whether a JSON value is of a type."""
    if name == "any":
        try:
            return Work().weigh(value) >= 0
        except ExpressionError:
            return False
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _article(name: str) -> str:
    return {
        "integer": "a whole number",
        "object": "an object",
        "any": "any JSON value",
        "boolean": "true or false",
    }.get(name, f"a {name}")


def _problem(chain: Chain, name: str, message: str) -> Problem:
    return chain.origin.problem(("inputs", name), message)
