"""Reading the ledger: every row's seal is checked, a damaged one is counted and otherwise as if it were not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from orchestrator_nb.calls import Response
from orchestrator_nb.canonical import digest
from orchestrator_nb.errors import StoreError
from orchestrator_nb.records import response_of
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import seal
from orchestrator_nb.store.told import CallTold, RunTold, Spent, kind_of, totals

_RUNS: Final = (
    "SELECT runs.id, name, runs.at, runs.payload, runs.digest, ends.at, ends.payload, ends.digest"
    " FROM runs LEFT JOIN ends ON ends.run = runs.id"
)
_PLACES: Final = (
    "SELECT items.number, hex(requests.key), requests.payload, items.payload, items.digest FROM items"
    " LEFT JOIN requests ON requests.id = items.request WHERE items.run = ? ORDER BY items.number"
)
_CALLS: Final = (
    "SELECT calls.number, calls.turn, calls.payload, calls.digest, calls.answer, answers.space, answers.good, answers.at, answers.payload,"
    " answers.digest FROM calls LEFT JOIN answers ON answers.id = calls.answer WHERE calls.run = ? ORDER BY calls.turn, calls.id"
)
_OUTCOMES: Final = (
    "SELECT calls.number, calls.turn, hex(requests.key), calls.payload, calls.digest FROM calls"
    " LEFT JOIN requests ON requests.id = calls.request WHERE calls.run = ? ORDER BY calls.turn, calls.id"
)
_ATTEMPTS: Final = (
    "SELECT attempts.id, attempts.run, attempts.at, attempts.payload, attempts.digest, settlements.payload, settlements.digest"
    " FROM attempts LEFT JOIN settlements ON settlements.attempt = attempts.id"
)
_SERVED: Final = (
    "SELECT calls.run, calls.number, calls.turn, hex(requests.key), calls.payload, calls.digest, items.payload, items.digest FROM calls"
    " JOIN items ON items.run = calls.run AND items.number = calls.number JOIN requests ON requests.id = items.request"
    ' WHERE (calls.payload LIKE \'%"source":"cache"%\' OR calls.payload LIKE \'%"source":"replay"%\')'
)


class Reading:
    """The ledger's questions to the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._database.reading() as connection:
            return connection.execute(sql, values).fetchall()

    def runs(self, limit: int | None) -> list[RunTold]:
        """The newest first."""
        rows = self._all(f"{_RUNS} ORDER BY runs.at DESC, runs.rowid DESC LIMIT ?", -1 if limit is None else limit)
        return [told if told.ended_at else self._counted(row[0], told) for row in rows if (told := _run(row))]

    def _counted(self, run: int, told: RunTold) -> RunTold:
        """A run without an end: its outcomes tell; what was asked and answered is not read for it."""
        newest: dict[int, Mapping[str, Any]] = {}
        damaged = 0
        for number, turn, key, written, sealed in self._all(_OUTCOMES, run):
            if seal("calls", run, number, turn, (key or "").lower(), written) == sealed:
                newest[number] = json.loads(written)
            else:
                damaged += 1
        counted = totals((outcome["source"], kind_of(outcome)) for outcome in newest.values())
        [(items,)] = self._all("SELECT count(*) FROM items WHERE run = ?", run)
        return replace(told, items=items, **counted, damaged=told.damaged + damaged)

    def number(self, run_id: str) -> int:
        """The run's row."""
        return int(self._row(run_id)[0])

    def turn(self, number: int) -> int:
        """How often the run of this row was taken up again until now."""
        [(turn,)] = self._all("SELECT coalesce(max(turn), 0) FROM calls WHERE run = ?", number)
        return int(turn)

    def _row(self, run_id: str) -> tuple[Any, ...]:
        rows = self._all(f"{_RUNS} WHERE name = ?", run_id)
        if not rows:
            raise StoreError(f"there is no run {run_id!r} in this store; %llm runs lists them.")
        return rows[0]

    def run(self, run_id: str) -> tuple[RunTold, list[CallTold]]:
        """A run and its places."""
        row = self._row(run_id)
        if (told := _run(row)) is None:
            raise StoreError(f"the record of run {run_id!r} is damaged; onb store check tells what else is.")
        places = self._places(row[0])
        return _summed(told, places), places

    def _places(self, run: int) -> list[CallTold]:
        places = {place.number: place for row in self._all(_PLACES, run) for place in [_place(run, *row)]}
        for number, *row in self._all(_CALLS, run):  # a later outcome takes an earlier one's place
            if number in places:
                places[number] = _with_outcome(run, places[number], *row)
        return list(places.values())

    def cost(self, by: str, *, simulated: bool) -> list[Spent]:
        """What was spent, the dearest group first."""
        names = _Names(by, {row[0]: told for row in self._all(_RUNS) if (told := _run(row))})
        sums: dict[str, Spent] = {}
        for run, at, model, spent in (*self._attempts(simulated), *self._saved()):
            name = names(run, at, model)
            sums[name] = _plus(sums.get(name, Spent(name)), spent)
        return sorted(sums.values(), key=lambda spent: (-spent.billed - spent.possibly, spent.name))

    def spent(self, run_id: str) -> Spent:
        """What one run has cost so far."""
        number, total = self.number(run_id), Spent(run_id)
        for *_, spent in (*self._attempts(False, number), *self._saved(number)):
            total = _plus(total, spent)
        return total

    def days(self, since: float) -> tuple[list[Spent], list[Spent]]:
        """What each day has cost since then, in no order: of vendors, and of the simulator."""
        day, sums = _Names("day"), dict[tuple[bool, str], Spent]()
        for run, at, sent, spent in self._sent(f"{_ATTEMPTS} WHERE attempts.at >= ?", since):
            key = bool(sent["simulated"]), day(run, at, "")
            sums[key] = _plus(sums.get(key, Spent(key[1])), spent)
        for run, at, _, spent in self._saved():
            if at >= since:
                key = False, day(run, at, "")
                sums[key] = _plus(sums.get(key, Spent(key[1])), spent)
        real = [spent for (simulated, _), spent in sums.items() if not simulated]
        return real, [spent for (simulated, _), spent in sums.items() if simulated]

    def _attempts(self, simulated: bool, only: int | None = None) -> Iterable[tuple[int, float, str, Spent]]:
        sql, values = (_ATTEMPTS, ()) if only is None else (f"{_ATTEMPTS} WHERE attempts.run = ?", (only,))
        for run, at, sent, spent in self._sent(sql, *values):
            if simulated or not sent["simulated"]:
                yield run, at, sent["model"], spent

    def _sent(self, sql: str, *values: Any) -> Iterable[tuple[int, float, Mapping[str, Any], Spent]]:
        for number, run, at, written, sealed, end, end_seal in self._all(sql, *values):
            if seal("attempts", number, run, at, written) != sealed:
                continue
            sent = json.loads(written)
            sound = end is not None and seal("settlements", number, end) == end_seal
            yield run, at, sent, _charged(sent, json.loads(end) if sound else {})

    def _saved(self, only: int | None = None) -> Iterable[tuple[int, float, str, Spent]]:
        sql, values = (_SERVED, ()) if only is None else (f"{_SERVED} AND calls.run = ?", (only,))
        for run, number, turn, key, written, sealed, item, item_seal in self._all(sql, *values):
            key = key.lower()  # noqa: PLW2901
            if (
                seal("calls", run, number, turn, key, written) == sealed
                and seal("items", run, number, key, item) == item_seal
            ):
                call = json.loads(written)
                if call.get("recorded") == "simulated":  # which was never paid for
                    continue
                yield run, call.get("at") or 0.0, json.loads(item)["model"], Spent(saved=_usd(call.get("usd")))


def _run(row: tuple[Any, ...]) -> RunTold | None:
    number, name, at, written, sealed, end_at, end, end_seal = row
    if seal("runs", name, at, written) != sealed:
        return None
    about = json.loads(written)
    told = RunTold(name, at, items=about.pop("items"), about=about)
    if end is None:
        return told
    if seal("ends", number, end_at, end) != end_seal:
        return replace(told, damaged=1)
    ended = json.loads(end)
    totals = ended.pop("totals")
    return replace(told, ended_at=end_at, told=ended, **totals)


def _place(run: int, number: int, key: str | None, request: Any, written: str, sealed: bytes) -> CallTold:
    key = (key or "").lower()
    if seal("items", run, number, key, written) != sealed:
        return CallTold(number, "", "", 0, 0, {}, damaged=True)
    told = json.loads(written)
    sound = isinstance(request, str) and digest(request) == key  # a flipped bit can make bytes of a text
    record = json.loads(request) if request is not None and sound else None
    inputs, damaged = dict(told.get("inputs", ())), request is not None and not sound
    return CallTold(
        number, told["model"], key, told["row"], told["repeat"], inputs, record, damaged=damaged, at=told.get("at", {})
    )


def _with_outcome(
    run: int, place: CallTold, turn: int, written: str, sealed: bytes, answer: int | None, *row: Any
) -> CallTold:
    if seal("calls", run, place.number, turn, place.key, written) != sealed:
        return replace(place, damaged=True)
    outcome = json.loads(written)
    response = None if answer is None else read_answer(place.key, *row)
    damaged = answer is not None and response is None
    return replace(
        place, outcome=outcome, error=outcome.get("error"), response=response, damaged=place.damaged or damaged
    )


def read_answer(key: str, space: Any, good: Any, at: Any, written: Any, sealed: Any) -> Response | None:
    """An answer whose seal is right for this key; ``None`` for a damaged one, and for one of a later version."""
    if seal("answers", key, space, good, at, written) != sealed:
        return None
    try:
        return response_of(json.loads(written))
    except ValueError:
        return None


def _summed(told: RunTold, places: list[CallTold]) -> RunTold:
    counted = totals((place.outcome["source"], kind_of(place.outcome)) for place in places if place.outcome)
    damaged = told.damaged + sum(place.damaged for place in places)
    return replace(told, items=len(places), **counted, damaged=damaged)


def _charged(sent: Mapping[str, Any], end: Mapping[str, Any]) -> Spent:
    billed = end.get("billed", "maybe")
    if billed == "no":
        return Spent(attempts=1)
    if billed == "yes":
        return Spent(attempts=1, billed=_usd(end.get("usd")), unpriced=int("usd" not in end))
    return Spent(attempts=1, possibly=_usd(sent["worst"]), ambiguous=1, unpriced=int(sent["worst"] is None))


def _usd(text: str | None) -> Decimal:
    return Decimal(text or 0)


def _plus(a: Spent, b: Spent) -> Spent:
    return Spent(
        a.name,
        a.attempts + b.attempts,
        a.billed + b.billed,
        a.possibly + b.possibly,
        a.saved + b.saved,
        a.ambiguous + b.ambiguous,
        a.unpriced + b.unpriced,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Under which name money is counted."""

    by: str
    runs: Mapping[int, RunTold] = field(default_factory=dict)

    def __call__(self, run: int, at: float, model: str) -> str:
        told = self.runs.get(run)
        names: dict[str, Callable[[], str]] = {
            "model": lambda: model,
            "day": lambda: datetime.fromtimestamp(at, UTC).astimezone().date().isoformat(),
            "run": lambda: told.id if told else "",
            "notebook": lambda: str(told.about.get("notebook") or "") if told else "",
        }
        return names[self.by]()
