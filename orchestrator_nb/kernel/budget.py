"""Caps on money. What an attempt can cost at most is reserved before it is sent, and settled when it has ended.

Who does not fit while others are under way waits: they may turn out cheaper. Who cannot fit any more is refused, with figures. An attempt whose cost nobody
knows counts at its worst, so a cap is never passed. Cached, replayed and simulated answers never come here or cost nothing; a model on this machine costs
what the user says it costs, else nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
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
    """A limit in USD. ``name`` tells where it is set."""

    name: str
    limit: Decimal

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
        self.spent, self.reserved, self.possibly = ZERO, ZERO, ZERO
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
            if self.spent + worst > self.limit:
                raise refusal(self, worst)
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
                    turn.set_exception(refusal(self, worst))
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
        self.limit, self.name = limit, name

    @property
    def why(self) -> str:
        """What it allows."""
        return f"one call may cost {dollars(self.limit)} ({self.name})"

    async def reserve(self, worst: Decimal, waits: Callable[[], object] = lambda: None) -> Reservation:  # noqa: ARG002  # a cap as any other
        """As in `Cap`; never waits."""
        if worst > self.limit:
            raise refusal(self, worst)
        return _NOTHING


class _Nothing:
    """Nothing is set aside."""

    def settle(self, usd: Decimal | None) -> None:
        """Nothing to do."""


_NOTHING: Final = _Nothing()


class Caps:
    """All caps that hold for one run, in the order in which they are taken: the same for everybody, so that nobody waits in a circle.

    ``refused`` counts by name whom a cap refused, ``whys`` keep the figures of the last time.
    """

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = caps
        self.refused: Counter[str] = Counter()
        self._whys: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._caps)

    def layer(self, bound: Bound) -> Layer:
        """The layer: every cap holds for each attempt.

        Outside of the limiter: who waits for money holds no place, and who waits for a place is sent some time, and gives back what it does not need.
        """

        def layer(call: Handler) -> Handler:
            async def handle(request: Request, emit: Emit) -> Response:
                worst = self._worst(request, bound)
                if worst is None:
                    return await call(request, emit)
                held = await self._reserved(worst, request, emit)
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

    def _worst(self, request: Request, bound: Bound) -> Decimal | None:
        """The most that it can cost, ``None`` for nothing. Raises `LimitError` when nobody knows."""
        model, name = request.model, self._caps[0].name
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

    async def _reserved(self, worst: Decimal, request: Request, emit: Emit) -> list[Reservation]:
        held: list[Reservation] = []
        try:
            for cap in self._caps:
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


def refusal(cap: Cap, worst: Decimal) -> LimitError:
    """The sentence for one that does not fit, without its model."""
    return LimitError(f"it could cost {dollars(worst)}, and {cap.why}; raise the cap, or lower max_tokens.")


def figures(cap: Cap, spent: Decimal, in_flight: Decimal, more: str = "") -> str:
    """How a cap stands, as part of a sentence."""
    flying = f" and {dollars(in_flight)} is in flight" if in_flight else ""
    return f"of the cap of {dollars(cap.limit)} ({cap.name}) {dollars(spent)} is spent{more}{flying}"


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
