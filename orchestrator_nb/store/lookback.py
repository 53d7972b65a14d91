"""What the store can tell before anything is asked: which questions have their answer already, and how long a model's earlier questions and answers were.

Only what bears its seal counts. Nothing here reads more than a bounded part of the store, however much there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from orchestrator_nb.calls import KEY_VERSION, Response
from orchestrator_nb.canonical import digest
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.reading import read_answer
from orchestrator_nb.store.rows import seal

NEWEST: Final = 400
"""Runs that are looked through for earlier calls of a model."""
ALIKE: Final = 8
"""Newest runs of the same template that are read."""
OTHERS: Final = 12
"""Newest runs of other templates that are read."""
PLACES: Final = 200
"""Places of a run that are read: the first, in which each of its models has its turn."""

_AT_ONCE: Final = 500
_KNOWN: Final = (
    "SELECT lower(hex(requests.key)), space, good, answers.at, answers.payload, answers.digest FROM requests"
    " JOIN answers ON answers.request = requests.id WHERE requests.key IN ({}) AND space = ? AND good"
)
_RUNS: Final = "SELECT id, name, at, payload, digest FROM runs ORDER BY at DESC, rowid DESC LIMIT ?"
_CALLS: Final = (
    "SELECT calls.run, calls.number, answers.id, lower(hex(requests.key)), requests.payload, items.payload, items.digest,"
    " space, good, answers.at, answers.payload, answers.digest FROM calls JOIN answers ON answers.id = calls.answer"
    " JOIN items ON items.run = calls.run AND items.number = calls.number JOIN requests ON requests.id = items.request"
    " WHERE calls.run IN ({}) AND calls.number < ? AND space = ?"
)


class Template(NamedTuple):
    """What all prompts of a grid are made from."""

    prompt: str
    system: str | None


@dataclass(frozen=True, slots=True)
class Used:
    """One earlier call of a model (``provider/model``).

    ``template`` and ``asked`` (the question's record) are ``None`` where prompts are not kept; ``params`` are those of its run.
    """

    model: str
    run: str
    template: Template | None
    params: Mapping[str, Any]
    asked: Mapping[str, Any] | None
    answer: Response


def answered(database: Database, keys: Iterable[str], space: str = "live") -> set[str]:
    """Which of these questions have an answer that would be served. Raises `StoreError`."""
    found: set[str] = set()
    wanted = list(keys)
    with database.reading() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            sql = _KNOWN.format(",".join("?" * len(some)))
            for key, *row in connection.execute(sql, [*map(bytes.fromhex, some), space]):
                if key not in found and _is_sound(key, *row):
                    found.add(key)
    return found


def _is_sound(key: str, space: str, good: int, at: float, written: str, sealed: bytes) -> bool:
    return seal("answers", key, space, good, at, written) == sealed


def used(database: Database, models: Sequence[str], space: str, template: Template | None = None) -> list[Used]:
    """The newest earlier calls of ``models`` with an answer, those of the same ``template`` first in line. Raises `StoreError`."""
    with database.reading() as connection:
        runs = {run.number: run for run in _chosen(connection.execute(_RUNS, (NEWEST,)), models, template)}
        sql = _CALLS.format(",".join("?" * len(runs)))
        rows = connection.execute(sql, [*runs, PLACES, space]).fetchall() if runs else []
    each = {row[2]: row for row in rows}  # an answer that was served again is no second one
    return [call for row in each.values() if (call := _used(runs[row[0]], row)) and call.model in models]


@dataclass(frozen=True, slots=True)
class _Run:
    number: int
    name: str
    template: Template | None
    params: Mapping[str, Any]


def _chosen(rows: Iterable[Sequence[Any]], models: Sequence[str], template: Template | None) -> Iterator[_Run]:
    """Of the newest runs those with one of the models: some of the same template, some of others."""
    left = {True: ALIKE, False: OTHERS}
    for number, name, at, written, sealed in rows:
        if seal("runs", name, at, written) != sealed:
            continue
        about = json.loads(written)
        if set(models).isdisjoint(about.get("models", ())):
            continue
        run = _Run(number, name, _template(about.get("template")), about.get("params") or {})
        alike = template is not None and run.template == template
        if left[alike]:
            left[alike] -= 1
            yield run


def _template(told: Any) -> Template | None:
    return Template(told["prompt"], told["system"]) if isinstance(told, Mapping) else None


def _used(run: _Run, row: Sequence[Any]) -> Used | None:
    _, number, _, key, asked, item, item_seal, *answer = row
    if seal("items", run.number, number, key, item) != item_seal:
        return None
    if (response := read_answer(key, *answer)) is None:
        return None
    record = json.loads(asked) if isinstance(asked, str) and digest(asked) == key else {}
    kept = record if record.get("v") == KEY_VERSION else None
    return Used(json.loads(item)["model"], run.name, run.template, run.params, kept, response)
