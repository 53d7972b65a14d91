"""The model picker: a list to search and choose from, in the notebook.

    from orchestrator_nb.widgets import ModelPicker

    picker = ModelPicker("*haiku*")
    picker.chosen, picker.options

The choice are two traits. What there is to choose goes to the browser as a message when it asks, so that no saved notebook holds it.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets
from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.prompts.options import params_of
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.cells import cells_of
from orchestrator_nb.widgets.offer import Choice, offer_of
from orchestrator_nb.widgets.pane import Pane
from orchestrator_nb.widgets.picked import picked


class ModelPicker(Pane):
    """The models that can be asked now and fit ``pattern``; ``into`` is the variable that is proposed for the choice. Raises `UserError`.

    ``chosen`` are names (``provider/model``) in the order of choosing, ``options`` what each of them is to be asked with, by name.
    """

    _esm = code("picker")
    _css = style("picker")
    instead = "The model picker needs a front end with widgets; here is its list."
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    options = traitlets.Dict().tag(sync=True)
    into = traitlets.Unicode("models").tag(sync=True)

    def __init__(self, pattern: str = "*", *, into: str = "models", session: Session | None = None) -> None:
        self._shell: Shell | None = get_ipython()
        self._offer = offer_of(session or sessions.session(), pattern)
        self._cell = place_of(self._shell).get("cell") if self._shell else None
        super().__init__(into=_variable(into))
        self.observe(self._changed, ["chosen", "options"])

    def still(self) -> still.Still:
        """The choice as it is now, for good."""
        return picked(self._offer, self.chosen, self._preview())

    def write(self, name: str) -> list[str]:
        """Write the names of what is chosen to a variable of the notebook. Raises `UserError` for a name that is none, or stands for something else."""
        name = _variable(name)
        if self._shell is None:
            raise UserError("there is no notebook here; take picker.chosen.")
        if not _is_list_of_names(self._shell.user_ns.get(name, [])):
            raise UserError(f"{name} is a variable of yours that holds something else; choose another name.")
        chosen = list(self.chosen)
        self._shell.push({name: chosen})
        return chosen

    # The browser's side

    def _act(self, message: Mapping[str, Any], _buffers: object) -> None:
        match message:
            case {"kind": "ready"}:
                self._tell({"kind": "offer", **self._offer.message()})
                self._tell_preview()
            case {"kind": "write", "name": str(name)}:
                self.write(name)
                lost = "; options do not go along, the cell to insert has them" if self.options else ""
                self._say(f"{name} holds {len(self.chosen)} names: session().compare(prompts, {name}){lost}")
            case {"kind": "insert"}:
                self._tell({"kind": "insert", "cells": cells_of(self.chosen, self.options), "after": self._cell})

    def _changed(self, _change: object) -> None:
        self._tell_preview()
        self._keep()

    def _tell_preview(self) -> None:
        self._tell({"kind": "preview", "text": self._preview()})

    def _preview(self) -> str:
        try:
            return "\n".join(cells_of(self.chosen, self.options)).strip()
        except UserError as error:
            return str(error)

    @traitlets.validate("chosen")
    def _only_offered(self, proposal: Mapping[str, Any]) -> list[str]:
        return [ref for ref in dict.fromkeys(proposal["value"]) if ref in self._offer.choices]

    @traitlets.validate("options")
    def _only_taken(self, proposal: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """What is no option of the model, or no value of the option, is left out, and said."""
        found = {ref: self._taken(self._offer.choices.get(ref), given) for ref, given in proposal["value"].items()}
        return {ref: given for ref, given in found.items() if given}

    def _taken(self, choice: Choice | None, given: Any) -> dict[str, str]:
        if choice is None or not isinstance(given, Mapping):
            return {}
        return {
            name: str(value) for name, value in given.items() if name in choice.options and self._is_right(name, value)
        }

    def _is_right(self, name: str, value: object) -> bool:
        try:
            params_of({name: str(value)})
        except UserError as error:
            self._say(str(error), problem=True)
            return False
        return True


def _variable(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{name!r} is no name for a variable; write letters, digits and _.")
    return name


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value)
