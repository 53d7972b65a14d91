"""What a chain gave, to work with: ``df.llm.outputs``."""

from __future__ import annotations

from typing import Any

import pandas as pd

from orchestrator_nb.errors import UserError
from orchestrator_nb.results.chain_told import ChainTold
from orchestrator_nb.results.chain_values import inner, listed
from orchestrator_nb.results.columns import inferred, renamed
from orchestrator_nb.results.page import box


class Outputs(dict[str, Any]):
    """Outputs by name, as JSON. Displays itself; a single text reads as such."""

    def __repr__(self) -> str:
        return listed(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": box(inner(self), math=True), "text/plain": listed(self)}


def outputs(told: ChainTold) -> Outputs | pd.DataFrame:
    """Of a chain that ran once: its outputs, or a `UserError` that says why there are none. Of one that ran over a frame: that frame with the outputs beside it."""
    return joined(told) if told.over else _once(told)


def _once(told: ChainTold) -> Outputs:
    given = next(iter(told.outputs), None)
    if given is None:
        why = next(iter(told.errors), None) or "it was stopped."
        raise UserError(
            f"the chain {told.name!r} gave nothing: {why} %chain resume {told.run_id or 'RUN'} goes on from there."
        )
    return Outputs(given)


def joined(told: ChainTold) -> pd.DataFrame:
    """The frame's own columns, the outputs (a name that is taken gets the suffix ``_out``), and ``error``, which is missing where a row succeeded."""
    own = {name: [row.get(name) for row in told.rows] for name in _names(told.rows)}
    size = len(told.rows)
    given = [told.outputs[row] if row < len(told.outputs) else None for row in range(size)]
    found = {name: [None if row is None else row.get(name) for row in given] for name in _output_names(told)}
    errors = [told.errors[row] if row < len(told.errors) else None for row in range(size)]
    found = renamed(found, taken=own, suffix="_out")
    found |= renamed({"error": errors}, taken={**own, **found}, suffix="_out")
    return pd.DataFrame(
        {name: inferred(values) for name, values in {**own, **found}.items()}, index=pd.RangeIndex(size)
    )


def _output_names(told: ChainTold) -> list[str]:
    """Those that came, else those that the chain names."""
    if came := _names([row for row in told.outputs if row is not None]):
        return came
    named = told.definition.get("outputs") or ()
    return [str(name) for name in named] if isinstance(named, dict | list | tuple) else []


def _names(rows: Any) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row))
