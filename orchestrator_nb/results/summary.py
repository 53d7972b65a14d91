"""One line under every run: what was asked, from where it was answered, what it took; below it what the user should know.

``12 calls (15 requests): 11 simulated, 1 failed · 3,204 tokens · $0.0123 (2 unknown) · 4.1 s``. Nothing is retried, cached, replayed, simulated or dropped without a
word here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator_nb.calls import Response, Usage
from orchestrator_nb.results.chain_summary import failures as chain_failures
from orchestrator_nb.results.chain_summary import headline
from orchestrator_nb.results.page import box, count, money, seconds
from orchestrator_nb.results.safe_text import escape, plain
from orchestrator_nb.runs import Call, Run

NOTES: Final = 8
"""Different notes that are shown; the rest are counted."""

_SOURCES: Final = {"live": "live", "cache": "cached", "replay": "replayed", "simulated": "simulated"}
_STOPPED: Final = {"cancelled": "cancelled", "skipped": "skipped", "budget": "over budget"}
_MONEY: Final = {"": {"live"}, "saved ": {"cache", "replay"}, "would cost ": {"simulated"}}


@dataclass(frozen=True, slots=True)
class Summary:
    """The line and the notes below it, as text and as HTML."""

    line: str
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For a terminal."""
        return plain("\n".join([self.line, *(f"  · {note}" for note in self.notes)]))

    @property
    def inner(self) -> str:
        """HTML without the surrounding box."""
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f'<div class="onb-summary" role="status" aria-live="polite">{escape(self.line)}</div>'
            + (f'<div class="onb-note"><ul>{notes}</ul></div>' if notes else "")
        )  # fmt: skip

    @property
    def html(self) -> str:
        """For a notebook."""
        return box(self.inner)

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def summary(run: Run, *, reasons: bool = True) -> Summary:
    """What the run took. Unknown costs are counted, never taken for nothing. Without ``reasons``, those for which a chain gave nothing are told elsewhere."""
    chain = [headline(run.chained)] if run.chained else []
    parts = [*chain, _outcomes(run.calls), _tokens(run.calls), *_costs(run.calls), _time(run)]
    return Summary(" · ".join(part for part in parts if part), tuple(_notes(run, reasons=reasons)))


def outcome(call: Call) -> str:
    """How a call ended, in one word: where its answer came from, or failed, cancelled, skipped."""
    if call.error is not None:
        return _STOPPED.get(call.error.kind, "failed")
    return _SOURCES[call.source]


def _outcomes(calls: Sequence[Call]) -> str:
    counts = Counter(outcome(call) for call in calls)
    order = [*_SOURCES.values(), "failed", *_STOPPED.values()]
    total = count(counts.total(), "call") + _requests(calls)
    listed = ", ".join(f"{counts[word]:,} {word}{_of_them(word, calls)}" for word in order if counts[word])
    return f"{total}: {listed}" if listed else total


def _requests(calls: Sequence[Call]) -> str:
    """How many went out, where some calls took more than one: they were retried, or a vendor gave the answer in pieces."""
    tried = [call.attempts for call in calls if call.attempts]
    return f" ({count(sum(tried), 'request')})" if sum(tried) > len(tried) else ""


def _of_them(word: str, calls: Sequence[Call]) -> str:
    """How many of the replayed answers were never a model's."""
    if word != _SOURCES["replay"]:
        return ""
    replayed = [call for call in calls if outcome(call) == word]
    simulated = sum(call.recorded == "simulated" for call in replayed)
    return (
        "" if not simulated else " (simulated)" if simulated == len(replayed) else f" ({simulated:,} of them simulated)"
    )


def _time(run: Run) -> str:
    """How long it took; a replayed run is over at once, and its line says the same each time."""
    replayed = run.calls and all(call.source == "replay" for call in run.calls)
    return "" if replayed else seconds(run.wall_s)


def _tokens(calls: Iterable[Call]) -> str:
    usages = [answer.usage for call in calls if (answer := call.answer)]
    known = sum((u.input or 0) + (u.output or 0) for u in usages)
    unknown = sum(usage == Usage() for usage in usages)
    return f"{count(known, 'token')}{f' ({unknown:,} unknown)' if unknown else ''}" if usages else ""


def _costs(calls: Iterable[Call]) -> Iterator[str]:
    """What was spent, what cache and tape saved, and what simulated answers would have cost."""
    answers = [(_paid(call), answer) for call in calls if (answer := call.answer)]
    for words, sources in _MONEY.items():
        if chosen := [answer for source, answer in answers if source in sources]:
            yield f"{words}{priced(chosen)}"


def _paid(call: Call) -> str:
    """Whose price it is: a replayed answer of the simulator would cost something, but saves nothing."""
    return "simulated" if call.recorded == "simulated" else call.source


def priced(answers: Iterable[Response]) -> str:
    """``$0.0123 (2 unknown)``, or ``cost unknown`` when no price is known."""
    costs = [answer.cost.usd for answer in answers]
    known = [usd for usd in costs if usd is not None]
    if not known:
        return "cost unknown"
    unknown = len(costs) - len(known)
    return f"{money(float(sum(known)))}{f' ({unknown:,} unknown)' if unknown else ''}"


def _notes(run: Run, *, reasons: bool) -> Iterator[str]:
    """Failures first, then notices; each once, with its number."""
    ends = list(chain_failures(run, reasons=True))
    failed = [_failure(call) for call in run.calls if outcome(call) == "failed"]
    failures = Counter(text for text in failed if not any(_same(text, end) for end in ends))
    notices = Counter(run.notices)
    notices.update(notice for call in run.calls if (answer := call.answer) for notice in answer.notices)
    yield from chain_failures(run, reasons=reasons)
    notes = [f"{text} ({times:,} times)" if times > 1 else text for text, times in (failures | notices).items()]
    yield from notes[:NOTES]
    if len(notes) > NOTES:
        yield f"and {count(len(notes) - NOTES, 'other note')}; df.llm.errors lists every failed call."


def _same(failure: str, end: str) -> bool:
    """Whether a chain's end tells this call's failure already."""
    return failure in end or failure.partition(": ")[2].strip() in end


def _failure(call: Call) -> str:
    """The error's sentence, with the model's name unless it begins with it."""
    ref, sentence = call.item.request.model.ref, str(call.error)
    return sentence if sentence.startswith(ref) else f"{ref}: {sentence}"
