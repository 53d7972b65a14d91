"""The one answer of a plan, piece by piece, for whoever waits in a thread or on a loop. Whoever leaves early stops the call."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator_nb.calls import Delta, Event
from orchestrator_nb.job import Job, Plan
from orchestrator_nb.kernel.fanout import Progress
from orchestrator_nb.kernel.portal import GRACE_S, TICK_S
from orchestrator_nb.runs import Call

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session


def pieces(session: Session, plan: Plan) -> Iterator[str]:
    """Its text. Raises the call's error."""
    heard: queue.SimpleQueue[str | Call] = queue.SimpleQueue()
    job = session.start(plan, progress=_telling(heard.put))
    try:
        some = False
        while isinstance(piece := _next(session, job, heard), str):
            some = True
            yield piece
        if rest := _rest(piece, some):
            yield rest
    finally:
        job.stop()
        job.wait(GRACE_S)


async def apieces(session: Session, plan: Plan) -> AsyncGenerator[str, None]:
    """The awaitable twin of `pieces`."""
    loop, heard = asyncio.get_running_loop(), asyncio.Queue[str | Call]()
    job = session.start(plan, progress=_telling(lambda piece: loop.call_soon_threadsafe(heard.put_nowait, piece)))
    try:
        some = False
        while isinstance(piece := await _anext(session, job, heard), str):
            some = True
            yield piece
        if rest := _rest(piece, some):
            yield rest
    finally:
        job.stop()
        await asyncio.to_thread(job.wait, GRACE_S)


def _rest(call: Call, some: bool) -> str:
    """The text of a server that gave it in one, though it was asked for a stream. Raises the call's error."""
    if call.error:
        raise call.error
    return call.response.text if call.response and not some else ""


def _telling(put: Callable[[str | Call], object]) -> Progress:
    def heard(_index: int, event: Event | Call) -> None:
        if isinstance(event, Delta):
            put(event.text)
        elif isinstance(event, Call):
            put(event)

    return heard


def _next(session: Session, job: Job, heard: queue.SimpleQueue[str | Call]) -> str | Call:
    """The next piece; whoever waits for it is also the one who can be asked for the vault's password."""
    while True:
        with suppress(queue.Empty):
            return heard.get(timeout=TICK_S)
        if job.done and heard.empty():
            job.result()  # a bug, which is raised
        session.attend()


async def _anext(session: Session, job: Job, heard: asyncio.Queue[str | Call]) -> str | Call:
    while True:
        with suppress(TimeoutError):
            return await asyncio.wait_for(heard.get(), TICK_S)
        if job.done and heard.empty():
            job.result()
        session.attend()
