"""A vault locks when its time is over, by whichever clock says so first; a run keeps its own keys until the absolute limit and goes on after unlocking."""

import gc
import threading
import time
import weakref
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_at_hand import LIMITS, OLD, Clock, made_in, put, value_of, vault_in

from orchestrator_nb.errors import VaultLocked
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.timer import Limits, Timer, machine

IDLE, TOTAL = LIMITS.idle_s, LIMITS.total_s
A_YEAR = 365 * 86_400.0
KEY, OTHER = "sk-the-value-of-a-key", "sk-the-value-of-another"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vault(tmp_path, clock):
    return made_in(tmp_path, {"A": KEY, "B": OTHER}, readings=clock, limits=LIMITS)


def buffers(vault):
    """The vault's own buffers, held since before it locks."""
    return {name: entry.value for name, entry in vault._held.items()}


def is_locked(vault, *names):
    """No key can be had, and nothing is left of them."""
    for name in names or ("A", "B"):
        with pytest.raises(VaultLocked, match="%vault unlock"):
            vault.secret(name, "example")
    assert not set(names or ("A", "B")) & set(vault._held)
    return True


# The clock table


def idle_edge(vault, clock):
    clock.pass_s(IDLE - 0.001)
    assert value_of(vault, "A") == KEY
    clock.pass_s(0.001)
    assert is_locked(vault)
    assert vault.status().state == "locked"


def absolute_edge(vault, clock):
    for _ in range(int(TOTAL // IDLE) * 2):
        assert vault.status().idle_left_s > 0
        vault.facts()
        clock.pass_s(IDLE / 2 - 0.001)
    vault.facts()
    assert 0 < vault.status().limit_left_s < 1
    clock.pass_s(1)
    assert is_locked(vault)


def suspended_for_8_hours(vault, clock):
    """The monotonic clock stood still, and the wall clock was not set yet."""
    clock.boot += 8 * 3600
    assert is_locked(vault)


def wall_clock_a_year_on(vault, clock):
    clock.wall += A_YEAR
    assert is_locked(vault)


def wall_clock_a_year_back(vault, clock):
    clock.wall -= A_YEAR
    assert value_of(vault, "A") == KEY
    assert vault.status().idle_left_s == pytest.approx(IDLE)
    clock.pass_s(IDLE)
    assert is_locked(vault)


def monotonic_clock_stands(vault, clock):
    for _ in range(10):
        clock.wall += IDLE / 10
    assert is_locked(vault)


def every_clock_goes_back(vault, clock):
    clock.pass_s(IDLE / 2)
    vault.status()
    clock.pass_s(-A_YEAR)
    vault.status()
    clock.pass_s(IDLE / 2)
    assert is_locked(vault)


def a_run_over_the_idle_time(vault, clock):
    b, held = vault.secret("B", "example"), buffers(vault)
    with vault.lease(["A", "NONE"]):
        a = vault.secret("A", "example")
        clock.pass_s(IDLE)
        assert a.release("https://api.example.com:443") == KEY
        assert value_of(vault, "A") == KEY  # each call of the run has a handle of its own
        assert is_locked(vault, "B")
        with pytest.raises(VaultLocked):
            b.release("https://api.example.com:443")
        assert (len(held["A"]), len(held["B"])) == (len(KEY), 0)
        assert (vault.status().state, vault.status().leases) == ("locked", 2)
        for act in (vault.facts, lambda: put(vault, "C", KEY), lambda: vault.remove("A")):
            with pytest.raises(VaultLocked):
                act()
    assert is_locked(vault)
    assert not len(held["A"])


def a_run_over_the_absolute_limit(vault, clock):
    told = []
    with vault.lease(["A"]):
        handle, held = vault.secret("A", "example"), buffers(vault)
        clock.pass_s(TOTAL - 0.001)
        assert handle.release("https://api.example.com:443") == KEY
        clock.pass_s(0.001)
        with pytest.raises(VaultLocked):
            handle.release("https://api.example.com:443")
        assert not len(held["A"])
        vault.when_open(lambda: told.append("open"))
        assert not told
        vault.unlock(Hidden(OLD))
        assert told == ["open"]
        assert handle.release("https://api.example.com:443") == KEY


def unlocked_again(vault, clock):
    handle = vault.secret("A", "example")
    clock.pass_s(IDLE)
    assert is_locked(vault)
    vault.unlock(Hidden(OLD))
    assert handle.release("https://api.example.com:443") == KEY
    assert vault.status().limit_left_s == TOTAL


def locked_by_hand_during_a_run(vault, clock):
    with vault.lease(["A"]):
        handle, held = vault.secret("A", "example"), buffers(vault)
        vault.lock()
        with pytest.raises(VaultLocked):
            handle.release("https://api.example.com:443")
        assert not any(map(len, held.values()))
        assert is_locked(vault)
        vault.unlock(Hidden(OLD))
        assert handle.release("https://api.example.com:443") == KEY


def a_run_that_ends_after_the_idle_time(vault, clock):
    with ExitStack() as second:
        with vault.lease(["A", "B"]):
            second.enter_context(vault.lease(["A"]))
            held = buffers(vault)
            clock.pass_s(IDLE + 1)
            assert value_of(vault, "B") == OTHER
        assert (len(held["A"]), len(held["B"])) == (len(KEY), 0)
        assert is_locked(vault, "B")
    assert not len(held["A"])
    assert is_locked(vault)


def use_extends_the_idle_time_alone(vault, clock):
    uses = (vault.facts, lambda: put(vault, "C", KEY), lambda: leased(vault), lambda: vault.remove("C"))
    for use in uses:
        clock.pass_s(IDLE - 1)
        use()
        assert vault.status().idle_left_s == IDLE
    assert vault.status().limit_left_s == pytest.approx(TOTAL - len(uses) * (IDLE - 1))
    clock.pass_s(TOTAL - len(uses) * (IDLE - 1) - IDLE)
    assert is_locked(vault)


def leased(vault):
    with vault.lease(["A"]):
        pass


def looking_does_not_extend(vault, clock):
    for _ in range(10):
        clock.pass_s(IDLE / 10)
        vault.status(), vault.is_open, vault.exists, vault.knows("A")
    assert is_locked(vault)


def limits_that_were_changed(vault, clock):
    vault.limits = Limits(60.0, 120.0)
    clock.pass_s(61)
    assert value_of(vault, "A") == KEY  # they count from the next unlocking
    vault.unlock(Hidden(OLD))
    clock.pass_s(60)
    assert is_locked(vault)


TABLE = [
    idle_edge, absolute_edge, suspended_for_8_hours, wall_clock_a_year_on, wall_clock_a_year_back, monotonic_clock_stands,
    every_clock_goes_back, a_run_over_the_idle_time, a_run_over_the_absolute_limit, unlocked_again,
    locked_by_hand_during_a_run, a_run_that_ends_after_the_idle_time, use_extends_the_idle_time_alone,
    looking_does_not_extend, limits_that_were_changed,
]  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_the_vault_is_open_exactly_as_long_as_it_should_be(case, vault, clock):
    case(vault, clock)


def test_control_a_timer_that_trusts_one_clock_misses_the_suspend_and_the_set_clock(tmp_path, clock):
    naive = made_in(tmp_path, {"A": KEY, "B": OTHER}, readings=lambda: (clock.wall,), limits=LIMITS)
    clock.boot += 8 * 3600
    assert value_of(naive, "A") == KEY
    steady = vault_in(tmp_path, readings=lambda: (clock.monotonic,), limits=LIMITS)
    steady.unlock(Hidden(OLD))
    clock.wall += A_YEAR
    assert value_of(steady, "A") == KEY


# The watcher


@pytest.mark.parametrize("spin_s", [0.3, pytest.param(60.0, marks=pytest.mark.soak)])
def test_a_loop_that_never_yields_does_not_keep_the_vault_open(spin_s, tmp_path):
    vault = made_in(tmp_path, {"A": KEY}, limits=Limits(spin_s / 2, 3600.0))
    held = buffers(vault)["A"]
    began, spins = time.monotonic(), 0
    vault.facts()
    while time.monotonic() - began < spin_s + 5 and len(held):
        spins += 1
    assert spin_s / 2 <= time.monotonic() - began
    assert not len(held)
    assert spins > 1000


def watchers():
    """Newest last."""
    return [thread for thread in threading.enumerate() if thread.name == "vault-timer"]


def test_each_open_vault_has_one_watcher_that_ends_when_it_locks(tmp_path):
    before = set(watchers())
    vault = made_in(tmp_path, {"A": KEY})
    for _ in range(5):
        vault.unlock(Hidden(OLD))
    *others, mine = [thread for thread in watchers() if thread not in before]
    assert mine.daemon
    for other in others:
        other.join(10)
        assert not other.is_alive()
    assert mine.is_alive()
    vault.lock()
    mine.join(10)
    assert not mine.is_alive()


def test_a_watcher_does_not_keep_its_vault_alive(tmp_path):
    vault = made_in(tmp_path, {"A": KEY}, limits=Limits(0.2, 0.2))
    mine, gone = watchers()[-1], weakref.ref(vault)
    del vault
    gc.collect()
    assert gone() is None
    mine.join(10)
    assert not mine.is_alive()


# The timer alone


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9)] * 3), max_size=20))
def test_whatever_the_clocks_do_time_left_never_grows_by_itself(moves):
    now = [0.0, 0.0, 0.0]
    timer = Timer(LIMITS, lambda: tuple(now))
    left, passed = (timer.idle_left_s, timer.total_left_s), 0.0
    for move in moves:
        now = [at + step for at, step in zip(now, move, strict=True)]
        passed += max(0.0, *move)
        here = timer.idle_left_s, timer.total_left_s
        assert here[0] <= left[0]
        assert here[1] <= left[1]
        assert here[1] <= max(0.0, TOTAL - passed) + 1e-3
        left = here


def test_this_machine_has_clocks_that_go_forward():
    first, second = machine(), machine()
    assert len(first) >= 2
    assert all(after >= before for before, after in zip(first[:1] + first[2:], second[:1] + second[2:], strict=True))
