"""Turn an answer's text into the JSON value that was asked for, or say why it is none.

An answer that is not what was asked for is an error that keeps the text. It is never asked for again: it was paid, and the user should see it.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.errors import InvalidAnswer
from orchestrator_nb.structured import AnswerError, parse
from orchestrator_nb.types import Emit, Handler, Layer

_BECAUSE = {
    "length": "; it stopped at the length limit, so allow more: -o max_tokens N.",
    "content_filter": "; the vendor's filter ended it.",
    "pause": "; the vendor paused it before its end.",
}


def structured() -> Layer:
    """The layer. Sets ``parsed`` when a schema or JSON was asked for; raises `InvalidAnswer`. A model that asks for a tool has not answered yet."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            response = await call(request, emit)
            if not (request.params.json or request.params.schema is not None) or response.tool_calls:
                return response
            outcome = _read(request, response)
            if isinstance(outcome, InvalidAnswer):
                raise outcome
            return outcome

        return handle

    return layer


def _read(request: Request, response: Response) -> Response | InvalidAnswer:
    """Returned, not raised, so that the parser's frames do not hang on the error."""
    try:
        return replace(response, parsed=parse(response.text, request.params.schema))
    except AnswerError as error:
        why = str(error).rstrip(".")
        return InvalidAnswer(
            f"{request.model.ref} did not answer as asked: {why}{_BECAUSE.get(response.finish, '.')}",
            kind=error.kind,
            vendor=request.model.vendor.name,
            model=request.model.id,
            response=response,
            billed="yes",
        )
