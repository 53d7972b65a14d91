"""Keep a run's caps: what an attempt can cost at most is reserved before it is sent, and settled when it has ended.

An attempt whose cost nobody knows counts at its worst, so a cap is never passed. Cached, replayed and simulated answers never come here or cost nothing; a
model on this machine costs what the user says it costs, else nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import partial
from typing import Final, Protocol

from orchestrator_nb.calls import Cost, Event, Request, Response, Started, Waiting
from orchestrator_nb.errors import LimitError, ProviderError
from orchestrator_nb.kernel.amounts import ZERO, dollars
from orchestrator_nb.kernel.budget import Cap, Reservation
from orchestrator_nb.types import Emit, Handler, Layer


class Bound(Protocol):
    """What one request can cost (`orchestrator_nb.kernel.price.Worst`)."""

    def __call__(self, request: Request) -> Decimal | None:
        """At most, in USD; ``None`` when price or length are unknown."""
        ...

    def has_price(self, request: Request) -> bool:
        """Whether a price of the model is known."""
        ...


_INNER: Final[ContextVar[Sequence[Cap]]] = ContextVar("caps of one question", default=())


@contextmanager
def held_by(caps: Sequence[Cap]) -> Iterator[None]:
    """What is asked in the block is held by these caps too, behind those of its run: the steps of a chain have budgets of their own. Costs nothing without caps."""
    token = _INNER.set(caps)
    try:
        yield
    finally:
        _INNER.reset(token)


class Caps:
    """All caps that hold for one run, in the order in which they are taken: the same for everybody, so that nobody waits in a circle.

    ``inner``: questions may bring more caps along (`held_by`). ``refused`` counts by name whom a cap refused, ``whys`` keep the figures of the last time.
    """

    def __init__(self, caps: Sequence[Cap], *, inner: bool = False) -> None:
        self._caps, self._inner = caps, inner
        self.refused: Counter[str] = Counter()
        self._whys: dict[str, str] = {}

    def __bool__(self) -> bool:
        return self._inner or bool(self._caps)

    def layer(self, bound: Bound) -> Layer:
        """The layer: every cap holds for each attempt.

        Outside of the limiter: who waits for money holds no place, and who waits for a place is sent some time, and gives back what it does not need.
        """

        def layer(call: Handler) -> Handler:
            async def handle(request: Request, emit: Emit) -> Response:
                caps = (*self._caps, *_INNER.get())
                worst = self._worst(caps, request, bound) if caps else None
                if worst is None:
                    return await call(request, emit)
                held = await self._reserved(caps, worst, request, emit)
                usd: Decimal | None = None
                watch = _Watch(emit)
                try:
                    response = await call(request, watch)
                    usd = _cost(response)
                except ProviderError as error:
                    usd = _cost_of_failure(error)
                    raise
                except BaseException:  # a cancellation, no key, nothing that could be sent
                    usd = None if watch.started else ZERO
                    raise
                else:
                    return response
                finally:
                    for reservation in held:
                        reservation.settle(usd)

            return handle

        return layer

    @property
    def notices(self) -> tuple[str, ...]:
        """What a run's summary says of the caps that refused something."""
        return tuple(
            f"{count:,} {'call' if count == 1 else 'calls'} not asked: {self._whys[name]}."
            for name, count in self.refused.items()
        )

    def _worst(self, caps: Sequence[Cap], request: Request, bound: Bound) -> Decimal | None:
        """The most that it can cost, ``None`` for nothing. Raises `LimitError` when nobody knows."""
        model, name = request.model, caps[0].name
        if model.vendor.simulated:
            return None
        if (worst := bound(request)) is not None:
            return worst or None
        if bound.has_price(request):
            why = f"how long an answer of {model.ref} may be is unknown, so no cap ({name}) can be kept"
            raise self._refusal(model.ref, why, "set a limit: -o max_tokens 1000")
        if model.vendor.is_local:
            return None
        why = f"the price of {model.ref} is unknown, so no cap ({name}) can be kept"
        entry = f'prices: {{"{model.ref}": {{input: 1.0, output: 4.0}}}}'
        raise self._refusal(model.ref, why, f"write it into your config.yaml, in USD per million tokens: {entry}")

    def _refusal(self, name: str, why: str, advice: str) -> LimitError:
        self._count(name, f"{why}; {advice}")
        return LimitError(f"not asked: {why}; {advice}.")

    def _count(self, name: str, why: str) -> None:
        self.refused[name] += 1
        self._whys[name] = why

    async def _reserved(self, caps: Sequence[Cap], worst: Decimal, request: Request, emit: Emit) -> list[Reservation]:
        held: list[Reservation] = []
        try:
            for cap in caps:
                held += [await self._from(cap, worst, request, emit)]
        except BaseException:
            for reservation in held:
                reservation.settle(ZERO)
            raise
        return held

    async def _from(self, cap: Cap, worst: Decimal, request: Request, emit: Emit) -> Reservation:
        try:
            return await cap.reserve(worst, partial(emit, Waiting(f"room under the cap {cap.name}")))
        except LimitError as error:
            self._count(cap.name, f"one could cost {dollars(worst)}, and {cap.why}")
            error.args = (f"{request.model.ref} was not asked: {error.args[0]}",)
            raise


def _cost(response: Response) -> Decimal | None:
    return ZERO if response.source == "simulated" else _known(response.cost)


def _cost_of_failure(error: ProviderError) -> Decimal | None:
    if error.billed == "no" or error.simulated:
        return ZERO
    whole = error.billed == "yes" and error.response is not None and error.response.complete
    return _known(error.response.cost) if whole and error.response else None


def _known(cost: Cost) -> Decimal | None:
    """By the vendor's count; an estimate of ours may be too low."""
    return None if cost.source == "estimate" or cost.usd is None or cost.usd < 0 else cost.usd


class _Watch:
    """An `Emit` that notices whether anything was sent."""

    __slots__ = ("_emit", "started")

    def __init__(self, emit: Emit) -> None:
        self._emit, self.started = emit, False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.started = True
        self._emit(event)
