"""Write the price on what came back, and reckon before what it can cost at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from orchestrator_nb.calls import Cost, Request, Response, Source, Usage
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.messages import Image, Part, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.types import Emit, Handler, Layer

Pricing = Callable[[Request, Response], Cost]

IMAGE_TOKENS: Final = 6_000
"""More than any vendor counts for an image."""
EACH_TURN: Final = 64
"""Tokens that a vendor may add around a message."""


def priced(pricer: Pricing) -> Layer:
    """The layer, for whole answers and for partial ones that hang on an error. ``pricer`` tells the cost, unknown included."""

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


class Worst:
    """The most that one request can cost in USD: each byte a token, and an answer as long as it may be. ``None`` when price or length are unknown.

    ``hours`` price by the hours to come: an answer may arrive in a dearer one than its question was sent in.
    """

    def __init__(self, pricer: Pricing, hours: Callable[[], Iterable[Pricing]] = tuple) -> None:
        self._pricer, self._hours = pricer, hours
        self._each: dict[tuple[str, str], tuple[Decimal, Decimal] | None] = {}

    def __call__(self, request: Request) -> Decimal | None:
        """The bound for this request."""
        model = request.model
        output = request.params.max_tokens or model.max_tokens or model.max_output
        if (each := self._each_of(model)) is None:
            return None
        if output is None:
            return None if any(each) else Decimal(0)
        return each[0] * _most_tokens(request) + each[1] * output

    def has_price(self, request: Request) -> bool:
        """Whether a price of the model is known."""
        return self._each_of(request.model) is not None

    def _each_of(self, model: ModelSpec) -> tuple[Decimal, Decimal] | None:
        """What a token of input and one of output cost at most, by the highest of the model's tiers, at any hour."""
        name = model.vendor.name, model.id
        if name not in self._each:
            self._each[name] = self._asked(model)
        return self._each[name]

    def _asked(self, model: ModelSpec) -> tuple[Decimal, Decimal] | None:
        if _each(self._pricer, model) is None:
            return None
        found = [each for pricer in (self._pricer, *self._hours()) if (each := _each(pricer, model))]
        return max(sent for sent, _ in found), max(answered for _, answered in found)


def _each(pricer: Pricing, model: ModelSpec) -> tuple[Decimal, Decimal] | None:
    sent, answered = model.context or 1_000_000, model.max_output or 1_000
    source: Source = "simulated" if model.vendor.simulated else "live"
    usages = Usage(sent, 0), Usage(sent, 0, written=sent), Usage(sent, answered)  # storing it at the vendor costs more
    costs = [pricer(Request(model, ()), Response(model.id, usage=usage, source=source)).usd for usage in usages]
    known = [usd for usd in costs if usd is not None]
    if len(known) < len(usages):
        return None
    return max(known[:2]) / sent, (known[2] - known[0]) / answered


def _most_tokens(request: Request) -> int:
    parts = [part for message in request.messages for part in message.parts]
    given = request.params.schema, request.params.tools
    around = EACH_TURN * (len(request.messages) + 1) + (len(str(given)) if any(given) else 0)
    return sum(map(_most, parts)) + len((request.system or "").encode(errors="replace")) + around


def _most(part: Part) -> int:
    match part:
        case Image():
            return IMAGE_TOKENS
        case Text(text=text) | Thinking(text=text) | ToolResult(text=text):
            return len(text) if text.isascii() else len(text.encode(errors="replace"))
        case ToolCall(name=name, arguments=arguments):
            return len(name) + 4 * len(str(arguments))
