"""Which case of a switch a value chooses. Pure: the engine asks the model, this decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orchestrator_nb.chains.functions import word


def chosen(value: Any, cases: Sequence[str], *, asked: bool = False) -> str | None:
    """The name of the case, or ``None`` for the default. ``asked``: the value is a model's answer, in which exactly one case's name may stand among other words."""
    if value is None or isinstance(value, list | dict):
        return None
    said = word(value)
    names = {word(case): case for case in reversed(cases)}
    if said in names:
        return names[said]
    if not asked:
        return None
    found = [case for name, case in names.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)]
    return found[0] if len(found) == 1 else None


def question(prompt: str, cases: Sequence[str]) -> str:
    """What a model is asked: the prompt, filled already, and the words that it may answer."""
    return f"{prompt.rstrip()}\n\nAnswer with one word, one of: {', '.join(cases)}."
