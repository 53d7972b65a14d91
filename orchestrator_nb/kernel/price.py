"""Write the price on what came back: whole answers, and partial ones that hang on an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator_nb.calls import Cost, Request, Response
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.types import Emit, Handler, Layer


def priced(pricer: Callable[[Request, Response], Cost]) -> Layer:
    """The layer. ``pricer`` tells the cost, unknown included."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            try:
                response = await call(request, emit)
            except ProviderError as error:
                if error.response is not None:
                    error.response = replace(error.response, cost=pricer(request, error.response))
                raise
            return replace(response, cost=pricer(request, response))

        return handle

    return layer
