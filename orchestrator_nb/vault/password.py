"""What may be a new password. An existing vault opens with whatever it was made with."""

from __future__ import annotations

from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.kdf import MAX_PASSWORD_BYTES

SHORTEST: Final = 12
COMFORTABLE: Final = 15
WORDS: Final = 4


def require_good(password: Hidden) -> str | None:
    """A warning for a password that is short but allowed, else ``None``. Raises `UserError` for one that is too short or too long; shows none of it.

    Twelve signs, or four words: guessing four words drawn from a list of 18,000 costs an attacker tens of millions of dollars, three some thousands
    (https://support.1password.com/pbkdf2/). There are no rules about digits and signs: length does the work.
    """
    signs, words = password.use(_measure)
    if not signs:
        raise UserError("an empty password protects nothing; nothing was changed.")
    if len(password) > MAX_PASSWORD_BYTES:
        raise UserError(f"a password may have {MAX_PASSWORD_BYTES:,} bytes; nothing was changed.")
    if signs < SHORTEST and words < WORDS:
        raise UserError(
            f"this password is too short: take {SHORTEST} signs or more, or four words. Nothing was changed."
        )
    if signs < COMFORTABLE:
        return f"a password of {signs} signs can be guessed by somebody with money; four or five words are better: %vault passwd"
    return None


def _measure(password: bytearray) -> tuple[int, int]:
    text = password.decode(errors="surrogatepass")
    return len(text), len(text.split())
