"""Where answers come from, and what that way needs: a tape that can be used, keys at hand, caps on its cost, and words for what the user should know of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator_nb.budgets import Budgets
from orchestrator_nb.chaining import ChainPlan
from orchestrator_nb.errors import UserError
from orchestrator_nb.forecast import Lookup, forecast
from orchestrator_nb.history import History
from orchestrator_nb.job import Plan
from orchestrator_nb.kernel.amounts import usd_of
from orchestrator_nb.keyless import Keyless
from orchestrator_nb.providers.keys import synonyms
from orchestrator_nb.results.estimate import Estimate
from orchestrator_nb.running import Way, asking, replaying, told_of, told_of_grid
from orchestrator_nb.source import AnswersFrom, decided
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter
from orchestrator_nb.tapes import Tapes
from orchestrator_nb.types import Clock
from orchestrator_nb.wiring import Wiring


class Ways:
    """The ways of one session's plans."""

    def __init__(
        self, wiring: Wiring, tapes: Tapes, history: History, budgets: Budgets, keyless: Keyless, clock: Clock
    ) -> None:
        self._wiring, self._tapes, self._history = wiring, tapes, history
        self._budgets, self._keyless, self._clock = budgets, keyless, clock
        self._wish: AnswersFrom | None = None

    # Where answers come from

    @property
    def source(self) -> AnswersFrom:
        """What holds for a plan that says nothing of it."""
        return self._decided(None, self._wish, strict=False)

    def choose(self, text: str) -> None:
        """For all plans from now on. Raises `UserError` for an unknown mode or a missing tape, `StoreError` for one that cannot be used."""
        wish = answers_from(text)
        self._tape_of(self._decided(None, wish))
        self._wish = wish

    def source_of(self, plan: Plan | ChainPlan) -> AnswersFrom:
        """Where the answers to ``plan`` would come from. Raises `UserError` when a tape is missing."""
        return self._decided(plan.source, self._wish)

    # A plan's way

    def way(self, plan: Plan | ChainPlan, max_cost: object = None) -> Way:
        """How this plan's questions go. What has to be asked of the user is asked here. Raises `VaultError`, `UserError`, `StoreError`."""
        self._keyless.look()
        tape = self._tape_of(self.source_of(plan))
        if isinstance(tape, Tape):
            return replaying(tape)
        self._wiring.ready(spec.vendor for spec in plan.models)
        names = {name for spec in plan.models for name in synonyms(spec.vendor.key_name)}
        cache = self._history.cache if self.source_of(plan).mode == "auto" else None
        lease = partial(self._wiring.vault.vault.lease, names)
        limit = plan.max_cost if max_cost is None else usd_of(max_cost)
        caps = self._budgets.of_run(limit, inner=isinstance(plan, ChainPlan), simulating=self._wiring.simulating)
        return asking(self._wiring.line(), self._clock, lease=lease, cache=cache, tape=tape, caps=caps)

    def estimate(self, plan: Plan, max_cost: Decimal | None, look: int) -> Estimate:
        """What ``plan`` will take. Raises `UserError` and `StoreError` when a tape cannot be used."""
        wiring, source = self._wiring, self.source_of(plan)
        tape = self._tape_of(source) if source.mode == "replay" else None
        caps = (max_cost, plan.max_cost, wiring.config.settings.limits.max_cost_usd)
        cap = next((cap for cap in caps if cap is not None), None)
        replayed, line = tape if isinstance(tape, Tape) else None, wiring.line()
        lookup = Lookup(source, wiring.simulating, self._history.store, replayed, line.catalog, cap)
        return forecast(plan, lookup, line.pricer, look=look)

    # What is told of it

    def about(self, plan: Plan | ChainPlan) -> dict[str, Any]:
        """What the store keeps with its run."""
        keep = self._wiring.config.settings.store.keep_prompts == "full"
        if isinstance(plan, ChainPlan):
            params, more = plan.params, plan.about_run(keep_prompts=keep)
        else:
            params, more = plan.items[0].request.params.given, told_of_grid(plan, keep_prompts=keep)
        simulated, source = self._wiring.simulating, str(self.source_of(plan))
        return {**told_of(plan.models, params, simulated=simulated, source=source), **more}

    def notices(self) -> Iterator[str]:
        """What the user should know at a run's end of what it leaned on."""
        wiring = self._wiring
        yield from (*wiring.config.notices, *wiring.vault.notices, *self._history.untold(), *self._budgets.untold())

    def _decided(self, plan: AnswersFrom | None, notebook: AnswersFrom | None, *, strict: bool = True) -> AnswersFrom:
        setting = AnswersFrom.read(self._wiring.config.settings.source)
        try:
            return decided(plan, notebook, setting)
        except ValueError as error:
            why = str(error)
        if strict:
            raise UserError(why)
        return setting

    def _tape_of(self, source: AnswersFrom) -> Tape | TapeWriter | None:
        """The tape, found to be usable before anything is asked."""
        if source.tape is None:
            return None
        path = (self._wiring.config.cwd or Path.cwd()) / source.tape
        return self._tapes.writer(path) if source.mode == "record" else self._tapes.read(path)


def answers_from(text: str) -> AnswersFrom:
    """A source as a user writes it. Raises `UserError`."""
    try:
        return AnswersFrom.read(text)
    except ValueError as error:
        why = str(error)
    raise UserError(why)
