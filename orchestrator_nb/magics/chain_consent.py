"""Where a notebook's person is asked whether the steps that a model proposes may run."""

from __future__ import annotations

from orchestrator_nb.magics.shell import Shell, display
from orchestrator_nb.results.chain_consent import Consent
from orchestrator_nb.vault import sources

__all__ = ["Consent", "consent_for"]


def consent_for(shell: Shell) -> Consent:
    """The way to ask in this shell."""
    if hasattr(shell, "kernel"):
        return Consent(display, _asked)
    return Consent(lambda shown: print(f"\n{shown.text}"), _asked)  # noqa: T201  # a terminal's display


def _asked(words: str) -> str | None:
    """The person's answer; ``None`` where there is nobody, or a script whose input is not for us."""
    if not sources.somebody_is_there():
        return None
    try:
        with sources.interruptible():
            return input(words)
    except (EOFError, NotImplementedError):  # the latter where the front end takes no input (StdinNotImplementedError)
        return None
