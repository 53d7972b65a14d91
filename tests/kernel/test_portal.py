import asyncio
import concurrent.futures
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from orchestrator_nb.kernel import portal as kernel
from orchestrator_nb.kernel.portal import OrchLoop, Portal


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


async def for_ever(ended):
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


async def rows_so_far(started):
    """Answers a cancellation with a result, as a fan-out does."""
    try:
        started.set()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
    return "rows so far"


def interrupt_when(event):
    def send():
        event.wait(5)
        time.sleep(0.05)  # into the blocking wait: nothing else tells that the main thread has got there
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


def test_a_script_gets_its_answer(portal):
    assert portal.run(double(21)) == 42


def test_an_error_travels_to_the_caller(portal):
    async def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        portal.run(fail())


def test_a_running_foreign_loop_may_block_for_an_answer(portal):
    async def cell():
        return portal.run(double(21))

    assert asyncio.run(cell()) == 42


def test_a_foreign_loop_may_await_an_answer_and_goes_on_meanwhile(portal):
    async def cell():
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                await asyncio.sleep(0.005)
                beats += 1

        heart = asyncio.create_task(beat())
        answer = await portal.wait(portal.submit(asyncio.sleep(0.1, 42)))
        heart.cancel()
        return answer, beats

    answer, beats = asyncio.run(cell())
    assert answer == 42
    assert beats >= 5


def test_code_on_our_own_loop_may_call_the_blocking_door_at_any_depth(portal):
    async def plugin(depth):
        await asyncio.sleep(0.001)
        return depth if depth == 0 else 1 + portal.run(plugin(depth - 1))

    assert portal.run(plugin(5)) == 5
    assert portal.run(double(21)) == 42, "the loop is well afterwards"


def test_the_loop_goes_on_beneath_a_nested_call(portal):
    others = []

    async def other():
        for number in range(5):
            await asyncio.sleep(0.002)
            others.append(number)

    async def plugin():
        task = asyncio.create_task(other())
        portal.run(asyncio.sleep(0.05))
        during = len(others)
        await task
        return during

    assert portal.run(plugin()) == 5


def test_timeouts_task_groups_and_cancellation_work_around_and_within_nested_calls(portal):
    async def within():
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(n)) for n in range(10)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        return sum(task.result() for task in tasks)

    async def around():
        async with asyncio.timeout(5):
            return await asyncio.gather(*(asyncio.create_task(plugin()) for _ in range(3)))

    async def plugin():
        me = asyncio.current_task()
        total = portal.run(within())
        assert asyncio.current_task() is me
        return total

    assert portal.run(around()) == [90, 90, 90]


def test_nesting_leaves_asyncio_as_it_was_for_everybody_else(portal):
    before = asyncio.run, asyncio.Task, asyncio.Future, asyncio.get_event_loop, asyncio.SelectorEventLoop.run_forever

    async def plugin():
        return portal.run(double(21))

    assert portal.run(plugin()) == 42
    after = asyncio.run, asyncio.Task, asyncio.Future, asyncio.get_event_loop, asyncio.SelectorEventLoop.run_forever
    assert after == before
    assert asyncio.run(double(4)) == 8
    assert OrchLoop.run_forever is not asyncio.SelectorEventLoop.run_forever, "our own class alone was changed"

    async def cell():
        with pytest.raises(RuntimeError, match="running event loop"):
            asyncio.run(coro := double(1))
        coro.close()

    asyncio.run(cell())


def test_variables_of_the_caller_are_seen_by_the_job(portal):
    """ipykernel routes output by a context variable."""
    cell = contextvars.ContextVar("cell")
    cell.set("cell 7")

    async def job():
        return cell.get()

    assert portal.run(job()) == "cell 7"


def test_an_interrupt_stops_the_job_and_goes_on_to_the_caller(portal):
    ended, started = threading.Event(), threading.Event()

    async def job():
        started.set()
        await for_ever(ended)

    interrupt_when(started)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        portal.run(job())
    assert ended.is_set()
    assert time.monotonic() - began < 5.0


def test_what_an_interrupted_job_had_finished_is_in_the_job(portal):
    started = threading.Event()
    interrupt_when(started)
    job = portal.submit(rows_so_far(started))
    with pytest.raises(KeyboardInterrupt):
        portal.block(job)
    assert job.result(timeout=0) == "rows so far"


@pytest.mark.alone
def test_a_job_that_will_not_stop_holds_the_caller_up_for_a_moment_at_most(portal, monkeypatch):
    monkeypatch.setattr(kernel, "GRACE_S", 0.5)
    started, released = threading.Event(), threading.Event()

    async def stubborn():
        started.set()
        while not released.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    interrupt_when(started)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        portal.run(stubborn())
    released.set()
    assert time.monotonic() - began < 5.0


@pytest.mark.alone
def test_a_second_interrupt_does_not_wait(portal):
    started, again, released = threading.Event(), threading.Event(), threading.Event()

    async def stubborn():
        started.set()
        while not released.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                again.set()

    interrupt_when(started)
    interrupt_when(again)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        portal.run(stubborn())
    assert time.monotonic() - began < kernel.GRACE_S
    released.set()


def test_an_awaited_job_is_stopped_when_its_cell_is_and_keeps_its_rows(portal):
    started = threading.Event()

    async def cell():
        job = portal.submit(rows_so_far(started))
        waiting = asyncio.create_task(portal.wait(job))
        await asyncio.to_thread(started.wait)
        waiting.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return job.result(timeout=0), time.monotonic() - began

    rows, took = asyncio.run(cell())
    assert rows == "rows so far"
    assert took < 5


def test_a_stop_of_the_callers_own_is_used_instead_of_cancelling(portal):
    async def cell():
        stop = asyncio.Event()

        async def job():
            await stop.wait()
            return "ended by itself"

        job = portal.submit(job())
        waiting = asyncio.create_task(portal.wait(job, lambda: portal.call_soon(stop.set)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return job.result(timeout=0)

    assert asyncio.run(cell()) == "ended by itself"


def test_closing_cancels_everything_and_ends_the_thread():
    portal, ended = Portal("closing"), threading.Event()
    job = portal.submit(for_ever(ended))
    portal.run(double(1))
    portal.close()
    portal.close()
    assert ended.is_set()
    with pytest.raises(concurrent.futures.CancelledError):
        job.result(timeout=0)
    assert not [thread for thread in threading.enumerate() if thread.name == "closing"]
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(double(1))


def test_a_portal_that_was_never_used_has_no_thread():
    portal = Portal("idle")
    assert not [thread for thread in threading.enumerate() if thread.name == "idle"]
    portal.close()


def test_a_forked_child_is_told_to_open_its_own_session():
    code = """
        import asyncio, os, warnings
        from orchestrator_nb.kernel.portal import Portal
        warnings.simplefilter("ignore")  # forking with threads is what is tried here
        portal = Portal()
        portal.run(asyncio.sleep(0))
        if (child := os.fork()) == 0:
            try:
                portal.run(asyncio.sleep(0))
            except RuntimeError as error:
                os._exit(7 if "fork" in str(error) else 1)
            os._exit(2)
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=20)
    assert done.returncode == 7


@pytest.mark.parametrize("number", range(3))
def test_many_threads_may_come_in_at_once(portal, number):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: portal.run(double(n)), range(100))) == [2 * n for n in range(100)]
