"""A fixed amount of work for one template, counted instead of timed: the same text fails in the same place on every machine.

One unit is about a tenth of a microsecond of CPython on a machine of 2025; `FUEL` is one to two seconds.
"""

from __future__ import annotations

import json
from typing import Any, Final

from orchestrator_nb.errors import TemplateError
from orchestrator_nb.prompts.template import OUTPUT_CAP

FUEL: Final = 12_000_000
DEPTH: Final = 64
"""How deep a value may nest; JSON of models and files does not come near."""


class ExpressionError(TemplateError):
    """An expression or template cannot be read or evaluated. ``line`` is counted from 1 in its own text."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


class Missing(ExpressionError):
    """A part that is not there; ``default`` and ``is defined`` take it for an answer."""


class Work:
    """What is left of the work that one template may do."""

    def __init__(self, fuel: int = FUEL) -> None:
        self.left = fuel

    def spend(self, units: int) -> None:
        """Take some. Raises `ExpressionError` when there is not enough."""
        self.left -= units
        if self.left < 0:
            raise ExpressionError("the template does more work than one may; give it less, or split the step.")

    def weigh(self, value: Any) -> int:
        """The size of a JSON value (signs of texts, and 8 for each part), spent on the way. Raises `ExpressionError` for what is no JSON or nests too deep."""
        if isinstance(value, str):
            self.spend(1 + len(value) // 8)
            return len(value)
        total, stack = 0, [(value, 0)]
        while stack:
            part, depth = stack.pop()
            size = _size(part)
            self.spend(16 + size // 8)
            total += 8 + size
            if isinstance(part, list | dict):
                if depth >= DEPTH:
                    raise ExpressionError(f"a value nests more than {DEPTH} deep.")
                self.spend(len(part))
                stack += [(inner, depth + 1) for inner in (part.values() if isinstance(part, dict) else part)]
        return total

    def text(self, value: Any) -> str:
        """A value as it stands in a text: a text as it is, everything else as JSON."""
        size = self.weigh(value)
        if isinstance(value, str):
            return value
        self.spend(size)
        return json.dumps(value, ensure_ascii=False)


def capped(size: int) -> None:
    """Raises `ExpressionError` when a text has more than `OUTPUT_CAP` signs."""
    if size > OUTPUT_CAP:
        raise ExpressionError(f"the text is longer than {OUTPUT_CAP:,} signs; put in less.")


def _size(part: Any) -> int:
    if isinstance(part, str):
        return len(part)
    if isinstance(part, dict):
        return sum(len(key) if isinstance(key, str) else 1 for key in part)
    if part is None or isinstance(part, bool | int | float | list):
        return 0
    raise ExpressionError(f"a {type(part).__name__} is no JSON value; chains pass texts, numbers, lists and objects.")
