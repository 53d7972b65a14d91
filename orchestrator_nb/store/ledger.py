"""Runs as they happen: what was asked, of whom, what went over the wire, how it ended and what it cost.

An attempt is written when it is sent and again when it ends. One whose end nobody wrote (the process was killed, the line went dead) is ambiguous:
the vendor may have billed it, so it counts at its worst case, apart from what is known. Money is `Decimal`, as text on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any, Final, Literal

from orchestrator_nb.calls import Response, Usage
from orchestrator_nb.canonical import canonical, ordered
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import StoreError
from orchestrator_nb.records import usage_record
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.answers import Answers, numbers, request_row, space_of
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.reading import Reading
from orchestrator_nb.store.rows import Row, seal
from orchestrator_nb.store.told import CallTold, RunTold, Spent, kind_of, totals

Billed = Literal["no", "maybe", "yes"]
TOGETHER: Final = 500
"""Places of a grid that are handed over at once: two threads that take turns with Python's lock for each of them would take longer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request on its way. ``worst`` is the most it can cost in USD, ``None`` when nobody knows; ``simulated`` money is nobody's."""

    id: int
    run: int
    worst: Decimal | None = None
    durable: bool = False
    simulated: bool = False


@dataclass(slots=True)
class _Open:
    """A run that is being written: its row's number, whether its rows must survive a power cut, and each place's newest source and kind of error."""

    number: int
    durable: bool
    turn: int = 0
    """How often it was taken up again: an outcome of a later turn takes the place of an earlier one."""
    outcomes: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    items: int = 0

    @property
    def totals(self) -> dict[str, Any]:
        """What a list of runs shows of it."""
        return {"items": self.items, **totals(self.outcomes.values())}


class Ledger:
    """Writes runs to a store and reads them back. Never waits for the disk, except in `ended` and where it says so.

    ``keep_prompts`` False writes the questions' keys and no prompt or template variable; ``clean`` takes vendors' keys out of a text. Every method may raise `StoreError`.
    """

    def __init__(
        self, database: Database, answers: Answers, *, keep_prompts: bool = True, clean: Callable[[str], str] = str
    ) -> None:
        self._database, self._answers, self._keep_prompts, self._clean = database, answers, keep_prompts, clean
        self._numbers = numbers()
        self._open: dict[str, _Open] = {}
        self._reading = Reading(database)

    def begin(
        self, run_id: str, items: Iterable[Item], about: Mapping[str, Any], models: Iterable[ModelSpec] = ()
    ) -> None:
        """A run starts. ``about`` is JSON: notebook, cell, versions, settings. Writing that failed before is tried again, and raises when it still fails.

        With paid models (neither simulated nor on this machine) its rows are on the disk itself before they are acknowledged; ``models`` are those that are asked
        later (`add`).
        """
        if self._database.problem:
            self._database.retry()
        self._answers.begin()
        planned = list(items)
        vendors = {id(model.vendor): model.vendor for model in (*models, *(item.request.model for item in planned))}
        paid = any(not vendor.simulated and not vendor.is_local for vendor in vendors.values())
        run = _Open(next(self._numbers), durable=paid, items=len(planned))
        self._open[run_id] = run
        told = ordered({**about, "items": len(planned), "durable": paid})
        at, written = self._database.clock.wall(), self._clean(told)
        self._database.put(Row("runs", (run.number, run_id, at, written, seal("runs", run_id, at, written)), paid))
        for start in range(0, len(planned), TOGETHER):
            some = enumerate(planned[start : start + TOGETHER], start)
            self._database.put(*chain.from_iterable(self._item_rows(run.number, number, item) for number, item in some))

    def add(self, run_id: str, number: int, item: Item) -> None:
        """A question arises while the run is under way. It is written when its first attempt is."""
        run = self._of(run_id)
        run.items += 1
        self._database.put(*self._item_rows(run.number, number, item), asked=True)  # with the attempt

    def resume(self, run_id: str) -> list[CallTold]:
        """Write on in a run that was broken off; its places, so that only those without an outcome (or with an error) are asked. Raises `StoreError` for none."""
        told, places = self.run(run_id)
        outcomes = {
            place.number: (place.outcome["source"], kind_of(place.outcome)) for place in places if place.outcome
        }
        number = self._reading.number(run_id)
        durable, turn = bool(told.about.get("durable")), self._reading.turn(number) + 1
        self._open[run_id] = _Open(number, durable, turn, outcomes, len(places))
        return places

    def _item_rows(self, run: int, number: int, item: Item) -> tuple[Row, Row]:
        request = item.request
        about = {
            "model": request.model.ref,
            "row": item.row,
            "repeat": item.repeat,
            **({"at": dict(item.at)} if item.at else {}),
        }
        if self._keep_prompts and item.inputs:
            about["inputs"] = [[str(name), shown(value)] for name, value in item.inputs.items()]  # in their order
        written, key = canonical(about), request.key
        written = self._clean(written) if "inputs" in about or "at" in about else written
        values = (run, number, written, seal("items", run, number, key, written), bytes.fromhex(key))
        return request_row(request, keep=self._keep_prompts, clean=self._clean), Row("items", values)

    def sent(
        self,
        run_id: str,
        *,
        model: str,
        key: str,
        number: int = 1,
        worst: Decimal | None = None,
        simulated: bool = False,
    ) -> Attempt:
        """Attempt ``number`` of a question is about to go out. It is written when that is asked for: ``await asyncio.wrap_future(database.written())``."""
        run = self._of(run_id)
        attempt = Attempt(next(self._numbers), run.number, worst, run.durable, simulated)
        at = self._database.clock.wall()
        written = canonical(
            {"model": model, "key": key, "number": number, "worst": money(worst), "simulated": simulated}
        )
        values = (attempt.id, run.number, at, written, seal("attempts", attempt.id, run.number, at, written))
        self._database.put(Row("attempts", values, run.durable), asked=True)
        return attempt

    def settled(
        self,
        attempt: Attempt,
        *,
        billed: Billed,
        usd: Decimal | None = None,
        outcome: str = "ok",
        usage: Usage | None = None,
        request_id: str | None = None,
        status: int | None = None,
    ) -> None:
        """An attempt has ended. ``billed`` "maybe" is charged at its worst case; ``usd`` None with "yes" is a cost nobody knows. ``outcome`` is ok or an error's kind."""
        told = {
            "billed": billed, "usd": money(usd), "outcome": outcome, "usage": usage_record(usage) if usage else None,
            "request_id": request_id, "status": status, "at": self._database.clock.wall(),
        }  # fmt: skip
        written = canonical({name: value for name, value in told.items() if value is not None})
        values = (attempt.id, written, seal("settlements", attempt.id, written))
        self._database.put(Row("settlements", values, attempt.durable), asked=outcome == "ok")  # the call's end follows

    def finished(self, run_id: str, place: int, call: Call) -> None:
        """The call at ``place`` of the grid has its outcome; its answer is served from the cache from now on, if it is whole. Ask for it to be written."""
        run, key = self._of(run_id), call.item.request.key
        answer = self._answer_row(key, call, run)
        written = canonical(_outcome(call, kept=answer is not None))
        written = self._clean(written) if call.error else written
        served = space_of(call.answer) if call.answer and call.source == "cache" else None
        digest = seal("calls", run.number, place, run.turn, key, written)
        kept = answer.values[0] if answer else None
        values = (next(self._numbers), run.number, place, run.turn, written, kept, bytes.fromhex(key), served, digest)
        run.outcomes[place] = call.source, call.error.kind if call.error else None
        row = Row("calls", values, run.durable)
        self._database.put(*((answer, row) if answer else (row,)), asked=True)

    def _answer_row(self, key: str, call: Call, run: _Open) -> Row | None:
        """A cached answer stands here already; a replayed one is kept for its run's sake, and served to nobody."""
        if call.answer is None or call.source == "cache":
            return None
        if call.source == "replay":
            recorded = call.started_at or 0.0
            return self._answers.row(key, call.answer, good=False, durable=run.durable, recorded=recorded)
        return self._answers.row(key, call.answer, good=call.error is None, durable=run.durable)

    def ended(self, run_id: str, **told: Any) -> None:
        """The run is over; ``told`` is JSON that stands with it (seconds, notices). Waits until all of it is written."""
        run = self._open.pop(run_id, None) or self._of(run_id)
        at, written = self._database.clock.wall(), self._clean(ordered({**told, "totals": run.totals}))
        self._database.put(Row("ends", (run.number, at, written, seal("ends", run.number, at, written)), run.durable))
        self._database.flush()

    def _of(self, run_id: str) -> _Open:
        try:
            return self._open[run_id]
        except KeyError:
            raise StoreError(f"run {run_id!r} is not under way here; begin it first.") from None

    def runs(self, limit: int | None = None) -> list[RunTold]:
        """All runs, the newest first, or the ``limit`` newest."""
        return self._reading.runs(limit)

    def run(self, run_id: str) -> tuple[RunTold, list[CallTold]]:
        """One run and all its places, in the order of the grid, also those that were never asked. Raises `StoreError` when there is none."""
        return self._reading.run(run_id)

    def spent(self, run_id: str) -> Spent:
        """What one run has cost so far, without the simulator's money. Raises `StoreError` when there is no such run."""
        return self._reading.spent(run_id)

    def cost(self, by: Literal["model", "day", "run", "notebook"] = "model", *, simulated: bool = False) -> list[Spent]:
        """What was spent, by ``by``; simulated money only when asked for. Days are this machine's."""
        return self._reading.cost(by, simulated=simulated)

    def days(self, since: float) -> tuple[list[Spent], list[Spent]]:
        """What each day has cost since then (seconds since the epoch), in no order: of vendors, and of the simulator."""
        return self._reading.days(since)


def money(usd: Decimal | None) -> str | None:
    """An amount as text, which no float rounds."""
    return None if usd is None or not usd.is_finite() else str(usd)


def shown(value: Any, depth: int = 20) -> Any:
    """A template's variable as JSON: what has no such form, or nests deeper than ``depth``, is kept as its text."""
    if not depth:
        return str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # NaN and infinities are a gap in a frame
    if isinstance(value, list | tuple):
        return [shown(item, depth - 1) for item in value]
    if isinstance(value, Mapping):
        return {str(name): shown(item, depth - 1) for name, item in value.items()}
    scalar: Callable[[], Any] | None = getattr(value, "item", None)  # a number of numpy's
    return shown(scalar(), depth - 1) if callable(scalar) and getattr(value, "shape", None) == () else str(value)


def _outcome(call: Call, *, kept: bool) -> dict[str, Any]:
    told = {
        "id": call.id, "source": call.source, "at": call.started_at, "latency_s": call.latency_s,
        "ttft_s": call.ttft_s, "attempts": call.attempts, "error": _error(call), "usd": _usd(call.answer),
        "kept": None if kept or call.answer is None or call.source == "cache" else False, "recorded": call.recorded,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _error(call: Call) -> dict[str, Any] | None:
    error = call.error
    if error is None:
        return None
    told = {"kind": error.kind, "type": type(error).__name__, "message": str(error)}
    status, request_id = getattr(error, "status", None), getattr(error, "request_id", None)
    return {**told, **({"status": status} if status else {}), **({"request_id": request_id} if request_id else {})}


def _usd(answer: Response | None) -> str | None:
    return money(answer.cost.usd) if answer else None
