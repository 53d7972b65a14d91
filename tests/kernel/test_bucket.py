from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.kernel.bucket import Bucket

RATES = st.floats(0.01, 1000)
STEPS = st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 50)), min_size=1, max_size=60)


@given(RATES, STEPS)
def test_what_leaves_never_passes_size_plus_rate_times_time_in_any_stretch(rate, steps):
    bucket, now, sent = Bucket(rate), 0.0, []
    for pause, wanted in steps:
        now += pause
        amount = min(wanted, bucket.size)
        now += bucket.wait_s(now, amount)
        bucket.take(now, amount)
        sent.append((now, amount))
    for i in range(len(sent)):
        total = 0.0
        for when, amount in sent[i:]:
            total += amount
            assert total <= bucket.size + rate * (when - sent[i][0]) + 1e-6


@given(RATES, st.floats(0.1, 1e6))
def test_a_wait_is_enough_and_ends(rate, amount):
    """However large the amount: once waited for, it may go."""
    bucket = Bucket(rate)
    bucket.take(0.0, bucket.size)
    wait_s = bucket.wait_s(0.0, amount)
    assert bucket.wait_s(wait_s, amount) == 0.0


@given(st.lists(st.floats(-1e9, 1e9), max_size=30))
def test_clock_jumps_never_make_a_wait_negative_or_lend_more_than_a_bucket(times):
    bucket = Bucket(10.0)
    for now in times:
        assert bucket.wait_s(now, 1.0) >= 0.0
        bucket.take(now, 1.0)
        assert bucket.level <= bucket.size


@given(st.integers(50, 1000), st.lists(st.floats(0, 5), min_size=2, max_size=40), st.floats(0, 2))
def test_headers_keep_us_in_step_with_a_server_however_long_its_answers_take(limit, pauses, delay):
    """A server that fills like ours and tells what is left: we never think that there is more than there is."""
    rate, level, server_at = limit / 60, float(limit), 0.0
    bucket, now, news = Bucket(), 0.0, []
    for pause in pauses:
        now += pause
        while news and news[0][0] <= now:
            when, mark, remaining = news.pop(0)
            bucket.observe(when, mark, limit, remaining, 60.0)
            assert bucket.level <= min(limit, level + rate * (when - server_at)) + 1e-6
        now = max(now, now + bucket.wait_s(now, 1.0)) if bucket.rate else now
        level, server_at = min(limit, level + rate * (now - server_at)) - 1, now
        news.append((now + delay, bucket.take(now, 1.0), max(0, int(level))))


def test_without_a_rate_there_is_no_limit():
    bucket = Bucket()
    bucket.take(0.0, 1e12)
    assert bucket.wait_s(0.0, 1e12) == 0.0
