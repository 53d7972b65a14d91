"""A script, not a test: processes that write to a store and are stopped, starved or disturbed while they do. One warm process forks them all.

    forks.py kill FOLDER ROUNDS naive|real      two writers a round, each killed with -9 at a random moment
    forks.py full FOLDER STEP...                 a writer that may write files of at most STEP bytes
    forks.py fault FOLDER WHEN MODE N...         a writer whose N-th write, sync, cut or removal fails, from opening or writing on (needs the shim)
    forks.py many FOLDER PROCESSES TIMES         read, then write, as one step; prints the longest wait in seconds
    forks.py fill FOLDER STEP...                 a writer on a small disk with STEP bytes left

Each writer puts answers and notes in its .acks file the number up to which they are acknowledged, and in its .end file how it ended.
"""

import ctypes
import os
import random
import resource
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import StoreError
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.messages import Message, Text
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.database import Database

MODEL = ModelSpec(Vendor("lab", "openai", "https://lab.example/v1"), "one")


def question(number):
    return Request(MODEL, (Message.user(f"question {number}"),))


def answer(number):
    return Response("one", (Text(f"answer {number} " + "." * 200),))


def fork(work):
    """The child's process id; the child does ``work`` and ends, whatever happens."""
    if child := os.fork():
        return child
    try:
        work()
    finally:
        os._exit(0)


def write_on(store, acks, start, most, naive=False, opened=lambda: None):
    """Answers from ``start`` on, five at a time; after a failure once more. A naive writer says so before they are on disk. Tells how it ended."""
    database = Database.open(store, clock=SystemClock())
    if database.path is None:
        return "; ".join(database.notices)
    answers, failed = Answers(database), []
    handle = os.open(acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    opened()
    for number in range(start, start + most):
        try:
            answers.put(question(number), answer(number), durable=number % 2 == 0)
            if number % 5 == 4 and not naive:
                database.flush()
        except StoreError as error:
            failed.append(str(error))
            if not retried(database):
                return failed[-1]
        if number % 5 == 4:
            os.write(handle, f"{number}\n".encode())
    return f"whole after {len(failed)} failures: {failed[-1]}" if failed else "whole"


def retried(database):
    try:
        database.retry()
    except StoreError:
        return False
    return True


def bury(work):
    os.waitpid(fork(work), 0)


def kill(folder, rounds, kind):
    def work(start, name):
        end = threading.Timer(random.uniform(0.01, 0.12), os.kill, (os.getpid(), signal.SIGKILL))
        early = random.random() < 0.3  # also while the store is being opened, which takes long where much else goes on
        if early:
            end.start()
        opened = (lambda: None) if early else end.start
        write_on(folder / "store.db", folder / f"{name}.acks", start, 10**6, naive=kind == "naive", opened=opened)

    for turn in range(int(rounds)):
        writers = [fork(partial(work, (2 * turn + w) * 10**6, f"{turn}-{w}")) for w in range(2)]
        for writer in writers:
            os.waitpid(writer, 0)


def full(folder, *steps):
    for step in map(int, steps):
        bury(lambda step=step: _within(step, folder))


def _within(step, folder):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (step, hard))
    end = write_on(folder / str(step) / "store.db", folder / f"{step}.acks", 0, 4000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # room again, for the note alone
    (folder / f"{step}.end").write_text(end)


def fill(folder, *steps):
    """``folder/disk`` is a small disk; the notes stand beside it."""
    for step in map(int, steps):
        disk = folder / "disk"
        ballast = disk / "ballast"
        left = os.statvfs(disk)
        ballast.write_bytes(bytes(max(0, left.f_bavail * left.f_bsize - step)))

        def work(step=step):
            end = write_on(folder / "disk" / "data" / "store.db", folder / f"{step}.acks", 0, 4000)
            (folder / f"{step}.end").write_text(end)

        bury(work)
        ballast.unlink()
        _keep(disk / "data", folder / str(step))


def _keep(source, target):
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
        file.unlink()


def fault(folder, when, mode, *turns):
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])

    def work(turn):
        arm = partial(shim.arm, turn, int(mode))
        arm() if when == "opening" else None
        end = write_on(folder / str(turn) / "store.db", folder / f"{turn}.acks", 0, 120, opened=arm)
        shim.arm(0, 0)
        (folder / f"{turn}.end").write_text(end)

    for turn in map(int, turns):
        bury(lambda turn=turn: work(turn))


def many(folder, processes, times):
    ready, go = os.pipe(), os.pipe()

    def add(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS counter (n INTEGER)")
        found = connection.execute("SELECT n FROM counter").fetchone()
        connection.execute("INSERT INTO counter VALUES (1)" if found is None else "UPDATE counter SET n = n + 1")
        return found

    def work():
        database = Database.open(folder / "store.db", clock=SystemClock())
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        waits = []
        for _ in range(int(times)):
            begun = time.monotonic()
            database.transact(add).result()
            waits.append(time.monotonic() - begun)
        database.close()
        (folder / f"{os.getpid()}.wait").write_text(str(max(waits)))

    children = [fork(work) for _ in range(int(processes))]
    for _ in children:
        os.read(ready[0], 1)
    os.write(go[1], b"g" * len(children))
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
