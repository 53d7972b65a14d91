"""What people click on: pick models, look after keys. Each widget leaves a static form in the notebook, for front ends without widgets and for later.

Nothing is imported before it is used: the names below load ipywidgets and anywidget on first touch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator_nb.widgets.chain_editor import ChainEditor
    from orchestrator_nb.widgets.chat import Chat
    from orchestrator_nb.widgets.grid import RunGrid
    from orchestrator_nb.widgets.picker import ModelPicker
    from orchestrator_nb.widgets.runs import RunPanel
    from orchestrator_nb.widgets.vault import VaultPanel

__all__ = ["ChainEditor", "Chat", "ModelPicker", "RunGrid", "RunPanel", "VaultPanel"]

_HOME_OF = {
    "ChainEditor": "chain_editor",
    "Chat": "chat",
    "ModelPicker": "picker",
    "RunGrid": "grid",
    "RunPanel": "runs",
    "VaultPanel": "vault",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
