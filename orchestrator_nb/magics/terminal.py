"""Frames in a terminal: what a model wrote must not move the cursor or rewrite what stands there."""

from __future__ import annotations

from typing import Any, Final

from orchestrator_nb.magics.shell import Shell

_TYPES: Final = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas.core.frame", "DataFrame"),  # their homes before pandas 3
    ("pandas.core.series", "Series"),
)


def guard(shell: Shell) -> None:
    """Show frames without control sequences. pandas is not imported for it; what a program prints by itself stays as it is."""
    formatter = shell.display_formatter.formatters["text/plain"]
    for home, name in _TYPES:
        formatter.for_type_by_name(home, name, _shown)


def release(shell: Shell) -> None:
    """Take that back."""
    formatter = shell.display_formatter.formatters["text/plain"]
    for home, name in _TYPES:
        formatter.pop(f"{home}.{name}", None)


def _shown(frame: Any, printer: Any, _cycle: bool) -> None:
    from orchestrator_nb.results.safe_text import plain  # not before something is shown

    printer.text(plain(repr(frame)))
