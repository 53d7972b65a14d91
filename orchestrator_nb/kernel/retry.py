"""Try again after a passing failure, as long as nothing was shown yet.

The vendor's hint is the least we wait; without one, 0.5 s doubling to 8 s with full jitter, so that many callers do not come back together.
A hint over two minutes is not waited for: the error carries it. What may be tried again is the error's own verdict.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator_nb.calls import Delta, Event, Request, Response, Retrying, Started, ThinkingDelta
from orchestrator_nb.errors import ProviderError, Verdict
from orchestrator_nb.types import Clock, Emit, Handler, Layer


@dataclass(frozen=True, slots=True)
class Backoff:
    """At most ``attempts`` in all; waits are seconds. ``jitter`` gives numbers in [0, 1)."""

    attempts: int = 3
    base_s: float = 0.5
    cap_s: float = 8.0
    longest_s: float = 120.0
    jitter: Callable[[], float] = random.random

    def first(self) -> Attempt:
        """The first attempt."""
        return Attempt(self)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, counted from 1."""

    plan: Backoff
    number: int = 1

    def next(self) -> Attempt:
        """The one after this."""
        return replace(self, number=self.number + 1)

    def may_follow(self, verdict: Verdict) -> bool:
        """Whether another attempt may come after this one failed so."""
        retries = self.plan.attempts - 1
        most = retries if verdict.most is None else min(retries, verdict.most)
        return verdict.again and self.number <= most and (verdict.wait_s or 0) <= self.plan.longest_s

    def wait_s(self, verdict: Verdict) -> float:
        """Seconds until the next attempt."""
        if verdict.wait_s is not None:
            return max(0.0, verdict.wait_s)
        return self.plan.jitter() * min(self.plan.cap_s, self.plan.base_s * 2.0 ** (self.number - 1))


def retry(plan: Backoff, clock: Clock) -> Layer:
    """The layer. Emits `Retrying` before each wait: no retry is silent."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            attempt = plan.first()
            while True:
                watched = _Watch(emit, attempt.number)
                try:
                    return await call(request, watched)
                except ProviderError as error:
                    if watched.showed_text or not attempt.may_follow(error.verdict):
                        raise
                    wait_s = attempt.wait_s(error.verdict)
                    emit(Retrying(attempt.number, wait_s, error.verdict.kind))
                await clock.sleep(wait_s)
                attempt = attempt.next()

        return handle

    return layer


class _Watch:
    """An `Emit` that notices whether anything of the answer was shown, and numbers the attempts."""

    def __init__(self, emit: Emit, number: int) -> None:
        self._emit, self._number, self.showed_text = emit, number, False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Delta | ThinkingDelta):
            self.showed_text = self.showed_text or bool(event.text)
        elif isinstance(event, Started):
            event = Started(self._number)
        self._emit(event)
