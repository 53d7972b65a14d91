"""Fetch the rest of an answer that its vendor gives in pieces, and join the pieces.

Gemini pauses with the finish reason ``CONTINUATION`` and a token; the same request with that token brings the rest (generateContent,
``continuationToken``). Every piece is a call of its own for the layers below. A pause without a token is the caller's to deal with.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from orchestrator_nb.calls import Cost, Request, Response, Usage
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.messages import Part, Text
from orchestrator_nb.types import Emit, Handler, Layer

MOST_HOPS: Final = 16
"""Pieces fetched after the first; an answer with more stays ``pause``."""


def continued() -> Layer:
    """The layer. A piece that fails brings its error up with all the text so far."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            whole = await call(request, emit)
            for _ in range(MOST_HOPS):
                if whole.finish != "pause" or whole.resume is None:
                    break
                try:
                    piece = await call(replace(request, resume=whole.resume), emit)
                except ProviderError as error:
                    rest = error.response or replace(
                        whole, parts=(), usage=Usage(), notices=(), cost=_nothing(whole.cost)
                    )
                    error.response = replace(_joined(whole, rest), complete=False, resume=None)
                    error.billed = "yes"
                    raise
                whole = _joined(whole, piece)
            return whole

        return handle

    return layer


def _joined(whole: Response, piece: Response) -> Response:
    """The piece behind the whole: text runs on, tokens and costs add up, the rest is the piece's."""
    return replace(
        piece,
        parts=_run_on(whole.parts, piece.parts),
        usage=whole.usage + piece.usage,
        cost=_sum(whole.cost, piece.cost),
        notices=tuple(dict.fromkeys((*whole.notices, *piece.notices))),
    )


def _run_on(before: tuple[Part, ...], after: tuple[Part, ...]) -> tuple[Part, ...]:
    if before and after and isinstance(before[-1], Text) and isinstance(after[0], Text):
        return (*before[:-1], Text(before[-1].text + after[0].text), *after[1:])
    return (*before, *after)


def _nothing(cost: Cost) -> Cost:
    return Cost(Decimal(0), cost.source)


def _sum(a: Cost, b: Cost) -> Cost:
    """Each piece is a request that the vendor bills; with one unknown, all is."""
    return Cost() if a.usd is None or b.usd is None else Cost(a.usd + b.usd, b.source)
