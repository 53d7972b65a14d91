"""What may be a new password. An existing vault opens with whatever it was made with."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.kdf import normal

SHORTEST: Final = 12
COMFORTABLE: Final = 15
WORDS: Final = 4
_FEWEST_KINDS: Final = 5
_FAMOUS: Final = re.compile(
    "password|passwort|passwd|pass|qwerty(?:uiop)?|qwertz(?:uiop)?|azerty(?:uiop)?|asdf(?:gh(?:jkl)?)?|zxcvbn?m?|letmein|welcome|admin(?:istrator)?"
    "|iloveyou|changeme|secret|trustno|monkey|dragon|abc(?:def(?:gh(?:i(?:jkl(?:mno?)?)?)?)?)?|football|baseball|superman|princess|sunshine|master|login"
    "|hello|test|geheim|default|root|user|orchestrator|jupyter|openai|anthropic"
)
_FOR_LETTERS: Final = str.maketrans("0@$3", "oase")
_LETTERS_FOR: Final = str.maketrans("oase", "0@$3")
"""And back, where they stood for themselves."""
_MANY_DIGITS: Final = 20
_UNTYPABLE: Final = {"Cc", "Cn"}
"""Control signs, which come from a paste gone wrong, and code points without a sign yet, whose NFKC form may change when they get one."""


def require_good(password: Hidden) -> str | None:
    """A warning for a password that is short but allowed, else ``None``. Raises `UserError` for one that is not allowed; shows none of it.

    Twelve signs, or four words: guessing four words drawn from a list of 18,000 costs an attacker tens of millions of dollars, three some thousands
    (https://support.1password.com/pbkdf2/). There are no rules about digits and signs: length does the work.
    """
    typed = normal(password)
    signs, words, kinds, typable, famous = typed.use(_measure)
    typed.wipe()
    if not signs:
        raise UserError("an empty password protects nothing; nothing was changed.")
    if not typable:
        raise UserError("this password has a sign that no keyboard types, such as a tab; nothing was changed.")
    if (signs < SHORTEST and words < WORDS) or kinds < _FEWEST_KINDS:
        raise UserError(
            f"this password is too easy: take {SHORTEST} signs or more, not the same few, or four words. Nothing was changed."
        )
    if famous:
        raise UserError(
            "this password is one that is tried first: take four words that nobody would put together. Nothing was changed."
        )
    if signs < COMFORTABLE:
        return f"a password of {signs} signs can be guessed by somebody with money; four or five words are better: %vault passwd"
    return None


def _measure(password: bytearray) -> tuple[int, int, int, bool, bool]:
    """Signs, different words of more than one sign, different signs, whether a keyboard types them, and whether everybody would try them."""
    text = password.decode()
    words = {word for word in text.split() if len(word) > 1}
    typable = all(unicodedata.category(sign) not in _UNTYPABLE for sign in text)
    return len(text), len(words), len(set(text)), typable, _is_famous(text)


def _is_famous(text: str) -> bool:
    """``Passw0rd1234!``: nothing but famous words, digits and other signs; or digits alone, unless there are many."""
    plain = text.lower().translate(_FOR_LETTERS)
    rest, famous = _FAMOUS.subn("", plain)
    return (famous > 0 and not any(map(str.isalpha, rest.translate(_LETTERS_FOR)))) or (
        text.isdecimal() and len(text) < _MANY_DIGITS
    )
