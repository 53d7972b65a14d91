"""What the ledger tells: a run, a place of its grid, what was spent. Plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from orchestrator_nb.calls import Response

ZERO = Decimal(0)
NOT_ASKED: Final = frozenset({"budget", "cancelled", "skipped", "store"})
"""Kinds of errors that say nothing of the question: resuming asks these."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Money and calls of one group (``name``). USD.

    ``billed`` is known, ``possibly`` the worst case of attempts whose end is unknown (``ambiguous`` of them), ``saved`` what answers from the cache or a
    tape cost when they were bought. ``unpriced`` attempts were billed, and nobody knows how much: their money is in no figure.
    """

    name: str = ""
    attempts: int = 0
    billed: Decimal = ZERO
    possibly: Decimal = ZERO
    saved: Decimal = ZERO
    ambiguous: int = 0
    unpriced: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Both together, under this name."""
        return Spent(
            self.name,
            self.attempts + other.attempts,
            self.billed + other.billed,
            self.possibly + other.possibly,
            self.saved + other.saved,
            self.ambiguous + other.ambiguous,
            self.unpriced + other.unpriced,
        )


def charged(billed: str, usd: Decimal | None, worst: Decimal | None) -> Spent:
    """What one attempt adds: what is known, or the worst case where nobody knows."""
    if billed == "no":
        return Spent(attempts=1)
    if billed == "yes":
        return Spent(attempts=1, billed=usd or ZERO, unpriced=int(usd is None))
    return Spent(attempts=1, possibly=worst or ZERO, ambiguous=1, unpriced=int(worst is None))


def spent_record(spent: Spent) -> dict[str, Any]:
    """As JSON, amounts as text."""
    counts = {name: getattr(spent, name) for name in ("attempts", "ambiguous", "unpriced")}
    return {**{name: str(getattr(spent, name)) for name in ("billed", "possibly", "saved")}, **counts}


def spent_of(name: str, record: Mapping[str, Any]) -> Spent:
    """What `spent_record` wrote."""
    billed, possibly, saved = (Decimal(record[key]) for key in ("billed", "possibly", "saved"))
    return Spent(name, record["attempts"], billed, possibly, saved, record["ambiguous"], record["unpriced"])


def kind_of(outcome: Mapping[str, Any]) -> str | None:
    """The kind of an outcome's error; ``None`` for an answer."""
    return outcome["error"]["kind"] if "error" in outcome else None


def totals(outcomes: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    """What a list of runs shows of the newest source and kind of error of each place: ``done``, ``failed`` and ``sources``, as in `RunTold`."""
    done = [(source, kind) for source, kind in outcomes if kind not in NOT_ASKED]
    sources = Counter(source for source, _ in done)
    return {"done": len(done), "failed": sum(kind is not None for _, kind in done), "sources": dict(sources)}


@dataclass(frozen=True, slots=True)
class RunTold:
    """One run. ``started_at`` and ``ended_at`` are seconds since the epoch; a run without an end is under way, or its process was killed.

    ``items`` were planned, ``done`` were answered or have failed (``failed`` of them), and by which of live, cache, replay, simulated tells ``sources``.
    What was stopped, or never sent, is not done.
    ``damaged`` counts rows whose seal is wrong; nothing of them is in any figure.
    """

    id: str
    started_at: float
    ended_at: float | None = None
    items: int = 0
    done: int = 0
    failed: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    damaged: int = 0

    @property
    def missing(self) -> int:
        """What resuming would ask."""
        return self.items - self.done


@dataclass(frozen=True, slots=True)
class CallTold:
    """One place of a grid: what was asked, and its newest outcome if there is one.

    ``request`` is the question's record, ``None`` when prompts are not kept. ``error`` has kind, type, message. ``damaged`` says that a row of it was.
    """

    number: int
    model: str
    key: str
    row: int
    repeat: int
    inputs: Mapping[str, Any]
    request: Mapping[str, Any] | None = None
    response: Response | None = None
    error: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    damaged: bool = False
    at: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether it was answered or has failed; what was stopped, or never sent, resuming asks."""
        return self.outcome is not None and kind_of(self.outcome) not in NOT_ASKED
