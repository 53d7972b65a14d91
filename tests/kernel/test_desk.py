"""Questions that arise while a run is under way: places, waiting, cancellation, and caps of their own."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.calls import Cost, Response, Started, Waiting
from orchestrator_nb.errors import LimitError
from orchestrator_nb.kernel.budget import Budget
from orchestrator_nb.kernel.capped import Caps
from orchestrator_nb.kernel.desk import Desk, Places
from orchestrator_nb.messages import Text


class Vendor:
    """Answers after ``takes`` seconds of the clock; knows who was under way at the most."""

    def __init__(self, clock, takes=1.0):
        self.clock, self.takes = clock, takes
        self.now = self.most = 0
        self.began = []

    async def __call__(self, request, emit):
        emit(Started())
        self.began.append(request.model.vendor.name)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.clock.sleep(self.takes)
            return Response("tiny", (Text(request.prompt),), cost=Cost(Decimal("0.5"), "table"))
        finally:
            self.now -= 1


def asked(clock, desk, items, **how):
    async def all_of_them():
        return await asyncio.gather(*(desk.ask(place, item, **how) for place, item in enumerate(items)))

    return asyncio.run(clock.run(all_of_them()))


@pytest.mark.parametrize("parallel", [1, 3, 100])
def test_no_more_than_parallel_are_under_way_and_who_waits_is_told_how_long_he_did(clock, grid, parallel):
    vendor, news = Vendor(clock), []
    desk = Desk(vendor, clock, "run", parallel=parallel, progress=lambda place, told: news.append((place, told)))
    answered = asked(clock, desk, grid(12))
    assert vendor.most == min(parallel, 12)
    assert [one.call.id for one in answered] == [f"run-{place}" for place in range(12)]
    assert max(one.waited_s for one in answered) == pytest.approx((11 // parallel) * 1.0)
    assert any(isinstance(told, Waiting) for _, told in news) == (parallel < 12)


def test_a_vendor_with_many_questions_does_not_keep_another_from_its_share(clock, grid, spec):
    vendor = Vendor(clock)
    desk = Desk(vendor, clock, "run", parallel=4)
    asked(clock, desk, [*grid(40, spec("a", "many")), *grid(4, spec("b", "few"))])
    assert "few" in vendor.began[4:8]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30), st.integers(1, 4), st.integers(1, 8))
def test_whoever_is_cancelled_leaves_its_place_to_another(questions, number, ticks):
    async def play():
        places, done = Places(number), []

        async def one(index, vendor):
            async with places.taken(vendor, lambda: None):
                await asyncio.sleep(0)
                done.append(index)

        tasks = [asyncio.create_task(one(index, vendor)) for index, (vendor, _) in enumerate(questions)]
        for _ in range(ticks):
            await asyncio.sleep(0)
        for task, (_, cancelled) in zip(tasks, questions, strict=True):
            if cancelled:
                task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        return done

    assert set(asyncio.run(play())) >= {index for index, (_, cancelled) in enumerate(questions) if not cancelled}


def test_a_question_that_is_cancelled_under_way_is_a_row_and_its_owner_is_cancelled_all_the_same(clock, grid):
    desk = Desk(Vendor(clock, 1e9), clock, "run", parallel=1)
    (item,) = grid(1)

    async def play():
        task = asyncio.create_task(desk.ask(0, item))
        await asyncio.sleep(0)
        task.cancel()
        return await task, task.cancelling()

    answered, cancelling = asyncio.run(play())
    assert answered.call.error.kind == "cancelled"
    assert cancelling == 1


def test_the_caps_of_one_question_hold_for_it_and_for_no_other(clock, grid):
    class Worst:
        def __call__(self, _request):
            return Decimal(1)

        def has_price(self, _request):
            return True

    vendor = Vendor(clock)
    desk = Desk(Caps((), inner=True).layer(Worst())(vendor), clock, "run", parallel=8)
    poor, rich = Budget(Decimal("0.9"), "budget of poor"), Budget(Decimal("1.5"), "budget of rich")
    one, other, third = grid(3)

    async def play():
        return await asyncio.gather(desk.ask(0, one, caps=[poor]), desk.ask(1, other, caps=[rich]), desk.ask(2, third))

    refused, paid, free = asyncio.run(clock.run(play()))
    assert isinstance(refused.call.error, LimitError)
    assert "budget of poor" in str(refused.call.error)
    assert paid.call.error is None
    assert rich.spent == Decimal("0.5")
    assert free.call.error is None
