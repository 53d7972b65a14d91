"""What happened: an `Item` is a place in the grid, a `Call` is an item with its outcome, a `Run` is all calls of one cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator_nb.calls import Request, Response, Source
from orchestrator_nb.errors import OrchestratorError


@dataclass(frozen=True, slots=True)
class Item:
    """One place of the grid: ``row`` counts prompts from 0, ``repeat`` samples from 0, ``inputs`` are the template's variables.

    ``at`` is its place in a chain: ``chain``, ``step`` (a path), ``item`` (from 0) and ``turn`` (from 1) of the innermost loop, ``branch``, and ``outer``, which tells
    the loops around that one; what does not apply is not there.
    """

    request: Request
    row: int = 0
    repeat: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One finished item. ``started_at`` is seconds since the epoch; ``latency_s`` and ``ttft_s`` (time to first text) are seconds.

    Exactly one of ``response`` and ``error`` tells the outcome; a failed call may still hold a partial answer in ``error.response``.
    Of a replayed call, ``recorded`` says what it was when it was recorded, and the times are those of then.
    """

    item: Item
    id: str
    response: Response | None = None
    error: OrchestratorError | None = None
    source: Source = "live"
    started_at: float | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    attempts: int = 0
    recorded: Source | None = None

    @property
    def answer(self) -> Response | None:
        """The answer, whole or partial."""
        return self.response or getattr(self.error, "response", None)


@dataclass(frozen=True, slots=True)
class Chained:
    """What a chain gave besides its calls; plain JSON.

    ``definition`` is the chain (docs/chain-format.md), ``used`` are those that it uses, by name. It ran once, or ``over`` a frame: of each row, ``rows`` tells
    what it was given, ``outputs`` what it gave (``None`` when it failed or was stopped) and ``errors`` why not. ``steps`` are all steps that were reached, items and
    turns together: ``row step began ended outcome times needs why``, seconds from the run's start. ``calls`` tells of each call, in the order of the run's,
    ``waited_s``: for a place, a limit or a retry, not for the model.
    """

    definition: Mapping[str, Any]
    used: Mapping[str, Any]
    over: bool
    rows: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any] | None, ...]
    errors: tuple[str | None, ...]
    steps: tuple[Mapping[str, Any], ...] = ()
    calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """All calls of one cell, in the order of the grid; ``chained`` is there when a chain asked them."""

    id: str
    calls: tuple[Call, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    wall_s: float = 0.0
    chained: Chained | None = None


def new_run_id(now: float, entropy: bytes) -> str:
    """A run's name: UTC time to the second and 6 random hex digits, so that names sort by time."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{entropy.hex()[:6]}"
