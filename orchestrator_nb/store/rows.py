"""How rows are written, and the seal that each carries: SHA-256 over the table's name, what the row belongs to, and its content.

The seal covers the key, so that a damaged index cannot pass one question's answer off as another's.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Rows in one statement. Each statement lets go of Python's lock and may have to wait 5 ms to get it back, so few large ones are fast; and only those that were
met before need not be translated again, which takes as long as to run them. So a statement is one of these, and its last places may be empty."""
STATEMENTS: Final = 192
"""How many of them a connection keeps ready."""


def seal(table: str, *content: str | float) -> bytes:
    """The row's digest. Nothing before the last part may hold a line break; canonical JSON never does."""
    return hashlib.sha256("\n".join((table, *map(str, content))).encode()).digest()


class Row(NamedTuple):
    """A row on its way into a table.

    ``durable``: on the disk itself before it is acknowledged, so that it survives a power cut. ``after`` is called by the writer's thread once it is written.
    """

    table: str
    values: tuple[Any, ...]
    durable: bool = False
    after: Callable[[], None] | None = None


_GIVEN: Final = "FROM (VALUES {}) WHERE column1 IS NOT NULL"
"""The rows of one statement without its empty places; no row begins with a gap."""
_REQUEST: Final = "(SELECT id FROM requests WHERE key = column{})"
_NEWEST: Final = (  # the answer that a cached call was served; good ones only, of its own space
    "coalesce(column6, (SELECT answers.id FROM answers JOIN requests ON requests.id = answers.request"
    " WHERE requests.key = column7 AND space = column8 AND good ORDER BY answers.at DESC LIMIT 1))"
)
_AGAIN: Final = "ON CONFLICT DO NOTHING"
"""A commit that failed may have happened after all, and its rows come again."""
_INTO: Final[dict[str, str]] = {  # in the order in which rows lean on each other
    "requests": f"INSERT INTO requests (key, payload) SELECT * {_GIVEN}"
    " ON CONFLICT (key) DO UPDATE SET payload = excluded.payload WHERE payload IS NULL",
    "runs": f"INSERT INTO runs (id, name, at, payload, digest) SELECT * {_GIVEN} {_AGAIN}",
    "items": "INSERT INTO items (run, number, payload, digest, request)"
    f" SELECT column1, column2, column3, column4, {_REQUEST.format(5)} {_GIVEN} {_AGAIN}",
    "answers": "INSERT INTO answers (id, space, good, at, payload, digest, request) SELECT column1, column2,"
    f" column3, column4, column5, column6, {_REQUEST.format(7)} {_GIVEN} {_AGAIN}",
    "calls": "INSERT INTO calls (id, run, number, turn, payload, request, answer, digest)"
    f" SELECT column1, column2, column3, column4, column5, {_REQUEST.format(7)}, {_NEWEST}, column9"
    f" {_GIVEN} {_AGAIN}",
    "attempts": f"INSERT INTO attempts (id, run, at, payload, digest) SELECT * {_GIVEN} {_AGAIN}",
    "settlements": f"INSERT INTO settlements (attempt, payload, digest) SELECT * {_GIVEN} {_AGAIN}",
    "turns": f"INSERT INTO turns (name, conversation, at, payload, digest) SELECT * {_GIVEN} {_AGAIN}",
    "ends": f"INSERT OR REPLACE INTO ends (run, at, payload, digest) SELECT * {_GIVEN}",
}


def statements(rows: Iterable[Row]) -> Iterator[tuple[str, list[Any]]]:
    """The rows as few statements with their values, in an order in which each finds what it refers to."""
    tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _INTO}
    for row in rows:
        tables[row.table].append(row.values)
    for name, found in tables.items():
        for start in range(0, len(found), _SIZES[-1]):
            yield _statement(name, found[start : start + _SIZES[-1]])


def _statement(table: str, rows: Sequence[tuple[Any, ...]]) -> tuple[str, list[Any]]:
    columns, size = len(rows[0]), _SIZES[bisect_left(_SIZES, len(rows))]
    values = [*chain.from_iterable(rows)]
    values.extend([None] * (columns * (size - len(rows))))
    return _sql(table, columns, size), values


@cache
def _sql(table: str, columns: int, size: int) -> str:
    return _INTO[table].format(",".join([f"({','.join('?' * columns)})"] * size))
