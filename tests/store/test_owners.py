"""A run under way belongs to one kernel; when that is dead, to nobody."""

import os

import pytest

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.owners import Owners

HOLD = """
import sys, time
from pathlib import Path
from orchestrator_nb.store.owners import Owners
owners = Owners(Path(sys.argv[1]))
owners.take("run")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


def files(store):
    return list(store.parent.glob("store.db.run-*"))


def test_a_run_of_another_kernel_is_refused_with_its_process_and_is_free_when_that_is_killed(store, process):
    child = process(HOLD, store)
    assert child.stdout.readline() == "held\n"
    mine = Owners(store)
    with pytest.raises(
        StoreError, match=rf"run run is still under way in another kernel \(process {child.pid}\); wait for its end"
    ):
        mine.take("run")
    mine.take("another run")
    assert mine.at_work(["run", "another run", "a third"]) == {"run", "another run"}
    child.kill()
    child.wait()
    assert mine.at_work(["run"]) == set()
    mine.take("run")
    mine.close()
    assert files(store) == []


def test_a_run_of_this_kernel_is_refused_also_to_another_session_and_free_when_given_back(store):
    one, two = Owners(store), Owners(store)
    one.take("run")
    for owners in (one, two):
        with pytest.raises(StoreError, match="still under way in this kernel"):
            owners.take("run")
    one.give("run")
    two.take("run")
    two.close()
    one.take("run")
    one.close()


def test_what_a_killed_kernel_left_is_tidied_up(store, process):
    child = process(HOLD, store)
    child.stdout.readline()
    child.kill()
    child.wait()
    assert len(files(store)) == 1
    mine = Owners(store)
    mine.take("another run")
    assert len(files(store)) == 1
    mine.close()


def test_a_forked_child_does_not_hold_on_to_the_runs_of_its_parent(store):
    ready, done = os.pipe(), os.pipe()
    one, two = Owners(store), Owners(store)
    one.take("run")
    child = os.fork()
    if not child:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        one.close()
        two.take("run")
        two.close()
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)


def test_where_there_are_no_locks_the_session_still_knows_its_own_runs(tmp_path):
    for owners in (Owners(tmp_path / "missing" / "store.db"), Owners(None)):
        owners.take("run")
        with pytest.raises(StoreError, match="in this kernel"):
            owners.take("run")
        owners.give("run")
        owners.take("run")
        owners.close()
