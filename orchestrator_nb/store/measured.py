"""How long the newest calls of each model took, and what they cost: from the ledger, where every call stands with its times."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import seal

NEWEST: Final = 2_000
"""Calls that are looked at, over all models."""

_CALLS: Final = (
    "SELECT calls.run, calls.number, calls.turn, lower(hex(requests.key)), calls.payload, calls.digest, items.payload FROM calls"
    " JOIN items ON items.run = calls.run AND items.number = calls.number JOIN requests ON requests.id = calls.request"
    " ORDER BY calls.id DESC LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over ``calls`` answers: seconds to the end of the answer, and USD; ``None`` where none of them tells."""

    calls: int
    latency_s: float | None
    usd: float | None


def measured(database: Database, source: str) -> dict[str, Measured]:
    """By model (``provider/model``), of the newest answers that came by ``source`` (live, simulated). Raises `StoreError`."""
    if database.problem is None:
        database.flush()
    with database.reading() as connection:
        rows = connection.execute(_CALLS, (NEWEST,)).fetchall()
    by_model: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for *call, item in rows:
        if (outcome := _outcome(call)) and outcome["source"] == source and "error" not in outcome:
            by_model[json.loads(item)["model"]].append(outcome)
    return {model: _summed(outcomes) for model, outcomes in by_model.items()}


def _outcome(call: Sequence[Any]) -> Mapping[str, Any] | None:
    *said, written, sealed = call
    outcome: Mapping[str, Any] = json.loads(written) if seal("calls", *said, written) == sealed else {}
    return outcome or None


def _summed(outcomes: Sequence[Mapping[str, Any]]) -> Measured:
    return Measured(len(outcomes), _median(outcomes, "latency_s"), _median(outcomes, "usd"))


def _median(outcomes: Iterable[Mapping[str, Any]], name: str) -> float | None:
    values = [float(outcome[name]) for outcome in outcomes if name in outcome]
    return median(values) if values else None
