"""The vault as a form: unlock, what is in it, time left, lock now, add or replace a key.

    from orchestrator_nb.widgets import VaultPanel

    VaultPanel()

A password or a value comes as the buffer of one message, is held by `Hidden` from then on, and is wiped when it has been used. The widget has no trait for it, and
none for anything else: whatever a notebook keeps of its widgets' state, there is nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from weakref import ref

from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.keyring import Keyring
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import telling
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.pane import Pane
from orchestrator_nb.widgets.vault_still import still as still_of


class VaultPanel(Pane):
    """A form for the vault of the session's profile, or for ``keyring``."""

    _esm = code("vault")
    _css = style("vault")
    instead = "The form needs a front end with widgets; %vault unlock and %vault set ask for what they need."

    def __init__(self, keyring: Keyring | None = None) -> None:
        self._keyring = keyring or sessions.session().own_vault()
        self._told: object = None
        super().__init__()
        _after_each_cell(get_ipython(), self)

    def still(self) -> still.Still:
        """What ``%vault`` says now, for good."""
        return still_of(self._keyring)

    def look(self) -> None:
        """Tell the browser, if something has changed since; the time alone does not count as a change."""
        try:
            told = self._keyring.status().state, self._keyring.vault.glance()
        except OrchestratorError:
            return  # said when somebody does something
        if told != self._told:
            self._tell_state()

    # The browser's side

    def _act(self, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        typed = [Hidden(buffer) for buffer in buffers]
        try:
            said = self._do(message, typed)
        finally:
            for one in typed:
                one.wipe()
        self._tell_state()
        self._say(said)

    def _do(self, message: Mapping[str, Any], typed: Sequence[Hidden]) -> str:
        match message, len(typed):
            case {"kind": "unlock"}, 1:
                self._keyring.unlock_with(typed[0])
                return "Open."
            case {"kind": "make"}, 2:
                self._keyring.make_with(*typed)
                return "The vault is made, and open."
            case {"kind": "put", "name": str(name)}, 1:
                return telling.stored(self._keyring.set_with(name, typed[0]))
            case {"kind": "lock"}, 0:
                self._keyring.lock()
                return "Locked; keys and values are wiped from this kernel."
        return ""

    def _refuse(self, message: Mapping[str, Any], error: Exception) -> None:
        """The form shows what is so; where even that cannot be told, only why."""
        with suppress(OrchestratorError):
            self._tell_state()
        super()._refuse(message, error)

    def _say(self, text: str, **how: Any) -> None:
        if said := " ".join([text, *self._keyring.notices]).strip():
            super()._say(said, **how)

    def _tell_state(self) -> None:
        status, facts = self._keyring.status(), self._keyring.vault.glance()
        now = datetime.now(UTC).timestamp()
        keys = [
            {"name": fact.name, "vendor": fact.vendor, "fp": fact.fp, "age": telling.age(fact, now)} for fact in facts
        ]
        left = {"idle_left_s": status.idle_left_s, "limit_left_s": status.limit_left_s}
        names = list(dict.fromkeys([*(fact.name for fact in facts), *self._keyring.known_names()]))
        about = {"state": status.state, "profile": status.path.stem, "keys": keys, "names": names}
        self._tell({"kind": "state", **about, **left})
        if (status.state, facts) != self._told:
            self._keep()
        self._told = status.state, facts


def _after_each_cell(shell: Shell | None, panel: VaultPanel) -> None:
    """A cell may have locked it, or put a key in. A panel that is closed, or is no more, is not asked again."""
    if shell is None:
        return
    known: Callable[[], VaultPanel | None] = ref(panel)

    def look(*_: object) -> None:
        if (one := known()) is not None and one.comm is not None:
            one.look()
        else:
            shell.events.unregister("post_run_cell", look)

    shell.events.register("post_run_cell", look)
