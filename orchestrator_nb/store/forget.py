"""Delete what is older than you want to keep. Deleted text is overwritten (``secure_delete``); `check.vacuum` then gives the room back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator_nb.store.database import Database

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

_OLD: Final = "(SELECT id FROM runs WHERE at < :before)"
_STEPS: Final = (
    "DELETE FROM reservations WHERE day < CAST(:before / 86400 AS INTEGER)",  # the day itself: its cap still holds
    "DELETE FROM days WHERE day < CAST(:before / 86400 AS INTEGER)",
    f"DELETE FROM settlements WHERE attempt IN (SELECT id FROM attempts WHERE run IN {_OLD})",
    f"DELETE FROM attempts WHERE run IN {_OLD}",
    f"DELETE FROM marks WHERE run IN {_OLD}",
    f"DELETE FROM calls WHERE run IN {_OLD}",
    f"DELETE FROM items WHERE run IN {_OLD}",
    f"DELETE FROM ends WHERE run IN {_OLD}",
    "DELETE FROM runs WHERE at < :before",
    "DELETE FROM answers WHERE at < :before AND id NOT IN (SELECT answer FROM calls WHERE answer IS NOT NULL)",
    (
        "DELETE FROM requests WHERE id NOT IN (SELECT request FROM items) AND id NOT IN (SELECT request FROM answers)"
        " AND id NOT IN (SELECT request FROM calls)"
    ),
)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many runs, answers and questions were deleted."""

    runs: int
    answers: int
    questions: int


def forget(database: Database, before: float) -> Forgotten:
    """Delete runs that began before this time (seconds since the epoch), and answers and questions that no later run shows.

    All or nothing; a run under way must not be that old. Raises `StoreError`.
    """

    def act(connection: Connection) -> Forgotten:
        gone = [connection.execute(step, {"before": before} if ":before" in step else {}).rowcount for step in _STEPS]
        return Forgotten(*gone[-3:])

    return database.transact(act).result()
