"""Killed, starved, disturbed and crowded: what was acknowledged is there, and nothing wrong is ever served."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.check import check
from orchestrator_nb.store.database import Database

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def forks(*words, timeout=3000, **env):
    command = [sys.executable, str(HERE / "forks.py"), *map(str, words)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]


def acknowledged(acks, start=0):
    lines = acks.read_text().split() if acks.exists() else []
    return range(start, int(lines[-1]) + 1) if lines else range(start, start)


def lost(store, numbers, question, answer_text, clock):
    """How many of these answers are not served; a wrong one is an error at once."""
    database = Database.open(store, clock=clock)
    answers = Answers(database)
    missing = 0
    for number in numbers:
        found = answers.get(question(number).key, "live")
        assert found is None or found.text.startswith(f"answer {number} ")
        missing += found is None
    database.close()
    return missing


def killed(tmp_path, rounds, kind, question, clock):
    forks("kill", tmp_path, rounds, kind)
    writers = [(turn, w) for turn in range(rounds) for w in range(2)]
    numbers = [n for turn, w in writers for n in acknowledged(tmp_path / f"{turn}-{w}.acks", (2 * turn + w) * 10**6)]
    return len(numbers), lost(tmp_path / "store.db", numbers, question, None, clock)


@pytest.mark.slow
def test_two_writers_killed_ten_times_lose_nothing_that_was_acknowledged(tmp_path, question, clock):
    written, missing = killed(tmp_path, 10, "real", question, clock)
    assert written > 100
    assert missing == 0
    assert check(tmp_path / "store.db").is_sound


@pytest.mark.slow
def test_a_naive_writer_that_does_not_wait_for_the_disk_loses_rows(tmp_path, question, clock):
    _, missing = killed(tmp_path, 4, "naive", question, clock)
    assert missing > 0


@pytest.mark.soak
def test_two_writers_killed_a_hundred_times(tmp_path, question, clock):
    written, missing = killed(tmp_path, 100, "real", question, clock)
    print(f"\n100 rounds, 2 writers: {written} answers acknowledged, {missing} lost")  # noqa: T201
    assert missing == 0
    assert check(tmp_path / "store.db").is_sound


def endings(tmp_path, names, question, clock, folder=None):
    """How each writer ended, and how many of its acknowledged answers are lost."""
    told = {}
    for name in names:
        end, numbers = (tmp_path / f"{name}.end").read_text(), acknowledged(tmp_path / f"{name}.acks")
        told[name] = end, len(numbers), lost(tmp_path / str(name) / "store.db", numbers, question, None, clock)
    return told


def starved(told):
    """Every one ended in a sentence about the disk, or began in memory because not even an empty store had room."""
    for step, (end, _, missing) in told.items():
        assert missing == 0, (step, end)
        assert "disk" in end, (step, end)
    assert any(kept for _, kept, _ in told.values())


@pytest.mark.slow
def test_a_file_that_cannot_grow_ends_the_run_in_a_sentence_and_every_acknowledged_row_is_there(
    tmp_path, question, clock
):
    steps = [4096 * step for step in (1, 8, 20, 33, 47, 64, 100, 180)]
    forks("full", tmp_path, *steps)
    starved(endings(tmp_path, steps, question, clock))


@pytest.mark.soak
def test_a_full_disk_at_every_step(tmp_path, question, clock):
    (tmp_path / "disk").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path / "disk"], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only an administrator can mount a small disk")
    try:
        (tmp_path / "disk" / "data").mkdir()
        steps = range(4096, 2**21 - 65536, 4096)
        forks("fill", tmp_path, *steps)
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)
    told = endings(tmp_path, steps, question, clock)
    print(f"\n{len(told)} steps: {sum(kept for _, kept, _ in told.values())} answers acknowledged, 0 lost")  # noqa: T201
    starved(told)


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    built = tmp_path_factory.mktemp("shim") / "shim.so"
    if not sys.platform.startswith("linux") or not (compiler := shutil.which("cc")):
        pytest.skip("needs Linux and a C compiler")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", built, HERE / "shim.c", "-ldl"], check=True, capture_output=True
    )
    return built


def disturbed(tmp_path, shim, when, mode, turns, question, clock):
    forks("fault", tmp_path, when, mode, *turns, LD_PRELOAD=str(shim))
    told = endings(tmp_path, turns, question, clock)
    assert [turn for turn, (_, _, missing) in told.items() if missing] == []
    return told


ONCE, FULL, HALF, EVER = range(1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [ONCE, FULL, HALF])
def test_a_write_that_fails_once_is_told_and_made_good(tmp_path, shim, mode, question, clock):
    told = disturbed(tmp_path, shim, "writing", mode, [*range(1, 60, 9)], question, clock)
    assert {kept for _, kept, _ in told.values()} == {120}
    assert mode == HALF or all(
        end.startswith("whole after 1 failures: the store cannot be written") for end, *_ in told.values()
    )


@pytest.mark.slow
def test_a_disk_that_fails_for_good_ends_the_run_and_loses_nothing_acknowledged(tmp_path, shim, question, clock):
    told = disturbed(tmp_path, shim, "writing", EVER, [*range(1, 100, 12)], question, clock)
    assert all("the disk reports an error" in end for end, *_ in told.values())
    assert max(kept for _, kept, _ in told.values()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("mode", [ONCE, FULL, EVER])
def test_a_store_that_cannot_be_made_is_in_memory_and_says_so(tmp_path, shim, mode, question, clock):
    told = disturbed(tmp_path, shim, "opening", mode, [*range(1, 40, 7)], question, clock)
    assert all("kept in memory only" in end for end, *_ in told.values())
    for turn in told:  # and once the disk works, it is made
        database = Database.open(tmp_path / str(turn) / "store.db", clock=clock)
        assert database.notices == ()
        database.close()


@pytest.mark.soak
@pytest.mark.parametrize("when", ["opening", "writing"])
@pytest.mark.parametrize("mode", [ONCE, FULL, HALF, EVER])
def test_every_write_that_fails(tmp_path, shim, when, mode, question, clock):
    told = disturbed(tmp_path, shim, when, mode, range(1, 201), question, clock)
    kept, loud = sum(kept for _, kept, _ in told.values()), sum("disk" in end for end, *_ in told.values())
    print(f"\nwrite 1..200 fails while {when}, mode {mode}: {kept} answers acknowledged, 0 lost, {loud} failures told")  # noqa: T201


def crowded(tmp_path, processes, times):
    forks("many", tmp_path, processes, times)
    (total,) = sqlite3.connect(tmp_path / "store.db").execute("SELECT n FROM counter").fetchone()
    waits = [float(file.read_text()) for file in tmp_path.glob("*.wait")]
    assert len(waits) == processes
    assert total == processes * times
    return max(waits)


@pytest.mark.slow
def test_processes_that_read_and_then_write_do_not_come_between_each_other(tmp_path):
    assert crowded(tmp_path, 4, 50) < 10


@pytest.mark.soak
def test_eight_processes_four_hundred_times(tmp_path):
    longest = crowded(tmp_path, 8, 400)
    print(f"\n8 x 400: 0 errors, longest wait {longest:.2f} s")  # noqa: T201
    assert longest < 2


def test_reading_before_writing_without_a_lock_fails_for_the_second(path, database):
    """The control: what the one step of `transact` is for."""
    database.transact(lambda connection: connection.execute("CREATE TABLE counter (n)")).result()
    one, two = (sqlite3.connect(path, isolation_level=None, timeout=0) for _ in range(2))
    for connection in (one, two):
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM counter").fetchone()
    one.execute("INSERT INTO counter VALUES (1)")
    one.execute("COMMIT")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        two.execute("INSERT INTO counter VALUES (1)")
    one.close(), two.close()
