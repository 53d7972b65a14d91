"""Turn one item into one finished call: outcome, attempts and times, whatever happens.

Every expected failure becomes a row. A cancellation becomes a row too, which keeps the text that had arrived; the task stays marked as
cancelling, so that its owner knows. Only a bug is raised.
"""

from __future__ import annotations

import asyncio
from typing import Final

from orchestrator_nb.calls import Delta, Event, Response, Retrying, Source, Started
from orchestrator_nb.errors import Cancelled, OrchestratorError
from orchestrator_nb.messages import Text
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.types import Clock, Emit, Handler

_STOPPED: Final = "stopped before the answer was whole; ask again for the rest."


class Why(str):
    """The sentence for calls under way when their run is stopped: the message of the cancellation (``task.cancel(Why(…))``)."""

    __slots__ = ()


async def settle(handler: Handler, item: Item, emit: Emit, clock: Clock, call_id: str) -> Call:
    """Ask ``handler`` and tell how it went.

    ``attempts`` counts requests that went out. ``latency_s`` and ``ttft_s`` are those of the attempt that decided: waiting for a place and
    earlier failed attempts are not the vendor's speed.
    """
    watch = _Stopwatch(emit, clock)
    response, error = await _outcome(handler, item, watch)
    return Call(
        item,
        call_id,
        response,
        error,
        source=_source(item, response, error),
        started_at=watch.started_at,
        latency_s=clock.monotonic() - watch.since,
        ttft_s=watch.ttft_s,
        attempts=watch.attempts,
    )


def _source(item: Item, response: Response | None, error: OrchestratorError | None) -> Source:
    answer = response or getattr(error, "response", None)
    if answer is not None:
        return answer.source
    return "simulated" if getattr(error, "simulated", False) else asked_of(item)


def asked_of(item: Item) -> Source:
    """What a call is when no answer says it."""
    return "simulated" if item.request.model.vendor.simulated else "live"


async def _outcome(handler: Handler, item: Item, watch: _Stopwatch) -> tuple[Response | None, OrchestratorError | None]:
    try:
        return await handler(item.request, watch), None
    except OrchestratorError as error:
        return None, error
    except asyncio.CancelledError as stop:
        why = next((str(why) for why in stop.args if isinstance(why, Why)), _STOPPED)
        return None, _cancelled(item, watch.text, why)


def _cancelled(item: Item, text: str, why: str) -> Cancelled:
    model = item.request.model
    kept = Response(model.id, (Text(text),), finish="error", complete=False, source=asked_of(item)) if text else None
    return Cancelled(
        why,
        kind="cancelled",
        vendor=model.vendor.name,
        model=model.id,
        response=kept,
        billed="maybe",
    )


class _Stopwatch:
    """An `Emit` that passes events on and notes when they came."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit, self._clock, self._pieces = emit, clock, list[str]()
        self.attempts, self.ttft_s = 0, None  # type: int, float | None
        self.started_at, self.since = clock.wall(), clock.monotonic()
        self._running = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def __call__(self, event: Event) -> None:
        match event:
            case Delta():
                if self.ttft_s is None:
                    self.ttft_s = self._clock.monotonic() - self.since
                self._pieces.append(event.text)
            case Started():
                self._start()
            case Retrying():
                self._running = False
        self._emit(event)

    def _start(self) -> None:
        self.attempts += 1
        if not self._running:  # a hop of a continued answer is the same attempt, seen from the user
            self._running, self.since = True, self._clock.monotonic()
        if self.attempts == 1:
            self.started_at = self._clock.wall()
