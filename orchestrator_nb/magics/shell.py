"""IPython as our type checker may see it: its shell and display carry types only in part, so they are `Any` here and nowhere else."""

from __future__ import annotations

from typing import Any

from IPython.core import display_functions, magic

from orchestrator_nb.results.safe_text import plain

Shell = Any
"""An ``InteractiveShell``."""


def say(text: str) -> None:
    """A magic's answer in words, on the cell's output."""
    print(plain(text))  # noqa: T201  # which is what it is for


display: Any = display_functions.display
no_var_expand: Any = magic.no_var_expand
