"""The queue of one vendor account and model: whose turn it is to start a call, and how soon.

A lane starts from the configured limits, or unknown; the vendor's headers correct it with every answer. Unknown means: a few calls go ahead, and
once one of them has an answer, either its headers tell the limits or there are none until a 429 teaches otherwise. One 429 pauses the lane for
everybody; afterwards callers go on one by one at the lane's rate, not together. A rate that only 429s taught is what got through per second,
pauses included, and grows slowly.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Self

from orchestrator_nb.calls import Event, Request, Response, Started, Usage, Waiting
from orchestrator_nb.catalog import Limits
from orchestrator_nb.errors import ProviderError, RateLimited, Verdict
from orchestrator_nb.kernel.bucket import Bucket, Mark
from orchestrator_nb.providers.hints import RateHint
from orchestrator_nb.types import Clock, Emit

SCOUTS: Final = 16
"""Calls that may go to an account we know nothing about, until the first answer tells."""
LONGEST_WAIT_S: Final = 120.0
"""A longer pause is told, not waited for."""
GROWTH: Final = 0.01
"""By how much a rate grows that only 429s taught: with each answer, but not more often than once a second."""


class Lane:
    """The queue of one account and model: first come, first served."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._requests = Bucket(_per_second(limits.requests_per_minute))
        self._tokens = Bucket(_per_second(limits.tokens_per_minute))
        self._heard = limits.requests_per_minute is not None
        self._told_by_headers = False
        self._under_way = 0
        self._queue, self._news = asyncio.Lock(), asyncio.Event()
        self._paused_until, self._strikes = -math.inf, 0
        self._lesson = _Lesson(-math.inf)

    async def turn(self, request: Request, tokens: float, emit: Emit) -> Turn:
        """A turn to call that will cost about ``tokens``, once it has come: to be entered at once, and left at its end."""
        if self._queue.locked():
            emit(Waiting(f"the rate limit of {request.model.ref}"))
        async with self._queue:
            told = False
            while (wait_s := self._wait_s(request, tokens)) > 0:
                if not told:
                    emit(Waiting(f"the rate limit of {request.model.ref}", wait_s if wait_s < math.inf else None))
                    told = True
                await self._nap(wait_s)
            now = self._clock.monotonic()
            return Turn(self, tokens, self._requests.take(now, 1), self._tokens.take(now, tokens))

    def begin(self) -> None:
        """A turn begins."""
        self._under_way += 1

    def end(self, turn: Turn) -> None:
        """A turn is over; one in which nothing was sent gives back what it took."""
        self._under_way -= 1
        if not turn.started:
            self._requests.give_back(1)
            self._tokens.give_back(turn.reckoned)
        self._news.set()

    def observe(self, turn: Turn, hint: RateHint) -> None:
        """Correct the buckets."""
        now = self._clock.monotonic()
        self._heard = True
        if hint.requests_limit:
            self._told_by_headers = True
            self._requests.observe(
                now, turn.requests, hint.requests_limit, hint.requests_remaining, hint.requests_window_s
            )
        if hint.tokens_limit:
            self._tokens.observe(now, turn.tokens, hint.tokens_limit, hint.tokens_remaining, hint.tokens_window_s)
        self._news.set()

    def hear(self) -> None:
        """Something of an answer arrived: what its headers did not limit is not limited, as far as we know."""
        if not self._heard:
            self._heard = True
            self._news.set()

    def left(self) -> None:
        """A call goes out; the first one after a pause begins a new lesson."""
        if self._lesson.since <= self._paused_until:
            self._lesson = _Lesson(self._clock.monotonic(), self._requests.rate)
        self._lesson.left += 1

    def answered(self, usage: Usage, reckoned: float) -> None:
        """A call went through: settle its tokens, and let a rate grow that only 429s taught."""
        self._heard, self._strikes = True, 0
        if usage.input is not None and usage.output is not None:
            self._tokens.give_back(reckoned - usage.input - usage.output)
        if self._taught_by_refusals and self._requests.rate is not None:
            self._requests.rate *= self._lesson.growth(self._clock.monotonic())

    def refused(self, left_at: float, wait_s: float | None) -> None:
        """A 429: pause everybody. One for a call that left before the pause ended belongs to the same lesson."""
        now = self._clock.monotonic()
        self._heard = True
        self._lesson.refused += 1
        if left_at >= self._paused_until:
            self._strikes += 1
            wait_s = wait_s if wait_s is not None else min(60.0, 2.0 ** (self._strikes - 1))
        self._paused_until = max(self._paused_until, now + (wait_s or 0.0))
        self._requests.restart(self._paused_until, self._learned_rate() if self._taught_by_refusals else None)
        self._news.set()

    def _learned_rate(self) -> float:
        """What got through; one short lesson alone does not turn a rate upside down."""
        taught, before = self._lesson.rate(self._paused_until), self._lesson.rate_before
        return taught if before is None else min(0.9 * before, max(taught, 0.3 * before))

    @property
    def _taught_by_refusals(self) -> bool:
        return not self._told_by_headers and self._requests.most is None

    def _wait_s(self, request: Request, tokens: float) -> float:
        now = self._clock.monotonic()
        if (pause_s := self._paused_until - now) > LONGEST_WAIT_S:
            raise _paused(request, pause_s)
        if not self._heard and self._under_way >= SCOUTS:
            return math.inf
        return max(pause_s, self._requests.wait_s(now, 1), self._tokens.wait_s(now, tokens), 0.0)

    async def _nap(self, seconds: float) -> None:
        """Sleep, but wake up at news."""
        self._news.clear()
        naps = [asyncio.create_task(self._news.wait())]  # type: list[asyncio.Task[object]]
        if seconds < math.inf:
            naps.append(asyncio.create_task(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for nap in naps:
                nap.cancel()


class Turn:
    """One call's turn in a lane."""

    def __init__(self, lane: Lane, reckoned: float, requests: Mark, tokens: Mark) -> None:
        self.lane, self.reckoned, self.requests, self.tokens = lane, reckoned, requests, tokens
        self.left_at, self.started = requests.at, False

    def __enter__(self) -> Self:
        self.lane.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.lane.end(self)

    def leave(self, now: float) -> None:
        """It goes out now."""
        self.left_at = now
        self.requests, self.tokens = self.requests.moved(now), self.tokens.moved(now)
        self.lane.left()

    def watch(self, emit: Emit) -> Emit:
        """An `Emit` that notices whether anything was sent."""

        def heard(event: Event) -> None:
            if isinstance(event, Started):
                self.started = True
            else:
                self.lane.hear()
            emit(event)

        return heard

    def answered(self, response: Response) -> Response:
        """It went well."""
        self.started = True
        self.lane.answered(response.usage, self.reckoned)
        return response

    def failed(self, error: ProviderError) -> None:
        """It did not; a 429 is news for the whole lane."""
        if error.kind == "rate_limit":
            self.lane.refused(self.left_at, error.verdict.wait_s)


class _Lesson:
    """What happened since the last pause: the rate that the vendor let through, the coming pause included."""

    def __init__(self, since: float, rate_before: float | None = None) -> None:
        self.since, self.rate_before, self.left, self.refused = since, rate_before, 0, 0
        self._grown_at = since

    def rate(self, until: float) -> float:
        return max(1, self.left - self.refused) / max(1.0, until - self.since)

    def growth(self, now: float) -> float:
        passed, self._grown_at = now - self._grown_at, now
        return float((1 + GROWTH) ** min(1.0, passed))


def _per_second(per_minute: float | None) -> float | None:
    return None if per_minute is None else per_minute / 60


def _paused(request: Request, wait_s: float) -> RateLimited:
    model = request.model
    return RateLimited(
        f"{model.ref} asked everybody to wait {wait_s:.0f} s; ask again then.",
        kind="rate_limit",
        vendor=model.vendor.name,
        model=model.id,
        verdict=Verdict(True, "rate_limit", wait_s),
    )
