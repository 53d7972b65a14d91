"""What a person thought of a run's answers: one row for each that was judged.

A mark is of an answer, not of its place: where resuming brought a newer answer, the mark of the one before does not count any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.canonical import canonical
from orchestrator_nb.errors import StoreError, UserError
from orchestrator_nb.marks import Mark, mark_of, record_of
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import seal

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

_NEWEST: Final = (
    "SELECT calls.run, max(calls.turn) FROM calls JOIN runs ON runs.id = calls.run"
    " WHERE runs.name = ? AND calls.number = ? GROUP BY calls.run"
)
_MARKS: Final = (
    "SELECT marks.run, marks.number, marks.turn, marks.at, marks.payload, marks.digest FROM marks"
    " JOIN runs ON runs.id = marks.run WHERE runs.name = ?"
    " AND marks.turn = (SELECT max(turn) FROM calls WHERE calls.run = marks.run AND calls.number = marks.number)"
)
_WRITE: Final = (
    "INSERT INTO marks (run, number, turn, at, payload, digest) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run, number)"
    " DO UPDATE SET turn = excluded.turn, at = excluded.at, payload = excluded.payload, digest = excluded.digest"
)
_DIGEST_ONLY: Final = (
    "notes are not kept, for store.keep_prompts is digest; mark it without a note, or keep texts:"
    " %llm config store.keep_prompts full"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a store. Without ``keep_notes``, as where prompts are not kept, there are no notes; ``clean`` takes vendors' keys out of them."""

    database: Database
    keep_notes: bool = True
    clean: Callable[[str], str] = str

    def set(self, call_id: str, **changes: Any) -> Mark:
        """What is thought of an answer from now on (`Mark.changed`); the best of its prompt takes that from another. On disk when it returns.

        Raises `UserError` for a call without an outcome and for what no mark can say, `StoreError`.
        """
        if changes.get("note") and not self.keep_notes:
            raise UserError(_DIGEST_ONLY)
        if isinstance(changes.get("note"), str):
            changes["note"] = self.clean(changes["note"])
        return self.database.transact(lambda connection: self._set(connection, call_id, changes)).result()

    def of(self, run_id: str) -> dict[str, Mark]:
        """By call, what was said of a run's answers; empty for a run that is not here. Raises `StoreError`."""
        if self.database.problem is None:
            self.database.flush()
        with self.database.reading() as connection:
            return {f"{run_id}-{number}": mark for _, number, _, mark in _read(connection, run_id)}

    def _set(self, connection: Connection, call_id: str, changes: dict[str, Any]) -> Mark:
        run_id, number = _place(call_id)
        newest = connection.execute(_NEWEST, (run_id, number)).fetchone()
        if newest is None:
            raise UserError(f"there is no answer {call_id!r} to mark; the column call_id of a frame names them.")
        run, turn = newest
        known = {at: (of, mark) for _, at, of, mark in _read(connection, run_id)}
        _, before = known.get(number, (turn, Mark()))
        mark: Mark = before.changed(**changes)
        if mark.best and not before.best:
            for other in _of_one_prompt(connection, run, number, [at for at, (_, said) in known.items() if said.best]):
                self._write(connection, run, other, known[other][0], replace(known[other][1], best=False))
        self._write(connection, run, number, turn, mark)
        return mark

    def _write(self, connection: Connection, run: int, number: int, turn: int, mark: Mark) -> None:
        if not mark:
            connection.execute("DELETE FROM marks WHERE run = ? AND number = ?", (run, number))
            return
        values = (run, number, turn, self.database.clock.wall(), canonical(record_of(mark)))
        connection.execute(_WRITE, (*values, seal("marks", *values)))


def _place(call_id: str) -> tuple[str, int]:
    run_id, _, number = call_id.rpartition("-")
    if not (run_id and number.isascii() and number.isdigit() and len(number) <= 12):
        raise UserError(f"{call_id[:60]!r} is no call's id; the column call_id of a frame names them.")
    return run_id, int(number)


def _read(connection: Connection, run_id: str) -> Iterator[tuple[int, int, int, Mark]]:
    """Nothing for a row that is damaged, or from a later version."""
    for run, number, turn, at, written, sealed in connection.execute(_MARKS, (run_id,)).fetchall():
        if seal("marks", run, number, turn, at, written) != sealed:
            continue
        try:
            yield run, number, turn, mark_of(json.loads(written))
        except (ValueError, UserError):
            continue


def _of_one_prompt(connection: Connection, run: int, number: int, others: list[int]) -> list[int]:
    prompt = _prompt(connection, run, number)
    return [other for other in others if other != number and _prompt(connection, run, other) == prompt]


def _prompt(connection: Connection, run: int, number: int) -> tuple[Any, Any]:
    """The row of the grid, and in a chain the step: what is the same for answers that compete."""
    found = connection.execute("SELECT payload FROM items WHERE run = ? AND number = ?", (run, number)).fetchone()
    if found is None or not isinstance(found[0], str):
        raise StoreError("the record of this answer is damaged; onb store check tells what else is.")
    place = json.loads(found[0])
    return place.get("row"), place.get("at")
