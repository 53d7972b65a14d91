"""Answers side by side: a line per prompt, a column per model, repeats stacked, failures in their place.

Works on any frame that still has the columns it needs, so also after filtering, sorting, copying and concatenating.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from orchestrator_nb.results.page import box, count, cut, money, row_of, seconds, table
from orchestrator_nb.results.safe_text import escape, plain, safe_html

NEEDS: Final = ("prompt", "model", "text")
PROMPTS: Final = 50
"""Prompts that are shown; the rest are counted."""
ABREAST: Final = 3
"""Models that stand side by side when there is a single prompt."""
SAMPLES: Final = 10
"""Answers that are shown in one cell; the rest are counted."""
FOLD: Final = 600
"""Characters above which an answer is folded."""
FORMATTED: Final = 60_000
"""Characters of Markdown that are formatted (about 0.3 s); beyond, text is shown as it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands in one place: a text, or why there is none; with a text its time and cost as words, where they are known."""

    text: str
    error: str = ""
    time: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Comparison:
    """Prompts x models. Displays itself; ``html`` and ``text`` are the same as strings."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, tuple[Answer, ...]]], ...]

    @property
    def html(self) -> str:
        """For a notebook."""
        return box(self.inner)

    @property
    def inner(self) -> str:
        """HTML without the surrounding box."""
        if not self.rows:
            return '<div class="onb-note">No calls to compare.</div>'
        size = sum(len(a.text) for _prompt, cells in self.rows[:PROMPTS] for cell in cells.values() for a in cell)
        if len(self.rows) == 1 and len(self.models) > ABREAST:
            return self._stacked(*self.rows[0], size <= FORMATTED)
        rows = [
            row_of([_prompt_html(prompt), *(_cell(cells.get(model, ()), size <= FORMATTED) for model in self.models)])
            for prompt, cells in self.rows[:PROMPTS]
        ]
        return table(["prompt", *self.models], rows) + self._more(_note)

    def _stacked(self, prompt: str, cells: Mapping[str, tuple[Answer, ...]], formatted: bool) -> str:
        """One prompt and many models: a line per model, for a page is not wide enough for a column each."""
        asked = f'<div class="onb-note onb-text">{folded(prompt, escape(prompt))}</div>'
        single = all(len(cell) == 1 for cell in cells.values()) and any(cell[0].time for cell in cells.values())
        rows = (
            row_of(
                [
                    f'<th scope="row">{escape(model)}</th>',
                    _cell(cells.get(model, ()), formatted),
                    *(_numbers(cells[model][0]) if single else ()),
                ]
            )
            for model in self.models
        )
        return asked + table(["model", "answer", *(("time", "cost") if single else ())], rows)

    @property
    def text(self) -> str:
        """For a terminal: prompt by prompt, model by model."""
        if not self.rows:
            return "No calls to compare."
        return plain("\n\n".join(self._blocks()) + self._more(lambda words: f"\n\n{words}"))

    def _blocks(self) -> Iterator[str]:
        for prompt, cells in self.rows[:PROMPTS]:
            lines = [f"▸ {cut(prompt, 300)}"]
            for model, answers in cells.items():
                lines += [f"  {model}{_spent(answer)}: {_indented(_shown(answer))}" for answer in answers[:SAMPLES]]
                lines += [f"  {model}: {words}" for words in _rest(answers)]
            yield "\n".join(lines)

    def _more(self, wrap: Callable[[str], str]) -> str:
        left = len(self.rows) - PROMPTS
        return wrap(f"… {count(left, 'more prompt')}; the frame has them all.") if left > 0 else ""

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def compare(frame: pd.DataFrame) -> Comparison:
    """The frame's answers by prompt and model, both in the order of their first occurrence. The columns `NEEDS` must be there."""
    models = _labels(frame)
    errors = _texts(frame["error"]) if "error" in frame else [""] * len(frame)
    rows: dict[str, dict[str, list[Answer]]] = {}
    times, costs = _numbers_of(frame, "latency_s", seconds), _numbers_of(frame, "cost_usd", money)
    told = zip(_texts(frame["prompt"]), models, _texts(frame["text"]), errors, times, costs, strict=True)
    for prompt, model, text, error, *spent in told:
        answer = Answer(text, error, *spent) if text else Answer(text, error)
        rows.setdefault(prompt, {}).setdefault(model, []).append(answer)
    done = tuple(
        (prompt, {model: tuple(_merged(cell)) for model, cell in cells.items()}) for prompt, cells in rows.items()
    )
    return Comparison(tuple(dict.fromkeys(models)), done)


def _merged(answers: Sequence[Answer]) -> Iterator[Answer]:
    """A failure without a text that occurs more than once stands once, with its number, below the answers: an interrupt must not bury them."""
    times = Counter(answer for answer in answers if not answer.text)
    yield from (answer for answer in answers if answer.text or times[answer] == 1)
    yield from (Answer("", f"{answer.error} (×{number:,})") for answer, number in times.items() if number > 1)


def _labels(frame: pd.DataFrame) -> list[str]:
    """The model's id, with its provider where two providers have the same id."""
    models = _texts(frame["model"])
    if "provider" not in frame:
        return models
    refs = [f"{provider}/{model}" for provider, model in zip(_texts(frame["provider"]), models, strict=True)]
    if len(set(refs)) == len(set(models)):
        return models
    return refs


def _numbers_of(frame: pd.DataFrame, column: str, words: Callable[[float], str]) -> list[str]:
    """A column's numbers as words; nothing where there is no column or no number."""
    if column not in frame:
        return [""] * len(frame)
    return ["" if pd.isna(number) else words(float(number)) for number in frame[column]]


def _texts(column: pd.Series) -> list[str]:
    return ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def _prompt_html(prompt: str) -> str:
    return f'<th scope="row"><div class="onb-text">{folded(prompt, escape(prompt))}</div></th>'


def _cell(answers: Sequence[Answer], formatted: bool) -> str:
    shown = "".join(f'<div class="onb-sample">{_answer_html(answer, formatted)}</div>' for answer in answers[:SAMPLES])
    return f"<td>{shown}{''.join(map(_note, _rest(answers)))}</td>"


def _numbers(answer: Answer) -> list[str]:
    return [f'<td class="onb-number">{escape(words)}</td>' for words in (answer.time, answer.cost)]


def _spent(answer: Answer) -> str:
    return f" ({', '.join(filter(None, (answer.time, answer.cost)))})" if answer.time or answer.cost else ""


def _answer_html(answer: Answer, formatted: bool) -> str:
    whole = safe_html(answer.text) if formatted else f'<div class="onb-text">{escape(answer.text[:FORMATTED])}</div>'
    text = folded(answer.text, whole) if answer.text else ""
    return text + (f'<div class="onb-error">✗ {escape(cut(answer.error, 400))}</div>' if answer.error else "")


def folded(text: str, whole: str) -> str:
    """``whole``, the HTML of a text; folded below its beginning when it is long."""
    if len(text) <= FOLD:
        return whole
    begin = escape(cut(" ".join(text[: FOLD * 2].split()), 240))
    return f"<details><summary>{begin} ({count(len(text), 'character')})</summary>{whole}</details>"


def _rest(answers: Sequence[Answer]) -> list[str]:
    left = len(answers) - SAMPLES
    return [f"… {count(left, 'more answer')}"] if left > 0 else []


def _note(words: str) -> str:
    return f'<div class="onb-note">{escape(words)}</div>'


def _shown(answer: Answer) -> str:
    return "\n".join(part for part in (answer.text, f"✗ {answer.error}" if answer.error else "") if part)


def _indented(text: str) -> str:
    return cut(text, 2000).replace("\n", "\n      ")
