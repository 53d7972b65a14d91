"""Amounts of money as people write and read them, in USD."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from orchestrator_nb.errors import UserError

ZERO: Final = Decimal(0)


def dollars(usd: Decimal) -> str:
    """``$0.05``, ``$0.0103``, ``$1,234.50``: two decimals, or as many as show it to four digits."""
    digits = max(2, min(12, 3 - usd.adjusted())) if usd else 2
    whole, _, rest = f"{usd:,.{digits}f}".partition(".")
    return f"${whole}.{rest[:2]}{rest[2:].rstrip('0')}"


def usd_of(amount: object) -> Decimal:
    """An amount that the user wrote: a number or its text, with or without ``$``. Raises `UserError` for what is none, or below 0."""
    text = str(amount).strip().removeprefix("$") if not isinstance(amount, bool) else ""
    try:
        usd = Decimal(text)
    except ArithmeticError:
        usd = Decimal(-1)
    if usd.is_finite() and usd >= 0:
        return usd
    raise UserError(f"a cap is an amount in USD such as 0.50, not {amount!r}.")
