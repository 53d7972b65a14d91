"""What a grid tells the browser: its places once, then what has changed, in compact lists. `hear` only records; `tick` gives what is new since the last.

A place is a number: its index among the run's calls. Text goes to the browser only for places that it says are seen there, and only as much as a cell can show; the whole of
one text goes when somebody opens its cell.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from orchestrator_nb.calls import Delta, Event, Retrying, Started, ThinkingDelta, Timed, Waiting
from orchestrator_nb.results.advice import advice
from orchestrator_nb.results.page import cut
from orchestrator_nb.results.progress import held_by
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.results.summary import outcome
from orchestrator_nb.runs import Call, Item

MOST: Final = 10_000
"""Calls of a run that the grid takes; for a larger one there are counts."""
SHOWN: Final = 800
"""Characters of an answer that a cell holds: its end while it streams, its beginning afterwards."""
FULL: Final = 200_000
"""Characters of an answer that an opened cell holds."""
HEAD: Final = 200
"""Characters of a prompt at the head of its row."""
VIEWS: Final = 8
"""Places in which the same grid may be looked at; the oldest is forgotten."""

STATES: Final = (
    *("queued", "asked", "thinking", "answering", "waiting", "retrying"),
    *("live", "cached", "replayed", "simulated", "failed", "cancelled", "skipped", "over budget"),
)
"""What a call may be doing, and how it may have ended; why it waits is added as it comes up."""
_QUEUED, _ASKED, _THINKING, _ANSWERING = range(4)
_REASONS: Final = 60


@dataclass(slots=True)
class Cell:
    """What is known of one call so far; times are seconds since the run began."""

    state: int = _QUEUED
    began: float | None = None
    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    call: Call | None = None


class Feed:
    """The calls of one run. ``hear`` may be called on another thread than the rest; ``budget`` is USD, ``place`` turns an index that is heard into a place."""

    def __init__(
        self,
        items: Iterable[Item],
        *,
        budget: float | None = None,
        place: Callable[[int], int] = int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.items = tuple(items)
        self._layout = Layout(self.items)
        self._budget, self._place, self._now, self._start = budget, place, now, now()
        self._lock = threading.Lock()
        self._cells = [Cell() for _ in self.items]
        self._names = list(STATES)
        self._codes = {name: code for code, name in enumerate(STATES)}
        self._told_names = 0
        self._changed: set[int] = set()
        self._fresh: set[int] = set()
        self._views: dict[str, frozenset[int]] = {}
        self._sent: dict[int, int] = {}
        self._money: dict[str, float] = {}
        self._ended: Counter[str] = Counter()
        self.wall_s: float | None = None
        self._ends = False

    @classmethod
    def of(cls, calls: Sequence[Call], wall_s: float) -> Feed:
        """That of a run that has ended."""
        made = cls(call.item for call in calls)
        made.finish(calls, wall_s)
        return made

    # What happens

    def hear(self, index: int, news: Event | Call) -> None:
        """Something happened to a call."""
        number = self._place(index)
        with self._lock:
            if type(news) is Delta:  # nearly all news are
                self._say(number, news.text)
            elif isinstance(news, Call):
                self._end(number, news)
            else:
                self._note(number, news)

    def end(self, number: int, call: Call) -> None:
        """The call at a place is over."""
        with self._lock:
            self._end(number, call)

    def finish(self, calls: Sequence[Call], wall_s: float) -> None:
        """The run has ended, and these are its calls, one for each place."""
        with self._lock:
            for number, call in enumerate(calls):
                self._end(number, call)
            self.wall_s, self._ends = wall_s, True

    def _say(self, number: int, text: str) -> None:
        cell = self._cells[number]
        cell.pieces.append(text)
        if cell.state != _ANSWERING:
            self._enter(number, _ANSWERING)
        if number in self._sent:
            self._fresh.add(number)

    def _note(self, number: int, event: Event) -> None:
        cell = self._cells[number]
        match event:
            case Started():
                cell.began = cell.began if cell.began is not None else self._now() - self._start
                self._enter(number, _ASKED)
            case ThinkingDelta(text):
                cell.thoughts.append(text)
                if cell.state != _THINKING:
                    self._enter(number, _THINKING)
            case Retrying():
                cell.pieces, cell.thoughts = [], []
                self._anew(number)
                self._enter(number, self._code(held_by(event)))
            case Waiting():
                self._enter(number, self._code(held_by(event)))
            case Timed():
                pass

    def _end(self, number: int, call: Call) -> None:
        cell = self._cells[number]
        if cell.call is call:
            return
        if cell.call is None:
            self._pay(call)
        else:
            self._ended[outcome(cell.call)] -= 1
        self._ended[outcome(call)] += 1
        cell.call, cell.pieces, cell.thoughts = call, [], []
        self._anew(number)
        self._enter(number, self._code(outcome(call)))

    def _pay(self, call: Call) -> None:
        """An unknown cost is counted, and never taken for nothing."""
        if (answer := call.answer) is None:
            return
        usd = answer.cost.usd
        name = "unknown" if usd is None else _PURSE.get(call.source, "paid")
        self._money[name] = self._money.get(name, 0) + (1 if usd is None else float(usd))

    def _enter(self, number: int, state: int) -> None:
        self._cells[number].state = state
        self._changed.add(number)

    def _anew(self, number: int) -> None:
        """What the browser has of this text is not the beginning of it any more."""
        if number in self._sent:
            self._sent[number] = -1
            self._fresh.add(number)

    def _code(self, name: str) -> int:
        if name not in self._codes:
            if len(self._names) >= len(STATES) + _REASONS:
                return self._codes["retrying" if name.startswith("retrying") else "waiting"]
            self._codes[name] = len(self._names)
            self._names.append(cut(plain(name), 80))
        return self._codes[name]

    # What the browser gets

    def watch(self, view: str, cells: Iterable[int]) -> None:
        """The browser shows these places in one of its ``view``s."""
        with self._lock:
            self._views.pop(view, None)
            self._views[view] = frozenset(cell for cell in cells if 0 <= cell < len(self._cells))
            while len(self._views) > VIEWS:
                self._views.pop(next(iter(self._views)))
            seen = frozenset().union(*self._views.values())
            self._sent = {number: self._sent.get(number, -1) for number in seen}
            self._sent |= dict.fromkeys(self._views[view], -1)
            self._fresh = {number for number in self._sent if self._sent[number] < 0} | (self._fresh & seen)

    def grid(self) -> dict[str, Any]:
        """All there is to know for the beginning; the texts follow."""
        with self._lock:
            told = {"names": list(self._names), "s": self._states(range(len(self._cells))), **self._totals()}
            self._changed.clear()
            self._told_names = len(self._names)
        return {"kind": "grid", **self._layout.told(), "budget": self._budget, **told}

    def tick(self) -> dict[str, Any] | None:
        """What is new since the last; ``None`` when nothing is."""
        with self._lock:
            if not (self._changed or self._fresh or self._ends):
                return None
            self._ends = False
            changed, self._changed = self._changed, set()
            fresh, self._fresh = self._fresh, set()
            told: dict[str, Any] = {"kind": "tick", "s": self._states(changed), **self._totals(), **self._texts(fresh)}
            if len(self._names) > self._told_names:
                told["names"] = list(self._names)
                self._told_names = len(self._names)
        return told

    def full(self, number: int, since: int = 0) -> dict[str, Any]:
        """One cell with all that is known of it; of a text that still streams what comes after its first ``since`` characters."""
        item = self.items[number]
        with self._lock:
            cell = self._cells[number]
            call, state = cell.call, self._names[cell.state]
            text, thoughts = "".join(cell.pieces), "".join(cell.thoughts)
        about: dict[str, Any] = {"model": item.request.model.ref, "state": state, "prompt": item.request.prompt}
        if call is None:
            since = since if 0 < since <= len(text) else 0
            about |= {"text": text[since:], "thinking": thoughts, "since": since, "size": len(text)}
        else:
            about |= {**told_of(call), "since": 0}
        return {"kind": "full", "cell": number, "running": call is None, "more": _more(about), **_bounded(about)}

    def find(self, text: str) -> list[int] | None:
        """The places whose prompt or answer holds the text, whatever the case; ``None``: all."""
        wanted = text.casefold().strip()
        return [number for number in range(len(self.items)) if wanted in self._hay(number)] if wanted else None

    def call(self, number: int) -> Call | None:
        """The call at a place, once it has ended."""
        return self._cells[number].call if 0 <= number < len(self._cells) else None

    def _hay(self, number: int) -> str:
        cell = self._cells[number]
        said = answer.text if cell.call and (answer := cell.call.answer) else "".join(cell.pieces)
        failed = str(cell.call.error) if cell.call and cell.call.error else ""
        return f"{self.items[number].request.prompt}\n{said}\n{failed}".casefold()

    def _totals(self) -> dict[str, Any]:
        over = self.wall_s is not None
        spent_s = self.wall_s if self.wall_s is not None else self._now() - self._start
        return {"t": round(spent_s, 2), "ended": +self._ended, "money": dict(self._money), "over": over}

    def _states(self, numbers: Iterable[int]) -> list[Any]:
        """Five values for each: place, state, seconds of its beginning (while it runs) or that it took, USD, time to the first text."""
        told: list[Any] = []
        for number in numbers:
            cell = self._cells[number]
            call = cell.call
            if call is None:
                told += (number, cell.state, None if cell.began is None else round(cell.began, 2), None, None)
            else:
                told += (number, cell.state, _round(call.latency_s), _usd(call), _round(call.ttft_s))
        return told

    def _texts(self, numbers: Iterable[int]) -> dict[str, list[Any]]:
        """``x``: place and what is to be added; ``r``: place and what is to stand there instead."""
        added: list[Any] = []
        instead: list[Any] = []
        for number in numbers:
            if (sent := self._sent.get(number)) is None:
                continue
            cell = self._cells[number]
            if cell.call is not None:
                instead += (number, _glance(cell.call))
            elif sent < 0:
                instead += (number, plain("".join(cell.pieces)[-SHOWN:]))
            else:
                added += (number, plain("".join(cell.pieces[sent:])))
            self._sent[number] = len(cell.pieces)
        return {"x": added, "r": instead}


class Layout:
    """Which row and column each place has: a row for each prompt, a column for each model and repeat."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._columns: dict[tuple[str, str, int, int], int] = {}
        self._rows: dict[int, int] = {}
        self._heads: list[str] = []
        self._at: list[int] = []
        taken: set[tuple[int, int]] = set()
        for item in items:
            row = self._row(item)
            column = next(one for turn in count() if (row, one := self._column(item, turn)) not in taken)
            taken.add((row, column))
            self._at += (row, column)

    def told(self) -> dict[str, Any]:
        """As the browser gets it; ``at`` is the row and the column of each place."""
        several = len({repeat for _, _, repeat, _ in self._columns}) > 1
        names = _short_names({model for _, model, _, _ in self._columns})
        columns = [
            _column_name(step, names[model], repeat, turn, several) for step, model, repeat, turn in self._columns
        ]
        return {"columns": columns, "rows": self._heads, "at": self._at}

    def _row(self, item: Item) -> int:
        if item.row not in self._rows:
            self._rows[item.row] = len(self._rows)
            self._heads.append(plain(cut(" ".join(item.request.prompt[: 4 * HEAD].split()), HEAD)))
        return self._rows[item.row]

    def _column(self, item: Item, turn: int) -> int:
        """``turn`` counts the calls of a chain that stand in the same place."""
        key = str(item.at.get("step", "")), item.request.model.ref, item.repeat, turn
        return self._columns.setdefault(key, len(self._columns))


def _short_names(refs: set[str]) -> dict[str, str]:
    """Models without their vendors, where that leaves them different."""
    short = {ref: ref.partition("/")[2] or ref for ref in refs}
    return short if len(set(short.values())) == len(refs) else {ref: ref for ref in refs}


def _column_name(step: str, model: str, repeat: int, turn: int, several: bool) -> str:
    parts = [
        f"{step}: {model}" if step else model,
        f"no. {repeat + 1}" if several else "",
        f"({turn + 1})" if turn else "",
    ]
    return plain(" ".join(filter(None, parts)))


def told_of(call: Call) -> dict[str, Any]:
    """A call that has ended, in words and numbers."""
    answer, error = call.answer, call.error
    about: dict[str, Any] = {"text": answer.text if answer else "", "thinking": answer.thinking if answer else ""}
    if error is not None:
        about |= {"error": str(error), "todo": advice(error.kind)}
    facts: dict[str, Any] = {
        "call": call.id,
        "attempts": call.attempts,
        "latency_s": call.latency_s,
        "ttft_s": call.ttft_s,
    }
    if answer is not None:
        facts |= {
            "answered by": answer.model,
            "tokens in": answer.usage.input,
            "tokens out": answer.usage.output,
            "usd": _usd(call),
            "ended": answer.finish_raw or answer.finish,
        }
    return {**about, "facts": {name: value for name, value in facts.items() if value is not None}}


def _bounded(about: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cut(value) for name, value in about.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return _bounded(value)
    return plain(value[:FULL]) if isinstance(value, str) else value


def _more(about: Mapping[str, Any]) -> int:
    """Characters of the text that are left out."""
    return max(0, len(about["text"]) - FULL)


def _glance(call: Call) -> str:
    """What a cell shows of it."""
    answer = call.answer
    return plain((str(call.error) if call.error else answer.text if answer else "")[:SHOWN])


def _usd(call: Call) -> float | None:
    answer = call.answer
    return None if answer is None or answer.cost.usd is None else float(answer.cost.usd)


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


_PURSE: Final = {"live": "paid", "cache": "saved", "replay": "saved", "simulated": "would cost"}
