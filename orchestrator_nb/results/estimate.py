"""What a grid will take, before it is asked: the figures as a range, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from orchestrator_nb.results.page import box, count, money, row_of, table
from orchestrator_nb.results.safe_text import escape, plain

MOST: Final = 40
"""Models that are shown each for itself; the rest stand in the last line."""
_HEADS: Final = ("model", "new", "cached", "replayed", "input tokens", "output tokens", "cost")


class Tokens(NamedTuple):
    """A number of tokens: the truth is hardly below ``low`` or above ``high``."""

    low: int = 0
    likely: int = 0
    high: int = 0

    def plus(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(*map(sum, zip(self, other, strict=True)))


class Usd(NamedTuple):
    """An amount in USD: the truth is hardly below ``low`` or above ``high``."""

    low: Decimal = Decimal(0)
    likely: Decimal = Decimal(0)
    high: Decimal = Decimal(0)

    def plus(self, other: Usd) -> Usd:
        """Both together."""
        return Usd(self.low + other.low, self.likely + other.likely, self.high + other.high)


_NO_TOKENS: Final = Tokens()
_NO_MONEY: Final = Usd()


@dataclass(frozen=True, slots=True)
class Share:
    """One model's part (``provider/model``). ``missing`` calls stand on no tape and will fail. ``usd`` is ``None`` where no price is known."""

    model: str
    new: int = 0
    cached: int = 0
    replayed: int = 0
    missing: int = 0
    input: Tokens = _NO_TOKENS
    output: Tokens = _NO_TOKENS
    usd: Usd | None = _NO_MONEY


@dataclass(frozen=True)
class Estimate:
    """What a plan will take. ``new`` calls are asked, ``cached`` are answered from the store, ``replayed`` from a tape; tokens and USD are those of the new ones.

    ``usd`` is without the models in ``unknown``, whose price nobody knows, and ``None`` when that is all of them. ``simulated``: the simulator answers, and
    the amounts are what the models would cost. ``sampled``: of a very large grid some calls were looked at, so that counts are not exact.
    ``cap`` is the most that the run may cost (``--max-cost``, settings), in USD. ``assumptions`` are sentences: what the figures lean on.
    """

    shares: tuple[Share, ...]
    source: str = "auto"
    simulated: bool = False
    sampled: bool = False
    cap: Decimal | None = None
    assumptions: tuple[str, ...] = ()

    @property
    def new(self) -> int:
        """Calls that will be asked."""
        return sum(share.new for share in self.shares)

    @property
    def cached(self) -> int:
        """Calls that the store has an answer to, or whose question another call of this grid asks."""
        return sum(share.cached for share in self.shares)

    @property
    def replayed(self) -> int:
        """Calls that the tape has an answer to."""
        return sum(share.replayed for share in self.shares)

    @property
    def missing(self) -> int:
        """Calls that the tape has no answer to: they will fail, and nobody is asked."""
        return sum(share.missing for share in self.shares)

    @property
    def calls(self) -> int:
        """All calls."""
        return self.new + self.cached + self.replayed + self.missing

    @property
    def input(self) -> Tokens:
        """Tokens that will be sent."""
        return _total(share.input for share in self.shares)

    @property
    def output(self) -> Tokens:
        """Tokens that will come back, thinking included."""
        return _total(share.output for share in self.shares)

    @property
    def usd(self) -> Usd | None:
        """What it will cost."""
        known = [share.usd for share in self.shares if share.usd is not None]
        if not known:
            return None
        total = Usd()
        for usd in known:
            total = total.plus(usd)
        return total

    @property
    def unknown(self) -> tuple[str, ...]:
        """Models without a known price that will be asked."""
        return tuple(share.model for share in self.shares if share.usd is None)

    @property
    def is_capped(self) -> bool:
        """Whether the cap is below the range's end, so that some of the calls may not be asked."""
        return not self.simulated and self.usd is not None and self.cap is not None and self.usd.high > self.cap

    @property
    def line(self) -> str:
        """All of it in one line."""
        return plain(" · ".join(part for part in (_counts(self), *_amounts(self)) if part))

    @property
    def announced(self) -> str:
        """The line as it stands above a run."""
        return f"estimate: {self.line}"

    @property
    def text(self) -> str:
        """A table for a terminal, with what it leans on."""
        rows = [_HEADS, *map(_cells, _shown(self))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]  # fmt: skip
        return plain("\n".join([*map(str.rstrip, lines), *(f"  · {text}" for text in self.assumptions)]))

    @property
    def html(self) -> str:
        """The same for a notebook."""
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.assumptions)
        head = f'<div class="onb-summary onb-estimate" role="status">{escape(self.line)}</div>'
        rows = table(_HEADS, map(_row, map(_cells, _shown(self))))
        return box(head, rows, f'<div class="onb-note"><ul>{notes}</ul></div>' if notes else "")

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def _total(parts: Iterable[Tokens]) -> Tokens:
    total = Tokens()
    for part in parts:
        total = total.plus(part)
    return total


def _counts(estimate: Estimate) -> str:
    named = {"new": estimate.new, "cached": estimate.cached, "replayed": estimate.replayed, "not on the tape": estimate.missing}  # fmt: skip
    about = "about " if estimate.sampled and sum(map(bool, named.values())) > 1 else ""
    listed = ", ".join(f"{about}{number:,} {name}" for name, number in named.items() if number)
    return f"{count(estimate.calls, 'call')}: {listed}"


def _amounts(estimate: Estimate) -> Iterator[str]:
    if not estimate.new:
        yield "costs nothing"
        return
    yield f"{_tokens(estimate.input)} input + {_tokens(estimate.output)} output tokens"
    usd, unknown = estimate.usd, len(estimate.unknown)
    less = f" ({count(unknown, 'model')} without a known price)" if unknown else ""
    words = "simulated, would cost " if estimate.simulated else ""
    yield f"{words}{_usd(usd)}{less}" if usd else f"{words or 'cost '}unknown"
    if estimate.is_capped:
        yield f"capped at {money(float(estimate.cap or 0))}"


def _tokens(tokens: Tokens) -> str:
    low, _, high = map(_short, tokens)
    return low if low == high else f"{low} to {high}"


def _short(tokens: int) -> str:
    """Two or three digits are all that a guess is good for."""
    for size, sign in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            number = tokens / size
            return f"{number:.1f}{sign}" if number < 10 else f"{number:,.0f}{sign}"
    return str(tokens)


def _usd(usd: Usd) -> str:
    low, likely, high = (money(float(amount)) for amount in usd)
    return low if low == high else f"{low} to {high}, likely {likely}"


def _shown(estimate: Estimate) -> Iterator[Share]:
    """A line for each model; where there are several, one for all of them."""
    yield from estimate.shares[:MOST]
    if len(estimate.shares) > 1:
        usd, unknown = estimate.usd, len(estimate.unknown)
        more = f" without {count(unknown, 'model')}" if unknown and usd else ""
        left = f", {len(estimate.shares) - MOST:,} not shown" if len(estimate.shares) > MOST else ""
        totals = {name: getattr(estimate, name) for name in ("new", "cached", "replayed", "missing", "input", "output")}
        yield Share(f"all{more}{left}", usd=usd, **totals)


def _cells(share: Share) -> list[str]:
    replayed = f"{share.replayed:,}{f' ({share.missing:,} missing)' if share.missing else ''}"
    cost = "unknown" if share.usd is None else _usd(share.usd)
    return [
        " ".join(share.model.split()),
        f"{share.new:,}",
        f"{share.cached:,}",
        replayed,
        _tokens(share.input),
        _tokens(share.output),
        cost,
    ]


def _row(cells: list[str]) -> str:
    name, *counts, cost = map(escape, cells)
    numbers = (f'<td class="onb-number">{count}</td>' for count in counts)
    return row_of(
        [f'<th scope="row">{name}</th>', *numbers, f"<td>{cost}</td>"]
    )  # a range is long, and may take two lines
