"""Turn one item into one finished call: outcome, attempts and times, whatever happens.

Every expected failure becomes a row. A cancellation becomes a row too, which keeps the text that had arrived; the task stays marked as
cancelling, so that its owner knows. Only a bug is raised.
"""

from __future__ import annotations

import asyncio
from typing import Final

from orchestrator_nb.calls import Response, Source, Timed
from orchestrator_nb.errors import Cancelled, OrchestratorError
from orchestrator_nb.kernel.stopwatch import Stopwatch
from orchestrator_nb.messages import Text
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.types import Clock, Emit, Handler

_STOPPED: Final = "stopped before the answer was whole; ask again for the rest."


class Why(str):
    """The sentence for calls under way when their run is stopped: the message of the cancellation (``task.cancel(Why(…))``)."""

    __slots__ = ()


def time_is_over(timeout_s: float) -> Why:
    """The sentence for calls that were under way when their run's time ended."""
    return Why(f"stopped: the run's {timeout_s:g} s were over; give it more time with --timeout.")


async def settle(handler: Handler, item: Item, emit: Emit, clock: Clock, call_id: str) -> Call:
    """Ask ``handler`` and tell how it went.

    ``attempts`` counts requests that went out. ``latency_s`` and ``ttft_s`` are those of the attempt that decided: waiting for a place and
    earlier failed attempts are not the vendor's speed.
    """
    watch = Stopwatch(emit, clock)
    response, error = await _outcome(handler, item, watch)
    took = watch.timed
    return Call(
        item,
        call_id,
        response,
        error,
        source=_source(item, response, error, took),
        started_at=took.started_at,
        latency_s=took.latency_s,
        ttft_s=took.ttft_s,
        attempts=took.attempts,
        recorded=took.recorded,
    )


def _source(item: Item, response: Response | None, error: OrchestratorError | None, took: Timed) -> Source:
    if took.replayed:
        return "replay"
    answer = response or getattr(error, "response", None)
    if answer is not None:
        return answer.source
    return "simulated" if getattr(error, "simulated", False) else asked_of(item)


def asked_of(item: Item) -> Source:
    """What a call is when no answer says it."""
    return "simulated" if item.request.model.vendor.simulated else "live"


async def _outcome(handler: Handler, item: Item, watch: Stopwatch) -> tuple[Response | None, OrchestratorError | None]:
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
