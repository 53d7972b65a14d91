"""Is the store whole, and what can be saved if it is not. The file that is looked at is never written to.

Each row's seal tells whether it is what was written. Saving reads the pages themselves, so that a row is found also where the way to it is broken.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.canonical import digest
from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.database import failure
from orchestrator_nb.store.migrations import NotOurs
from orchestrator_nb.store.opening import PAGE, on_disk, reader
from orchestrator_nb.store.pages import Cell, cells
from orchestrator_nb.store.rows import seal
from orchestrator_nb.types import Clock

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection


@dataclass(frozen=True, slots=True)
class Report:
    """``whole`` and ``damaged`` count rows by table; ``problems`` are SQLite's own findings, and tables that cannot be read to their end."""

    whole: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Nothing was found."""
        return not self.problems and not any(self.damaged.values())


_KEY: Final = "lower(hex(requests.key))"
_SEALED: Final = {  # the seal, then what it is made of
    "runs": "SELECT digest, name, at, payload FROM runs",
    "ends": "SELECT digest, run, at, payload FROM ends",
    "items": f"SELECT digest, run, number, {_KEY}, items.payload FROM items LEFT JOIN requests ON requests.id = request",
    "answers": f"SELECT digest, {_KEY}, space, good, at, answers.payload FROM answers"
    " LEFT JOIN requests ON requests.id = request",
    "calls": f"SELECT digest, run, number, turn, {_KEY}, calls.payload FROM calls LEFT JOIN requests ON requests.id = request",
    "attempts": "SELECT digest, id, run, at, payload FROM attempts",
    "settlements": "SELECT digest, attempt, payload FROM settlements",
    "days": "SELECT digest, day, usd, reserved FROM days",
    "turns": "SELECT digest, conversation, name, at, payload FROM turns",
    "marks": "SELECT digest, run, number, turn, at, payload FROM marks",
    "reservations": "SELECT digest, id, day, at, owner, usd FROM reservations",
}


def check(path: Path) -> Report:
    """Look at every row and at SQLite's own structure. Raises `StoreError` when there is no such file, or it cannot be opened."""
    import sqlite3

    _require(path)
    try:
        connection = reader(path)
    except (sqlite3.Error, UnicodeError) as error:
        problem = failure(error, None)
    else:
        with contextlib.closing(connection):
            return _checked(connection)
    raise problem


def _checked(connection: Connection) -> Report:
    whole, damaged = dict[str, int](), dict[str, int]()
    problems = [found for (found,) in _rows(connection, "PRAGMA integrity_check(20)", []) if found != "ok"]
    tests: dict[str, tuple[str, Callable[..., bool]]] = {
        "requests": ("SELECT lower(hex(key)), payload FROM requests", _is_question),
        **{name: (sql, _sealed(name)) for name, sql in _SEALED.items()},
    }
    for name, (sql, test) in tests.items():
        found = [test(*row) for row in _rows(connection, sql, problems)]
        whole[name], damaged[name] = sum(found), len(found) - sum(found)
    return Report(whole, damaged, tuple(dict.fromkeys(problems)))


def _rows(connection: Connection, sql: str, problems: list[str]) -> Iterable[tuple[Any, ...]]:
    import sqlite3

    try:
        yield from connection.execute(sql)
    except (sqlite3.Error, UnicodeError) as error:  # a damaged schema has names that are no text
        problems.append(str(error))
        yield from [("it cannot be read",)] if sql.startswith("PRAGMA") else []


def _is_question(key: str, payload: Any) -> bool:
    return payload is None or (isinstance(payload, str) and digest(payload) == key)


def _sealed(table: str) -> Callable[..., bool]:
    return lambda sealed, *content: seal(table, *content) == sealed


def vacuum(path: Path, *, clock: Clock) -> tuple[int, int]:
    """Give room that deleted rows took back to the disk: bytes before and after. Raises `StoreError`; the file is whole then too."""
    import sqlite3

    _require(path)
    try:
        opened = on_disk(path, clock.wall())
        with opened.lock:
            opened.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            before = path.stat().st_size
            opened.writer.execute("VACUUM")
            opened.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            opened.writer.close()
    except (OSError, sqlite3.Error, UnicodeError, NotOurs) as error:
        problem = failure(error, path)
    else:
        return before, path.stat().st_size
    raise problem


def salvage(path: Path, to: Path, *, clock: Clock) -> dict[str, int]:
    """Copy every row whose seal is right to the new store ``to``; rows by table. Raises `StoreError` when ``to`` exists already or cannot be written."""
    import sqlite3

    _require(path)
    if to.exists():
        raise StoreError(f"{to.name} exists already; name a new file, so that nothing is overwritten.")
    data, size = _pages(path)
    sizes = {size, PAGE}  # the size that the file tells may be what is damaged
    found = _proven(_tables(cell for size in sizes for cell in cells(data, size)))
    try:
        opened = on_disk(to, clock.wall())
        with opened.lock:
            _fill(opened.writer, found)
            opened.writer.close()
    except (OSError, sqlite3.Error) as error:
        problem = failure(error, to)
    else:
        return {name: len(rows) for name, rows in found.items()}
    raise problem


def _require(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"there is no store at {path}.")


def _pages(path: Path) -> tuple[bytes, int]:
    """The file as SQLite sees it, with what stands only in its log so far; the bare file where SQLite sees none."""
    import sqlite3

    try:
        with contextlib.closing(reader(path)) as connection:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            return connection.serialize(), size
    except (sqlite3.Error, UnicodeError):
        return _bare(path), PAGE


def _bare(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        return file.read()


_Rows = dict[Any, tuple[Any, ...]]
_SHAPES: Final[dict[str, tuple[str, ...]]] = {  # as they stand in a page: a row's own number is left out there
    "requests": ("none", "bytes", "text?"),
    "runs": ("none", "text", "number", "text", "bytes"),
    "ends": ("none", "number", "text", "bytes"),
    "items": ("integer", "integer", "integer", "text", "bytes"),
    "answers": ("none", "integer", "text", "integer", "number", "text", "bytes"),
    "calls": ("none", "integer", "integer", "integer", "integer", "integer?", "text", "bytes"),
    "attempts": ("none", "integer", "number", "text", "bytes"),
    "settlements": ("none", "text", "bytes"),
    "days": ("none", "text", "text", "bytes"),
    "turns": ("none", "text", "text", "number", "text", "bytes"),
    "marks": ("none", "integer", "integer", "integer", "number", "text", "bytes"),
    "reservations": ("none", "integer", "number", "text", "text", "bytes"),
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "none": (type(None),),
    "bytes": (bytes,),
    "text": (str,),
    "text?": (str, type(None)),
    "integer": (int,),
    "integer?": (int, type(None)),
    "number": (float, int),
}


def _tables(found: Iterable[Cell]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by the tables that they could belong to."""
    tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _SHAPES}
    for number, columns in found:
        for name, shape in _SHAPES.items():
            if len(shape) == len(columns) and all(
                type(value) in _TYPES[kind] for value, kind in zip(columns, shape, strict=True)
            ):
                numbers = (
                    float(value) if kind == "number" else value for value, kind in zip(columns, shape, strict=True)
                )
                tables[name].append(tuple(numbers) if shape[0] == "integer" else (number, *tuple(numbers)[1:]))
    return tables


def _proven(tables: dict[str, list[tuple[Any, ...]]]) -> dict[str, _Rows]:
    """Rows whose seal is right, by their number. The seals of what belongs to a question hold its key, so they prove a key whose question is damaged."""
    keys = {number: key.hex() for number, key, _ in tables["requests"]}
    proofs: dict[str, Callable[..., bool]] = {
        "requests": lambda _, key, text: _is_question(key.hex(), text),
        "runs": lambda _, name, at, text, sealed: seal("runs", name, at, text) == sealed,
        "ends": lambda run, at, text, sealed: seal("ends", run, at, text) == sealed,
        "items": lambda run, number, request, text, sealed: (
            seal("items", run, number, keys.get(request, ""), text) == sealed
        ),
        "answers": lambda _, request, space, good, at, text, sealed: (
            seal("answers", keys.get(request, ""), space, good, at, text) == sealed
        ),
        "calls": lambda _, run, number, turn, request, __, text, sealed: (
            seal("calls", run, number, turn, keys.get(request, ""), text) == sealed
        ),
        "attempts": lambda number, run, at, text, sealed: seal("attempts", number, run, at, text) == sealed,
        "settlements": lambda attempt, text, sealed: seal("settlements", attempt, text) == sealed,
        "days": lambda day, usd, reserved, sealed: seal("days", day, usd, reserved) == sealed,
        "turns": lambda _, talk, name, at, text, sealed: seal("turns", talk, name, at, text) == sealed,
        "marks": lambda _, run, number, turn, at, text, sealed: seal("marks", run, number, turn, at, text) == sealed,
        "reservations": lambda number, day, at, owner, usd, sealed: (
            seal("reservations", number, day, at, owner, usd) == sealed
        ),
    }
    found = {name: _those(tables[name], proof, 2 if name == "items" else 1) for name, proof in proofs.items()}
    for request in {row[_ASKED[name]] for name in _ASKED for row in found[name].values()}:
        found["requests"].setdefault((request,), (request, bytes.fromhex(keys[request]), None))
    return found


_ASKED: Final = {"items": 2, "answers": 1, "calls": 4}
"""Where a row names its question."""


def _those(rows: list[tuple[Any, ...]], proof: Callable[..., bool], named_by: int) -> _Rows:
    return {row[:named_by]: row for row in rows if proof(*row)}


def _fill(writer: Connection, found: dict[str, _Rows]) -> None:
    writer.execute("BEGIN IMMEDIATE")
    for name, rows in found.items():
        places = ",".join("?" * len(_SHAPES[name]))
        writer.executemany(f"INSERT INTO {name} VALUES ({places})", rows.values())
    writer.execute("COMMIT")
