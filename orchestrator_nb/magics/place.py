"""Which notebook and which cell asks, and who runs it, as far as the kernel is told."""

from __future__ import annotations

import os
from typing import Any, Final

from orchestrator_nb.magics.shell import Shell

LONGEST: Final = 1_000


def place_of(shell: Shell) -> dict[str, str]:
    """``notebook`` and ``cell``, each where it is known; they stand with the run in the store, and nowhere else. Jupyter names the notebook in the environment, VS Code in a variable, front ends the cell in a message's header."""
    found = {
        "notebook": os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__"),
        "cell": _cell_of(getattr(shell, "kernel", None)),
    }
    return {name: value[:LONGEST] for name, value in found.items() if isinstance(value, str) and value}


def takes_widgets(shell: Shell) -> bool:
    """Whether somebody runs this cell who can use a widget. A terminal shows none, and a program that runs notebooks (nbclient, papermill), which takes no input either,
    would only keep its code in the notebook. https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute
    """
    try:
        return bool(shell.kernel.get_parent("shell")["content"]["allow_stdin"])
    except (AttributeError, KeyError, TypeError):
        return False


def execution_of(shell: Shell) -> str | None:
    """Which press of the run button this is, so that a cell that asks several questions is not taken for one that runs again."""
    try:
        found = shell.kernel.get_parent("shell")["header"]["msg_id"]
    except (AttributeError, KeyError, TypeError):
        return None
    return found[:LONGEST] if isinstance(found, str) and found else None


def _cell_of(kernel: Any) -> Any:
    """The id of the cell that runs. https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute"""
    try:
        return kernel.get_parent("shell")["metadata"].get("cellId")
    except (AttributeError, KeyError, TypeError):
        return None
