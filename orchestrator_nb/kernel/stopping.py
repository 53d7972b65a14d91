"""How a run is ended from outside: by its user, or by its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator_nb.types import Clock


class Stop(asyncio.Event):
    """A handle that ends a run from outside: call `set` on the loop's thread. Setting it before the start lets nothing start."""


@contextmanager
def stopped_by(
    stop: Stop | None, clock: Clock, timeout_s: float | None, end: Callable[[float | None], object]
) -> Iterator[None]:
    """While the block lasts, ``end`` is called when ``stop`` is set, with ``None``, and when ``timeout_s`` are over, with these."""
    with _beside(_ring(clock, timeout_s, end), _listen(stop, end)):
        yield


async def _ring(clock: Clock, timeout_s: float | None, end: Callable[[float | None], object]) -> None:
    if timeout_s is not None:
        await clock.sleep(timeout_s)
        end(timeout_s)


async def _listen(stop: Stop | None, end: Callable[[float | None], object]) -> None:
    if stop is not None:
        await stop.wait()
        end(None)


@contextmanager
def _beside(*watches: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Run ``watches`` as long as the block lasts."""
    tasks = [asyncio.create_task(watch) for watch in watches]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
