"""A run while it runs, drawn from what has been heard."""

import time

import pytest
from shapes import ONE, TWO, answer, call, failed, item

from orchestrator_nb.calls import Delta, Retrying, Started, ThinkingDelta, Waiting
from orchestrator_nb.prompts.grid import expand
from orchestrator_nb.results.progress import STREAM, Progress


class Now:
    """A clock that a test moves."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def now():
    return Now()


def grid(size):
    return [item(f"prompt {n}", (ONE, TWO)[n % 2], row=n) for n in range(size)]


def test_one_call_shows_its_text_as_it_arrives_with_thoughts_folded(now):
    live = Progress([item()], now=now)
    for event in (Started(), ThinkingDelta("hm"), Delta("<b>he"), Delta("y")):
        live.feed(0, event)
    now.s = 2.0
    assert "&lt;b&gt;hey" in live.html()
    assert "<details" in live.html()
    assert "lab/one · answering · 2.0 s" in live.html()
    assert live.text() == "<b>hey"


def test_a_retry_starts_the_text_anew_and_is_visible(now):
    live = Progress([item()], now=now)
    for event in (Started(), Delta("old"), Retrying(1, 2.0, "overloaded")):
        live.feed(0, event)
    assert "retrying in 2.0 s (overloaded)" in live.html()
    assert "old" not in live.html()


def test_a_long_stream_shows_its_end(now):
    live = Progress([item()], now=now)
    live.feed(0, Delta("x" * 3 * STREAM + "the end"))
    assert "the end" in live.html()
    assert len(live.html()) < 2 * STREAM


def test_several_calls_are_a_row_each_with_state_text_time_and_cost(now):
    live = Progress(grid(4), now=now)
    live.feed(0, Started())
    live.feed(0, Delta("half an ans"))
    live.feed(1, Waiting("a place", None))
    live.feed(2, call(grid(4)[2], answer("done"), source="simulated"))
    live.feed(3, failed(grid(4)[3]))
    now.s = 3.0
    page = live.html()
    for part in (
        "half an ans",
        "waiting: a place",
        "simulated",
        "$0.0100",
        "slow down",
        "3.0 s",
        "1.5 s",
        "2 of 4 calls",
        "1 failed",
    ):
        assert part in page
    assert page.count('<th scope="row">') == 4
    assert 'value="2"' in page
    assert "lab/one: answering · half an ans" in live.text()


def test_the_time_left_follows_the_pace(now):
    live = Progress(grid(10), now=now)
    now.s = 4.0
    for n in range(4):
        live.feed(n, call(grid(10)[n]))
    assert "about 6.0 s left" in live.text()
    for n in range(4, 10):
        live.feed(n, call(grid(10)[n]))
    assert "left" not in live.text()


def test_many_calls_are_counts_per_model_with_what_is_held_back(now):
    live = Progress(grid(100), large=40, now=now)
    live.feed(0, Started())
    for n in (1, 2):
        live.feed(n, Waiting("rate limit", float(n)))
    live.feed(3, call(grid(100)[3], answer(usd="")))
    live.feed(4, call(grid(100)[4]))
    page = live.html()
    assert page.count('<th scope="row">') == 2
    assert "1 running, 2 waiting: rate limit" in page
    assert "$0.0100 (1 unknown)" in page
    assert "lab/one: 1 of 50" in live.text()


def test_a_held_call_that_goes_on_is_no_longer_counted_as_held(now):
    live = Progress(grid(100), now=now)
    live.feed(0, Waiting("rate limit", 1.0))
    live.feed(0, Started())
    assert "1 running" in live.text()
    assert "rate limit" not in live.text()


def test_a_million_calls_cost_no_more_than_a_few_to_draw():
    live = Progress(expand("{{ x }}", [ONE, TWO], grid={"x": range(1000)}, repeat=500))
    assert live.total == 1_000_000
    start = time.process_time()
    for n in range(20_000):
        live.feed(n, Started())
        live.feed(n, Delta("x"))
    for _ in range(10):
        assert len(live.html()) < 10_000
    assert time.process_time() - start < 4.0


def test_status_is_announced_politely_and_there_is_no_script():
    page = Progress(grid(2)).html()
    assert 'role="status" aria-live="polite"' in page
    assert "<script" not in page
