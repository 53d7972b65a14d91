import asyncio
import random

import pytest

from orchestrator_nb.calls import Delta, Response, Started
from orchestrator_nb.errors import BadRequest, Cancelled, Skipped
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.fanout import fan_out
from orchestrator_nb.kernel.stopping import Stop
from orchestrator_nb.messages import Text
from orchestrator_nb.runs import Call, Item


class Vendors:
    """Answers each question after ``takes(request)`` seconds; counts what is under way."""

    def __init__(self, clock, takes=lambda _: 1.0, fails=lambda _: False):
        self.clock, self.takes, self.fails = clock, takes, fails
        self.now = self.most = self.asked = 0

    async def __call__(self, request, emit):
        emit(Started())
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.clock.sleep(self.takes(request))
            if self.fails(request):
                raise BadRequest(request.prompt, kind="invalid_request")
            return Response("tiny", (Text(request.prompt),))
        finally:
            self.now -= 1


def outcome(clock, handler, items, **how):
    return asyncio.run(clock.run(fan_out(handler, items, clock=clock, **{"parallel": 8, **how})))


def test_calls_come_back_in_the_order_of_the_grid_whatever_order_they_ended_in(clock, grid):
    dice = random.Random(1)
    calls = outcome(clock, Vendors(clock, lambda _: dice.random()), grid(50), run_id="run")
    assert [call.response.text for call in calls] == [f"question {row}" for row in range(50)]
    assert [call.id for call in calls] == [f"run-{row}" for row in range(50)]


@pytest.mark.parametrize("parallel", [1, 3, 8, 100])
def test_no_more_than_parallel_are_under_way(clock, grid, spec, parallel):
    vendors = Vendors(clock)
    outcome(clock, vendors, grid(20, spec("a", "north"), spec("b", "south")), parallel=parallel)
    assert vendors.most == min(parallel, 40)


def test_an_empty_grid_is_an_empty_answer(clock):
    assert outcome(clock, Vendors(clock), []) == ()


def test_a_vendor_that_makes_its_callers_wait_does_not_starve_another(clock, grid, spec):
    slow, quick = spec("a", "slow"), spec("b", "quick")
    finished = []

    def progress(index, news):
        if isinstance(news, Call):
            finished.append(news.item.request.model.vendor.name)

    vendors = Vendors(clock, lambda request: 120.0 if request.model is slow else 1.0)
    outcome(clock, vendors, grid(40, slow, quick), progress=progress)
    assert finished[:40] == ["quick"] * 40


def test_once_the_others_are_done_a_slow_vendor_gets_all_places(clock, grid, spec):
    slow, quick = spec("a", "slow"), spec("b", "quick")
    start = clock.now
    outcome(clock, Vendors(clock, lambda request: 10.0 if request.model is slow else 0.1), grid(40, slow, quick))
    assert clock.now - start < 70, "40 calls of 10 s with 4, then 8 places"


def test_progress_hears_every_event_with_its_place_and_every_call_once(clock, grid):
    heard = []
    calls = outcome(clock, Vendors(clock), grid(10), progress=lambda index, news: heard.append((index, news)))
    assert sorted(index for index, news in heard if isinstance(news, Started)) == list(range(10))
    assert sorted(((i, c) for i, c in heard if isinstance(c, Call)), key=lambda p: p[0]) == list(enumerate(calls))


@pytest.mark.parametrize("failing", range(1, 100, 7))
def test_every_success_is_kept_and_every_failure_typed_in_order(clock, grid, failing):
    bad = set(random.Random(failing).sample(range(100), failing))
    vendors = Vendors(clock, fails=lambda request: int(request.prompt.split()[1]) in bad)
    calls = outcome(clock, vendors, grid(100))
    assert [isinstance(call.error, BadRequest) for call in calls] == [row in bad for row in range(100)]
    assert all(call.response.text == f"question {row}" for row, call in enumerate(calls) if row not in bad)


def test_stopping_at_an_error_starts_nothing_new_and_says_so(clock, grid):
    vendors = Vendors(clock, fails=lambda request: request.prompt == "question 4")
    calls = outcome(clock, vendors, grid(100), parallel=4, stop_on_error=True)
    kinds = [call.error.kind if call.error else "ok" for call in calls]
    assert kinds == ["ok"] * 4 + ["invalid_request"] + ["ok"] * 3 + ["skipped"] * 92
    assert vendors.asked == 8
    assert all(isinstance(call.error, Skipped) for call in calls[8:])


def test_the_runs_time_limit_keeps_what_is_finished(clock, grid):
    heard = []
    calls = outcome(clock, Vendors(clock), grid(10), parallel=2, timeout_s=2.5, progress=lambda i, n: heard.append(n))
    assert [call.error.kind if call.error else "ok" for call in calls] == ["ok"] * 4 + ["cancelled"] * 6
    assert all("2.5 s were over; give it more time with --timeout." in str(call.error) for call in calls[4:])
    assert len([news for news in heard if isinstance(news, Call)]) == 10


def test_a_stop_handle_ends_the_run_and_keeps_what_is_finished(clock, grid):
    stop = Stop()

    def progress(index, news):
        if isinstance(news, Call) and index == 3:
            stop.set()

    calls = outcome(clock, Vendors(clock), grid(10), parallel=2, stop=stop, progress=progress)
    assert [call.error.kind if call.error else "ok" for call in calls] == ["ok"] * 4 + ["cancelled"] * 6


def test_a_stop_before_the_start_asks_nobody(clock, grid):
    stop, vendors = Stop(), Vendors(clock)
    stop.set()
    calls = outcome(clock, vendors, grid(10), stop=stop)
    assert vendors.asked == 0
    assert all(isinstance(call.error, Cancelled) for call in calls)


def test_a_bug_ends_the_run_and_is_raised_with_nothing_left_running(clock, grid):
    async def buggy(request, emit):
        await clock.sleep(1)
        if request.prompt == "question 3":
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async def scene():
        with pytest.raises(ZeroDivisionError):
            await clock.run(fan_out(buggy, grid(10), parallel=8, clock=clock))
        return len(asyncio.all_tasks())

    assert asyncio.run(scene()) == 1


def test_cancelling_at_any_moment_gives_all_calls_and_leaves_no_task(grid):
    """20 rounds at random moments, the next run is well each time."""
    clock, dice = SystemClock(), random.Random(7)

    async def answer(request, emit):
        emit(Started())
        emit(Delta("Lorem"))
        await asyncio.sleep(dice.random() * 0.02)
        return Response("tiny", (Text("Lorem ipsum"),))

    async def round_(delay):
        task = asyncio.create_task(fan_out(answer, grid(100), parallel=16, clock=clock))
        await asyncio.sleep(delay)
        task.cancel()
        calls = await task
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(calls) == 100
        assert all(call.response or isinstance(call.error, Cancelled) for call in calls)
        return sum(call.response is not None for call in calls)

    async def scene():
        finished = []
        for _ in range(20):
            finished.append(await round_(dice.random() * 0.07))
            well = await fan_out(answer, grid(20), parallel=20, clock=clock)
            assert all(call.response for call in well)
        return finished

    finished = asyncio.run(scene())
    assert len(set(finished)) > 5, "the moments did differ"


def test_a_second_cancellation_cuts_tidying_up_short(grid):
    async def tidy(request, emit):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(60)

    async def scene():
        task = asyncio.create_task(fan_out(tidy, grid(10), parallel=4, clock=SystemClock()))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        async with asyncio.timeout(1):
            return await task

    assert all(isinstance(call.error, Cancelled) for call in asyncio.run(scene()))


def test_an_interrupted_run_leaves_its_rows_in_the_job(portal, grid):
    """The whole way: a cell awaits, the interrupt button cancels the cell."""

    async def answer(request, emit):
        if request.prompt != "question 0":
            await asyncio.Event().wait()
        return Response("tiny", (Text("done"),))

    async def cell():
        first = asyncio.Event()
        here = asyncio.get_running_loop()

        def progress(index, news):
            if isinstance(news, Call):
                here.call_soon_threadsafe(first.set)

        job = portal.submit(fan_out(answer, grid(50), parallel=10, clock=SystemClock(), progress=progress))
        waiting = asyncio.create_task(portal.wait(job))
        await first.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return job.result(timeout=0)

    calls = asyncio.run(cell())
    assert calls[0].response.text == "done"
    assert all(isinstance(call.error, Cancelled) for call in calls[1:])


class Endless:
    """A lazy grid that counts how far it was read."""

    def __init__(self, item, size):
        self.item, self.size, self.read = item, size, 0

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index >= self.size:
            raise IndexError
        self.read = max(self.read, index)
        return self.item


def test_a_long_grid_is_read_as_it_is_asked_with_a_task_for_each_place_only(ask):
    items, seen = Endless(Item(ask()), 100_000), []

    async def answer(request, emit):
        if len(seen) == 10:
            seen.append((items.read, len(asyncio.all_tasks())))
        seen.append(None)
        await asyncio.sleep(0)
        return Response("tiny")

    calls = asyncio.run(fan_out(answer, items, parallel=32, clock=SystemClock()))
    read, tasks = seen[10]
    assert read < 3_000
    assert tasks < 40
    assert len(calls) == 100_000
