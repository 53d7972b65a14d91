"""Answers by the key of their question: what an identical question is served, so that it is not paid for twice.

Live and simulated answers live apart. Whole answers only are served: a refusal, a cut-off or a broken answer is kept for its run's sake, and asked again.
"""

from __future__ import annotations

import itertools
import json
import math
import secrets
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.errors import StoreError
from orchestrator_nb.records import canonical, response_of, response_record
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.reading import read_answer
from orchestrator_nb.store.rows import Row, seal

Space = Literal["live", "simulated"]

_FIND: Final = (
    "SELECT good, at, payload, digest FROM answers WHERE request = (SELECT id FROM requests WHERE key = ?) AND space = ?"
    " AND good ORDER BY at DESC"
)

_NEWEST: Final = "SELECT max(at) FROM answers WHERE request = (SELECT id FROM requests WHERE key = ?) AND space = ?"
_LAST: Final = "SELECT max(at) FROM (SELECT max(at) AS at FROM runs UNION ALL SELECT max(at) FROM ends)"


class Found(NamedTuple):
    """An answer, and when it was given (seconds since the epoch)."""

    response: Response
    at: float


class Answers:
    """The answers of a store. Safe to use from several threads."""

    def __init__(self, database: Database, *, keep_prompts: bool = True, clean: Callable[[str], str] = str) -> None:
        self._database, self._keep_prompts, self._clean = database, keep_prompts, clean
        self._numbers = numbers()
        self._lock = threading.Lock()
        self._unwritten: dict[tuple[str, str], tuple[int, str, float]] = {}
        self._last: float | None = None
        self._set_back = False

    def begin(self) -> None:
        """A run begins: whether the clock has been set back since the store was written to, as it was found, or from here. Raises `StoreError`."""
        now = self._database.clock.wall()
        if self._last is None:
            with self._database.reading() as connection:
                (found,) = connection.execute(_LAST).fetchone()
            self._last = found or now
        self._set_back = self._last > now
        self._last = max(self._last, now)

    def get(self, key: str, space: str) -> Response | None:
        """The newest answer to this question, as it was given; ``None`` for none, and for one that is damaged."""
        found = self.find(key, space)
        return found.response if found else None

    def find(self, key: str, space: str) -> Found | None:
        """`get`, with the time of the answer."""
        if unwritten := self._unwritten.get((key, space)):
            return Found(response_of(json.loads(unwritten[1])), unwritten[2])
        for row in self._rows(key, space):
            if (found := read_answer(key, space, *row)) is not None:
                return Found(found, row[1])
        return None

    def _rows(self, key: str, space: str) -> list[tuple[Any, ...]]:
        try:
            with self._database.reading() as connection:
                return connection.execute(_FIND, (bytes.fromhex(key), space)).fetchall()
        except StoreError:  # a damaged page: not served, and asked again
            return []

    def put(self, request: Request, response: Response, *, good: bool = True, durable: bool = False) -> int | None:
        """Keep an answer; its number, or ``None`` when JSON cannot hold it. On disk soon, and served from now on if it is whole and ``good``.

        Raises `StoreError` when writing fails.
        """
        row = self.row(request.key, response, good=good, durable=durable)
        if row is None:
            return None
        self._database.put(request_row(request, keep=self._keep_prompts, clean=self._clean), row)
        return int(row.values[0])

    def row(
        self, key: str, response: Response, *, good: bool = True, durable: bool = False, recorded: float | None = None
    ) -> Row | None:
        """`put` for whoever hands the row over together with others, its number first; the answer is served from now on.

        One that was ``recorded`` at some time is known by what it says: however often it is replayed, it is kept once.
        """
        try:
            written = self._clean(canonical(response_record(response)))
        except ValueError:
            return None
        space, served = space_of(response), int(good and whole(response))
        at = self._now(key, space) if recorded is None else recorded
        digest = seal("answers", key, space, served, at, written)
        number = next(self._numbers) if recorded is None else _number_of(digest, recorded)
        values = (number, space, served, at, written, digest, bytes.fromhex(key))
        if not served:
            return Row("answers", values, durable)
        with self._lock:
            self._unwritten[key, space] = number, written, at
        return Row("answers", values, durable, partial(self._forget, key, space, number))

    def _now(self, key: str, space: str) -> float:
        """A newer answer is later than an older one, whatever the clock says, for the newest is served."""
        now = self._database.clock.wall()
        if not self._set_back:
            return now
        unwritten = self._unwritten.get((key, space))
        with self._database.reading() as connection:
            (last,) = connection.execute(_NEWEST, (bytes.fromhex(key), space)).fetchone()
        return max(now, *(math.nextafter(at, math.inf) for at in (last or 0.0, unwritten[2] if unwritten else 0.0)))

    def _forget(self, key: str, space: str, number: int) -> None:
        """It is on disk now, unless a newer one has taken its place."""
        with self._lock:
            if self._unwritten.get((key, space), (None,))[0] == number:
                del self._unwritten[key, space]


def whole(response: Response) -> bool:
    """Whether an answer may be served to the next who asks."""
    return response.complete and response.finish in {"stop", "tool_calls"}


def space_of(response: Response) -> Space:
    """Where an answer belongs."""
    return "simulated" if response.source == "simulated" else "live"


def numbers() -> Iterator[int]:
    """Row numbers that no other process hands out: a block of 2**24 at a random place, in order, so that rows stand side by side."""
    return itertools.count((secrets.randbits(38) << 24) + 1)


def _number_of(digest: bytes, at: float) -> int:
    """The row number of a recorded answer: follows from its seal, is below zero, where `numbers` gives none, and rows of one time stand side by side."""
    return (int(at) % 2**30 << 32 | int.from_bytes(digest[:4], "big")) - 2**62


def request_row(request: Request, *, keep: bool, clean: Callable[[str], str] = str) -> Row:
    """The question, under its key, which is its seal too; without its content when prompts are not to be kept, or when it holds a vendor's key."""
    text = request.canonical if keep else None
    return Row("requests", (bytes.fromhex(request.key), text if text is None or clean(text) == text else None))
