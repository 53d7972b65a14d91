"""What may be told of a vault and its keys, in lines of plain text: names, fingerprints, addresses and times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from orchestrator_nb.vault.kdf import RECOMMENDED_ITERATIONS
from orchestrator_nb.vault.vault import Fact, Status

ADVICE: Final = (
    "A good password is four or five words that nobody would put together, or 15 signs or more; nobody can recover it"
)
"""Said before a new password is asked for."""

_SPANS: Final = ((86_400, "day"), (3_600, "h"), (60, "min"))


def about(status: Status, facts: Sequence[Fact] | None, profile: str, now: float) -> Iterator[str]:
    """The vault's state, line by line. ``facts`` are None while it is locked; ``now`` is the wall clock."""
    if status.state == "none":
        yield f"no vault yet for profile {profile!r}; %vault set NAME makes one, in {place(status.path)}."
        return
    yield f"the vault of profile {profile!r} is {status.state} ({place(status.path)})"
    weak = status.kdf is not None and status.kdf.weak
    yield f"password   stretched by {status.kdf}{f'; {RECOMMENDED_ITERATIONS:,} are recommended: vault.iterations' if weak else ''}"
    yield f"backups    {', '.join(status.backups) or 'none; each save keeps the one before it'}"
    if facts is None:
        yield "keys       not shown while it is locked; %vault list asks for the password."
        return
    yield f"locks      after {span(status.idle_left_s)} without use, in {span(status.limit_left_s)} in any case"
    yield f"keys       {len(facts) or 'none yet; %vault set NAME asks for one'}"
    yield from map("           {}".format, _table(facts, now))


def place(path: Path) -> str:
    """The path, with ``~`` for the home folder: short, and fit for a notebook that others see."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere, or a user without a home
        return str(path)


def _table(facts: Sequence[Fact], now: float) -> Iterator[str]:
    rows = [(fact.name, fact.vendor, f"fp:{fact.fp}", age(fact, now), " ".join(fact.origins)) for fact in facts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def stored(fact: Fact) -> str:
    """``OPENAI_API_KEY: fp:3f9a1c20, for https://api.openai.com:443 (openai)``: enough to see that it is the right key, and for whom."""
    return f"{fact.name}: fp:{fact.fp}, for {listed(fact.origins)}{f' ({fact.vendor})' if fact.vendor else ''}"


def age(fact: Fact, now: float) -> str:
    """``set 3 days ago``."""
    if not fact.rotated:
        return "set some time ago"
    passed = now - fact.rotated
    return "set just now" if passed < 60 else f"set {span(passed, parts=1)} ago"


def span(seconds: float, parts: int = 2) -> str:
    """``7 h 59 min``, ``3 days``, ``14 min``; below a minute ``40 s``."""
    rest, said = round(seconds), []
    for size, unit in _SPANS:
        count, rest = divmod(rest, size)
        if count:
            said.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(said[:parts]) or f"{rest} s"


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
