"""What was said in a chat as cells, to be run again, changed and shared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orchestrator_nb.conversations import Turn
from orchestrator_nb.errors import UserError

_BRACES: Final = re.compile(r"\{[{%#]")
_WORD: Final = re.compile(r"[\w./:@+][\w./:@+-]*")


def cells_of(name: str, path: Sequence[Turn]) -> list[str]:
    """The questions of a path as cells of a conversation called ``name``. Raises `UserError` when there are none."""
    if not path:
        raise UserError("nothing was said on this path yet.")
    found, system = [], None
    for turn in path:
        words = ["%%llm", quoted(turn.model or ""), "-c", quoted(name)]
        if turn.system and turn.system != system and "\n" not in turn.system:
            words += ["-s", quoted(_literal(turn.system))]
        system = turn.system
        found.append(f"{' '.join(filter(None, words))}\n{_literal(turn.prompt)}")
    return found


def quoted(word: str) -> str:
    """As one word of a cell's first line."""
    if not word or _WORD.fullmatch(word):
        return word
    return "'" + word.replace("'", "\u2019") + "'"


def _literal(text: str) -> str:
    """As a template that means the text itself."""
    return _BRACES.sub(lambda found: f'{{{{ "{found[0]}" }}}}', text)
