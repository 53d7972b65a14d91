"""A key or a password that was written where a name should be, in a cell or a command: seen, never repeated, and refused."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator_nb.errors import UserError
from orchestrator_nb.traces.patterns import PATTERNS


def looks_like_a_key(word: object) -> bool:
    """Whether a word that should be a name is rather a key: it must not be repeated in a message, and be taken out of the cell."""
    if not isinstance(word, str):
        return True
    long = len(word) >= 20 and not {"_", "."} & {*word} and "://" not in word and sum(map(str.isdigit, word)) > 1
    return long or any(True for pattern in PATTERNS for _ in pattern.find(word))


def refuse_password(literal: tuple[object, ...], verb: str) -> None:
    """Raises `UserError` when there is one."""
    if literal:
        raise refusal(map(str, literal), f"session().vault.{verb}() asks for the password.", verb)


def refusal(literals: Iterable[str], advice: str, verb: str = "set") -> UserError:
    """The error to raise for keys or passwords that were written down, after they were taken out of the cell and its histories."""
    from orchestrator_nb import refused  # the front door knows which face this is

    return refused(literals, advice, verb)
