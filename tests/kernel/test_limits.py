import asyncio
import itertools
import random

import pytest

from orchestrator_nb.calls import Response, Started, Usage, Waiting
from orchestrator_nb.catalog import Limits
from orchestrator_nb.errors import RateLimited, ServerFailure, Verdict
from orchestrator_nb.kernel.fanout import fan_out
from orchestrator_nb.kernel.limits import Limiter
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.retry import Backoff, retry
from orchestrator_nb.providers.hints import RateHint
from orchestrator_nb.simulator.quota import Meter, Quota


class Server:
    """A vendor with a quota, a way of ``way_s`` to it, and answers that take ``takes_s``; tells its limits as ``tells`` says."""

    def __init__(self, clock, quota, *, limiter=None, tells="headers", takes_s=(0.5, 1.5), way_s=(0.005, 0.02), seed=1):
        self.clock, self.meter, self.limiter, self.tells = clock, Meter(quota), limiter, tells
        self.takes_s, self.way_s, self.dice = takes_s, way_s, random.Random(seed)
        self.arrived, self.refused, self.now, self.most = [], 0, 0, 0

    async def __call__(self, request, emit):
        emit(Started())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.answer(request)
        finally:
            self.now -= 1

    async def answer(self, request):
        await self.clock.sleep(self.dice.uniform(*self.way_s))
        state = self.meter.take(100, self.clock.now)
        self.arrived.append(self.clock.now)
        await self.clock.sleep(self.dice.uniform(*self.way_s))
        gauge = state.requests
        if self.limiter and self.tells in ("headers", "nothing"):
            told = self.tells == "headers"
            self.limiter.observe(request, RateHint(gauge.limit, gauge.remaining, gauge.reset_s) if told else RateHint())
        if state.short_of:
            self.refused += 1
            raise RateLimited("slow down", kind="rate_limit", verdict=Verdict(True, "rate_limit", state.wait_s))
        await self.clock.sleep(self.dice.uniform(*self.takes_s))
        return Response("tiny", usage=Usage(50, 50))


def run(clock, items, quota, *, parallel=200, attempts=3, places=1_000, **how):
    limiter = Limiter(clock, parallel=places)
    server = Server(clock, quota, limiter=limiter, **how)
    handler = build(server, [retry(Backoff(attempts=attempts), clock), limiter.layer])
    begun = clock.now
    calls = asyncio.run(clock.run(fan_out(handler, items, parallel=parallel, clock=clock)))
    return calls, server, clock.now - begun


FIFTY = Quota(requests_per_second=50, burst=50)
IDEAL_S = (2_000 - 50) / 50


@pytest.mark.parametrize("seed", range(3))
def test_headers_alone_keep_two_thousand_calls_within_their_quota(clock, grid, seed):
    calls, server, took = run(clock, grid(2_000), FIFTY, seed=seed)
    assert all(call.response for call in calls)
    assert server.refused <= 20
    assert took <= 1.10 * IDEAL_S


@pytest.mark.parametrize("seed", range(3))
def test_a_known_limit_is_never_passed(clock, grid, spec, seed):
    known = spec("tiny", "lab", Limits(requests_per_minute=3_000))
    calls, server, took = run(clock, grid(2_000, known), FIFTY, seed=seed, tells="nothing")
    assert all(call.response for call in calls)
    assert server.refused == 0
    assert took <= 1.10 * IDEAL_S


def test_a_vendor_that_says_nothing_is_learned_from_its_refusals(clock, grid):
    """Ten a minute, and only 429s tell: nobody storms, and the pace is found."""
    quota = Quota(requests_per_minute=10)
    calls, server, took = run(clock, grid(60), quota, parallel=32, tells="none")
    assert sum(call.response is not None for call in calls) >= 50
    assert server.refused <= 30
    assert took <= 1.6 * (60 - 10) * 6


def test_a_vendor_without_limits_is_not_held_back_after_the_first_answer(clock, grid):
    calls, server, took = run(
        clock, grid(400), Quota(requests_per_second=1e9), parallel=200, tells="none", takes_s=(1, 1)
    )
    assert all(call.response for call in calls)
    assert took <= 3.3, "one round of scouts, then two full rounds"
    assert server.most == 200


def test_no_more_than_the_sessions_places_are_under_way(clock, grid):
    _, server, _ = run(clock, grid(50), Quota(requests_per_second=1e9), places=7, tells="none")
    assert server.most == 7


def test_no_more_than_the_vendors_places_are_under_way(clock, grid, spec):
    small = spec("tiny", "small", Limits(parallel=3))
    _, server, _ = run(clock, grid(30, small), Quota(requests_per_second=1e9), tells="none")
    assert server.most == 3


def test_a_paused_vendor_holds_none_of_the_sessions_places(clock, grid, spec):
    """50 callers wait for a paused account; another vendor is asked at once, with one place in all."""
    paused, other = spec("a", "paused"), spec("b", "other")
    limiter, events = Limiter(clock, parallel=1), []

    async def server(request, emit):
        emit(Started())
        if request.model is paused and clock.now < 1_060:
            raise RateLimited("slow down", kind="rate_limit", verdict=Verdict(True, "rate_limit", 60.0))
        return Response("tiny")

    handler = build(server, [limiter.layer])

    async def story():
        with pytest.raises(RateLimited):
            await handler(items[0].request, events.append)
        waiting = [asyncio.create_task(handler(item.request, events.append)) for item in items]
        await asyncio.sleep(0)
        await handler(grid(1, other)[0].request, events.append)
        at_once = clock.now
        await clock.run(asyncio.wait_for(asyncio.gather(*waiting), 600))
        return at_once

    items = grid(50, paused)
    assert asyncio.run(story()) == 1_000
    assert clock.now >= 1_060
    assert any(isinstance(event, Waiting) for event in events)


def test_after_a_429_callers_come_back_one_by_one(clock, grid, spec):
    """30 callers behind a pause of 10 s at a known 2 per second."""
    known = spec("tiny", "lab", Limits(requests_per_minute=120))
    limiter, came = Limiter(clock), []

    async def server(request, emit):
        emit(Started())
        came.append(clock.now)
        if len(came) == 1:
            raise RateLimited("slow down", kind="rate_limit", verdict=Verdict(True, "rate_limit", 10.0))
        return Response("tiny")

    handler = build(server, [retry(Backoff(), clock), limiter.layer])
    calls = asyncio.run(clock.run(fan_out(handler, grid(30, known), parallel=30, clock=clock)))
    assert all(call.response for call in calls)
    again = [when for when in came if when > came[0] + 5]
    assert again[0] >= came[0] + 10
    assert all(later - sooner >= 0.5 for sooner, later in itertools.pairwise(again[1:]))


def test_a_pause_too_long_to_wait_for_is_told_to_everybody(clock, ask):
    limiter, asked = Limiter(clock), []

    async def server(request, emit):
        emit(Started())
        asked.append(request)
        raise RateLimited("tomorrow", kind="rate_limit", verdict=Verdict(True, "rate_limit", 86_400.0))

    async def story():
        for _ in range(3):
            with pytest.raises(RateLimited) as refusal:
                await handler(ask(), lambda _: None)
        return refusal.value

    handler = build(server, [limiter.layer])
    refusal = asyncio.run(story())
    assert len(asked) == 1
    assert refusal.verdict.wait_s == pytest.approx(86_400)


def test_tokens_are_limited_too_and_settled_by_what_was_really_used(clock, grid, spec):
    known = spec("tiny", "lab", Limits(tokens_per_minute=60_000))

    async def server(request, emit):
        emit(Started())
        await clock.sleep(0.01)
        return Response("tiny", usage=Usage(900, 100))

    begun = clock.now
    handler = build(server, [Limiter(clock).layer])
    asyncio.run(clock.run(fan_out(handler, grid(61, known), parallel=4, clock=clock)))
    assert 55 <= clock.now - begun <= 70, "60,000 tokens and a little, at 1,000 per second"


def test_what_was_not_sent_is_not_counted(clock, ask, spec):
    known = spec("tiny", "lab", Limits(requests_per_minute=60))

    async def refuses_without_asking(request, emit):
        raise ServerFailure("held back", kind="breaker_open")

    async def story():
        for _ in range(20):
            with pytest.raises(ServerFailure):
                await handler(ask("x", known), lambda _: None)

    handler = build(refuses_without_asking, [Limiter(clock).layer])
    begun = clock.now
    asyncio.run(clock.run(story()))
    assert clock.now == begun


def test_a_cancelled_caller_gives_its_turn_and_places_back(clock, grid, spec):
    known = spec("tiny", "lab", Limits(requests_per_minute=60, parallel=2))

    async def server(request, emit):
        emit(Started())
        await asyncio.Event().wait()

    async def story():
        tasks = [
            asyncio.create_task(build(server, [limiter.layer])(item.request, lambda _: None))
            for item in grid(10, known)
        ]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

        async def well(request, emit):
            emit(Started())
            return Response("tiny")

        return await clock.run(build(well, [limiter.layer])(grid(1, known)[0].request, lambda _: None))

    limiter = Limiter(clock)
    assert isinstance(asyncio.run(story()), Response)
