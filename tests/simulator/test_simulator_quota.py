"""Quotas are kept, and what the headers say about them is true."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import DOORS, Client

from orchestrator_nb.simulator import Quota, Simulator
from orchestrator_nb.simulator.chat import go_duration
from orchestrator_nb.simulator.quota import Meter


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tight(clock):
    with Simulator(quota=Quota(requests_per_minute=3, tokens_per_minute=100_000), clock=clock) as sim:
        yield Client(sim)


REMAINING = {
    "anthropic": ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"),
    "openai": ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
    "mistral": ("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute"),
}


@pytest.mark.parametrize("vendor", REMAINING)
def test_the_headers_count_down_and_then_comes_429(tight, vendor):
    limit, remaining = REMAINING[vendor]
    seen = [tight.ask(vendor) for _ in range(4)]

    assert [one.headers[limit] for one in seen] == ["3"] * 4
    assert [one.headers[remaining] for one in seen] == ["2", "1", "0", "0"]
    assert [one.status for one in seen] == [200, 200, 200, 429]


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "mistral", "groq"])
def test_after_the_wait_that_was_told_the_next_call_passes(tight, clock, vendor):
    for _ in range(3):
        tight.ask(vendor)
    refused = tight.ask(vendor)
    wait_s = int(refused.headers["retry-after"])
    assert wait_s == 20

    clock.now += wait_s - 1
    assert tight.ask(vendor).status == 429
    clock.now += 1
    assert tight.ask(vendor).status == 200


def test_openai_also_tells_the_wait_in_milliseconds_and_resets_as_durations(tight):
    for _ in range(3):
        tight.ask("openai")
    refused = tight.ask("openai")

    assert 20_000 <= int(refused.headers["retry-after-ms"]) <= 20_001
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert refused.json["error"]["code"] == "rate_limit_exceeded"


def test_claude_tells_resets_as_times(tight):
    reset = tight.ask("anthropic").headers["anthropic-ratelimit-requests-reset"]

    assert 0 <= (datetime.fromisoformat(reset) - datetime.now(UTC)).total_seconds() + 1.1 < 25


def test_gemini_hides_its_limits_and_tells_the_wait_in_the_body(tight):
    for _ in range(3):
        assert not [name for name in tight.ask("gemini").headers if "ratelimit" in name]
    error = tight.ask("gemini").json["error"]

    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][1]["retryDelay"] == "20.000s"
    assert "PerMinute" in error["details"][0]["violations"][0]["quotaId"]


def test_tokens_are_counted_too(clock):
    with Simulator(quota={"openai": Quota(tokens_per_minute=600)}, clock=clock) as sim:
        client = Client(sim)
        seen = [client.ask("openai") for _ in range(3)]
        free = client.ask("mistral")

    assert [one.status for one in seen] == [200, 200, 429]
    assert seen[2].json["error"]["type"] == "tokens"
    assert free.status == 200


def test_each_key_has_its_own_quota(tight):
    for _ in range(4):
        last = tight.ask("openai")
    assert last.status == 429
    assert tight.ask("openai", headers={"authorization": "Bearer other"}).status == 200


def test_without_a_quota_nothing_is_said_about_one(client):
    for vendor in DOORS:
        assert not [name for name in client.ask(vendor).headers if "ratelimit" in name]


def test_a_quota_of_nothing_is_refused():
    with pytest.raises(ValueError, match="requests_per_second has to be more than 0, found 0"):
        Quota(requests_per_second=0)


@given(st.floats(0.5, 100), st.lists(st.floats(0, 0.5), max_size=200))
def test_no_more_requests_pass_than_burst_and_rate_allow(rate, gaps):
    meter, now, passed = Meter(Quota(requests_per_second=rate)), 1.0, 0
    for gap in gaps:
        now += gap
        passed += not meter.take(1, now).short_of

    assert passed <= max(rate, 1) + rate * (now - 1.0) + 1e-6


@given(st.integers(1, 50), st.integers(1, 200))
def test_waiting_as_long_as_told_is_enough(rate, calls):
    meter, now = Meter(Quota(requests_per_second=rate)), 1.0
    for _ in range(calls):
        state = meter.take(1, now)
        if state.short_of:
            now += state.wait_s + 1e-9
            assert not meter.take(1, now).short_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.012, "12ms"), (6, "6s"), (60.5, "1m0.5s"), (179.56, "2m59.56s"), (21_600, "6h0m0s"), (0, "0ms")],
)
def test_durations_are_written_as_go_writes_them(seconds, text):
    assert go_duration(seconds) == text
    assert re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text)
