"""Where the time and the money of a chain's run went: ``df.llm.profile()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from orchestrator_nb.results.chain_figures import Figures, parent
from orchestrator_nb.results.page import box, count, cut, money, row_of, seconds, table
from orchestrator_nb.results.safe_text import escape, plain

COLUMNS: Final = {
    "step": "string",
    "outcome": "string",  # done skipped failed stopped; missing when it was not reached
    "calls": "Int64",
    "times": "Int64",  # how often it ran: items and turns
    "wall_s": "float64",  # from its first beginning to its last end
    "waiting_s": "float64",  # its calls, for places, limits and retries, added up
    "model_s": "float64",  # its calls, for the models, added up
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "cost_usd": "float64",
    "share": "float64",  # of the critical path's time; of the chain's own steps only
    "critical": "boolean",
}
LINES: Final = 200
_WORTH: Final = 0.05
"""The part of a run's time from which a gain is worth a word."""


class Profile(pd.DataFrame):
    """A row per step. Displays itself with what the figures mean; what is made of it is an ordinary frame."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    @property
    def critical_path(self) -> list[str]:
        """The steps that decided when the run ended, first to last; making any other one faster would have gained nothing."""
        return list(self.attrs["critical_path"])

    @property
    def wall_s(self) -> float:
        """How long the run took; of several rows the slowest."""
        return float(self.attrs["wall_s"])

    @property
    def gain_s(self) -> float:
        """About how much shorter it had been with no limits at all."""
        return float(self.attrs["gain_s"])

    @property
    def notes(self) -> list[str]:
        """What the figures mean, as sentences."""
        return list(self.attrs["notes"])

    @property
    def _shown(self) -> list[dict[str, Any]]:
        return [{str(name): value for name, value in row.items()} for row in self.head(LINES).to_dict("records")]

    def _repr_html_(self) -> str:
        rows = [row_of(_cells(row)) for row in self._shown]
        notes = "".join(f"<li>{escape(note)}</li>" for note in [*self.notes, *_more(len(self))])
        return box(table(_HEADS, rows), f'<div class="onb-note"><ul>{notes}</ul></div>')

    def __repr__(self) -> str:
        lines = [_HEADS, *(_words(row) for row in self._shown)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(_HEADS))]
        shown = [
            "  ".join(
                word.ljust(width) if index < _TEXTS else word.rjust(width)
                for index, (word, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return plain("\n".join([*shown, "", *(f"· {note}" for note in [*self.notes, *_more(len(self))])]))


def profile(figures: Figures) -> Profile:
    """The figures as a frame. Its ``attrs`` hold what its properties tell, as plain JSON."""
    rows = [_row(path, figures) for path in figures.paths]
    made = Profile(
        {name: pd.array([row[name] for row in rows], dtype=_dtype(dtype)) for name, dtype in COLUMNS.items()}
    )
    gain = figures.wall_s - figures.least_s
    made.attrs = {
        "critical_path": list(figures.path),
        "wall_s": figures.wall_s,
        "gain_s": gain,
        "notes": list(_notes(figures, gain)),
    }
    return made


def _dtype(name: str) -> Any:
    return pd.StringDtype("python") if name == "string" else np.dtype("float64") if name == "float64" else name


def _row(path: str, figures: Figures) -> dict[str, Any]:
    sums, became = figures.sums.get(path, {}), figures.outcomes.get(path)
    known = {name: sums.get(name, np.nan) for name in ("waiting_s", "model_s", "cost_usd")}
    tokens = {name: _whole(sums.get(name)) for name in ("input_tokens", "output_tokens")}
    return {
        "step": path,
        "outcome": became.outcome if became else None,
        "calls": int(sums.get("calls", 0)),
        "times": became.times if became else 0,
        "wall_s": np.nan if became is None or became.wall_s is None or became.outcome == "skipped" else became.wall_s,
        **known,
        **tokens,
        "share": np.nan if parent(path) else figures.shares.get(path, 0.0),
        "critical": path in figures.critical,
    }


def _whole(number: float | None) -> int | None:
    return None if number is None or np.isnan(number) else int(number)


# Words


def _notes(figures: Figures, gain: float) -> Iterator[str]:
    if not figures.path:
        yield "no step has ended, so there is no critical path."
        return
    several = len(figures.told.numbers) > 1
    of = f" (row {figures.slowest}, the slowest of {len(figures.told.numbers):,})" if several else ""
    yield f"critical path{of}: {cut(' → '.join(figures.path), 300)}, {seconds(figures.wall_s)}."
    slowest = max(figures.path, key=lambda path: figures.shares.get(path, 0.0))
    share = f"{slowest} takes {figures.shares.get(slowest, 0.0):.0%} of it"
    if gain > max(_WORTH * figures.wall_s, 0.1):
        yield f"with no limits it would have taken about {seconds(figures.least_s)}, {seconds(gain)} less: more calls in parallel would help; {share}."
    else:
        yield f"more parallelism would gain next to nothing; {share}, so that is where a faster model or a shorter answer tells."
    if several:
        yield f"calls, tokens, seconds and cost are those of {count(len(figures.told.numbers), 'row')} together."


def _more(rows: int) -> list[str]:
    return [f"and {count(rows - LINES, 'more step')}."] if rows > LINES else []


_HEADS: Final = [
    "step",
    "state",
    "calls",
    "times",
    "time",
    "waiting",
    "models",
    "tokens in",
    "out",
    "cost",
    "share",
    "critical",
]
_TEXTS: Final = 2


def _words(row: dict[str, Any]) -> list[str]:
    """One line, every figure as words; "" for what is not known."""
    depth = row["step"].count(".") + row["step"].count("/")
    name = row["step"].replace("/", ".").rsplit(".", 1)[-1]
    return [
        f"{'  ' * min(depth, 12)}{cut(name, 60)}",
        "not reached" if pd.isna(row["outcome"]) else row["outcome"],
        f"{row['calls']:,}" if row["calls"] else "",
        f"{row['times']:,}" if row["times"] else "",
        *(_or_nothing(row[name], seconds) for name in ("wall_s", "waiting_s", "model_s")),
        *(_or_nothing(row[name], "{:,}".format) for name in ("input_tokens", "output_tokens")),
        _or_nothing(row["cost_usd"], money) if row["calls"] else "",
        f"{row['share']:.0%}" if row["share"] and not pd.isna(row["share"]) else "",
        "●" if row["critical"] else "",
    ]


def _or_nothing(value: Any, say: Callable[[Any], str]) -> str:
    return "" if pd.isna(value) else say(value)


def _cells(row: dict[str, Any]) -> Iterator[str]:
    words = _words(row)
    indent = "\u2003" * ((len(words[0]) - len(words[0].lstrip())) // 2)
    yield f'<th scope="row" class="onb-short">{indent}{escape(words[0].lstrip())}</th>'
    yield f"<td{' class=onb-error' if words[1] == 'failed' else ''}>{escape(words[1])}</td>"
    for word in words[_TEXTS:]:
        yield f'<td class="onb-number">{escape(word)}</td>'
