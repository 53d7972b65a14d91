"""The line that every call goes through: the layers, in their order, around the one HTTP exchange."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config import Config
from orchestrator_nb.forms import NOTHING, Forms
from orchestrator_nb.kernel.breaker import Breaker
from orchestrator_nb.kernel.continuation import continued
from orchestrator_nb.kernel.limits import Limiter
from orchestrator_nb.kernel.pause import Gate, paused
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.price import priced
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
        layers: list[Layer] = [  # outermost first
            priced(Pricer(settings.price_overrides)),  # prices what came back in all hops, whole or partial
            continued(),  # each hop is a call of its own below
            *([paused(gate)] if gate else []),  # outside of retry: what was not sent is no attempt
            retry(Backoff(attempts=settings.limits.attempts), clock),  # outside the limit: who sleeps holds no place
            limiter.layer,  # a place and the rate, for each attempt
            self.breaker.layer,  # innermost: judges at the moment of sending, also for those who queued
        ]
        self._live: Handler = build(self.exchange, layers)
        self.handler: Handler = whole(self._live)

    @contextlib.asynccontextmanager
    async def in_use(self, parallel: int, source: Layer | None = None) -> AsyncIterator[Handler]:
        """For one run, on the loop's thread. The user asks again, so what was refused before may be tried again. ``source`` as in `whole`."""
        self.breaker.reset()
        self.limiter.widen(parallel)
        self._runs += 1
        try:
            yield whole(self._live, source) if source else self.handler
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


def whole(live: Handler, source: Layer | None = None) -> Handler:
    """All the way around ``live``. ``source`` may record answers, or give them itself: it sees them priced, and with all hops joined."""
    judged = structured()  # judges the whole answer, wherever it came from, so nothing may come after it
    return build(live, [judged, source] if source else [judged])


def on_tape(tape: Tape) -> Handler:
    """The way to a tape: a line of its own, which knows no exchange."""
    return whole(nobody, replayed(tape))
