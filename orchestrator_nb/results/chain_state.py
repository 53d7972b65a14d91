"""What is known of a chain while it runs: a pure state machine that hears of steps and calls. `ChainProgress` draws it.

`told` and `heard` cost the same however long the chain and the run are; what is kept are the steps that began, the calls under way, and the end of the text
of `STREAMS` calls. Both may be called on another thread than the drawing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator_nb.calls import Delta, Event, Retrying, Started
from orchestrator_nb.chains.walk import Began, Ended, Mapped, News, Proposed
from orchestrator_nb.results.progress import held_by, in_words
from orchestrator_nb.results.summary import outcome
from orchestrator_nb.runs import Call, Item

STREAMS: Final = 3
"""Calls whose text is shown at the same time."""
TAIL: Final = 1200
"""Characters of a streaming text that are kept: its end."""


def _nothing() -> Sequence[Sketch]:
    return ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a picture needs to know of a planned step (`chain_sketch` makes it).

    ``needs`` are ids of its neighbours, ``wave`` tells how many of them come one after the other before it. It ``maps`` a list, or takes up to ``turns``, which ``may_end_early``.
    ``calls`` come one after the other in it, ``None`` where nobody knows. ``parts`` makes what is in it; of those it may ``choose`` one.
    """

    id: str
    path: str
    needs: frozenset[str] = frozenset()
    wave: int = 0
    maps: bool = False
    turns: int = 0
    may_end_early: bool = False
    on_error: str = "fail"
    calls: int | None = None
    chooses: bool = False
    parts: Callable[[], Sequence[Sketch]] = _nothing


@dataclass(slots=True)
class Step:
    """What is known of a step so far, of all rows, items and turns together."""

    plan: Sketch
    above: Step | None = None
    parts: list[Step] = field(default_factory=list)
    under_way: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    why: str = ""
    note: str = ""
    began: float | None = None
    ended: float | None = None
    items: int = 0
    items_done: int = 0
    turn: int = 0
    open: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    usd: float = 0.0
    unknown: int = 0

    @property
    def over(self) -> int:
        """How often it has ended, in whatever way."""
        return self.done + self.skipped + self.failed

    @property
    def calls(self) -> int:
        """Calls that have ended."""
        return self.outcomes.total()

    def lineage(self) -> Iterator[Step]:
        """The step and those that it is in."""
        step: Step | None = self
        while step is not None:
            yield step
            step = step.above


@dataclass(slots=True)
class Stream:
    """The text of a call as it arrives. ``whole``: from its beginning."""

    title: str
    state: str
    tail: str = ""
    whole: bool = True
    open: bool = True

    def add(self, text: str) -> None:
        """The next piece."""
        kept = self.tail + text
        self.whole = self.whole and len(kept) <= TAIL
        self.tail = kept[-TAIL:]


@dataclass(slots=True)
class _Open:
    """A call that has not ended."""

    step: Step
    title: str
    began: float | None = None
    held: str = ""
    state: str = ""
    said: bool = False
    stream: Stream | None = None


class ChainState:
    """Feed it with ``told(row, news)`` of the steps and ``heard(number, news)`` of the calls; read it under its ``lock``. ``now`` is a monotonic clock in seconds."""

    def __init__(
        self, name: str, steps: Sequence[Sketch], *, rows: int = 1, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self.rows, self.now = name, rows, now
        self.lock = threading.Lock()
        self.began = now()
        self.whole = Step(Sketch("", ""))
        self.steps = [Step(plan) for plan in steps]
        self.streams: list[Stream] = []
        self.rows_done = self.rows_failed = 0
        self.spent_s, self.spans = 0.0, 0
        self.ended: list[Step] = []
        self._known = {step.plan.path: step for step in self.steps}
        self._left: dict[int, int] = {}
        self._under_way: set[Hashable] = set()
        self._open: dict[int, _Open] = {}

    def told(self, row: int, news: News) -> None:
        """A step of ``row`` begins, has ended, or knows its items."""
        with self.lock:
            if isinstance(news, Began):
                self._begin(row, news)
            elif isinstance(news, Ended):
                self._end(row, news)
            elif isinstance(news, Mapped):
                self._mapped(news)
            elif isinstance(news, Proposed):
                refused = f"proposed steps are refused: {news.problems[0]}" if news.problems else ""
                self._step(news.where.step).note = refused

    def heard(self, number: int, news: Item | Event | Call) -> None:
        """A question arises, something happens to it, its call has ended."""
        if isinstance(news, Delta) and self._passes(number):
            return
        with self.lock:
            if isinstance(news, Item):
                self._arise(number, news)
            elif isinstance(news, Call):
                self._finish(number, news)
            elif number in self._open:
                self._note(self._open[number], news)

    # Steps

    def _begin(self, row: int, news: Began) -> None:
        step = self._step(news.where.step)
        self._under_way.add((row, news.where))
        if self.rows == 1 and not step.under_way:  # of a step that runs again, the time and the items of this time
            step.began, step.items, step.items_done, step.turn = self.now(), 0, 0, 0
        elif step.began is None:
            step.began = self.now()
        step.under_way += 1
        step.ended = None
        if step.above is None:
            self._left.setdefault(row, len(self.steps))
        self._turns(step.above, news.where.turns)
        if not step.parts and not step.plan.chooses:
            step.parts = [self._made(part, step) for part in step.plan.parts()]

    def _end(self, row: int, news: Ended) -> None:
        step = self._step(news.where.step)
        if (row, news.where) in self._under_way:
            self._under_way.discard((row, news.where))
            step.under_way -= 1
        match news.outcome:
            case "done":
                step.done += 1
            case "skipped":
                step.skipped += 1
            case _:
                step.failed += 1
                step.why = news.why
        step.ended = self.now()
        if step.above is None:
            self._end_of_row(row, step, fatal=news.outcome == "failed" and step.plan.on_error == "fail")

    def _end_of_row(self, row: int, step: Step, *, fatal: bool) -> None:
        """A row is done when all its steps have ended; one that ends the chain with its failure fails it."""
        if self.rows == 1:
            self.ended.append(step)
        left = self._left.get(row, len(self.steps)) - 1
        if left < 0:
            return
        self._left[row] = -1 if fatal else left
        if fatal:
            self.rows_failed += 1
        elif left == 0:
            self._left[row] = -1
            self.rows_done += 1

    def _mapped(self, news: Mapped) -> None:
        step = self._step(news.where.step)
        if news.done:
            step.items_done += 1
        else:
            step.items += news.items

    def _step(self, path: str) -> Step:
        """The step at ``path``; one that was not planned stands in the one that its path leads through."""
        if path not in self._known:
            cut = max(path.rfind("."), path.rfind("/"))
            above = self._step(path[:cut]) if cut > 0 else None
            plan = self._planned(above, path) or Sketch(path[cut + 1 :], path)
            step = self._made(plan, above)
            (above.parts if above else self.steps).append(step)
        return self._known[path]

    def _planned(self, above: Step | None, path: str) -> Sketch | None:
        parts = above.plan.parts() if above else ()
        return next((part for part in parts if part.path == path), None)

    def _made(self, plan: Sketch, above: Step | None) -> Step:
        self._known[plan.path] = step = Step(plan, above)
        return step

    def _turns(self, step: Step | None, turns: Sequence[int]) -> None:
        """The innermost loop around is in this turn."""
        looping = next((found for found in step.lineage() if found.plan.turns), None) if step and turns else None
        if looping:
            looping.turn = turns[-1]

    # Calls

    def _arise(self, number: int, item: Item) -> None:
        step = self._step(str(item.at.get("step", "")))
        self._open[number] = _Open(step, _title(step, item, self.rows))
        for above in self._lineage(step):
            above.open += 1
        if turn := item.at.get("turn"):
            self._turns(step, (int(turn),))

    def _note(self, call: _Open, event: Event) -> None:
        self._hold(call, held_by(event))
        call.state = in_words(event)
        match event:
            case Started():
                call.began = self.now() if call.began is None else call.began
            case Delta(text):
                self._stream(call, text)
            case Retrying():
                call.said = False
                if call.stream:
                    call.stream.tail, call.stream.whole = "", True
        if call.stream:
            call.stream.state = call.state

    def _passes(self, number: int) -> bool:
        """A piece of a text that is not shown; hundreds of calls say little else. Read without the lock: at worst a piece is told in vain."""
        call = self._open.get(number)
        if call is None:
            return True
        return (
            call.stream is None
            and call.state == "answering"
            and len(self.streams) == STREAMS
            and all(stream.open for stream in self.streams)
        )

    def _stream(self, call: _Open, text: str) -> None:
        if call.stream is None:
            call.stream = self._place(call)
        if call.stream:
            call.stream.add(text)
        call.said = True

    def _place(self, call: _Open) -> Stream | None:
        """A place to be seen, until the call has ended: one that is free, or that of a text that is complete."""
        over = next((stream for stream in self.streams if not stream.open), None)
        if over is not None:
            self.streams.remove(over)
        elif len(self.streams) == STREAMS:
            return None
        self.streams.append(Stream(call.title, call.state, whole=not call.said))
        return self.streams[-1]

    def _hold(self, call: _Open, why: str) -> None:
        if why == call.held:
            return
        for step in self._lineage(call.step):
            if call.held:
                step.held[call.held] -= 1
                if not step.held[call.held]:
                    del step.held[call.held]
            if why:
                step.held[why] += 1
        call.held = why

    def _finish(self, number: int, call: Call) -> None:
        known = self._open.pop(number, None)
        if known is None:
            return
        self._hold(known, "")
        if known.began is not None:
            self.spent_s += self.now() - known.began
            self.spans += 1
        if known.stream:
            known.stream.open, known.stream.state = False, outcome(call)
        cost = call.answer.cost.usd if call.answer else None
        for step in self._lineage(known.step):
            step.open -= 1
            step.outcomes[outcome(call)] += 1
            step.usd += float(cost or 0)
            step.unknown += call.answer is not None and cost is None

    def _lineage(self, step: Step) -> Iterable[Step]:
        yield from step.lineage()
        yield self.whole


def _title(step: Step, item: Item, rows: int) -> str:
    """``row 4 · polish.critique · item 3 · turn 2 · anthropic/claude-haiku``, each with the number that it has in the frame."""
    loops = [f"{name} {item.at[name]}" for name in ("item", "turn") if name in item.at]
    parts = [f"row {item.row}" if rows > 1 else "", step.plan.path, *loops, item.request.model.ref]
    return " · ".join(part for part in parts if part)
