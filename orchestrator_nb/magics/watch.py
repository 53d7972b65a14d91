"""Waits for a job on the cell's own thread: draws at a steady pace, and turns an interrupt into an orderly stop.

There are two ways to wait. `block` sleeps in short naps; `tick` awaits short naps, because ipykernel's interrupt only reaches a cell
whose loop wakes up (https://github.com/ipython/ipykernel/issues/881). Both return whether the user interrupted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

TICK_S: Final = 0.11
"""Nine pictures a second: smooth to the eye, cheap for the browser."""

SETTLE_S: Final = 0.7
"""After an interrupt, how long the run may take to come to rest before the cell is given back."""


class Job(Protocol):
    """What is waited for; see `orchestrator_nb.job.Job`."""

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        ...

    def stop(self) -> None:
        """Keep what is finished, cancel the rest."""
        ...

    def attend(self, show: Callable[[], object], /) -> None:
        """Ask the user what the run needs to know, if anything, after ``show``."""
        ...


class Draw(Protocol):
    """Shows the state of the run, if it is time to; ``now`` in any case."""

    def __call__(self, *, now: bool = False) -> None:
        """Show it."""
        ...


def block(job: Job, draw: Draw) -> bool:
    """Wait without a running loop: terminals, scripts, and cells inside ``%%time`` and its like."""
    try:
        for nap in _naps(job):
            time.sleep(nap)
            draw()
            job.attend(partial(draw, now=True))
    except KeyboardInterrupt:
        job.stop()
        for nap in _naps(job, SETTLE_S):
            time.sleep(nap)
        return True
    return False


async def tick(job: Job, draw: Draw) -> bool:
    """Wait inside an awaited cell. ipykernel interrupts such a cell by cancelling it, once."""
    try:
        for nap in _naps(job):
            await asyncio.sleep(nap)
            draw()
            job.attend(partial(draw, now=True))
    except (asyncio.CancelledError, KeyboardInterrupt):  # the latter where the user was asked something
        job.stop()
        for nap in _naps(job, SETTLE_S):
            await asyncio.sleep(nap)
        return True
    return False


def _naps(job: Job, most_s: float = float("inf")) -> Iterator[float]:
    """Naps until the job is done: a tenth of the time already spent, so that a quick answer is not kept waiting, but never above a tick."""
    start = time.monotonic()
    for _ in itertools.count():
        spent = time.monotonic() - start
        if job.done or spent > most_s:
            return
        yield min(TICK_S, max(0.002, spent / 10))
