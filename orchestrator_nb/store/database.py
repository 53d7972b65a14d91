"""The store's file as one process sees it: one writer thread, a reader's connection for whoever reads.

Opening never fails: where the file cannot be used (read-only or missing home, another program's file, a newer version's, a damaged one) the store
is kept in memory and a notice says so, and the run works. Writing fails loudly: what could not be written down must not look as if it were.
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.migrations import NotOurs
from orchestrator_nb.store.opening import Opened, in_memory, on_disk
from orchestrator_nb.store.rows import Row
from orchestrator_nb.store.writer import Writer
from orchestrator_nb.types import Clock

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

T = TypeVar("T")


class Database:
    """An open store. ``path`` is ``None`` for one in memory; ``notices`` are sentences for the user, told once."""

    def __init__(self, path: Path | None, opened: Opened, clock: Clock, notices: tuple[str, ...] = ()) -> None:
        self.path, self.clock, self.notices = path, clock, notices
        self._opened, self._pid = opened, os.getpid()
        self._idle: deque[Connection] = deque()
        self._closed = False
        self._writer = Writer(opened, lambda error: failure(error, path))
        atexit.register(self.close)

    @classmethod
    def open(cls, path: Path | None, *, clock: Clock) -> Self:
        """The store at ``path``, or in memory for ``None``. What stands in the way becomes a notice, and the store is in memory then."""
        import sqlite3

        if path is None:
            return cls(None, in_memory(clock.wall()), clock)
        try:
            return cls(path, on_disk(path, clock.wall()), clock)
        except (OSError, sqlite3.Error, UnicodeError, NotOurs, StoreError) as error:
            why = _why_not(error, path)
        return cls(
            None, in_memory(clock.wall()), clock, (f"{why} Until then runs and answers are kept in memory only.",)
        )

    def put(self, *rows: Row, asked: bool = False) -> None:
        """Hand rows over to be written together, soon; or, with ``asked``, when the caller asks for it (`written`), as it is about to do.

        Never waits for the disk. Raises `StoreError` when writing has failed: they are kept for `retry`.
        """
        self._require_own()
        self._writer.put(*rows, asked=asked)

    def transact(self, act: Callable[[Connection], T]) -> Future[T]:
        """Read and write as one step that no other process can come between; the result comes when it is on disk.

        ``act`` runs on the writer's thread. Its exception undoes its own changes and is the future's.
        """
        self._require_own()
        return self._writer.act(act)

    def flush(self) -> None:
        """Wait until everything handed over is on disk. Raises `StoreError` when it cannot be."""
        self.written().result()

    def written(self) -> Future[None]:
        """`flush` for those who must not wait: ``await asyncio.wrap_future(database.written())``."""
        self._require_own()
        return self._writer.act(None)

    def retry(self) -> None:
        """After a failure: write what is still here. Raises `StoreError` when it fails again."""
        self._writer.retry()
        self.flush()

    @property
    def problem(self) -> StoreError | None:
        """Why nothing can be written at the moment."""
        return self._writer.problem

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading; fetch all before you leave. Raises `StoreError` when the store is closed or damaged."""
        import sqlite3

        self._require_own()
        if self._closed:
            raise StoreError("the store is closed; open the session anew.")
        try:
            with self._borrowed() as connection:
                yield connection
        except (sqlite3.Error, UnicodeError) as error:  # a damaged schema has names that are no text
            problem = failure(error, self.path)
        else:
            return
        raise problem

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        if self._opened.reader is None:
            with self._opened.lock:
                yield self._opened.writer
            return
        connection = self._idle.pop() if self._idle else self._opened.reader()
        try:
            yield connection
        finally:
            connection.close() if self._closed else self._idle.append(connection)

    def close(self) -> None:
        """Write what is left, and let go of the file. What cannot be written now is lost."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        atexit.unregister(self.close)
        while self._idle:
            self._idle.pop().close()
        self._writer.close()

    def _require_own(self) -> None:
        """A forked child has neither the thread nor the locks; SQLite's own advice is not to touch the connections there."""
        if os.getpid() != self._pid:
            raise StoreError("this store was opened by the parent process; open the session anew here.")


def failure(error: Exception, path: Path | None) -> StoreError:
    """What went wrong, in a sentence that says what is safe and what to do."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, NotOurs):
        return StoreError(f"the store {error}.")
    safe = "" if _is_damaged(error) else f" Everything acknowledged before is safe{f' in {path}' if path else ''}."
    return StoreError(f"the store {_because(error)}{safe}")


def _is_damaged(error: Exception) -> bool:
    import sqlite3

    return _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _code(error: Exception) -> int:
    import sqlite3

    return sqlite3.SQLITE_CORRUPT if isinstance(error, UnicodeError) else getattr(error, "sqlite_errorcode", 0) & 0xFF


def _because(error: Exception) -> str:
    import sqlite3

    sentences = {
        sqlite3.SQLITE_FULL: "cannot be written: the disk is full. Free some space and run again.",
        sqlite3.SQLITE_IOERR: "cannot be written or read: the disk reports an error. Look at the disk and run again.",
        sqlite3.SQLITE_BUSY: "has been in use by another process for 10 s. Run again when it is free.",
        sqlite3.SQLITE_READONLY: "may not be written to. Give yourself the right to write and run again.",
        sqlite3.SQLITE_CORRUPT: "is damaged; onb store salvage copies what is whole to a new file.",
        sqlite3.SQLITE_NOTADB: "is damaged; onb store salvage copies what is whole to a new file.",
    }
    return sentences.get(_code(error)) or f"failed ({type(error).__name__}). Run onb store check."


def _why_not(error: Exception, path: Path) -> str:
    if isinstance(error, NotOurs):
        return f"The store {path} {error}."
    if isinstance(error, OSError):
        return f"The store {path} cannot be used: {error.strerror or type(error).__name__}."
    if isinstance(error, StoreError):
        return f"The store {path} cannot be used: {error}"
    return f"The store {path} {_because(error)}"
