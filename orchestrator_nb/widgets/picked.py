"""What the model picker leaves in the notebook: the choice, or where nothing is chosen yet, what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from orchestrator_nb.results.page import count, money, row_of, seconds, table
from orchestrator_nb.results.safe_text import escape
from orchestrator_nb.widgets.offer import Choice, Offer
from orchestrator_nb.widgets.still import Still

ROWS: Final = 30
"""Models that the static form lists; a saved notebook stays small."""

_HEADS: Final = ("model", "context", "USD per million, in and out", "can", "your calls")


def picked(offer: Offer, chosen: Sequence[str], preview: str) -> Still:
    """The choice as a table, with the cells that ask it."""
    choices = [offer.choices[ref] for ref in chosen] or [*islice(offer.choices.values(), ROWS)]
    caption, hint = _caption(offer, chosen), preview.strip() or _HINT
    rows = [_facts(choice) for choice in choices]
    absent = [f"{vendor}: {why}" for vendor, why in offer.absent.items()]
    html = table(_HEADS, (row_of(f"<td>{escape(fact)}</td>" for fact in facts) for facts in rows), caption)
    notes = [*absent, hint]
    text = "\n".join([caption, *_aligned(rows), *notes])
    return Still(html + "".join(f'<p class="onb-note onb-text">{escape(note)}</p>' for note in notes), text)


_HINT: Final = (
    "To ask some of them, name them: %%llm MODEL MODEL. Where widgets are shown, run %llm pick to choose from a list."
)


def _caption(offer: Offer, chosen: Sequence[str]) -> str:
    if chosen:
        return f"Chosen: {count(len(chosen), 'model')}"
    total = len(offer.choices)
    more = f"; the first {ROWS}, %llm models lists all" if total > ROWS else ""
    return f"{count(total, 'model')} can be asked now{more}"


def _facts(choice: Choice) -> tuple[str, ...]:
    name = f"{choice.ref} ({', '.join(choice.aliases)})" if choice.aliases else choice.ref
    context = f"{choice.context:,}" if choice.context else ""
    price = " / ".join(map(money, choice.price)) if choice.price else "unknown"
    return name, context, price, " ".join(choice.can), " · ".join(_past(choice))


def _past(choice: Choice) -> Iterator[str]:
    if choice.calls:
        yield count(choice.calls, "call")
    if choice.latency_s is not None:
        yield seconds(choice.latency_s)
    if choice.usd is not None:
        yield money(choice.usd)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
