"""``%llm conversations``: what was said under a name, its branches, and files of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from orchestrator_nb.conversations import Tree, drawn
from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import nearest
from orchestrator_nb.magics.shell import say

if TYPE_CHECKING:
    from orchestrator_nb.magics.cell import Magics
    from orchestrator_nb.magics.commands import Words
    from orchestrator_nb.sessions import Session
    from orchestrator_nb.talk import Conversation

COLUMNS: Final = {
    "conversation": "string",
    "turns": "Int64",
    "branch": "string",
    "branches": "object",
    "model": "string",
    "when": "datetime64[us, UTC]",
}


def conversations(magics: Magics, words: Words) -> pd.DataFrame | None:
    """One of the verbs, or the list of all."""
    verb, *rest = words.words or ["list"]
    if (act := _VERBS.get(verb)) is None:
        raise UserError(
            f"%llm conversations has no word {verb!r}{nearest(verb, tuple(_VERBS))} It has {', '.join(_VERBS)}."
        )
    return act(magics.session, type(words)(words.usage, rest))


def table(session: Session) -> pd.DataFrame:
    """All conversations, the one that was spoken in last first."""
    rows = [_facts(name, session.conversation(name).tree) for name in session.talks.names()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _facts(name: str, tree: Tree) -> list[Any]:
    last = max(tree.turns.values(), key=lambda turn: turn.at, default=None)
    when = pd.Timestamp(round(last.at * 1e6), unit="us", tz="UTC") if last else pd.NaT
    model = next((turn.model for turn in reversed(tree.current) if turn.model), None)
    return [name, len(tree.turns), tree.branch, list(tree.heads), model, when]


def _list(session: Session, words: Words) -> pd.DataFrame:
    words.read()
    return table(session)


def _tree(session: Session, words: Words) -> None:
    talk = session.talks.existing(words.read(("name", {})).name)
    say(drawn(talk.tree))


def _branch(session: Session, words: Words) -> None:
    given = words.read(("name", {}), ("at", {}), ("new", {}))
    talk = session.talks.existing(given.name)
    talk.branch(given.at, given.new)
    _told(talk)


def _switch(session: Session, words: Words) -> None:
    given = words.read(("name", {}), ("branch", {}))
    talk = session.talks.existing(given.name)
    talk.switch(given.branch)
    _told(talk)


def _told(talk: Conversation) -> None:
    tree = talk.tree
    after = f"after the turn {tree.head}" if tree.head else "at the beginning"
    say(f"{talk.name}: on branch {tree.branch}, {after}; the next question follows there.")


def _export(session: Session, words: Words) -> None:
    given = words.read(("name", {}), ("path", {"nargs": "?"}))
    talk = session.talks.existing(given.name)
    path = given.path or f"{talk.name}.md"
    talk.export(path if Path(path).suffix else f"{path}.md")
    say(f"written to {path}; a path ending in .json holds the whole tree, to be imported again.")


def _import(session: Session, words: Words) -> None:
    given = words.read(("path", {}), ("name", {"nargs": "?"}))
    talk = session.talks.import_file(given.path, given.name)
    say(f"{talk.name}: {len(talk.tree.turns):,} turns. Go on with %%llm -c {talk.name!r}.")


_VERBS: Final[Mapping[str, Callable[[Any, Any], pd.DataFrame | None]]] = {
    "list": _list,
    "tree": _tree,
    "branch": _branch,
    "switch": _switch,
    "export": _export,
    "import": _import,
}
VERBS: Final = tuple(_VERBS)
