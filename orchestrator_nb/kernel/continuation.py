"""Ask for the rest of an answer that its vendor hands out in parts (Gemini's CONTINUATION: a token to send with the same request)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.messages import Part, Text, Thinking
from orchestrator_nb.types import Emit, Handler, Layer

HOPS: Final = 16
"""Enough for any answer we know of; after that it stays paused, and says so by its ``finish``."""


def continued() -> Layer:
    """The layer. Each hop is a call of its own below; the user sees one answer with the usage of all hops.

    A hop that fails keeps what the earlier ones brought, on the error's response.
    """

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            whole = await call(request, emit)
            for _ in range(HOPS):
                if whole.finish != "pause" or whole.resume is None:
                    break
                try:
                    whole = joined(whole, await call(replace(request, resume=whole.resume), emit))
                except ProviderError as error:
                    error.response = _kept(whole, error.response)
                    raise
            return whole

        return handle

    return layer


def joined(first: Response, then: Response) -> Response:
    """One answer: the parts in order, usage and reported cost summed, the rest as the later hop says."""
    return replace(
        then,
        parts=_merged((*first.parts, *then.parts)),
        usage=first.usage + then.usage,
        cost_reported=_sum(first.cost_reported, then.cost_reported),
        notices=tuple(dict.fromkeys((*first.notices, *then.notices))),
    )


def _kept(first: Response, broken: Response | None) -> Response:
    return replace(joined(first, broken) if broken else first, finish="error", complete=False)


def _merged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Neighbouring texts become one, neighbouring thoughts too."""
    merged: list[Part] = []
    for part in parts:
        match (merged[-1] if merged else None, part):
            case (Text(before), Text(after)):
                merged[-1] = Text(before + after)
            case (Thinking(before, None), Thinking(after, seal)):
                merged[-1] = Thinking(before + after, seal)
            case _:
                merged.append(part)
    return tuple(merged)


def _sum(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return b if a is None else a if b is None else a + b
