"""What kernel tests share: a clock that moves when told, and questions to ask."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import Limits, ModelSpec, Vendor
from orchestrator_nb.kernel.portal import Portal
from orchestrator_nb.messages import Message
from orchestrator_nb.runs import Item


class MovableClock:
    """Time that stands still until moved; a sleep ends when time has come to its end."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.now, self.slept = start, list[float]()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()

    def wall(self) -> float:
        return self.now + 1_700_000_000

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            return await asyncio.sleep(0)
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._ticket), waiter))
        await waiter
        return None

    def move(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now + 1e-12:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)

    def move_to_next(self) -> bool:
        """Jump to the end of the nearest sleep; False when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            return False
        self.move(self._sleepers[0][0] - self.now)
        return True

    async def run(self, coro: Coroutine[Any, Any, Any], *, within_s: float = 1e9) -> Any:
        """The result of ``coro``, in virtual time: whenever nothing else can happen, time jumps to the next sleeper."""
        end = self.now + within_s
        task = asyncio.ensure_future(coro)
        loop = asyncio.get_running_loop()
        while not task.done():
            await asyncio.sleep(0)
            if loop._ready or task.done():  # what is ready goes first
                continue
            assert self.move_to_next(), "everybody waits and nobody sleeps"
            assert self.now <= end, "it takes too long"
        return task.result()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def portal():
    with_loop = Portal("test")
    yield with_loop
    with_loop.close()


NO_LIMITS = Limits()


def model(name: str = "tiny", vendor: str = "lab", limits: Limits = NO_LIMITS, **how: Any) -> ModelSpec:
    """A model of a made-up vendor."""
    return ModelSpec(Vendor(vendor, "openai-compatible", f"http://{vendor}.test/v1", limits=limits), name, **how)


def request_for(text: str = "Hello", spec: ModelSpec | None = None, **how: Any) -> Request:
    return Request(spec or model(), (Message.user(text),), **how)


@pytest.fixture
def ask() -> Callable[..., Request]:
    """Makes requests: ``ask("text", model, ...)``."""
    return request_for


@pytest.fixture
def spec() -> Callable[..., ModelSpec]:
    """Makes models: ``spec("name", "vendor", limits)``."""
    return model


@pytest.fixture
def grid() -> Callable[..., list[Item]]:
    """Makes items: ``grid(3)`` asks three things of one model, ``grid(3, a, b)`` of each."""

    def make(count: int, *specs: ModelSpec) -> list[Item]:
        return [Item(request_for(f"question {row}", one), row) for row in range(count) for one in specs or (model(),)]

    return make
