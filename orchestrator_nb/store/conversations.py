"""Conversations in the store: one row for each thing that happened, never changed; the tree is what they add up to. Several kernels write to one conversation without losing a turn."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from orchestrator_nb.canonical import canonical
from orchestrator_nb.chronicle import Mark, event_of, record_of
from orchestrator_nb.conversations import Turn
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import Row, seal

_READ: Final = (
    "SELECT id, name, conversation, at, payload, digest FROM turns WHERE conversation = ? AND id > ? ORDER BY id"
)
_NAMES: Final = "SELECT conversation FROM turns GROUP BY conversation ORDER BY max(at) DESC, max(id) DESC"


class Since(NamedTuple):
    """What happened in a conversation. ``last`` is the newest row, to go on from; ``damaged`` rows were left out."""

    events: tuple[Turn | Mark, ...]
    last: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations of a store; ``clean`` takes vendors' keys out of what is written. Every method may raise `StoreError`."""

    database: Database
    clean: Callable[[str], str] = str

    def put(self, conversation: str, event: Turn | Mark) -> None:
        """Write down what happened, on disk soon (the end of a run waits for it); the same twice is once. Never waits for the disk."""
        at, written = self.database.clock.wall(), self.clean(canonical(record_of(event)))
        name = f"{event.id} {event.outcome}" if isinstance(event, Turn) else secrets.token_hex(8)
        digest = seal("turns", conversation, name, at, written)
        self.database.put(Row("turns", (name, conversation, at, written, digest), durable=True))

    def read(self, conversation: str, after: int = 0) -> Since:
        """What happened after the row ``after``, in its order."""
        if self.database.problem is None:
            self.database.flush()
        with self.database.reading() as connection:
            rows = connection.execute(_READ, (conversation, after)).fetchall()
        events = tuple(event for row in rows for event in _event(*row[1:]))
        return Since(events, rows[-1][0] if rows else after, len(rows) - len(events))

    def names(self) -> list[str]:
        """All conversations, the one that was spoken in last first."""
        if self.database.problem is None:
            self.database.flush()
        with self.database.reading() as connection:
            return [name for (name,) in connection.execute(_NAMES) if isinstance(name, str)]


def _event(name: Any, conversation: Any, at: Any, written: Any, digest: Any) -> Iterator[Turn | Mark]:
    """Nothing for a row that is damaged, or from a later version."""
    if seal("turns", conversation, name, at, written) != digest:
        return
    try:
        yield event_of(json.loads(written))
    except ValueError:
        return
