"""One thread with one event loop of our own, and the doors into it.

Everything that touches the network lives on this loop; cells, scripts, foreign loops and plugins come in through `Portal`:

- `submit` starts a job and returns at once;
- `run` and `block` wait for it on the calling thread, whatever else runs there;
- `wait` waits for it on a foreign loop (the kernel's), in ticks, because an interrupt does not wake a loop that sleeps
  (https://github.com/ipython/ipykernel/issues/881).

An interrupt asks the job to stop and gives it the time to settle, so that what was finished is still in the job: a fan-out answers a
cancellation with the rows it has. The interrupt itself always goes on to the caller. A second one does not wait any more.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

GRACE_S = 5.0
"""How long an interrupted job may take to settle before its caller goes on without it, and without its rows. It takes milliseconds, but what was answered is written down first, and a disk or a machine may be busy; who does not want to wait interrupts again."""
CLOSING_S = 1.0
"""How long what is left at the end may take to end."""
TICK_S = 0.1
"""How often a waiting thread looks up."""


class OrchLoop(asyncio.SelectorEventLoop):
    """Our own loop class, so that nesting can be allowed here and nowhere else."""


class Job(concurrent.futures.Future[T], Generic[T]):
    """A coroutine at work on the portal's loop.

    Unlike a plain future, `cancel` only asks: the job is done when its coroutine is, and a coroutine that answers the request with a
    result (a fan-out) leaves it here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> None:
        super().__init__()
        self._loop, self._coro = loop, coro
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start)

    def cancel(self) -> bool:
        """Ask the coroutine to stop. False when it is done already."""
        if self.done():
            return False
        self._loop.call_soon_threadsafe(self._ask_to_stop)
        return True

    def _start(self) -> None:
        self._task = self._loop.create_task(self._coro)
        self._task.add_done_callback(self._settle)

    def _ask_to_stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _settle(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(task.result())


class Portal:
    """The owner of the loop's thread. The thread starts with the first job and ends with `close`."""

    def __init__(self, name: str = "orchestrator-nb") -> None:
        self._name, self._lock, self._pid = name, threading.Lock(), os.getpid()
        self._loop: OrchLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, coro: Coroutine[Any, Any, T]) -> Job[T]:
        """Start ``coro`` on the loop and return at once. Raises `RuntimeError` when the portal is closed, or in a forked child."""
        try:
            loop = self._running()
        except RuntimeError:
            coro.close()
            raise
        return Job(loop, coro)

    def call_soon(self, act: Callable[[], object]) -> None:
        """Do something small on the loop's thread. Nothing happens when no loop runs any more."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(act)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """The result of ``coro``, waited for as `block` does."""
        return self.block(self.submit(coro))

    def block(
        self, job: Job[T], stop: Callable[[], object] | None = None, attend: Callable[[], object] | None = None
    ) -> T:
        """Wait for ``job`` on this thread, whatever runs here: nothing, a foreign loop, or our own loop.

        On our own loop (a plugin that calls the blocking API) the loop goes on beneath the call; such calls end last-in-first-out.
        On `KeyboardInterrupt` the job is stopped (by ``stop``, else by cancelling), given `GRACE_S` to settle, and the interrupt goes on.
        ``attend`` is called on this thread now and then.
        """
        if self._loop is not None and asyncio._get_running_loop() is self._loop:
            return _nested(self._loop, asyncio.wrap_future(job))
        try:
            while attend and not concurrent.futures.wait([job], TICK_S).done:
                attend()
            return job.result()
        except KeyboardInterrupt:
            try:
                (stop or job.cancel)()
                concurrent.futures.wait([job], GRACE_S)
            finally:
                job.cancel()
            raise

    async def wait(
        self, job: Job[T], stop: Callable[[], object] | None = None, attend: Callable[[], object] | None = None
    ) -> T:
        """Wait for ``job`` on the loop that runs here. When cancelled, the job is stopped as in `block`, and the cancellation goes on."""
        waiter = asyncio.wrap_future(job)
        waiter.add_done_callback(_seen)
        try:
            while not waiter.done():
                await asyncio.wait({waiter}, timeout=TICK_S)
                if attend:
                    attend()
        except (asyncio.CancelledError, KeyboardInterrupt):  # the latter at a prompt of ``attend``
            try:
                (stop or job.cancel)()
                await asyncio.wait({waiter}, timeout=GRACE_S)
            finally:
                job.cancel()
            raise
        return waiter.result()

    def close(self) -> None:
        """Stop every job and end the thread. Closing twice is fine. Not for code that runs on the loop itself."""
        with self._lock:
            self._closed = True
            thread, loop = self._thread, self._loop
        if thread is None or loop is None or loop.is_closed() or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _running(self) -> OrchLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("this session is closed; open a new one")
            if self._pid != os.getpid():
                raise RuntimeError("a session does not survive a fork; open a new one in the child process")
            if self._loop is None:
                self._loop = OrchLoop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop


def _seen(waiter: asyncio.Future[Any]) -> None:
    """Fetch the outcome once, so that asyncio does not call an interrupted job's error forgotten."""
    if not waiter.cancelled():
        waiter.exception()


def _serve(loop: OrchLoop) -> None:
    """The thread: run until stopped, then end what is left, twice over for a task that refuses the first time."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for _ in range(2):
            if tasks := asyncio.all_tasks(loop):
                for task in tasks:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(tasks, timeout=CLOSING_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _nested(loop: OrchLoop, waiter: asyncio.Future[T]) -> T:
    """Wait from inside the running loop, by running it a level deeper.

    Only our loop's class is made re-entrant. nest_asyncio2's public ``apply`` would also replace `asyncio.run` and turn every Task of the
    process into a slow pure-Python one, which our loop does not need (tests/kernel/test_portal.py holds that).
    """
    from nest_asyncio2 import _patch_loop  # on first use: most sessions never nest

    _patch_loop(loop)  # type: ignore[no-untyped-call]  # the package has no types
    return loop.run_until_complete(waiter)
