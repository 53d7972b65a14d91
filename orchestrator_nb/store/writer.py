"""The one thread of a process that writes to its store. Whoever has something to write hands it over and goes on.

What waits is written together, in one transaction: as soon as somebody waits for it, else at 50 rows or after 200 ms. A row is acknowledged when
`mark` says so. When writing fails, the rows stay here, everybody who waits is told, and `retry` begins again: nothing that was handed over is lost
while the process lives, and nothing that was acknowledged is lost at all.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.log import reaches
from orchestrator_nb.store.opening import Opened
from orchestrator_nb.store.rows import Row, statements

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

ROWS: Final = 50
WITHIN_S: Final = 0.2
MOST: Final = 2000
"""Rows in one transaction when more have come in than could be written."""
LOG_BYTES: Final = 8 << 20
EMPTY_S: Final = 0.5
"""Seconds from one emptying of the log to the next."""
CLOSE_S: Final = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class _Act:
    """Something to do inside the transaction; ``None`` only wants to know that all before it is written."""

    act: Callable[[Connection], Any] | None
    future: Future[Any]


class Writer:
    """Owns the writer's connection from now on. ``explain`` makes a `StoreError` of what went wrong."""

    def __init__(self, opened: Opened, explain: Callable[[Exception], StoreError]) -> None:
        self._opened, self._explain = opened, explain
        self._queue: deque[Row | _Act] = deque()
        self._wake = threading.Condition()
        self._urgent = 0
        self._closing, self._durable = False, False
        self._unheard = False
        self._not_before = 0.0
        self._problem: StoreError | None = None
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> StoreError | None:
        """Why nothing is written at the moment; a new error each time, for raising marks it."""
        problem = self._problem
        return StoreError(*problem.args) if problem else None

    def put(self, *rows: Row, asked: bool = False) -> None:
        """Hand rows over; they are written together. Raises `StoreError` when writing has failed before: they are kept, see `retry`.

        ``asked``: whoever hands them over asks right away that they be written, so that the writer need not wake up for each.
        """
        with self._wake:
            self._require_open()
            before, unheard = len(self._queue), self._unheard or not self._queue
            self._queue.extend(rows)
            self._unheard = unheard and asked
            if before < ROWS <= len(self._queue) or (unheard and not asked):
                self._rouse()
        if self._problem:
            raise StoreError(*self._problem.args)

    def act(self, act: Callable[[Connection], Any] | None) -> Future[Any]:
        """Have ``act`` run inside a transaction; its result comes when that is on disk. What it raises undoes its own changes only."""
        future: Future[Any] = Future()
        with self._wake:
            self._require_open()
            if self._problem:
                future.set_exception(StoreError(*self._problem.args))
            else:
                self._queue.append(_Act(act, future))
                self._urgent += 1
                self._rouse()
        return future

    def retry(self) -> None:
        """Begin again after a failure, as with the first row that is still here."""
        with self._wake:
            self._problem = None
            self._rouse()

    def close(self) -> None:
        """Write what is left and end. What cannot be written now is lost with the process."""
        with self._wake:
            if self._closing:
                return
            self._closing, self._problem = True, None
            self._rouse()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        else:
            self._end()

    def _require_open(self) -> None:
        if self._closing:
            raise StoreError("the store is closed; open the session anew.")

    def _rouse(self) -> None:
        if self._thread is None and self._queue:
            self._thread = threading.Thread(target=self._work, name="orchestrator-nb store", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    # From here on: the writer's thread.

    def _work(self) -> None:
        while batch := self._next():
            problem = self._write(batch)
            self._settle(batch, problem)
        self._end()

    def _next(self) -> list[Row | _Act]:
        """What to write now; nothing at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or (self._queue and not self._problem))
            until = time.monotonic() + WITHIN_S
            while not (self._closing or self._urgent or len(self._queue) >= ROWS):
                if not self._wake.wait(until - time.monotonic()):
                    break
            return [self._queue.popleft() for _ in range(min(MOST, len(self._queue)))]

    def _write(self, batch: list[Row | _Act]) -> StoreError | None:
        rows = [job for job in batch if isinstance(job, Row)]
        acts = [job for job in batch if isinstance(job, _Act) and job.act]
        results: list[tuple[_Act, Any, BaseException | None]] = []
        try:
            with self._opened.lock:
                if rows or acts:
                    self._transact(rows, acts, results)
                self._empty_log()
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear of it
            return self._explain(error)
        for job, result, raised in results:
            job.future.set_exception(raised) if raised else job.future.set_result(result)
        return None

    def _transact(
        self, rows: list[Row], acts: list[_Act], results: list[tuple[_Act, Any, BaseException | None]]
    ) -> None:
        writer = self._opened.writer
        self._be_durable(any(row.durable for row in rows))
        writer.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements(rows):
                writer.execute(sql, values)
            results.extend((job, *_inside(writer, job)) for job in acts)
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def _be_durable(self, wanted: bool) -> None:
        """A commit waits for the disk (FULL), or survives the end of the process but perhaps not a power cut (NORMAL)."""
        if wanted != self._durable:
            self._opened.writer.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._durable = wanted

    def _empty_log(self) -> None:
        """Nobody else does: an automatic emptying would not hold the lock. While a reader is in the way it is tried now and then, not with every commit."""
        log, now = self._opened.log, time.monotonic()
        if log is None or now < self._not_before:
            return
        with contextlib.suppress(Exception):  # what was committed stands in the log, and the next attempt may empty it
            if reaches(log, LOG_BYTES):
                self._not_before = now + EMPTY_S
                self._opened.writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _settle(self, batch: list[Row | _Act], problem: StoreError | None) -> None:
        with self._wake:
            self._urgent -= sum(isinstance(job, _Act) for job in batch)
            if problem is not None:
                self._problem = problem
                self._queue.extendleft(job for job in reversed(batch) if isinstance(job, Row))
                if self._closing:
                    self._queue.clear()
        for job in batch:
            if isinstance(job, Row):
                if job.after and not problem:
                    job.after()
            elif not job.future.done():
                job.future.set_exception(StoreError(*problem.args)) if problem else job.future.set_result(None)

    def _end(self) -> None:
        with contextlib.suppress(Exception), self._opened.lock:
            if self._opened.log is not None:
                self._opened.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._opened.writer.close()  # the last one out removes the log, so this too needs the lock


def _inside(writer: Connection, job: _Act) -> tuple[Any, BaseException | None]:
    assert job.act is not None  # noqa: S101  for the type checker
    writer.execute("SAVEPOINT act")
    try:
        result = job.act(writer)
    except Exception as error:
        if not writer.in_transaction:  # SQLite has undone everything, e.g. because the disk is full
            raise
        writer.execute("ROLLBACK TO act")
        return None, error
    finally:
        if writer.in_transaction:
            writer.execute("RELEASE act")
    return result, None
