"""Ask many language models from one notebook cell and get one tidy, reproducible DataFrame.

    %load_ext orchestrator_nb

Nothing is imported, read or connected until it is used: names below load their module on first touch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from orchestrator_nb.errors import OrchestratorError, ProviderError, UserError
    from orchestrator_nb.messages import Image, Message, Text
    from orchestrator_nb.sessions import Session, session
    from orchestrator_nb.widgets.grid import RunGrid as RunGrid

__version__ = "0.1.0"
__all__ = [
    "Image",
    "Message",
    "OrchestratorError",
    "ProviderError",
    "Session",
    "Text",
    "UserError",
    "load_ipython_extension",
    "session",
    "unload_ipython_extension",
]

_HOME_OF = {
    "Image": "messages",
    "Message": "messages",
    "OrchestratorError": "errors",
    "ProviderError": "errors",
    "RunGrid": "widgets.grid",
    "Session": "sessions",
    "Text": "messages",
    "UserError": "errors",
    "session": "sessions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def refused(literals: Iterable[str], advice: str, verb: str) -> UserError:
    """The error to raise for keys or passwords that were written into code behind this verb of the vault. In a notebook they are taken out of the cell and its histories first."""
    from IPython.core.getipython import get_ipython  # only on this way

    from orchestrator_nb.magics.literals import kind_of, refuse_all

    return refuse_all(get_ipython(), literals, advice, kind_of(verb))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext orchestrator_nb``: registers the magics and nothing more."""
    from orchestrator_nb.magics.extension import load  # only a notebook needs the magics

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext orchestrator_nb``: takes back what loading registered."""
    from orchestrator_nb.magics.extension import unload  # only a notebook needs the magics

    unload(shell)
