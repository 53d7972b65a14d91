"""Counts, money and seconds in words: the few phrases that every picture and summary shares."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(usd: float) -> str:
    """USD with as many digits as it needs."""
    if usd == 0:
        return "$0"
    if usd < 0.000001:
        return "< $0.000001"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.001 else f"${usd:.6f}"


def seconds(value: float) -> str:
    """``0.42 s``, ``4.1 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def cut(text: str, most: int) -> str:
    """The beginning of a text, with an ellipsis where it goes on."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
