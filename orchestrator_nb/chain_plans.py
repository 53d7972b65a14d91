"""A chain with all that its steps lean on, ready to be asked: the models that they name, the library's roles and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.chaining import ChainPlan, models_named
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.errors import UserError
from orchestrator_nb.library import Library

Find = Callable[[Sequence[str]], tuple[ModelSpec, ...]]
"""The models that names mean; the default one for none."""


def chain_plan(
    made: Plan, rows: tuple[Mapping[str, Any], ...], model: str | None, library: Library, find: Find, **how: Any
) -> ChainPlan:
    """``model`` is asked by steps that name none; ``how`` are the other fields of a `ChainPlan`. Raises `UserError` for a name that means no model, or several."""

    def model_of(name: str | None) -> ModelSpec:
        return _the_one(name or model, find)

    models = {spec.ref: spec for spec in map(model_of, dict.fromkeys(models_named(made)))}
    roles, functions = library.roles, dict(library.functions)
    return ChainPlan(
        made=made,
        rows=rows,
        model_of=cache(model_of),
        models=tuple(models.values()),
        model=model,
        roles=roles,
        functions=functions,
        **how,
    )


def _the_one(name: str | None, find: Find) -> ModelSpec:
    found = find([name] if name else [])
    if len(found) != 1:
        raise UserError(f"{name!r} means {len(found)} models, and a step names one; write one of them.")
    return found[0]
