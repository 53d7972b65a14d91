"""Texts without keys: what a session writes to its store and to tapes holds none that it knows, whoever put it there: a server, a prompt, a frame's column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from orchestrator_nb.forms import NOTHING, Forms, Sought
from orchestrator_nb.providers.keys import synonyms
from orchestrator_nb.secret import Hidden

if TYPE_CHECKING:
    from orchestrator_nb.catalog import Catalog


class Keyless:
    """Knows the keys in ``environ`` that the vendors of ``catalog`` are asked with, as of the last `look`, and those that the ``vault`` has open now."""

    def __init__(self, environ: Mapping[str, str], catalog: Callable[[], Catalog], vault: Callable[[], Forms]) -> None:
        self._environ, self._catalog, self._vault = environ, catalog, vault
        self._forms: Forms = NOTHING

    def look(self) -> None:
        """Look at the environment again: at the beginning of each run, for making the forms takes as long as a hundred texts."""
        names = {name for vendor in self._catalog().vendors.values() for name in synonyms(vendor.key_name)}
        self._forms = Forms([Sought(Hidden(self._environ[name])) for name in sorted(names & self._environ.keys())])

    def without(self, text: str) -> str:
        """The text with a mark in the place of each key."""
        return self._forms.without(self._vault().without(text))

    def held_by(self, text: str) -> bool:
        """Whether a key stands in the text."""
        return any(forms.held_by(text) is not None for forms in (self._forms, self._vault()))
