"""How long a call took, and what of it arrived, heard from its events."""

from __future__ import annotations

from orchestrator_nb.calls import Delta, Event, Retrying, Started, Timed
from orchestrator_nb.types import Clock, Emit


class Stopwatch:
    """An `Emit` that passes events on and notes when they came."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock, self._pieces = emit, clock, list[str]()
        self._attempts, self._ttft_s = 0, None  # type: int, float | None
        self._started_at, self._since = clock.wall(), clock.monotonic()
        self._running = False
        self._told: Timed | None = None

    @property
    def text(self) -> str:
        """The text that has arrived."""
        return "".join(self._pieces)

    @property
    def timed(self) -> Timed:
        """The figures of a call that ends now, or those that a layer below told."""
        latency_s = self._clock.monotonic() - self._since
        return self._told or Timed(self._started_at, latency_s, self._ttft_s, self._attempts)

    def __call__(self, event: Event) -> None:
        """Hear an event, and pass it on."""
        match event:
            case Delta():
                if self._ttft_s is None:
                    self._ttft_s = self._clock.monotonic() - self._since
                self._pieces.append(event.text)
            case Started():
                self._start()
            case Retrying():
                self._running = False
            case Timed():
                self._told = event
        self._emit(event)

    def _start(self) -> None:
        self._attempts += 1
        if not self._running:  # a hop of a continued answer is the same attempt, seen from the user
            self._running, self._since = True, self._clock.monotonic()
        if self._attempts == 1:
            self._started_at = self._clock.wall()
