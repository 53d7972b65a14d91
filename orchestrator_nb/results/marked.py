"""A frame of answers with what a person thought of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import pandas as pd

from orchestrator_nb.errors import UserError
from orchestrator_nb.marks import MARKS, Mark

_DTYPES: Final[Mapping[str, Any]] = {"best": "bool", "rating": "Int64", "thumbs": "string", "note": "string"}
_ATTRS: Final = "orchestrator_nb.marked"


def marked(frame: pd.DataFrame, of: Callable[[str], Mapping[str, Mark]]) -> pd.DataFrame:
    """With a column for each part of a mark; ``of`` gives a run's marks by call. Columns that this gave before are replaced."""
    known: dict[str, Mark] = {}
    for run in frame["run_id"].dropna().unique():
        with suppress(UserError):  # a run that the store has no more, or never had
            known |= of(str(run))
    marks = [known.get(call, Mark()) for call in frame["call_id"].astype(object)]
    made = frame.copy()
    names = _names(made)
    for name in MARKS:
        values = pd.Series([getattr(mark, name) for mark in marks], index=made.index, dtype="object")
        made[names[name]] = values.astype(_DTYPES[name])
    made.attrs[_ATTRS] = names
    return made


def _names(frame: pd.DataFrame) -> Mapping[str, str]:
    before = frame.attrs.get(_ATTRS, {})
    return {name: before.get(name) or (f"{name}_mark" if name in frame else name) for name in MARKS}
