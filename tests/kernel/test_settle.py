import asyncio

import pytest

from orchestrator_nb.calls import Delta, Response, Retrying, Started, ThinkingDelta
from orchestrator_nb.errors import Cancelled, KeyMissing, Partial
from orchestrator_nb.kernel.settle import settle
from orchestrator_nb.messages import Text
from orchestrator_nb.runs import Item


def settled(clock, request, handler, events=None):
    return asyncio.run(
        clock.run(settle(handler, Item(request), (events if events is not None else []).append, clock, "r-0"))
    )


def test_an_answer_becomes_a_call_with_its_times(clock, ask):
    async def handler(request, emit):
        await clock.sleep(7)  # held back: not the vendor's time
        emit(Started())
        await clock.sleep(2)
        emit(ThinkingDelta("hm"))
        await clock.sleep(1)
        emit(Delta("Hel"))
        await clock.sleep(1)
        emit(Delta("lo"))
        return Response("tiny-1", (Text("Hello"),), source="simulated")

    start, events = clock.wall(), []
    call = settled(clock, ask(), handler, events)
    assert call.response.text == "Hello"
    assert call.error is None
    assert (call.id, call.source, call.attempts) == ("r-0", "simulated", 1)
    assert (call.started_at - start, call.latency_s, call.ttft_s) == (7, 4, 3)
    assert events == [Started(), ThinkingDelta("hm"), Delta("Hel"), Delta("lo")]


def test_times_are_those_of_the_attempt_that_answered(clock, ask):
    async def handler(request, emit):
        emit(Started(1))
        await clock.sleep(5)
        emit(Retrying(1, 10, "server"))
        await clock.sleep(10)
        emit(Started(2))
        await clock.sleep(1)
        emit(Delta("x"))
        return Response("tiny")

    call = settled(clock, ask(), handler)
    assert (call.attempts, call.latency_s, call.ttft_s) == (2, 1, 1)


def test_an_answer_that_needed_no_request_counts_no_attempt(clock, ask):
    async def handler(request, emit):
        return Response("tiny", source="cache")

    call = settled(clock, ask(), handler)
    assert (call.attempts, call.source, call.ttft_s) == (0, "cache", None)


@pytest.mark.parametrize(
    "error",
    [
        KeyMissing("no key"),
        Partial("cut", kind="truncated", response=Response("t", (Text("Lor"),), complete=False, source="simulated")),
    ],
)
def test_every_expected_failure_becomes_a_call(clock, ask, error):
    async def handler(request, emit):
        raise error

    call = settled(clock, ask(), handler)
    assert call.error is error
    assert call.response is None
    assert call.source == ("simulated" if isinstance(error, Partial) else "live")


def test_a_cancelled_call_keeps_the_text_that_had_arrived(clock, ask):
    async def handler(request, emit):
        emit(Started())
        emit(Delta("Lorem "))
        emit(Delta("ipsum"))
        await asyncio.Event().wait()

    async def scene():
        task = asyncio.create_task(settle(handler, Item(ask()), lambda _: None, clock, "r-0"))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    call = asyncio.run(scene())
    assert isinstance(call.error, Cancelled)
    assert (call.error.kind, call.error.partial, call.error.response.complete, call.error.billed) == (
        "cancelled",
        "Lorem ipsum",
        False,
        "maybe",
    )


def test_a_bug_is_raised(clock, ask):
    async def handler(request, emit):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        settled(clock, ask(), handler)
