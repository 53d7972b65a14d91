"""A session's caps on money: those of its settings, the budgets that are open, and the day's, which it shares with other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from orchestrator_nb.config import Config
from orchestrator_nb.kernel.amounts import dollars, usd_of
from orchestrator_nb.kernel.budget import Budget, Cap, Each
from orchestrator_nb.kernel.capped import Caps
from orchestrator_nb.kernel.day import Calendar, Day
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.spending import Spending
from orchestrator_nb.store.store import Store
from orchestrator_nb.types import Clock


class Budgets:
    """``config`` tells the settings as they are now, ``store`` the session's store. Safe to use from several threads."""

    def __init__(self, config: Callable[[], Config], store: Callable[[], Store | None], clock: Clock) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._lock = threading.Lock()
        self._open: list[Budget] = []
        self._day: Day | None = None
        self._calendar: Calendar | None = None
        self._own: Database | None = None
        self._untold: list[str] = []

    @contextmanager
    def open(self, usd: object) -> Iterator[Budget]:
        """What runs begin in the block count in it, and in those around it. Raises `UserError` for what is no amount."""
        budget = Budget(usd_of(usd))
        with self._lock:
            self._open.append(budget)
        try:
            yield budget
        finally:
            with self._lock:
                self._open.remove(budget)

    def of_run(self, max_cost: Decimal | None = None, *, inner: bool = False, simulating: bool = False) -> Caps:
        """The caps for a run that begins now. ``max_cost`` is its own, in the place of the setting's; what holds for a call, a block and a day holds with it.
        ``inner``: its questions may bring caps along. ``simulating``: the simulator answers, whose cost is in no cap. Raises `StoreError`.
        """
        limits = self._config().settings.limits
        caps: list[Cap] = []
        if limits.max_cost_call_usd is not None:
            caps.append(Each(limits.max_cost_call_usd, "limits.max_cost_call_usd"))
        if max_cost is not None:
            caps.append(Budget(max_cost, "--max-cost"))
        elif limits.max_cost_usd is not None:
            caps.append(Budget(limits.max_cost_usd, "limits.max_cost_usd"))
        with self._lock:
            if simulating and (max_cost is not None or self._open):
                self._untold.append("the simulator's answers cost nothing, so the cap on cost stopped none.")
            caps += self._open
            if limits.max_cost_day_usd is not None:
                caps.append(self._today(limits.max_cost_day_usd))
        return Caps(caps, inner=inner)

    def _today(self, limit: Decimal) -> Day:
        """The same as long as the store is, for who waits in it must be one queue."""
        store = self._store()
        database = store.database if store else self._in_memory()
        self._calendar = self._calendar or Calendar(self._clock)  # which lives on: a clock that is set opens no new day
        if self._day is None or self._day.database is not database:
            self._day = Day(limit, Spending(database), self._clock, self._calendar)
            if database.path is None:
                self._untold.append(_alone(limit, kept=store is not None))
        self._day.limit = limit
        return self._day

    def _in_memory(self) -> Database:
        if self._own is None:
            self._own = Database.open(None, clock=self._clock)
        return self._own

    def untold(self) -> tuple[str, ...]:
        """What the user should know of the caps, each once."""
        told, self._untold = tuple(self._untold), []
        return told

    def close(self) -> None:
        """Let go of what is only here."""
        with self._lock:
            own, self._own, self._day = self._own, None, None
        if own:
            own.close()


def _alone(limit: Decimal, *, kept: bool) -> str:
    why = "the store is in memory" if kept else "store.enabled is false"
    return f"the cap of {dollars(limit)} a day (limits.max_cost_day_usd) counts this session alone, from now on, for {why}."
