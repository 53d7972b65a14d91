"""What may be a new password. An existing vault opens with whatever it was made with."""

from __future__ import annotations

import unicodedata
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.kdf import normal

SHORTEST: Final = 12
COMFORTABLE: Final = 15
WORDS: Final = 4
_FEWEST_KINDS: Final = 5
_UNTYPABLE: Final = {"Cc", "Cn"}
"""Control signs, which come from a paste gone wrong, and code points without a sign yet, whose NFKC form may change when they get one."""


def require_good(password: Hidden) -> str | None:
    """A warning for a password that is short but allowed, else ``None``. Raises `UserError` for one that is not allowed; shows none of it.

    Twelve signs, or four words: guessing four words drawn from a list of 18,000 costs an attacker tens of millions of dollars, three some thousands
    (https://support.1password.com/pbkdf2/). There are no rules about digits and signs: length does the work.
    """
    typed = normal(password)
    signs, words, kinds, typable = typed.use(_measure)
    typed.wipe()
    if not signs:
        raise UserError("an empty password protects nothing; nothing was changed.")
    if not typable:
        raise UserError("this password has a sign that no keyboard types, such as a tab; nothing was changed.")
    if (signs < SHORTEST and words < WORDS) or kinds < _FEWEST_KINDS:
        raise UserError(
            f"this password is too easy: take {SHORTEST} signs or more, not the same few, or four words. Nothing was changed."
        )
    if signs < COMFORTABLE:
        return f"a password of {signs} signs can be guessed by somebody with money; four or five words are better: %vault passwd"
    return None


def _measure(password: bytearray) -> tuple[int, int, int, bool]:
    """Signs, different words of more than one sign, different signs, and whether a keyboard types them."""
    text = password.decode()
    words = {word for word in text.split() if len(word) > 1}
    return len(text), len(words), len(set(text)), all(unicodedata.category(sign) not in _UNTYPABLE for sign in text)
