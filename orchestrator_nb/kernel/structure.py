"""Read the JSON that was asked for. An answer that is not that JSON is a failure which keeps the text: it was paid for."""

from __future__ import annotations

from dataclasses import replace

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.errors import InvalidAnswer
from orchestrator_nb.structured import AnswerError, parse
from orchestrator_nb.types import Emit, Handler, Layer

_UNREADABLE = frozenset({"content_filter", "tool_calls", "pause"})
"""How an answer may end without being the JSON, and without being wrong."""


def structured() -> Layer:
    """The layer. Sets `Response.parsed`; raises `InvalidAnswer` (kind ``invalid_json`` or ``schema``), which is never retried."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            response = await call(request, emit)
            wanted = request.params.json or request.params.schema is not None
            return _read(request, response) if wanted and response.finish not in _UNREADABLE else response

        return handle

    return layer


def _read(request: Request, response: Response) -> Response:
    try:
        return replace(response, parsed=parse(response.text, request.params.schema))
    except AnswerError as caught:
        kind, why = caught.kind, str(caught)
    if response.finish == "length":
        why = f"{why.rstrip('.')}; the answer was cut at its limit, so raise max_tokens."
    model = request.model
    raise InvalidAnswer(
        f"{model.ref}: {why}", kind=kind, vendor=model.vendor.name, model=model.id, response=response, billed="yes"
    )
