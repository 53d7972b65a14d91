"""IPython's history and other SQLite databases: the texts in them, and taking keys out so that the bytes are gone from the file.

A row that is changed leaves its old bytes in the file's free space, and in the write-ahead log beside it. So the free space is looked at too, and after a change the
file is written anew (``VACUUM``) and the log is emptied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

MAGIC: Final = b"SQLite format 3\0"
FREE: Final = "free space"
_BESIDE: Final = ("-wal", "-journal")
_HISTORY: Final = {"history": ("source", "source_raw"), "output_history": ("output",)}
"""The tables of IPython in which there are texts: https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.history.html"""
_WAIT_S: Final = 10.0
_LARGEST_VALUE: Final = 64 * 2**20
_BLOCK: Final = 4 * 2**20
_OVERLAP: Final = 32 * 2**10


def pieces(path: Path) -> Iterator[tuple[str, str]]:
    """``("session 3 line 7", text)`` of a history, ``("store row 12", text)`` of others, and last the bytes of the file as `FREE`."""
    try:
        with closing(_open(path, "ro")) as base:
            for table in _tables(base):
                yield from _rows(base, table)
    except sqlite3.Error:
        pass  # damaged, or of a newer SQLite: its bytes follow
    for file in (path, *(path.with_name(path.name + end) for end in _BESIDE)):
        if file.is_file():
            yield from ((FREE, block) for block in _blocks(file))


def _blocks(path: Path) -> Iterator[str]:
    """The bytes, each block with the end of the one before."""
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            yield (rest + block).decode("latin-1")
            rest = block[-_OVERLAP:]


def belongs_to_another(path: Path) -> bool:
    """Whether this is where SQLite keeps what is on its way into a database that stands beside it: it is read with that one."""
    return any(path.name.endswith(end) and path.with_name(path.name.removesuffix(end)).is_file() for end in _BESIDE)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    base = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, timeout=_WAIT_S)
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)  # a column may be computed, and as large as it likes
    base.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return base


def _tables(base: sqlite3.Connection) -> list[str]:
    return [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _rows(base: sqlite3.Connection, table: str) -> Iterator[tuple[str, str]]:
    is_history = table in _HISTORY and is_ipython(base)
    for number, row in enumerate(base.execute(f'SELECT * FROM "{table.replace(chr(34), chr(34) * 2)}"'), 1):  # noqa: S608  # its name
        place = f"session {row[0]} line {row[1]}" if is_history else f"{table} row {number}"
        yield place, "\n".join(_text(value) for value in row if isinstance(value, str | bytes))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def is_ipython(base: sqlite3.Connection) -> bool:
    """Whether the tables are those of IPython's history."""
    return {"sessions", *_HISTORY} <= set(_tables(base))


def clean(path: Path, change: Callable[[str], str]) -> bool:
    """Change each text of a history; ``False`` when it is another database, which is left alone. Raises `sqlite3.Error`, such as for one that is locked."""
    with closing(_open(path, "rw")) as base:
        if not is_ipython(base):
            return False
        base.execute("PRAGMA secure_delete = ON")
        update(base, change)
        base.execute("VACUUM")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return True


def update(base: sqlite3.Connection, change: Callable[[str], str]) -> bool:
    """Change each text of an open history; whether one did change. Raises `sqlite3.Error`."""
    changed = [_update(base, table, column, change) for table, columns in _HISTORY.items() for column in columns]
    return any(changed)


def _update(base: sqlite3.Connection, table: str, column: str, change: Callable[[str], str]) -> bool:
    rows = base.execute(f"SELECT rowid, {column} FROM {table}").fetchall()  # noqa: S608  # names of our own
    texts = ((change(text), row, text) for row, text in rows if isinstance(text, str))
    new = [(text, row) for text, row, old in texts if text != old]
    with base:
        base.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", new)  # noqa: S608
    return bool(new)
