"""How alike two texts are, in time that grows with their length alone. The definition stands in docs/chain-format.md, so that others get the same number."""

from __future__ import annotations

from collections import Counter
from typing import Final

WHOLE: Final = 1_000_000
"""Signs up to which a text counts as a whole; of a longer one its two ends do, half of this each."""


def similarity(a: str, b: str) -> float:
    """Dice's coefficient over the bags of trigrams: 1 for equal texts (but for capitals and blanks), 0 for texts that share no three signs."""
    first, second = _plain(a), _plain(b)
    if first == second:
        return 1.0
    bag, other = _trigrams(first), _trigrams(second)
    return 2 * (bag & other).total() / (bag.total() + other.total())


def _plain(text: str) -> str:
    if len(text) > WHOLE:
        text = text[: WHOLE // 2] + text[-WHOLE // 2 :]
    return " ".join(text.casefold().split())


def _trigrams(text: str) -> Counter[str]:
    padded = f" {text} "
    return Counter(map("".join, zip(padded, padded[1:], padded[2:], strict=False)))
