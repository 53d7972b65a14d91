"""Record to a tape what a model said, and replay it from there.

Recorded is what a notebook shows of a model: whole, refused and cut-off answers, and errors in which the vendor judged the question. What failed on the way
(keys, limits, connections) says nothing about the question, and is not: ask again. Both layers stand inside of `structure`, which judges a replayed text
anew, and outside of `price`, for a tape keeps the price of its day.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from orchestrator_nb.calls import Delta, Request, Response, ThinkingDelta, Timed
from orchestrator_nb.errors import Kind, OrchestratorError, ProviderError, ReplayMiss, StoreError
from orchestrator_nb.kernel.stopwatch import Stopwatch
from orchestrator_nb.records import request_record
from orchestrator_nb.store.entry import Entry
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter
from orchestrator_nb.types import Clock, Emit, Handler, Layer

JUDGED: Final[frozenset[Kind]] = frozenset(
    {"content_filter", "context_length", "invalid_request", "not_found", "too_large"}
)
"""Kinds of errors that are a vendor's word on the question."""
EVERY_S: Final = 5.0
"""How often a tape is written while a run goes on: what a killed kernel loses at most."""
LOOKED_UP: Final = 20
"""Misses of a run for which the nearest question is looked for; it takes a while on a long tape."""


def taped(keep: Callable[[Entry], object], clock: Clock) -> Layer:
    """The layer that records. ``keep`` is told each answer, with the times that the row will show."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            watch = Stopwatch(emit, clock)
            try:
                response = await call(request, watch)
            except ProviderError as error:
                if error.kind in JUDGED:
                    keep(_entry(request, emit, watch.timed, error=error))
                raise
            keep(_entry(request, emit, watch.timed, response=response))
            return response

        return handle

    return layer


def _entry(
    request: Request, emit: Emit, took: Timed, response: Response | None = None, error: ProviderError | None = None
) -> Entry:
    emit(took)
    times = (took.started_at, took.latency_s, took.ttft_s, took.attempts)
    return Entry(request_record(request), response, error, *times)


@asynccontextmanager
async def written(writer: TapeWriter, clock: Clock, tell: Callable[[str], object]) -> AsyncIterator[None]:
    """For one run: the tape is written now and then, and at the end. ``tell`` hears why it could not be: the answers are not lost with it."""

    async def now_and_then() -> None:
        while True:
            await clock.sleep(EVERY_S)
            with suppress(StoreError):  # told at the end, if it is still so
                await asyncio.to_thread(writer.flush)

    beside = asyncio.create_task(now_and_then())
    withheld, replaced = writer.withheld, writer.replaced
    try:
        yield
    finally:
        beside.cancel()
        try:
            await asyncio.shield(asyncio.to_thread(writer.flush))
        except StoreError as error:
            tell(f"{error} The answers are kept in this kernel, and written with the next that is recorded.")
        if number := writer.withheld - withheld:
            tell(f"not on {writer.path.name}: {number:,} of these answers, which hold a key or what JSON cannot keep.")
        if number := writer.replaced - replaced:
            tell(
                f"{writer.path.name} keeps one answer to a question: {number:,} recorded before in this kernel gave way to these."
            )


def replayed(tape: Tape) -> Layer:
    """The layer that answers from a tape, and never calls what is below. Raises `ReplayMiss`, and `StoreError` for a damaged line."""
    misses = _Misses(tape)

    def layer(_call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            entry = _found(tape, request, emit)
            if entry is None:
                raise misses.error(request)
            _show(entry, emit)
            if entry.error is not None:
                raise _again(entry.error)
            assert entry.response is not None  # noqa: S101  # an entry has one of the two
            return replace(entry.response, source="replay")

        return handle

    return layer


def _found(tape: Tape, request: Request, emit: Emit) -> Entry | None:
    emit(Timed(replayed=True))  # so that a miss or a damaged line is not taken for a live call
    return tape.get(request.key)


def _show(entry: Entry, emit: Emit) -> None:
    """The events of an answer that arrives at once."""
    if (answer := entry.answer) is not None:
        if answer.thinking:
            emit(ThinkingDelta(answer.thinking))
        if answer.text:
            emit(Delta(answer.text))
    times = (entry.started_at, entry.latency_s, entry.ttft_s, entry.attempts)
    emit(Timed(*times, replayed=True, recorded=entry.source))


def _again(error: ProviderError) -> ProviderError:
    if error.response is not None:
        error.response = replace(error.response, source="replay")
    return error


async def nobody(_request: Request, _emit: Emit) -> Response:
    """Where a replayed run's calls would go on to."""
    raise OrchestratorError("a replayed call wanted to be sent; nothing was.")


class _Misses:
    """Words for what is not on the tape; only the first few get the costly ones."""

    def __init__(self, tape: Tape) -> None:
        self._tape, self._left = tape, LOOKED_UP

    def error(self, request: Request) -> OrchestratorError:
        if damage := self._tape.told_damage():  # the answer may stand there
            return StoreError(f"{request.model.ref} has no answer that can be read: {damage}")
        near = ""
        if self._left > 0:
            self._left -= 1
            near = self._near(request)
        name = self._tape.name
        return ReplayMiss(f"{request.model.ref} has no answer to this on {name}.{near} Record it: %llm record {name}")

    def _near(self, request: Request) -> str:
        found = self._tape.nearest(request)
        return f" The nearest question is on line {found.line}: {found.differs}." if found else " It is empty."
