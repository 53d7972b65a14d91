"""What all widgets have in common: the wire to their browser, how a refusal is told there, and the static form that stays in the notebook."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from anywidget import AnyWidget

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.widgets import still


class Pane(AnyWidget):
    """A widget of ours says what it does with a message in `_act`, and what stays of it in `still`. What is not to be kept in a notebook goes as messages, not as traits."""

    instead: str
    """What a front end without widgets shows in its place; the static form follows it."""

    def __init__(self, **traits: Any) -> None:
        self._turn = threading.RLock()
        self._view: object = None
        self._shown: still.Shown | None = None
        super().__init__(**traits)
        _hear_while_a_cell_runs(self.comm)
        self.on_msg(self._hear)

    def show(self) -> None:
        """Show it, and below it the static form that stays in the notebook."""
        self._shown = still.show(self._repr_mimebundle_(), self.still())

    def still(self) -> still.Still:
        """What it shows now, for good."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        self.show()

    def _repr_mimebundle_(self, **how: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**how) or ({}, {})
        return {**data, "text/plain": self.instead}, metadata

    def _keep(self) -> None:
        """Bring the static form up to date."""
        if self._shown:
            self._shown.update(self.still())

    # The browser's side

    def _hear(self, _widget: object, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """One at a time. Nobody looks at what a kernel logs, so whatever goes wrong is said where it was asked for."""
        with self._turn:
            self._view = message.get("view")
            try:
                self._act(message, buffers)
            except OrchestratorError as error:
                self._refuse(message, error)
            except Exception as error:
                self._refuse(message, error)
                raise
            finally:
                self._view = None

    def _act(self, message: Mapping[str, Any], buffers: Sequence[Any], /) -> None:
        """Do what the browser asks. Raises `OrchestratorError` with what is said there."""
        raise NotImplementedError

    def _refuse(self, _message: Mapping[str, Any], error: Exception) -> None:
        self._say(_why(error), problem=True)

    def _say(self, text: str, *, problem: bool = False, **more: Any) -> None:
        """One sentence for whoever looks."""
        self._reply({"kind": "said", "text": plain(text), "problem": problem, **more})

    def _reply(self, message: Mapping[str, Any]) -> None:
        """For the view that asked, alone, as the same widget may be open in two tabs; for all where none has asked."""
        self._tell(message if self._view is None else {**message, "view": self._view})

    def _tell(self, message: Mapping[str, Any]) -> None:
        """For every view; a widget that is closed has none."""
        if self.comm is not None:
            self.send(message)


def _why(error: Exception) -> str:
    if isinstance(error, OrchestratorError):
        return str(error)
    return (
        f"that went wrong inside ({type(error).__name__}), which is a mistake of this program; the kernel's log has it."
    )


def _hear_while_a_cell_runs(comm: Any) -> None:
    """Its messages go where the browser sent them. Since ipykernel 7.4 they would go to the thread that published last, which a running cell keeps busy."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
