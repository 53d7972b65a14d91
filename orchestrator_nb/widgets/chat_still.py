"""A chat as it stays in the notebook: the end of what was said, as safe HTML and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator_nb.conversations import Turn
from orchestrator_nb.results.safe_text import escape, plain, safe_html
from orchestrator_nb.widgets.still import Still

TURNS: Final = 50
"""Of a long conversation only so many are kept in the notebook; the store has them all."""
MOST: Final = 10_000
"""Characters of one text."""


def still(name: str, path: Sequence[Turn]) -> Still:
    """The last turns."""
    head = f"{name}: {_counted(len(path))}"
    if len(path) > TURNS:
        head += f", the last {TURNS} of them here"
    if not path:
        head = f"{name}: nothing was said yet."
    tail = f"%llm chat {name} goes on."
    shown = path[-TURNS:]
    html = [f'<p class="onb-note">{escape(head)}</p>', *map(_html, shown), f'<p class="onb-note">{escape(tail)}</p>']
    return Still("".join(html), "\n\n".join([head, *(line for turn in shown for line in _text(turn)), tail]))


def _html(turn: Turn) -> str:
    answer = safe_html(turn.answer.text[:MOST]) if turn.answer else ""
    why = "" if turn.outcome == "answered" else f'<p class="onb-error">{escape(_why(turn))}</p>'
    asked = f'<p class="onb-text"><b>You:</b> {escape(turn.prompt[:MOST])}</p>'
    return f'{asked}<p class="onb-note">{escape(turn.model or "")}</p>{answer}{why}'


def _text(turn: Turn) -> Iterator[str]:
    yield f"You: {plain(turn.prompt[:MOST])}"
    said = plain(turn.answer.text[:MOST]) if turn.answer else ""
    yield f"{turn.model or 'model'}: {said}"
    if turn.outcome != "answered":
        yield _why(turn)


def _why(turn: Turn) -> str:
    return f"No whole answer: {turn.why or turn.outcome}"


def _counted(turns: int) -> str:
    return f"{turns:,} turn{'s' * (turns != 1)}"
