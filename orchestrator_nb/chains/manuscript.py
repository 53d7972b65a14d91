"""A chain's text under the editor's hands: what it is, what it was, and what it was before an undo. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator_nb.chains.changing import Refused
from orchestrator_nb.chains.editing import edited, value_in
from orchestrator_nb.config.yaml import Place

MOST: Final = 200
"""Steps back that are kept."""
LONGEST: Final = 1_000_000


@dataclass
class Manuscript:
    """``text`` holds the chain at ``root``. Every state is kept whole: going back gives the very bytes."""

    text: str
    root: Place = ()
    past: list[tuple[str, Place]] = field(default_factory=list)
    future: list[tuple[str, Place]] = field(default_factory=list)

    @property
    def value(self) -> Any:
        """The chain as a plain value, ``None`` where it cannot be read."""
        try:
            return value_in(self.text, self.root)
        except Refused:
            return None

    def do(self, op: Mapping[str, Any]) -> str:
        """Makes one edit; what there is to say of it. Raises `Refused`, and then nothing has changed."""
        made = edited(self.text, op, self.root)
        if len(made.text) > LONGEST:
            raise Refused(f"the text would have {len(made.text):,} signs; a chain may have {LONGEST:,}.")
        self.become(made.text, self.root)
        return made.note

    def become(self, text: str, root: Place) -> None:
        """Another text, which can be undone."""
        if (text, root) == (self.text, self.root):
            return
        self.past = [*self.past[-MOST + 1 :], (self.text, self.root)]
        self.future.clear()
        self.text, self.root = text, root

    def undo(self) -> None:
        """As it was before the last edit. Raises `Refused`."""
        self._go(self.past, self.future, "undo")

    def redo(self) -> None:
        """As it was before the last undo. Raises `Refused`."""
        self._go(self.future, self.past, "redo")

    def _go(self, back: list[tuple[str, Place]], forth: list[tuple[str, Place]], what: str) -> None:
        if not back:
            raise Refused(f"there is nothing to {what}.")
        forth.append((self.text, self.root))
        self.text, self.root = back.pop()
