"""The grid: prompts (rows of a frame x values of the axes), each asked of every model, each as often as ``repeat`` says.

The order is fixed and is the order of the result: prompt by prompt (rows of ``over`` outside, axes inside, the last axis fastest), then model, then
repeat. `size` counts without building anything; `Items` builds a place only when it is looked at, so a grid of a million costs nothing until it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, overload

from orchestrator_nb.calls import Params, Request
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import TemplateError, UserError
from orchestrator_nb.messages import Message, Part
from orchestrator_nb.prompts.attach import attach
from orchestrator_nb.prompts.template import fill, names
from orchestrator_nb.runs import Item

if TYPE_CHECKING:
    import pandas as pd

CHECKED: Final = 10_000
"""Prompts that `expand` fills at once, so that a template that fails on some row fails before anything is sent."""

Over: TypeAlias = "pd.DataFrame | pd.Series | Sequence[Any] | None"


def size(
    models: Sequence[ModelSpec], *, over: Over = None, grid: Mapping[str, Any] | None = None, repeat: int = 1
) -> int:
    """How many calls this grid makes, without making any. Raises `UserError` when it is zero and names the empty axis."""
    axes = _axes(grid or {})
    table = _table(over)
    _refuse_empty(models, table, axes, repeat)
    return (table.length if table else 1) * prod(map(len, axes.values())) * len(models) * repeat


def rows_of(over: Over) -> tuple[dict[str, Any], ...]:
    """The rows of a DataFrame, or of a list of dicts, as plain values by column. Raises `UserError` for anything else, and for a column that is there twice."""
    table = _table(over)
    return tuple(table.row(index) for index in range(table.length)) if table else ()


def expand(
    prompt: str,
    models: Sequence[ModelSpec],
    *,
    system: str | None = None,
    params: Params = Params(),  # noqa: B008 - frozen
    over: Over = None,
    grid: Mapping[str, Any] | None = None,
    repeat: int = 1,
    files: Sequence[str | Path] = (),
    variables: Mapping[str, Any] | None = None,
    mode: str | None = None,
    stream: bool = True,
) -> Items:
    """The items of the grid. ``prompt`` and ``system`` are templates over the columns of ``over``, the axes of ``grid``, and ``variables``, nearest first.

    ``over`` is a DataFrame, or a list of dicts or Series. An item's ``inputs`` are all columns and axes, and those ``variables`` that the template uses and that
    are plain values (text, number, bool, None). Raises `UserError` for an empty prompt or axis and `TemplateError` for a variable that nobody defines.
    """
    if not prompt.strip():
        raise UserError("the prompt is empty; write it below the %%llm line.")
    axes, table = _axes(grid or {}), _table(over)
    _refuse_empty(models, table, axes, repeat)
    _refuse_clash(table, axes)
    own = {*(table.columns if table else ()), *axes}  # a row that lacks its column must not borrow a notebook variable
    free = {name: value for name, value in (variables or {}).items() if name not in own}
    template = _Template(prompt.rstrip("\n"), system, attach(files), free)
    make = partial(Request, params=params, stream=stream, tags={"mode": mode} if mode else {})
    items = Items(template, tuple(models), table, axes, repeat, make)
    items.check(CHECKED)
    return items


@dataclass(frozen=True)
class Items(Sequence[Item]):
    """The places of a grid, made when looked at."""

    template: _Template
    models: tuple[ModelSpec, ...]
    table: _Table | None
    axes: Mapping[str, Sequence[Any]]
    repeat: int
    make: Callable[..., Request]
    _kept: dict[int, _Filled] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def prompts(self) -> int:
        """How many different prompts there are."""
        return (self.table.length if self.table else 1) * self._combinations

    @property
    def totals(self) -> dict[str, int]:
        """Calls per model (``provider/model``)."""
        each = self.prompts * self.repeat
        return {ref: each * sum(m.ref == ref for m in self.models) for ref in (m.ref for m in self.models)}

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user may not have meant: an axis or a frame that the prompt does not use, and values that are missing."""
        return (*self._unused(), *self._missing())

    def _unused(self) -> Iterator[str]:
        for name in self.axes:
            if name not in self.template.names:
                yield f"the axis {name!r} is not used in the prompt, so its values change nothing; write {{{{ {name} }}}} in it."
        if self.table and self.table.columns and self.template.names.isdisjoint(self.table.columns):
            name = self.table.columns[0]
            yield f"the prompt uses no column of the frame, so every row asks the same; write for example {{{{ {name} }}}} in it."

    def _missing(self) -> Iterator[str]:
        if (table := self.table) is None:
            return
        for name in table.columns:
            if name in self.template.names and (rows := table.missing(name)):
                yield (
                    f"{rows:,} of {table.length:,} rows have no value for {name!r}, and their prompts say 'nan' or 'None' there; "
                    "drop or fill them first."
                )

    def check(self, most: int | None = None) -> None:
        """Fill the first ``most`` prompts (``None``: all), so that a failing row is known before anything is sent. Raises `TemplateError` with the row."""
        for row in range(min(self.prompts, self.prompts if most is None else most)):
            self._filled(row)

    def __len__(self) -> int:
        return self.prompts * len(self.models) * self.repeat

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        rest, sample = divmod(place, self.repeat)
        row, model = divmod(rest, len(self.models))
        filled = self._filled(row)
        request = self.make(self.models[model], filled.messages, filled.system, sample=sample)
        return Item(request, row, sample, filled.inputs)

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def _combinations(self) -> int:
        return prod(map(len, self.axes.values()))

    def _filled(self, row: int) -> _Filled:
        """One prompt; the latest few thousand are kept, because all models and repeats of a row share it."""
        if (filled := self._kept.get(row)) is None:
            filled = self._fill(row)
            self._keep(row, filled)
        return filled

    def _fill(self, row: int) -> _Filled:
        outer, combination = divmod(row, self._combinations)
        columns = self.table.row(outer) if self.table else {}
        try:
            return self.template.fill({**columns, **_combination(self.axes, combination)})
        except TemplateError as error:
            message = f"{f'row {row}: ' if row else ''}{error}{self._columns_hint()}"
        raise TemplateError(message)

    def _keep(self, row: int, filled: _Filled) -> None:
        while len(self._kept) >= CHECKED:
            for oldest in list(islice(self._kept, CHECKED // 10)):
                self._kept.pop(oldest, None)
        self._kept[row] = filled

    def _columns_hint(self) -> str:
        """When a name is missing and there is a frame, what the frame has."""
        columns = [*(self.table.columns if self.table else ()), *self.axes]
        missing = self.template.names - set(columns) - self.template.variables.keys()
        if not missing or not self.table:
            return ""
        several = "s" if len(self.table.columns) > 1 else ""
        return f" The frame has the column{several} {', '.join(map(repr, self.table.columns))}."


@dataclass(frozen=True, slots=True)
class _Filled:
    messages: tuple[Message, ...]
    system: str | None
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class _Template:
    """Prompt and system text with the files and the notebook's variables: everything that is the same for each row."""

    prompt: str
    system: str | None
    parts: tuple[Part, ...]
    variables: Mapping[str, Any]

    @cached_property
    def names(self) -> frozenset[str]:
        return names(self.prompt) | (names(self.system) if self.system else frozenset())

    @cached_property
    def used(self) -> dict[str, Any]:
        """The notebook's variables that the template names, as they are now: a later change does not reach a running grid."""
        return {name: self.variables[name] for name in sorted(self.names) if name in self.variables}

    @cached_property
    def scalars(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.used.items() if value is None or isinstance(value, str | int | float)
        }

    def fill(self, inputs: Mapping[str, Any]) -> _Filled:
        known = {**self.used, **inputs}
        if missing := sorted(self.names - known.keys()):
            known = _Known(known, missing, self.variables)
        text = fill(self.prompt, known)
        if not text.strip():
            raise TemplateError("the filled prompt is empty; see what the template's variables hold.")
        system = fill(self.system, known) if self.system is not None else None
        return _Filled((Message.user(text, *self.parts),), system, {**inputs, **self.scalars})


class _Known(dict[str, Any]):
    """The known values; iterating shows the notebook's names too, so that the nearest name is found among all of them."""

    def __init__(self, values: Mapping[str, Any], missing: list[str], variables: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._all = [*values, *(name for name in variables if name not in missing)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)


def _combination(axes: Mapping[str, Sequence[Any]], index: int) -> dict[str, Any]:
    """The ``index``-th combination of the axes, the last axis fastest."""
    chosen: dict[str, Any] = {}
    for name, values in reversed(list(axes.items())):
        index, place = divmod(index, len(values))
        chosen[name] = _plain(values[place])
    return dict(reversed(chosen.items()))


def _axes(grid: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    return {name: _axis(name, values) for name, values in grid.items()}


def _axis(name: str, values: Any) -> Sequence[Any]:
    """A sequence as it is, an array or Series as a list. Text and sets are refused: characters are not meant, and a set has no order."""
    if hasattr(values, "tolist") and not isinstance(values, str):
        values = values.tolist()
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return values
    raise UserError(f"the axis {name!r} wants a list of values, not {_article(values)}; write [value, value].")


def _article(value: Any) -> str:
    return f"a value of type {type(value).__name__!r}"


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows of ``over``: column-wise from a frame, row-wise from a list."""

    columns: tuple[str, ...]
    length: int
    row: Callable[[int], dict[str, Any]]
    missing: Callable[[str], int]
    """In how many rows a column has no value."""


def _table(over: Any) -> _Table | None:
    if over is None:
        return None
    if _is(over, "Series"):
        over = over.to_frame(name="value" if over.name is None else over.name)
    if _is(over, "DataFrame"):
        return _frame_table(over)
    if isinstance(over, Sequence) and not isinstance(over, str | bytes):
        return _list_table(over)
    raise UserError(f"--over takes a DataFrame or a list of dicts, not {_article(over)}.")


def _is(value: Any, kind: str) -> Any:
    """Whether this is pandas' DataFrame or Series. Where pandas was never imported nothing is, and the shell starts faster without it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def _frame_table(frame: pd.DataFrame) -> _Table:
    columns = tuple(map(str, frame.columns))
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise UserError(f"the frame has the column {twice[0]!r} twice; rename one of them.")
    series = [frame.iloc[:, place] for place in range(len(columns))]
    lists: list[list[Any]] = []

    def row(index: int) -> dict[str, Any]:
        if not lists:  # turned into plain lists once, and not by size()
            lists.extend(column.tolist() for column in series)
        return {name: _plain(values[index]) for name, values in zip(columns, lists, strict=True)}

    def missing(name: str) -> int:
        return int(series[columns.index(name)].isna().sum())

    return _Table(columns, len(frame), row, missing)


def _list_table(rows: Sequence[Any]) -> _Table:
    odd = next(
        ((place, row) for place, row in enumerate(rows) if not isinstance(row, Mapping) and not _is(row, "Series")),
        None,
    )
    if odd:
        raise UserError(f"--over takes a DataFrame or a list of dicts; entry {odd[0]} is {_article(odd[1])}.")
    columns = tuple(dict.fromkeys(str(key) for row in rows for key in dict(row)))

    def row(index: int) -> dict[str, Any]:
        return {str(name): _plain(value) for name, value in dict(rows[index]).items()}

    def missing(name: str) -> int:
        values = (dict(entry).get(name) for entry in rows)
        return sum(value is None or value != value for value in values)  # noqa: PLR0124  # only NaN differs from itself

    return _Table(columns, len(rows), row, missing)


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's, ``pd.NA`` and ``NaT`` as None; anything else as it is."""
    if type(value) in (str, int, float, bool):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _refuse_empty(
    models: Sequence[ModelSpec], table: _Table | None, axes: Mapping[str, Sequence[Any]], repeat: int
) -> None:
    if not models:
        raise UserError("no model is named; write one after %%llm, %llm models lists all of them.")
    if repeat < 1:
        raise UserError(f"--repeat must be at least 1, not {repeat}.")
    if table is not None and not table.length:
        raise UserError("the frame given to --over has no rows, so there is nothing to ask.")
    if empty := next((name for name, values in axes.items() if not len(values)), None):
        raise UserError(f"the axis {empty!r} has no values, so there is nothing to ask; give it at least one.")


def _refuse_clash(table: _Table | None, axes: Mapping[str, Sequence[Any]]) -> None:
    if clash := next((name for name in axes if table and name in table.columns), None):
        raise UserError(f"{clash!r} is both a column of the frame and an axis of the grid; rename one of them.")
