"""How long a vault stays open: so long without use, and so long at all, whatever the clocks do.

Time passes by whichever clock moved most since the last look: the monotonic one stops while a laptop sleeps (on Linux), the one since boot goes on, and the wall
clock may be set. Backward moves count as nothing, so no clock can be turned back to keep the vault open; a wall clock set forward closes it early, which is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Readings = Callable[[], tuple[float, ...]]
"""The clocks of a machine, in seconds; each may stand still or jump."""

_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", None)


def since_boot() -> tuple[float, ...]:
    """The clock that goes on in suspend, where there is one (Linux)."""
    return () if _BOOT is None else (time.clock_gettime(_BOOT),)


def machine() -> tuple[float, ...]:
    """Every clock of this machine."""
    return (time.monotonic(), time.time(), *since_boot())


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds without use, and seconds since unlocking, after which a vault locks."""

    idle_s: float = 900.0
    total_s: float = 28_800.0


class Timer:
    """One unlocking's time. Not thread-safe: its owner has the lock."""

    def __init__(self, limits: Limits, readings: Readings = machine) -> None:
        self.limits, self._readings = limits, readings
        self._last = readings()
        self._idle = self._total = 0.0

    def touch(self) -> None:
        """The user did something."""
        self._advance()
        self._idle = 0.0

    @property
    def idle_left_s(self) -> float:
        """Seconds until it locks for want of use; 0 when over."""
        self._advance()
        return max(0.0, min(self.limits.idle_s - self._idle, self.total_left_s))

    @property
    def total_left_s(self) -> float:
        """Seconds until it locks whatever happens; 0 when over."""
        self._advance()
        return max(0.0, self.limits.total_s - self._total)

    def _advance(self) -> None:
        now = self._readings()
        passed = max(0.0, *(after - before for before, after in zip(self._last, now, strict=True)))
        self._last = now
        self._idle += passed
        self._total += passed
