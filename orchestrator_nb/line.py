"""The line that every call goes through: the layers, in their order, around the one HTTP exchange."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config import Config
from orchestrator_nb.forms import NOTHING, Forms
from orchestrator_nb.kernel.breaker import Breaker
from orchestrator_nb.kernel.capped import Caps
from orchestrator_nb.kernel.continuation import continued
from orchestrator_nb.kernel.limits import Limiter
from orchestrator_nb.kernel.pause import Gate, paused
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.price import Worst, priced
from orchestrator_nb.kernel.retry import Backoff, retry
from orchestrator_nb.kernel.structure import structured
from orchestrator_nb.kernel.taped import nobody, replayed
from orchestrator_nb.pricing import Pricer
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.http import Exchange
from orchestrator_nb.providers.network import Network
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.types import Clock, Handler, Keys, Layer


class Line:
    """Everything one catalogue's calls go through; replaced as a whole when settings change. Runs under way keep theirs to their end."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        keys: Keys,
        clock: Clock,
        gate: Gate | None = None,
        known: Callable[[], Forms] = lambda: NOTHING,
    ) -> None:
        settings = config.settings
        self.limiter = limiter = Limiter(clock, parallel=settings.limits.parallel)
        self.catalog = catalog
        self.exchange = Exchange(PROVIDERS, keys, Network.of(settings), clock, limiter.observe, known)
        self.breaker = Breaker(clock)
        self._runs, self._dropped = 0, False
        self.pricer = pricer = Pricer(settings.price_overrides)
        self.worst = Worst(pricer, pricer.hours)
        self._priced = priced(pricer)  # each request for itself, as the vendor bills it
        self._outer: list[Layer] = [  # outermost first
            continued(),  # each hop is a call of its own below
            *([paused(gate)] if gate else []),  # outside of retry: what was not sent is no attempt
            retry(Backoff(attempts=settings.limits.attempts), clock),  # outside the limit: who sleeps holds no place
        ]
        self._inner: list[Layer] = [  # between them the caps: who waits for money holds no place
            limiter.layer,  # a place and the rate, for each attempt
            self.breaker.layer,  # judges at the moment of sending, also for those who queued
        ]

    @contextlib.asynccontextmanager
    async def in_use(
        self,
        parallel: int,
        source: Layer | None = None,
        sent: Layer | None = None,
        cache: Layer | None = None,
        caps: Caps | None = None,
    ) -> AsyncIterator[Handler]:
        """For one run, on the loop's thread. The user asks again, so what was refused before may be tried again.

        ``source`` and ``cache`` as in `whole`; ``sent`` is innermost, and sees what goes over the wire, with its price. ``caps`` hold for each attempt.
        """
        self.breaker.reset()
        self.limiter.widen(parallel)
        self._runs += 1
        try:
            capped = [caps.layer(self.worst)] if caps else []
            layers = [*self._outer, *capped, *self._inner, *([sent] if sent else []), self._priced]
            yield whole(build(self.exchange, layers), source, cache)
        finally:
            self._runs -= 1
            await self._close_if_over()

    async def drop(self) -> None:
        """Close when the last run has ended."""
        self._dropped = True
        await self._close_if_over()

    async def _close_if_over(self) -> None:
        if self._dropped and not self._runs:
            await self.exchange.aclose()


def whole(live: Handler, source: Layer | None = None, cache: Layer | None = None) -> Handler:
    """All the way around ``live``. ``source`` may record answers, or give them itself: it sees them priced, and with all hops joined.

    ``cache`` gives answers that were judged before.
    """
    judged = structured()  # judges the whole answer, wherever it came from, so nothing may come after it
    return build(live, [layer for layer in (cache, judged, source) if layer])


def on_tape(tape: Tape) -> Handler:
    """The way to a tape: a line of its own, which knows no exchange."""
    return whole(nobody, replayed(tape))
