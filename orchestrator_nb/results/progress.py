"""A run while it runs: a pure state machine that is told what happens and can be drawn at any time.

One call: its text as it arrives. Up to ``large`` calls: a table with a row per call. More: a line per model with counts. Texts are shown escaped, for
formatting Markdown ten times a second costs more than the call itself; the finished answer is formatted once, by `results.reply`.

`feed` costs the same whatever the run's size, and `html` is bounded: at most ``large`` rows, `TAIL` characters of each text. `feed` may be called on
another thread than `html`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from orchestrator_nb.calls import Delta, Event, Retrying, Started, ThinkingDelta, Timed, Waiting
from orchestrator_nb.results.page import box, count, cut, money, row_of, seconds, table
from orchestrator_nb.results.reply import thinking_html
from orchestrator_nb.results.safe_text import escape, plain
from orchestrator_nb.results.summary import outcome
from orchestrator_nb.runs import Call, Item

LARGE: Final = 40
TAIL: Final = 300
"""Characters of a text that a row shows: its end."""
STREAM: Final = 20_000
"""Characters of a single answer that are shown while it streams: its end."""


@runtime_checkable
class Counted(Protocol):
    """Items that know their number per model without being built (`prompts.grid.Items`)."""

    @property
    def totals(self) -> dict[str, int]:
        """Calls per ``provider/model``."""
        ...


@dataclass(slots=True)
class Card:
    """What is known of one call so far."""

    model: str
    prompt: str
    state: str = "queued"
    tail: str = ""
    began: float | None = None
    call: Call | None = None


@dataclass(slots=True)
class Tally:
    """What is known of one model's calls in a large run."""

    total: int
    outcomes: Counter[str] = field(default_factory=Counter)
    usd: float = 0.0
    unknown: int = 0

    @property
    def done(self) -> int:
        """Calls that have ended."""
        return self.outcomes.total()


class Progress:
    """Feed it with what `fan_out` reports; draw it with `html` or `text`. ``now`` is a monotonic clock in seconds."""

    def __init__(self, items: Sequence[Item], *, large: int = LARGE, now: Callable[[], float] = time.monotonic) -> None:
        self.total = len(items)
        self._now, self._began = now, now()
        self._lock = threading.Lock()
        self._cards = [_card(item) for item in items] if self.total <= large else []
        self._tallies = {ref: Tally(total) for ref, total in _totals(items).items()}
        self._held: dict[int, str] = {}
        self._running: set[int] = set()
        self._stream: list[str] = []
        self._thinking: list[str] = []

    @property
    def done(self) -> int:
        """Calls that have ended, well or not."""
        return sum(tally.done for tally in self._tallies.values())

    def feed(self, index: int, news: Event | Call) -> None:
        """Something happened to item ``index``."""
        with self._lock:
            if isinstance(news, Call):
                self._end(index, news)
            else:
                self._note(index, news)

    __call__ = feed

    def html(self) -> str:
        """The state as HTML of bounded size."""
        with self._lock:
            head = f'<div class="onb-summary" role="status" aria-live="polite">{escape(self._headline())}</div>'
            if self.total == 1:
                return box(head, self._one())
            bar = f'<progress max="{self.total}" value="{self.done}" aria-label="finished calls"></progress>'
            return box(f"<div>{bar}</div>", head, self._table_of_calls() if self._cards else self._table_of_models())

    def text(self) -> str:
        """The state as plain lines."""
        with self._lock:
            if self.total == 1:
                return plain("".join(self._stream) or self._headline())
            lines = [f"  {c.model}: {c.state} {_told(c)}".rstrip() for c in self._cards] or [
                f"  {ref}: {tally.done:,} of {tally.total:,}" for ref, tally in self._tallies.items()
            ]
            return plain("\n".join([self._headline(), *lines]))

    # What happens

    def _note(self, index: int, event: Event) -> None:
        state = in_words(event)
        if why := held_by(event):
            self._held[index] = why
        else:
            self._held.pop(index, None)
        self._running.add(index)
        if self._cards:
            self._note_card(self._cards[index], event, state)

    def _note_card(self, card: Card, event: Event, state: str) -> None:
        card.state = state
        match event:
            case Started():
                card.began = card.began if card.began is not None else self._now()
            case Delta(text):
                card.tail = (card.tail + text)[-TAIL:]
            case ThinkingDelta():
                pass
            case Retrying():
                card.tail = ""
        if self.total == 1:
            self._note_stream(event)

    def _note_stream(self, event: Event) -> None:
        match event:
            case Delta(text):
                self._stream.append(text)
            case ThinkingDelta(text):
                self._thinking.append(text)
            case Retrying():
                self._stream.clear()
                self._thinking.clear()

    def _end(self, index: int, call: Call) -> None:
        self._held.pop(index, None)
        self._running.discard(index)
        tally = self._tallies.setdefault(call.item.request.model.ref, Tally(0))
        tally.outcomes[outcome(call)] += 1
        if answer := call.answer:
            tally.unknown += answer.cost.usd is None
            tally.usd += float(answer.cost.usd or 0)
        if self._cards:
            card = self._cards[index]
            card.call, card.state = call, outcome(call)
            card.tail = str(call.error) if call.error else (answer.text[-TAIL:] if answer else "")

    # How it looks

    def _headline(self) -> str:
        elapsed, done = self._now() - self._began, self.done
        failed = sum(tally.outcomes["failed"] for tally in self._tallies.values())
        parts = [
            self._cards[0].model if self.total == 1 else f"{done:,} of {count(self.total, 'call')}",
            f"{failed:,} failed" if failed and self.total > 1 else "",
            self._cards[0].state if self.total == 1 else self._holding(),
            seconds(elapsed),
            self._left(elapsed, done),
            self._cost(self._tallies.values()) if done else "",
        ]
        return " · ".join(part for part in parts if part)

    def _holding(self) -> str:
        """What calls wait for, most frequent first."""
        held = Counter(self._held.values()).most_common(3)
        return ", ".join([f"{len(self._running - self._held.keys()):,} running", *(f"{n:,} {why}" for why, n in held)])

    def _left(self, elapsed: float, done: int) -> str:
        if done < 2 or done == self.total:
            return ""
        return f"about {seconds(elapsed / done * (self.total - done))} left"

    def _cost(self, tallies: Iterable[Tally]) -> str:
        usd, unknown, done = (
            sum(values) for values in zip(*((t.usd, t.unknown, t.done) for t in tallies), strict=True)
        )
        if not done or unknown == done:
            return "cost unknown" if unknown else ""
        return f"{money(usd)}{f' ({unknown:,} unknown)' if unknown else ''}"

    def _one(self) -> str:
        thinking = thinking_html("".join(self._thinking)) if self._thinking else ""
        text = "".join(self._stream)
        begin = "… " if len(text) > STREAM else ""
        return f'{thinking}<div class="onb-text" dir="auto">{begin}{escape(text[-STREAM:])}</div>'

    def _table_of_calls(self) -> str:
        return table(["model", "prompt", "state", "text", "time", "cost"], map(self._row, self._cards))

    def _row(self, card: Card) -> str:
        colour = " onb-error" if card.state == "failed" else ""
        told = f'<div class="onb-tail"><div class="onb-text{colour}">{escape(card.tail)}</div></div>'
        cells = [
            f'<th scope="row"><span class="onb-short">{escape(card.model)}</span></th>',
            f'<td class="onb-clip">{escape(card.prompt)}</td>',
            f'<td class="onb-short">{escape(card.state)}</td>',
            _td(told),
        ]
        return row_of([*cells, _number(self._time(card)), _number(_spent(card))])

    def _time(self, card: Card) -> str:
        if card.call is not None:
            return "" if card.call.latency_s is None else seconds(card.call.latency_s)
        return "" if card.began is None else seconds(self._now() - card.began)

    def _table_of_models(self) -> str:
        return table(["model", "finished", "of", "outcome", "cost"], self._model_rows())

    def _model_rows(self) -> Iterator[str]:
        for ref, tally in list(self._tallies.items())[:LARGE]:
            outcomes = ", ".join(f"{n:,} {word}" for word, n in tally.outcomes.most_common())
            numbers = [_number(f"{tally.done:,}"), _number(f"{tally.total:,}")]
            cost = _number(self._cost([tally]))
            yield row_of([f'<th scope="row">{escape(ref)}</th>', *numbers, _td(escape(outcomes)), cost])


def _totals(items: Sequence[Item]) -> dict[str, int]:
    return items.totals if isinstance(items, Counted) else dict(Counter(item.request.model.ref for item in items))


def _card(item: Item) -> Card:
    return Card(item.request.model.ref, cut(" ".join(item.request.prompt[:400].split()), 80))


def in_words(event: Event) -> str:
    """What a call does now."""
    match event:
        case Started(number):
            return "asked" if number == 1 else f"asked, attempt {number}"
        case Delta():
            return "answering"
        case ThinkingDelta():
            return "thinking"
        case Retrying(_, wait_s, kind):
            return f"retrying in {seconds(wait_s)} ({kind})"
        case Waiting(reason, wait_s):
            return f"waiting: {reason}" + (f", {seconds(wait_s)}" if wait_s else "")
        case Timed():
            return "answered"


def held_by(event: Event) -> str:
    """Why a call stands still, without its own seconds, so that calls that wait for the same can be counted together."""
    match event:
        case Retrying(_, _, kind):
            return f"retrying ({kind})"
        case Waiting(reason):
            return f"waiting: {reason}"
    return ""


def _told(card: Card) -> str:
    return f"· {cut(' '.join(card.tail.split()), 100)}" if card.tail else ""


def _spent(card: Card) -> str:
    answer = card.call.answer if card.call else None
    return "" if answer is None else "unknown" if answer.cost.usd is None else money(float(answer.cost.usd))


def _td(inside: str) -> str:
    return f"<td>{inside}</td>"


def _number(text: str) -> str:
    return f'<td class="onb-number">{escape(text)}</td>'
