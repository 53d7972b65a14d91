"""Say what an answer cost, whole or partial. Who prices is given; the layer only sees to it that nothing goes unpriced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator_nb.calls import Cost, Request, Response
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.types import Emit, Handler, Layer


def priced(price: Callable[[Request, Response], Cost]) -> Layer:
    """The layer. What arrived before a failure is priced too, on the error's own response."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            try:
                response = await call(request, emit)
            except ProviderError as error:
                if error.response is not None:
                    error.response = replace(error.response, cost=price(request, error.response))
                raise
            return replace(response, cost=price(request, response))

        return handle

    return layer
