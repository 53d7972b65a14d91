"""Who is asked next in a chat, in which conversation and as whom; and the orders that change it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Final

from orchestrator_nb.conversations import Tree
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.magics.args import nearest
from orchestrator_nb.sessions import Session
from orchestrator_nb.traces.patterns import PATTERNS
from orchestrator_nb.widgets.slash import HELP, Order

MOVES: Final = frozenset({"load", "clear"})
"""Orders after which something else is shown, so that no answer may be arriving meanwhile."""


class Head:
    """``chosen`` is the model, ``system`` the system prompt that was set here; ``None``: as it was before. ``persona`` is the name of who speaks so."""

    def __init__(self, session: Session, name: str, model: str | None) -> None:
        self._session = session
        self.talk = session.conversation(name)
        self.chosen = session.catalog.find(model).ref if model else None
        self.system: str | None = None
        self.persona = ""

    @property
    def model(self) -> str | None:
        """Who is asked next, as ``provider/model``; ``None`` where no model is set."""
        known = next((turn.model for turn in reversed(self.talk.tree.current) if turn.model), None)
        with suppress(OrchestratorError):
            return self.chosen or self._session.catalog.find(known or self._session.config.settings.model or "").ref
        return None

    def branch(self, parent: str | None) -> None:
        """Go on after the turn ``parent``, or from the beginning, on a branch of its own."""
        self.talk.branch(parent, f"chat-{secrets.token_hex(3)}")

    def require_no_key(self, text: str) -> None:
        """Raises `UserError` for a text with what looks like a key, or is one."""
        if any(True for pattern in PATTERNS for _ in pattern.find(text)) or self._session.talks.holds_key(text):
            raise UserError("this holds what looks like a key; nothing was sent. %vault set NAME keeps a key.")

    def obey(self, order: Order) -> str:
        """What there is to say of it. Raises `UserError`."""
        said: str = getattr(self, f"_do_{order.name}")(order.rest)
        return said

    def _do_help(self, _rest: str) -> str:
        return HELP

    def _do_model(self, name: str) -> str:
        self.chosen = self._session.catalog.find(name).ref
        return f"{self.chosen} is asked from now on."

    def _do_provider(self, name: str) -> str:
        catalog = self._session.catalog
        if name not in catalog.vendors:
            raise UserError(f"there is no provider {name[:60]!r}{nearest(name, tuple(catalog.vendors))}")
        found = [spec for spec in catalog.models if spec.vendor.name == name and not spec.retired]
        first = next((spec for spec in found if name in spec.aliases), found[0] if found else None)
        if first is None:
            raise UserError(f"no model of {name} is known; /model {name}/NAME asks one.")
        return self._do_model(first.ref)

    def _do_persona(self, name: str) -> str:
        self.system = self._session.chains.roles.system(None, name) if name else ""
        self.persona = name
        return f"{name} answers from now on." if name else "Nobody in particular answers from now on."

    def _do_system(self, text: str) -> str:
        self.require_no_key(text)
        instead = f", in the place of {self.persona}'s" if self.persona else ""
        self.system, self.persona = text, ""
        return f"{'That is the' if text else 'There is no'} system prompt from now on{instead}."

    def _do_save(self, name: str) -> str:
        path = self.talk.tree.current
        if not path:
            raise UserError("nothing was said on this path yet.")
        turns = {turn.id: turn for turn in path}
        self._session.conversation(name).take(Tree(turns, {path[-1].branch: path[-1].id}, path[-1].branch))
        return f"Kept as {name!r} too; /load {name} goes there."

    def _do_load(self, name: str) -> str:
        self.talk = self._session.talks.existing(name)
        self.chosen, self.system, self.persona = None, None, ""
        return f"This is {name!r} now."

    def _do_clear(self, _rest: str) -> str:
        if self.talk.tree.current:
            self.branch(None)
        self.system, self.persona = None, ""
        return "This begins anew; what was said stays in the conversation."

    def _do_export(self, path: str) -> str:
        if "." not in path:
            raise UserError("/export FILE.md writes this path, /export FILE.json all branches.")
        self.talk.export(path)
        return f"Written to {self._session.talks.place(path).resolve()}."
