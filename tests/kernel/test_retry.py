import asyncio

import pytest

from orchestrator_nb.calls import Delta, Response, Retrying, Started, ThinkingDelta
from orchestrator_nb.errors import BadRequest, ProviderError, RateLimited, ServerFailure, Verdict
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.retry import Backoff, retry

ANSWER = Response("tiny")


class Vendor:
    """Fails as told, then answers; ``shows`` is emitted before each failure."""

    def __init__(self, *failures, shows=None):
        self.failures, self.shows, self.calls = list(failures), shows, 0

    async def __call__(self, request, emit):
        self.calls += 1
        emit(Started())
        if self.failures:
            if self.shows:
                emit(self.shows)
            raise self.failures.pop(0)
        return ANSWER


def failure(kind="server", wait_s=None, again=True, most=None):
    return ServerFailure("no", kind=kind, verdict=Verdict(again, kind, wait_s, most))


def ask_through(vendor, clock, request, plan=None):
    events = []
    handler = build(vendor, [retry(plan or Backoff(jitter=lambda: 1.0), clock)])
    try:
        outcome = asyncio.run(clock.run(handler(request, events.append)))
    except ProviderError as error:
        outcome = error
    return outcome, events


def test_a_passing_failure_is_tried_again_and_never_silently(clock, ask):
    vendor = Vendor(failure(), failure("overloaded"))
    outcome, events = ask_through(vendor, clock, ask())
    assert outcome is ANSWER
    assert events == [Started(1), Retrying(1, 0.5, "server"), Started(2), Retrying(2, 1.0, "overloaded"), Started(3)]
    assert clock.slept == [0.5, 1.0]


def test_three_attempts_are_the_most_by_default_and_the_last_failure_is_raised(clock, ask):
    last = failure()
    vendor = Vendor(failure(), failure(), last)
    outcome, _ = ask_through(vendor, clock, ask())
    assert outcome is last
    assert vendor.calls == 3


def test_a_lasting_failure_is_not_tried_again(clock, ask):
    refusal = BadRequest("no", kind="invalid_request")
    vendor = Vendor(refusal)
    outcome, events = ask_through(vendor, clock, ask())
    assert (outcome, vendor.calls, events) == (refusal, 1, [Started(1)])


@pytest.mark.parametrize("shown", [Delta("Lor"), ThinkingDelta("Hm")])
def test_nothing_is_tried_again_after_something_was_shown(clock, ask, shown):
    vendor = Vendor(failure(), shows=shown)
    outcome, _ = ask_through(vendor, clock, ask())
    assert isinstance(outcome, ServerFailure)
    assert vendor.calls == 1


def test_an_empty_piece_is_not_text(clock, ask):
    vendor = Vendor(failure(), shows=Delta(""))
    assert ask_through(vendor, clock, ask())[0] is ANSWER


def test_waits_double_up_to_eight_seconds(clock, ask):
    vendor = Vendor(*(failure() for _ in range(6)))
    ask_through(vendor, clock, ask(), Backoff(attempts=7, jitter=lambda: 1.0))
    assert clock.slept == [0.5, 1, 2, 4, 8, 8]


def test_waits_without_a_hint_are_jittered_down_to_nothing(clock, ask):
    vendor = Vendor(failure(), failure())
    ask_through(vendor, clock, ask(), Backoff(jitter=iter([0.0, 0.25]).__next__))
    assert clock.slept == [0.0, 0.25]


@pytest.mark.parametrize("hint", [0.0, 0.02, 3.7, 60.0, 120.0])
def test_the_vendors_hint_is_waited_for_in_full(clock, ask, hint):
    vendor = Vendor(RateLimited("no", kind="rate_limit", verdict=Verdict(True, "rate_limit", hint)))
    outcome, _ = ask_through(vendor, clock, ask(), Backoff(jitter=lambda: 0.0))
    assert outcome is ANSWER
    assert clock.slept == [hint]


def test_a_hint_over_two_minutes_is_told_and_not_waited_for(clock, ask):
    limited = RateLimited("no", kind="rate_limit", verdict=Verdict(True, "rate_limit", 120.1))
    vendor = Vendor(limited)
    outcome, events = ask_through(vendor, clock, ask())
    assert outcome is limited
    assert outcome.verdict.wait_s == 120.1
    assert (clock.slept, events) == ([], [Started(1)])


def test_a_verdict_may_allow_fewer_retries_than_the_plan(clock, ask):
    vendor = Vendor(*(failure("bad_response", most=1) for _ in range(3)))
    ask_through(vendor, clock, ask())
    assert vendor.calls == 2


def test_a_plan_of_one_attempt_never_tries_again(clock, ask):
    vendor = Vendor(failure())
    ask_through(vendor, clock, ask(), Backoff(attempts=1))
    assert vendor.calls == 1


def test_the_first_layer_is_outermost(ask):
    def named(name):
        def layer(call):
            async def handle(request, emit):
                way.append(name)
                return await call(request, emit)

            return handle

        return layer

    way = []
    asyncio.run(build(Vendor(), [named("outer"), named("inner")])(ask(), lambda _: None))
    assert way == ["outer", "inner"]
