"""How a chain under way looks: a line on the whole, a line per step (those inside others while these run), and the texts that arrive. Bounded, escaped, without script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator_nb.results.chain_eta import left
from orchestrator_nb.results.chain_state import ChainState, Step, Stream
from orchestrator_nb.results.page import box, count, cut, money, row_of, seconds, table
from orchestrator_nb.results.safe_text import escape, plain

LINES: Final = 30
"""Steps that have a line; the others are counted."""
WHY: Final = 300
REASONS: Final = 3
DEEPEST: Final = 6
_SIGNS: Final = {"waiting": "○", "running": "▶", "done": "✓", "skipped": "–", "failed": "✗"}


def html(progress: ChainState) -> str:
    """The whole picture."""
    share = (
        f'<progress max="1" value="{_share(progress):.3f}" aria-label="share of the steps that are done"></progress>'
    )
    head = f'<div class="onb-summary" role="status" aria-live="polite">{escape(headline(progress))}</div>'
    rows = [_row(shown, progress) for shown in _shown(progress)]
    texts = "".join(map(_stream, _streams(progress)))
    return box(
        f'<div class="onb-chain">{share}</div>', head, table(["step", "state", "calls", "time", "cost"], rows), texts
    )


def text(progress: ChainState) -> str:
    """The same as lines, without the texts."""
    lines = [headline(progress), *(_line(shown, progress) for shown in _shown(progress))]
    return plain("\n".join(lines))


def line(progress: ChainState) -> str:
    """Nothing but the head, and which steps run."""
    running = [step.plan.id for step in progress.steps if step.under_way]
    steps = f" · {cut(', '.join(running[:REASONS]), 60)}{', …' if len(running) > REASONS else ''}" if running else ""
    return " ".join(plain(f"{headline(progress)}{steps}").split())


def told(step: Step, progress: ChainState) -> str:
    """A step that has ended, in one line."""
    return " ".join(plain(_line(_Shown(step), progress)).split())


def headline(progress: ChainState) -> str:
    """``review · 2 of 3 steps · 7 calls, 1 running · $0.0021 · 12 s · about 5 s left``."""
    whole = progress.whole
    parts = [
        cut(progress.name, 80),
        _rows(progress) if progress.rows > 1 else _steps(progress),
        f"{count(whole.calls, 'call')}: {_calls(whole)}" if whole.calls else _calls(whole),
        cost(whole),
        seconds(progress.now() - progress.began),
        left(progress),
    ]
    return " · ".join(part for part in parts if part)


def cost(step: Step) -> str:
    """What its calls have cost so far; unknown is not nothing."""
    answered = sum(number for word, number in step.outcomes.items() if word not in _UNANSWERED)
    if not answered and not step.usd:
        return ""
    if step.unknown >= answered:
        return "cost unknown"
    return f"{money(step.usd)}{f' ({step.unknown:,} unknown)' if step.unknown else ''}"


_UNANSWERED: Final = {"failed", "cancelled", "skipped", "over budget"}


def state(step: Step, rows: int) -> str:
    """In words: one where it runs once, else numbers."""
    if rows > 1 or (step.above and step.over + step.under_way > 1):
        return _states(step, rows)
    word = "running" if step.under_way else _ended(step)
    return f"{_SIGNS[word]} {word}{_loops(step) if word == 'running' else ''}"


def why(step: Step) -> str:
    """The sentence of its (last) failure, and what that led to."""
    if not step.failed:
        return ""
    otherwise = "" if step.plan.on_error == "fail" else f" (on_error: {step.plan.on_error})"
    return f"{cut(step.why, WHY)}{otherwise}"


# The head


def _rows(progress: ChainState) -> str:
    done, failed = progress.rows_done, progress.rows_failed
    return f"{done + failed:,} of {count(progress.rows, 'row')}{f', {failed:,} failed' if failed else ''}"


def _steps(progress: ChainState) -> str:
    over = sum(bool(step.over) for step in progress.steps)
    return f"{over:,} of {count(len(progress.steps), 'step')}"


def _share(progress: ChainState) -> float:
    """Of all steps, those that are over; of one that runs through a list or takes turns, its part of that."""
    each = [_part(step, progress.rows) for step in progress.steps]
    return sum(each) / len(each) if each else 0.0


def _part(step: Step, rows: int) -> float:
    if rows > 1 or step.over:
        return min(step.over / rows, 1.0)
    if step.items:
        return step.items_done / step.items
    return max(step.turn - 1, 0) / step.plan.turns if step.plan.turns else 0.0


# One step


@dataclass(frozen=True, slots=True)
class _Shown:
    """A line: a step with its depth, or a number of steps that have none."""

    step: Step | None
    depth: int = 0
    words: str = ""


def _shown(progress: ChainState) -> list[_Shown]:
    """All lines while there is room for them; else what is over and what waits makes room."""
    lines = [_Shown(step, depth) for step, depth in _walk(progress.steps, 0)]
    if len(lines) <= LINES:
        return lines
    first = next((at for at, shown in enumerate(lines) if _lively(shown.step)), None)
    if first is None:
        first = next((at for at, shown in enumerate(lines) if shown.step and not shown.step.over), len(lines))
    begin = max(0, min(first - 2, len(lines) - LINES))
    kept = lines[begin : begin + LINES]
    before, after = begin, len(lines) - begin - LINES
    return [
        *([_Shown(None, words=f"… {count(before, 'step')} before these")] if before else []),
        *kept,
        *([_Shown(None, words=f"… {count(after, 'more step')}")] if after else []),
    ]


def _lively(step: Step | None) -> bool:
    return step is not None and step.under_way > 0


def _walk(steps: Iterable[Step], depth: int) -> Iterator[tuple[Step, int]]:
    for step in steps:
        yield step, depth
        if step.under_way and depth < DEEPEST:
            yield from _walk(step.parts, depth + 1)


def _ended(step: Step) -> str:
    """How a step that does not run ended, if it did."""
    return next((word for word in ("failed", "done", "skipped") if getattr(step, word)), "waiting")


def _states(step: Step, rows: int) -> str:
    counts = {"running": step.under_way, "done": step.done, "failed": step.failed, "skipped": step.skipped}
    alone = rows == 1 and step.under_way == 1
    told = [word if alone and word == "running" else f"{number:,} {word}" for word, number in counts.items() if number]
    if not told:
        return "○ waiting"
    waiting = rows - step.over - step.under_way if step.above is None else 0
    sign = (
        _SIGNS["running" if step.under_way else _ended(step)] if waiting <= 0 or step.under_way else _SIGNS["waiting"]
    )
    return f"{sign} {', '.join(told)}{f' of {rows:,}' if step.above is None else ''}{_items(step)}"


def _loops(step: Step) -> str:
    if step.plan.maps or not step.turn:  # each item has turns of its own
        return _items(step)
    return f"{_items(step)} · turn {step.turn} of {_most(step)}"


def _items(step: Step) -> str:
    return f" · {step.items_done:,} of {count(step.items, 'item')}" if step.items else ""


def _most(step: Step) -> str:
    return f"at most {step.plan.turns:,}" if step.plan.may_end_early else f"{step.plan.turns:,}"


def _calls(step: Step) -> str:
    """What became of its calls, and what those that are under way do."""
    words = [f"{number:,} {word}" for word, number in step.outcomes.most_common()]
    held = sum(step.held.values())
    running = [f"{step.open - held:,} running"] if step.open > held else []
    waits = [f"{number:,} {reason}" for reason, number in step.held.most_common(REASONS)]
    return ", ".join([*words, *running, *waits])


def _time(step: Step, progress: ChainState) -> str:
    if step.began is None:
        return ""
    until = progress.now() if step.under_way or step.ended is None else step.ended
    return seconds(until - step.began)


def _row(shown: _Shown, progress: ChainState) -> str:
    step = shown.step
    if step is None:
        return row_of([f'<td colspan="5" class="onb-note">{escape(shown.words)}</td>'])
    inside = f"onb-in{min(shown.depth, DEEPEST)}"
    failure = f'<div class="onb-error">{escape(why(step))}</div>' if step.failed else ""
    note = f'<div class="onb-note">{escape(cut(step.note, WHY))}</div>' if step.note and step.under_way else ""
    return row_of(
        [
            f'<th scope="row"><span class="{inside} onb-short">{escape(cut(step.plan.id, 60))}</span></th>',
            f'<td class="onb-state">{escape(state(step, progress.rows))}{failure}{note}</td>',
            f'<td class="onb-calls">{escape(_calls(step))}</td>',
            _number(_time(step, progress)),
            _number(cost(step)),
        ]
    )


def _line(shown: _Shown, progress: ChainState) -> str:
    step = shown.step
    if step is None:
        return f"  {shown.words}"
    parts = [state(step, progress.rows), _calls(step), _time(step, progress), cost(step), why(step)]
    name = " ".join(cut(step.plan.id, 60).split())
    return f"{'  ' * (shown.depth + 1)}{name}: {' · '.join(part for part in parts if part)}"


def _number(words: str) -> str:
    return f'<td class="onb-number">{escape(words)}</td>'


# The texts


def _streams(progress: ChainState) -> list[Stream]:
    """Those that arrive now; between two calls, the last that did."""
    open_now = [stream for stream in progress.streams if stream.open]
    return open_now or progress.streams[-1:]


def _stream(stream: Stream) -> str:
    begin = "" if stream.whole else "… "
    return (
        f'<div class="onb-summary">{escape(stream.title)} · {escape(stream.state)}</div>'
        f'<div class="onb-tail onb-stream"><div class="onb-text" dir="auto">{begin}{escape(stream.tail)}</div></div>'
    )
