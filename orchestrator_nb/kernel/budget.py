"""Caps on money. What an attempt can cost at most is reserved before it is sent, and settled when it has ended.

Who does not fit while others are under way waits: they may turn out cheaper. Who cannot fit any more is refused, with figures. An attempt whose cost nobody
knows counts at its worst, so a cap is never passed. Cached, replayed and simulated answers never come here or cost nothing; a model on this machine costs
what the user says it costs, else nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Final, Protocol

from orchestrator_nb.calls import Cost, Event, Request, Response, Started, Waiting
from orchestrator_nb.errors import LimitError, ProviderError, UserError
from orchestrator_nb.types import Emit, Handler, Layer

ZERO: Final = Decimal(0)


class Bound(Protocol):
    """What one request can cost (`orchestrator_nb.kernel.price.Worst`)."""

    def __call__(self, request: Request) -> Decimal | None:
        """At most, in USD; ``None`` when price or length are unknown."""
        ...

    def has_price(self, request: Request) -> bool:
        """Whether a price of the model is known."""
        ...


class Reservation(Protocol):
    """Money that is set aside for one attempt."""

    def settle(self, usd: Decimal | None) -> None:
        """What it cost; ``None``: nobody knows, so all that was set aside. Only the first time counts."""
        ...


class Cap(Protocol):
    """A limit in USD. ``name`` tells where it is set; ``refused`` counts whom it refused, and ``why`` is a sentence with its figures."""

    name: str
    limit: Decimal
    refused: int

    @property
    def why(self) -> str:
        """How the cap stands: cap, spent, in flight."""
        ...

    async def reserve(self, worst: Decimal, waits: Callable[[], object] = ...) -> Reservation:
        """Set ``worst`` aside as soon as it fits; ``waits`` is called if that is not at once. Raises `LimitError` when it cannot fit any more."""
        ...


class Budget:
    """A cap that lives in this process: ``limit``, ``spent`` and ``reserved`` in USD. First come, first served.

    Reserve and settle on one loop's thread; the figures may be read from any.
    """

    def __init__(self, limit: Decimal, name: str = "session.budget") -> None:
        self.limit, self.name = limit, name
        self.spent, self.reserved, self.possibly, self.refused = ZERO, ZERO, ZERO, 0
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Decimal, asyncio.Future[None]]] = deque()

    @property
    def left(self) -> Decimal:
        """What is neither spent nor set aside for calls under way."""
        with self._lock:
            return max(ZERO, self.limit - self.spent - self.reserved)

    @property
    def why(self) -> str:
        """``of the cap of $1.00 (--max-cost) $0.95 is spent ($0.20 of it possibly) and $0.04 in flight``."""
        possibly = f" ({dollars(self.possibly)} of it possibly)" if self.possibly else ""
        return figures(self, self.spent, self.reserved, possibly)

    def __repr__(self) -> str:
        return f"<{self.name}: {dollars(self.spent)} spent, {dollars(self.left)} left of {dollars(self.limit)}>"

    async def reserve(self, worst: Decimal, waits: Callable[[], object] = lambda: None) -> Reservation:
        """As in `Cap`."""
        if self._waiting or not self._fits(worst):
            self._refuse_what_never_fits(worst)
            waits()
            await self._turn(worst)
        else:
            self._add(reserved=worst)
        return _Held(self, worst)

    async def _turn(self, worst: Decimal) -> None:
        """When it has come, ``worst`` is reserved."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((worst, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():  # it came in the same moment
                self._add(reserved=-worst)
            turn.cancel()
            self._let_in()
            raise

    def _let_in(self) -> None:
        """Those whose turn it is, in the order they came; a small one does not overtake, or a large one would wait for ever."""
        while self._waiting:
            worst, turn = self._waiting[0]
            if not turn.done():
                if self.spent + worst > self.limit:
                    turn.set_exception(self._refusal(worst))
                elif self._fits(worst):
                    self._add(reserved=worst)
                    turn.set_result(None)
                else:
                    return
            self._waiting.popleft()

    def settle(self, worst: Decimal, usd: Decimal | None) -> None:
        """A reservation of ``worst`` is over."""
        unknown = usd is None
        self._add(reserved=-worst, spent=worst if usd is None else usd, possibly=worst if unknown else ZERO)
        self._let_in()

    def _fits(self, worst: Decimal) -> bool:
        return self.spent + self.reserved + worst <= self.limit

    def _add(self, *, reserved: Decimal = ZERO, spent: Decimal = ZERO, possibly: Decimal = ZERO) -> None:
        with self._lock:
            self.reserved += reserved
            self.spent += spent
            self.possibly += possibly

    def _refuse_what_never_fits(self, worst: Decimal) -> None:
        if self.spent + worst > self.limit:
            raise self._refusal(worst)

    def _refusal(self, worst: Decimal) -> LimitError:
        self.refused += 1
        return refusal(self, worst)


class _Held:
    """A `Reservation` of a `Budget`."""

    __slots__ = ("_budget", "_worst")

    def __init__(self, budget: Budget, worst: Decimal) -> None:
        self._budget: Budget | None = budget
        self._worst = worst

    def settle(self, usd: Decimal | None) -> None:
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.settle(self._worst, usd)


class Each:
    """A cap on every single attempt."""

    def __init__(self, limit: Decimal, name: str) -> None:
        self.limit, self.name, self.refused = limit, name, 0

    @property
    def why(self) -> str:
        """What it allows."""
        return f"one call may cost {dollars(self.limit)} ({self.name})"

    async def reserve(self, worst: Decimal, waits: Callable[[], object] = lambda: None) -> Reservation:  # noqa: ARG002  # a cap as any other
        """As in `Cap`; never waits."""
        if worst > self.limit:
            self.refused += 1
            raise refusal(self, worst)
        return _NOTHING


class _Nothing:
    """Nothing is set aside."""

    def settle(self, usd: Decimal | None) -> None:
        """Nothing to do."""


_NOTHING: Final = _Nothing()


def capped(caps: Sequence[Cap], bound: Bound) -> Layer:
    """The layer: all ``caps`` hold for each attempt. They are taken in their order, which must be the same for everybody, so that nobody waits in a circle.

    Outside of the limiter: who waits for money holds no place, and who waits for a place is sent some time, and gives back what it does not need.
    """

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            worst = _worst(request, bound, caps[0])
            if worst is None:
                return await call(request, emit)
            held = await _reserved(caps, worst, request, emit)
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


def _worst(request: Request, bound: Bound, cap: Cap) -> Decimal | None:
    """The most that it can cost, ``None`` for nothing. Raises `LimitError` when nobody knows."""
    model = request.model
    if model.vendor.simulated:
        return None
    if (worst := bound(request)) is not None:
        return worst or None
    if bound.has_price(request):
        cap.refused += 1
        raise LimitError(
            f"{model.ref} was not asked: how long its answer may be is unknown, so no cap ({cap.name}) can be kept; set a limit: -o max_tokens 1000."
        )
    if model.vendor.is_local:
        return None
    cap.refused += 1
    raise LimitError(
        f"{model.ref} was not asked: its price is unknown, so no cap ({cap.name}) can be kept; write it into your config.yaml, in USD per million tokens: "
        f'prices: {{"{model.ref}": {{input: 1.0, output: 4.0}}}}.'
    )


async def _reserved(caps: Sequence[Cap], worst: Decimal, request: Request, emit: Emit) -> list[Reservation]:
    held: list[Reservation] = []
    try:
        for cap in caps:
            news = Waiting(f"room under the cap {cap.name}")
            held += [await cap.reserve(worst, partial(emit, news))]
    except BaseException as error:
        for reservation in held:
            reservation.settle(ZERO)
        if isinstance(error, LimitError):
            error.args = (f"{request.model.ref} was not asked: {error.args[0]}",)
        raise
    return held


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


def refusal(cap: Cap, worst: Decimal) -> LimitError:
    """The sentence for one that does not fit, without its model."""
    return LimitError(f"it could cost {dollars(worst)}, and {cap.why}; raise the cap, or lower max_tokens.")


def figures(cap: Cap, spent: Decimal, in_flight: Decimal, more: str = "") -> str:
    """How a cap stands, as part of a sentence."""
    flying = f" and {dollars(in_flight)} is in flight" if in_flight else ""
    return f"of the cap of {dollars(cap.limit)} ({cap.name}) {dollars(spent)} is spent{more}{flying}"


def stopped(caps: Sequence[Cap]) -> list[str]:
    """What a run's summary says of the caps that refused something."""
    return [f"stopped by a cap, {cap.refused:,} calls not asked: {cap.why}." for cap in caps if cap.refused]


def dollars(usd: Decimal) -> str:
    """``$0.05``, ``$0.0103``, ``$1,234.50``: two decimals, or as many as show it to four digits."""
    digits = max(2, min(12, 3 - usd.adjusted())) if usd else 2
    whole, _, rest = f"{usd:,.{digits}f}".partition(".")
    return f"${whole}.{rest[:2]}{rest[2:].rstrip('0')}"


def usd_of(amount: object) -> Decimal:
    """An amount that the user wrote: a number or its text, with or without ``$``. Raises `UserError` for what is none, or below 0."""
    text = str(amount).strip().removeprefix("$") if not isinstance(amount, bool) else ""
    try:
        usd = Decimal(text)
    except ArithmeticError:
        usd = Decimal(-1)
    if usd.is_finite() and usd >= 0:
        return usd
    raise UserError(f"a cap is an amount in USD such as 0.50, not {amount!r}.")
