"""The process is killed in the middle of a long run, again and again: no recorded answer is lost, and next to nothing is asked twice."""

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from orchestrator_nb import Session

PARALLEL = 20
CHILD = """
import sys
from orchestrator_nb import Session
home, size, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": home}) as session:
    begun = how == "resume" and session.store.ledger.runs(1)
    rows = [{"n": n} for n in range(size)]
    session.run(session.rest() if begun else session.plan("{{ n }}", ["lab/one"], over=rows), parallel=20)
"""


def killed(home, lab, size, how, kill_at):
    """One process, killed once ``kill_at`` questions have arrived, or left to its end; whether it was killed. ``how``: resume the run, or ask all of it again."""
    reached = threading.Event()
    lab.heard = lambda _prompt: reached.set() if kill_at is not None and len(lab.asked) >= kill_at else None
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(home), str(size), how], stderr=subprocess.PIPE)
    try:
        while child.poll() is None and not reached.wait(0.01):
            """Until the moment has come."""
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert reached.is_set() or child.returncode == 0, said.decode()
    return child.returncode == -signal.SIGKILL


def recorded(home):
    """The answers in the store, by place."""
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as session:
        runs = [session.store.ledger.run(told.id)[1] for told in session.store.ledger.runs()]
    return {place.number: place.response.text for places in runs for place in places if place.response}


def ordeal(home, lab, size, kills, seed):
    """Kills at random moments, then the rest in peace; how many were asked too often."""
    chance, before, how = random.Random(seed), {}, ("resume", "again")[seed % 2]
    for _ in range(kills):
        left = size - len(before)
        if left <= PARALLEL:
            break
        assert killed(home, lab, size, how, len(lab.asked) + chance.randrange(1, max(2, min(left, 2 * size // kills))))
        after = recorded(home)
        assert before.items() <= after.items(), "an answer that was recorded is gone"
        before = after
    assert not killed(home, lab, size, how, None)
    after = recorded(home)
    assert before.items() <= after.items()
    assert len(after) == size
    return len(lab.asked) - size


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))  # one that resumes, one that asks again
def test_a_run_that_is_killed_four_times_loses_nothing_and_asks_little_twice(home, lab, seed):
    assert ordeal(home, lab, 250, kills=4, seed=seed) <= 4 * PARALLEL


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_fifty_runs_of_a_thousand_killed_four_times_each(home, lab, seed):
    extra = ordeal(home, lab, 1_000, kills=4, seed=seed)
    print(f"seed {seed}: {extra} asked twice, {4 * PARALLEL} allowed")  # noqa: T201
    assert extra <= 4 * PARALLEL
