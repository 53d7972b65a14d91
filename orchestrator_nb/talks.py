"""The conversations of a session by name, where they are kept, and files of them."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.chats import tree_of
from orchestrator_nb.chronicle import is_export, of_json, to_json
from orchestrator_nb.conversations import Tree, checked_name, is_name
from orchestrator_nb.errors import UserError
from orchestrator_nb.job import Plan
from orchestrator_nb.keyless import Keyless
from orchestrator_nb.store.conversations import Conversations
from orchestrator_nb.talk import Conversation, listening
from orchestrator_nb.transcripts import head_of, to_markdown
from orchestrator_nb.types import Clock

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session

FORMATS: Final = {".md": "markdown", ".markdown": "markdown", ".json": "json"}
MOST_BYTES: Final = 100_000_000
"""Of a file that is imported."""


class Talks:
    """The conversations of one session, by name."""

    def __init__(self, session: Session, clock: Clock, keyless: Keyless) -> None:
        """``keyless`` takes vendors' keys out of a text."""
        self._session, self.clock, self._keyless, self._lock = session, clock, keyless, threading.Lock()
        self._open: dict[str, Conversation] = {}
        self._told: set[str] = set()

    def open(self, name: str) -> Conversation:
        """The conversation called ``name``, which begins if there is none. Raises `UserError` for what is no name."""
        name = checked_name(name)
        with self._lock:
            return self._open.setdefault(name, Conversation(name, self._session, self))

    def existing(self, name: str) -> Conversation:
        """The conversation called ``name``. Raises `UserError` when nothing was said in it."""
        found = self.open(name)
        if not found.tree.turns:
            known = ", ".join(self.names()[:5])
            raise UserError(f"there is no conversation {name!r}{f'; there are: {known}.' if known else '.'}")
        return found

    def names(self) -> list[str]:
        """All that were begun, here or in the store, the one that was spoken in last first."""
        store = self.kept()
        kept = store.names() if store else []
        with self._lock:
            here = [name for name, talk in self._open.items() if talk.has_begun]
        return [name for name in dict.fromkeys([*kept, *here]) if is_name(name)]

    def import_file(self, path: str | Path, name: str | None = None) -> Conversation:
        """A conversation from a file: what `Conversation.export` wrote as JSON, or a list of role/content messages. Raises `UserError`."""
        file = self.place(path)
        why = ""
        try:
            own, tree = _read_file(file)
            begun = self.open(name or own)
        except ValueError as error:  # a ValueError's words are ours, but for those of JSON
            why = f"{file.name} cannot be imported: {error if type(error) is ValueError else 'it is no JSON.'}"
        except OSError as error:
            why = f"{file} cannot be read: {error.strerror or type(error).__name__}."
        if why:
            raise UserError(why)
        begun.take(tree)
        return begun

    def export(self, name: str, tree: Tree, to: str | Path) -> str:
        """As `Conversation.export`; no file gets a key that somebody wrote into a prompt."""
        form = to if isinstance(to, str) and to in FORMATS.values() else FORMATS.get(Path(to).suffix.lower())
        if form is None:
            raise UserError(f"{str(to)!r} is neither markdown nor json, nor a file that ends in .md or .json.")
        self._keyless.look()
        text = self._keyless.without(to_markdown(name, tree) if form == "markdown" else to_json(name, tree))
        if form != to:
            _write_file(self.place(to), text, name)
        return text

    def holds_key(self, text: str) -> bool:
        """Whether a key that this session knows stands in the text."""
        self._keyless.look()
        return self._keyless.held_by(text)

    def resumed(self, plan: Plan, about: Mapping[str, Any]) -> Plan:
        """What is left of a run, with the conversation listening if it was a turn of one: an answer that comes now takes its place in the tree."""
        name = about.get("conversation")
        begun = self.open(name).tree.turns.get(str(about.get("turn"))) if isinstance(name, str) else None
        if begun is None:
            return plan
        anew = begun if begun.outcome == "asked" else replace(begun, id=secrets.token_hex(4))
        blank = replace(anew, outcome="asked", answer=None, why=None, call=None)
        return replace(plan, listening=partial(listening, self.open(str(name)), blank))

    def place(self, path: str | Path) -> Path:
        """A path as the user means it: from the session's folder."""
        try:
            named = Path(path).expanduser()
        except RuntimeError:
            named = None
        if named is None:
            raise UserError(f"{str(path)!r} begins with a home folder that is not there.")
        return (self._session.config.cwd or Path.cwd()) / named

    def kept(self) -> Conversations | None:
        """Where conversations are written down. A replay for somebody else's notebook neither knows the reader's own nor adds to them."""
        store = self._session.store
        if store is None or not store.keep_prompts or self._session.config.settings.source.startswith("replay-only"):
            return None
        return Conversations(store.database, store.clean)

    def why_not_kept(self, name: str) -> tuple[str, ...]:
        """Where a conversation is not written down: why, said once for each."""
        settings = self._session.config.settings.store
        why = (
            "store.enabled is false"
            if not settings.enabled
            else "store.keep_prompts is digest, and a conversation is its texts"
        )
        if (settings.enabled and settings.keep_prompts == "full") or name in self._told:
            return ()
        self._told.add(name)
        return (f"the conversation {name!r} ends with this session, for {why}.",)


def _read_file(file: Path) -> tuple[str, Tree]:
    with file.open("rb") as opened:
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES // 1_000_000:,} MB.")
    try:
        record = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        record = None
    if record is None:
        raise ValueError("it nests too deeply.")
    if is_export(record):
        return of_json(record)
    return file.stem, tree_of(record, file.stem, partial(secrets.token_hex, 4))


def _write_file(path: Path, text: str, name: str) -> None:
    """An earlier export of the same conversation is replaced, and no other file."""
    head = text[: text.index(' "branch"')] if path.suffix.lower() == ".json" else head_of(name)
    try:
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(head):
            why = f"{path} is there already and is no export of the conversation {name!r}; name another file."
        else:
            path.write_text(text, encoding="utf-8")
            why = ""
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror or type(error).__name__}."
    if why:
        raise UserError(why)
