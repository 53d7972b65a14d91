"""One cap on money: what is spent of it, what is set aside for calls under way, and who waits for room.

Who does not fit while others are under way waits: they may turn out cheaper. Who cannot fit any more is refused, with figures.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

from orchestrator_nb.errors import LimitError
from orchestrator_nb.kernel.amounts import ZERO, dollars


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


def refusal(cap: Cap, worst: Decimal) -> LimitError:
    """The sentence for one that does not fit, without its model."""
    return LimitError(f"it could cost {dollars(worst)}, and {cap.why}; raise the cap, or lower max_tokens.")


def figures(cap: Cap, spent: Decimal, in_flight: Decimal, more: str = "") -> str:
    """How a cap stands, as part of a sentence."""
    flying = f" and {dollars(in_flight)} is in flight" if in_flight else ""
    return f"of the cap of {dollars(cap.limit)} ({cap.name}) {dollars(spent)} is spent{more}{flying}"
