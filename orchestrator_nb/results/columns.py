"""Columns of a frame from plain values: nullable dtypes, text as it came, JSON as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from orchestrator_nb.results.safe_text import whole

STRING: Final = pd.StringDtype("python")


def renamed(columns: Mapping[str, Any], *, taken: Iterable[str], suffix: str) -> dict[str, Any]:
    """The columns with the suffix added to names that are taken, as often as it needs."""
    used, renamed = {*taken}, {}
    for name, values in columns.items():
        free = name
        while free in used or (free != name and free in columns):
            free += suffix
        used.add(free)
        renamed[free] = values
    return renamed


def typed(values: list[Any], dtype: str) -> Any:
    """The values as an array of one of the dtypes of `COLUMNS`."""
    match dtype:
        case "string":
            return _strings(values)
        case "object":
            return _values(values)
        case "float64":
            return np.array(values, dtype="float64")
        case "datetime64[us, UTC]":
            seconds = np.array(values, dtype="float64")
            micros = np.where(np.isnan(seconds), np.nan, np.round(seconds * 1e6))
            return pd.Series(micros).astype("Int64").astype("datetime64[us]").dt.tz_localize("UTC").array
        case _:
            return pd.array(values, dtype=dtype)  # type: ignore[call-overload]  # the stubs list names, not str


def _strings(values: Sequence[Any]) -> Any:
    if (kinds := set(map(type, values))) == {type(None)}:
        cells: Sequence[Any] = [pd.NA] * len(values)
    elif kinds == {str} and all(map(str.isascii, values)):  # most columns are; asked in C
        cells = values
    else:
        cells = [_cell(value) for value in values]
    return pd.arrays.StringArray(_objects(cells))


def _cell(value: str | None) -> Any:
    return pd.NA if value is None else value if value.isascii() else whole(value)


def _values(values: Sequence[Any]) -> Any:
    """Values of any kind; a text among them is mended, for a file takes this column too."""
    return _objects([whole(value) if type(value) is str else value for value in values])


def _objects(values: Sequence[Any]) -> Any:
    """An object array that holds lists and dicts as they are; ``np.array`` would unpack them."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def typed_if_possible(values: list[Any], dtype: str) -> Any:
    """An answer that failed its schema keeps its value: then the column is ``object``."""
    try:
        return typed(values, dtype)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return _values(values)


def inferred(values: list[Any]) -> Any:
    """An array with the dtype that all values share, with None as missing; ``object`` when they share none."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) == 1 and (dtype := _DTYPE_FOR.get(next(iter(kinds)))):
        return typed_if_possible(values, dtype)
    if kinds == {int, float}:
        return typed_if_possible(values, "float64")
    return pd.Series(_objects(values)).infer_objects() if kinds == {pd.Timestamp} else _values(values)


_DTYPE_FOR: Final[dict[type, str]] = {str: "string", int: "Int64", float: "float64", bool: "boolean"}
