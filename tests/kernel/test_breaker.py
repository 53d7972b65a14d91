import asyncio
import contextlib
import itertools
import random

import pytest

from orchestrator_nb.calls import Response, Waiting
from orchestrator_nb.errors import CLASS_OF, BreakerOpen, ProviderError
from orchestrator_nb.kernel.breaker import Breaker
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.retry import Backoff, retry


class Vendor:
    """Answers or fails as ``kind`` says at the time; ``takes_s`` each."""

    def __init__(self, clock, kind=None, takes_s=0.0):
        self.clock, self.kind, self.takes_s, self.asked = clock, kind, takes_s, []

    async def __call__(self, request, emit):
        self.asked.append(self.clock.now)
        kind = self.kind(request) if callable(self.kind) else self.kind
        if self.takes_s:
            await self.clock.sleep(self.takes_s)
        if kind:
            raise CLASS_OF[kind]("no", kind=kind)
        return Response(request.model.id)


@pytest.fixture
def scene(clock, ask):
    """``scene(kind)`` asks once through a breaker; ``scene.vendor`` and ``scene.breaker`` are behind it."""

    class Scene:
        def __init__(self):
            self.vendor, self.breaker = Vendor(clock), Breaker(clock)
            self.handler = build(self.vendor, [self.breaker.layer])

        def __call__(self, kind=None, request=None):
            self.vendor.kind = kind
            try:
                return asyncio.run(clock.run(self.handler(request or ask(), lambda _: None)))
            except ProviderError as error:
                return error

    return Scene()


@pytest.mark.parametrize(
    "kind", ["server", "overloaded", "timeout", "connection", "dns", "transient", "truncated", "bad_response", "empty"]
)
def test_three_failures_in_a_row_open_it_and_the_error_says_when_it_closes(scene, kind):
    for _ in range(3):
        assert scene(kind).kind == kind
    refusal = scene(kind)
    assert isinstance(refusal, BreakerOpen)
    assert "asked again in 5 s" in str(refusal)
    assert refusal.verdict.again
    assert refusal.verdict.wait_s == 5.0
    assert len(scene.vendor.asked) == 3


@pytest.mark.parametrize(
    "kind",
    [
        "invalid_request",
        "not_found",
        "context_length",
        "content_filter",
        "quota",
        "rate_limit",
        "tls",
        "too_large",
        "redirect",
    ],
)
def test_a_refused_question_says_nothing_about_the_vendors_health(scene, kind):
    for _ in range(10):
        assert scene(kind).kind == kind


def test_half_of_the_recent_calls_failing_opens_it(scene):
    kinds = [None, "server", None, "server", None, "server"]
    assert [getattr(scene(kind), "kind", None) for kind in kinds] == kinds
    assert scene().kind == "breaker_open"


def test_one_in_three_failing_does_not(scene):
    kinds = [None, "server", None] * 20
    assert [getattr(scene(kind), "kind", None) for kind in kinds] == kinds


def test_after_the_pause_one_good_probe_closes_it(scene, clock):
    for _ in range(3):
        scene("server")
    clock.move(5)
    assert isinstance(scene(), Response)
    assert getattr(scene("server"), "kind", None) == "server"
    assert isinstance(scene(), Response)


def test_a_bad_probe_doubles_the_pause_up_to_a_minute(scene, clock):
    for _ in range(3):
        scene("server")
    for pause in [5, 10, 20, 40, 60, 60]:
        clock.move(pause - 0.1)
        assert scene("server").kind == "breaker_open"
        clock.move(0.1)
        assert scene("server").kind == "server"


def test_during_a_probe_the_others_wait_for_what_it_finds(clock, ask):
    vendor, breaker = Vendor(clock, "server"), Breaker(clock)
    handler, events = build(vendor, [breaker.layer]), []

    async def story():
        for _ in range(3):
            with pytest.raises(ProviderError):
                await handler(ask(), events.append)
        clock.move(5)
        vendor.kind, vendor.takes_s = None, 2.0
        begun = clock.now
        await clock.run(asyncio.wait_for(asyncio.gather(*(handler(ask(), events.append) for _ in range(10))), 60))
        return [when - begun for when in vendor.asked[3:]]

    assert asyncio.run(story()) == [0.0] + [2.0] * 9
    assert len([event for event in events if isinstance(event, Waiting)]) == 9


def test_a_cancelled_probe_leaves_the_way_free_for_the_next(clock, ask):
    vendor, breaker = Vendor(clock, "server"), Breaker(clock)
    handler = build(vendor, [breaker.layer])

    async def story():
        for _ in range(3):
            with pytest.raises(ProviderError):
                await handler(ask(), lambda _: None)
        clock.move(5)
        vendor.kind, vendor.takes_s = None, 100.0
        probe = asyncio.create_task(handler(ask(), lambda _: None))
        await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait([probe])
        vendor.takes_s = 0.0
        return await handler(ask(), lambda _: None)

    assert isinstance(asyncio.run(story()), Response)


def test_late_failures_from_before_it_opened_do_not_lengthen_the_pause(clock, ask):
    vendor, breaker = Vendor(clock, "server", takes_s=1.0), Breaker(clock)
    handler = build(vendor, [breaker.layer])

    async def story():
        await clock.run(
            asyncio.wait_for(
                asyncio.gather(*(handler(ask(), lambda _: None) for _ in range(20)), return_exceptions=True), 60
            )
        )
        with pytest.raises(BreakerOpen) as refusal:
            await handler(ask(), lambda _: None)
        return refusal.value.verdict.wait_s

    assert asyncio.run(story()) == 5.0


def test_circuits_are_apart_for_each_vendor_model_and_origin(scene, ask, spec):
    for _ in range(3):
        scene("server", ask("x", spec("a", "north")))
    assert scene("server", ask("x", spec("a", "north"))).kind == "breaker_open"
    assert scene("server", ask("x", spec("b", "north"))).kind == "server"
    assert scene("server", ask("x", spec("a", "south"))).kind == "server"


def test_a_refused_key_closes_the_account_until_reset(scene, ask, spec):
    assert scene("auth", ask("x", spec("a", "north"))).kind == "auth"
    refusal = scene(None, ask("x", spec("b", "north")))
    assert refusal.kind == "breaker_open"
    assert not refusal.verdict.again
    assert "refused the key" in str(refusal)
    assert isinstance(scene(None, ask("x", spec("a", "south"))), Response)
    scene.breaker.reset("south")
    assert scene(None, ask("x", spec("a", "north"))).kind == "breaker_open"
    scene.breaker.reset("north")
    assert isinstance(scene(None, ask("x", spec("a", "north"))), Response)


def test_a_forbidden_model_leaves_the_vendors_other_models_alone(scene, ask, spec):
    assert scene("permission", ask("x", spec("a", "north"))).kind == "permission"
    assert "may not use it" in str(scene(None, ask("x", spec("a", "north"))))
    assert isinstance(scene(None, ask("x", spec("b", "north"))), Response)


@pytest.mark.parametrize("seed", range(20))
def test_an_open_vendor_is_asked_at_most_once_in_each_pause(clock, ask, seed):
    """32 callers who retry, an outage at a random time."""
    dice = random.Random(seed)
    began = clock.now + dice.random() * 10
    ended = began + 10 + dice.random() * 60
    vendor = Vendor(clock, lambda _: "server" if began <= clock.now < ended else None)
    handler = build(vendor, [retry(Backoff(attempts=5), clock), Breaker(clock).layer])

    async def caller():
        for _ in range(10):
            await clock.sleep(dice.random() * 5)
            with contextlib.suppress(ProviderError):
                await handler(ask(), lambda _: None)

    async def story():
        await clock.run(asyncio.wait_for(asyncio.gather(*(caller() for _ in range(32))), 600))

    asyncio.run(story())
    during = [when for when in vendor.asked if began <= when < ended]
    assert all(later - sooner >= 5.0 for sooner, later in itertools.pairwise(during[2:]))
    assert vendor.asked[-1] >= ended, "and it was found to be well again"
