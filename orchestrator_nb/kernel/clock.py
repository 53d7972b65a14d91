"""The clocks of this machine, as an argument that a test can replace."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Real time (`orchestrator_nb.types.Clock`)."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a negative time is no time."""
        await asyncio.sleep(max(0.0, seconds))
