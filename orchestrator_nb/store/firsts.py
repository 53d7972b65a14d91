"""How runs began: the template's variables of the first place of each, so that a list of runs can say what was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import seal

_FIRSTS: Final = (
    "SELECT runs.name, items.run, items.number, lower(hex(requests.key)), items.payload, items.digest FROM runs"
    " JOIN items ON items.run = runs.id AND items.number = 0 JOIN requests ON requests.id = items.request"
)


def firsts(database: Database) -> dict[str, Mapping[str, Any]]:
    """By run; nothing for one whose row is damaged, and where prompts are not kept. Raises `StoreError`."""
    with database.reading() as connection:
        rows = connection.execute(_FIRSTS).fetchall()
    return {
        name: dict(json.loads(written).get("inputs", ()))
        for name, run, number, key, written, sealed in rows
        if seal("items", run, number, key, written) == sealed
    }
