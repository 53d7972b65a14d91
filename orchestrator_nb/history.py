"""What a session remembers: its store, opened at first use, and what can be asked of it: runs, their rows, what they cost, and the rest of one that broke off."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol, get_args, overload

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import Catalog, ModelSpec
from orchestrator_nb.config import Config
from orchestrator_nb.errors import UserError
from orchestrator_nb.kernel.cached import Cache
from orchestrator_nb.kernel.recorded import Book
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.retold import OF_CHAIN_AT_ITS_END, call_of, request_of, run_of
from orchestrator_nb.runs import Call, Chained, Item, Run
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.store import Store
from orchestrator_nb.store.told import NOT_ASKED, CallTold, RunTold, Spent, spent_of
from orchestrator_nb.types import Clock

By = Literal["model", "day", "run", "notebook"]
BY: tuple[By, ...] = get_args(By)
DAY_S = 86_400.0


@dataclass(frozen=True)
class Rest(Sequence[Item]):
    """The places of an earlier run that are asked again. ``spared`` keep the outcome they have until there is a better one; ``seen`` are all outcomes now."""

    run_id: str
    places: tuple[int, ...]
    items: tuple[Item, ...]
    before: tuple[Call, ...]
    seen: tuple[Mapping[str, Any] | None, ...]
    spared: frozenset[int] = frozenset()

    @property
    def notices(self) -> tuple[str, ...]:
        """What the whole run's display has to say about it."""
        kept = len(self.before) - len(self.places)
        return (f"resumed: {len(self.places):,} asked now, {kept:,} kept from before.",)

    def place(self, index: int) -> int:
        """The place of the run of an item."""
        return self.places[index]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self.items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def whole(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        """All rows of the run, with what was asked now in its places."""
        rows = list(self.before)
        for place, call in zip(self.places, calls, strict=True):
            if call.error is None or place not in self.spared:
                rows[place] = replace(call, id=f"{self.run_id}-{place}")
        return tuple(rows)


class Begun(Protocol):
    """What of an earlier run a book wants to know; as in `Rest`."""

    @property
    def spared(self) -> frozenset[int]:
        """Places whose outcome stays until there is a better one."""

    @property
    def seen(self) -> tuple[Mapping[str, Any] | None, ...]:
        """All outcomes."""

    def place(self, index: int) -> int:
        """The place of the run of an item."""


class History:
    """One session's store. ``config`` tells the settings as they are now, ``clean`` takes vendors' keys out of a text. Safe to use from several threads."""

    def __init__(self, config: Callable[[], Config], clock: Clock, clean: Callable[[str], str] = str) -> None:
        self._config, self._clock, self._clean = config, clock, clean
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._cache: Cache | None = None
        self._wanted: tuple[Any, ...] | None = None
        self._untold: list[str] = []

    @property
    def store(self) -> Store | None:
        """The store, or ``None`` where the settings say so."""
        settings, path = self._config().settings.store, self._config().paths.store
        wanted = (path, settings.keep_prompts, os.getpid()) if settings.enabled else None
        with self._lock:
            if wanted != self._wanted:
                self._open(wanted)
            return self._store

    def _open(self, wanted: tuple[Any, ...] | None) -> None:
        self._close()
        if wanted is not None:
            path, keep_prompts, _ = wanted
            self._store = Store.open(path, clock=self._clock, keep_prompts=keep_prompts == "full", clean=self._clean)
            self._cache = Cache(self._store.answers, self._clock, _left_out)
            self._untold.extend(self._store.database.notices)
        self._wanted = wanted

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._cache = None

    def close(self) -> None:
        """Write what is left, and let go of the file. It opens again when it is needed."""
        with self._lock:
            self._close()
            self._wanted = None

    @property
    def cache(self) -> Cache | None:
        """Answers of before, and questions under way."""
        return self._cache if self.store else None

    def untold(self) -> tuple[str, ...]:
        """What the user should know of the store, each once."""
        told, self._untold = tuple(self._untold), []
        return told

    def book(self, run_id: str, rest: Rest | Begun | None = None) -> Book | None:
        """Where a run is written down."""
        store = self.store
        if store is None:
            return None
        return Book(store, run_id, rest.place, rest.spared, rest.seen) if rest else Book(store, run_id)

    # What was

    def runs(self, days: float | None = None) -> list[tuple[RunTold, Spent]]:
        """The runs of the last ``days``, the newest first, each with what it cost. Raises `StoreError`, `UserError`."""
        since = self._clock.wall() - days * DAY_S if days is not None else 0.0
        return [(told, self._spent(told)) for told in self._ledger().runs() if told.started_at >= since]

    def _spent(self, told: RunTold) -> Spent:
        """As it was reckoned at the run's end; one without an end is reckoned now."""
        return spent_of(told.id, told.told["spent"]) if "spent" in told.told else self._ledger().spent(told.id)

    def find(self, name: str, last: str | None = None) -> RunTold:
        """The run called ``name``: its id, the beginning of one, or ``last``. Raises `UserError` for none and for several."""
        runs = self._ledger().runs()
        if name == "last":
            name = last or (runs[0].id if runs else name)
        found = [told for told in runs if told.id == name] or [told for told in runs if told.id.startswith(name)]
        if len(found) == 1 and name:
            return found[0]
        if found:
            raise UserError(
                f"{len(found)} runs begin with {name!r}: {', '.join(told.id for told in found[:3])} …; write more of it."
            )
        if not runs:
            raise UserError("no run is written down yet: ask something first.")
        raise UserError(f"there is no run {name!r}; %llm runs lists them.")

    def show(self, name: str, last: str | None = None) -> Run:
        """The run as it was. Raises `UserError`, `StoreError`."""
        return run_of(*self._ledger().run(self.find(name, last).id))

    def costs(self, by: By = "model") -> list[Spent]:
        """What was spent, the dearest first; the simulator's money is in no figure. Raises `UserError`, `StoreError`."""
        if by not in BY:
            raise UserError(f"costs are told by {', '.join(BY)}, not by {by!r}.")
        return self._ledger().cost(by)

    def rest(
        self, name: str, catalog: Catalog, *, failed: bool = False, last: str | None = None, simulating: bool = False
    ) -> Rest:
        """What of a run has no answer; with ``failed``, what failed too. Raises `UserError` when there is nothing, or it cannot be asked any more.

        ``simulating``: questions go to the simulator now, so that only a run of the simulator's can go on.
        """
        told, places = self._ledger().run(self.find(name, last).id)
        if "chain" in told.about:
            raise UserError(f"run {told.id} is a chain's; %chain resume {told.id} goes on with it.")
        chosen = [place for place in places if not place.is_done or (failed and place.error is not None)]
        if not chosen:
            raise UserError(_complete(told, places))
        _of_the_same(told, simulating)
        spared = frozenset(place.number for place in chosen if place.is_done)
        models = {ref: catalog.find(ref) for ref in {place.model for place in chosen}}
        items = tuple(
            Item(_again(place, models[place.model]), place.row, place.repeat, place.inputs) for place in chosen
        )
        before = tuple(call_of(told.id, place) for place in places)
        seen = tuple(place.outcome for place in places)
        return Rest(told.id, tuple(place.number for place in chosen), items, before, seen, spared)

    def is_chain(self, name: str, last: str | None = None) -> bool:
        """Whether a chain asked this run. Raises `UserError` when there is no such run."""
        return "chain" in self.find(name, last).about

    def of_chain(
        self, name: str, *, last: str | None = None, simulating: bool = False
    ) -> tuple[RunTold, tuple[CallTold, ...]]:
        """A chain's run that has something left, and its places. Raises `UserError` when it is none, is whole, or cannot go on; ``simulating`` as in `rest`."""
        told, places = self._ledger().run(self.find(name, last).id)
        chain = told.about.get("chain")
        if chain is None:
            raise UserError(f"run {told.id} is no chain's; %llm resume {told.id} asks for what is left of it.")
        if "definition" not in chain:
            raise UserError("the chain of this run was not kept (store.keep_prompts is digest); run it again.")
        if told.told.get("chain") and not any(told.told["chain"]["errors"]):
            raise UserError(f"the chain of run {told.id} has come to its end, so nothing is left to ask.")
        _of_the_same(told, simulating)
        return told, tuple(places)

    def _ledger(self) -> Ledger:
        store = self.store
        if store is None:
            raise UserError("nothing is kept, for store.enabled is false; switch it on: %llm config store.enabled true")
        if store.database.problem is None:
            store.database.flush()
        return store.ledger


def _left_out(request: Request) -> Collection[str]:
    return PROVIDERS[request.model.vendor.kind].encode(request).notices


_OTHERS: Final = (
    "run {} was asked of the simulator, and the rest would be asked of models; to go on as it began: %llm simulate on",
    "run {} was asked of models, and the rest would be asked of the simulator; to go on as it began: %llm simulate off",
)


def _of_the_same(told: RunTold, simulating: bool) -> None:
    if bool(told.about.get("simulated", False)) != simulating:
        raise UserError(_OTHERS[simulating].format(told.id))


def _complete(told: RunTold, places: Sequence[CallTold]) -> str:
    failed = sum(place.error is not None for place in places)
    more = f"; {failed:,} failed: add --errors to ask those again." if failed else ", so nothing is left to ask."
    return f"every call of run {told.id} has an outcome{more}"


def _again(place: CallTold, model: ModelSpec) -> Any:
    """The same question. Where the address has changed it would be another one."""
    if place.request is None:
        raise UserError(
            "prompts of this run were not kept (store.keep_prompts is digest, or they hold a key), so it cannot be resumed; run the cell again."
        )
    request = request_of(place, model)
    if request.key != place.key:
        raise UserError(f"{place.model} has another address now than in this run; run the cell again.")
    return request


def when(at: float) -> str:
    """A moment for people, by this machine's clock."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


async def written_down(run: Run, calls: Sequence[Call], book: Book) -> Run:
    """The run when it is on disk, with what the user should know of that. An interrupt goes on without waiting: what is handed over is written all the same."""
    run = replace(run, notices=(*run.notices, *_of_cache(book), *_open_ends(run)))
    told = {"notices": [*run.notices], "wall_s": run.wall_s}
    if run.chained:
        told["chain"] = _of_chain(run.chained if book.keeps_prompts else _without_texts(run.chained))
    with suppress(asyncio.CancelledError):
        await asyncio.shield(asyncio.to_thread(book.end, calls, told))
    if book.problem:
        lost = "These rows are in the DataFrame and not in the store; they are written when it can be, as long as this kernel runs."
        run = replace(run, notices=(*run.notices, f"{book.problem} {lost}"))
    return run


def _of_chain(chained: Chained) -> dict[str, Any]:
    return {name: getattr(chained, name) for name in OF_CHAIN_AT_ITS_END}


def _without_texts(chained: Chained) -> Chained:
    """Outputs and sentences may hold what was given to the chain; where prompts are not kept, they are not either."""
    errors = tuple(error and "failed; why was not kept (store.keep_prompts is digest)." for error in chained.errors)
    steps = tuple({**step, "why": ""} for step in chained.steps)
    return replace(chained, outputs=(None,) * len(chained.outputs), errors=errors, steps=steps)


def _of_cache(book: Book) -> Iterator[str]:
    if book.served:
        yield f"{book.served:,} answered from the cache, the oldest of {when(book.oldest)}; --fresh asks anew."


def _open_ends(run: Run) -> Iterator[str]:
    if run.chained:
        return  # it has steps left, and says so itself
    if left := sum(call.error is not None and call.error.kind in NOT_ASKED for call in run.calls):
        yield f"{left:,} without an answer: %llm resume {run.id} asks only for these."
