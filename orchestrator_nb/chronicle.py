"""Conversations as JSON: the events that the store keeps, and the file that a whole tree is exported to and imported from. Reading is strict: what is strange is a `ValueError`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from orchestrator_nb.canonical import plain
from orchestrator_nb.conversations import MAIN, Outcome, Tree, Turn, checked_name
from orchestrator_nb.messages import Message, Role
from orchestrator_nb.records import part_of

VERSION: Final = 1
FORMAT: Final = "orchestrator-nb conversation"


@dataclass(frozen=True, slots=True)
class Mark:
    """Somebody went to ``branch``, which is at ``turn``."""

    branch: str
    turn: str | None


def record_of(event: Turn | Mark) -> dict[str, Any]:
    """An event as JSON."""
    if isinstance(event, Mark):
        return {"v": VERSION, "event": "mark", "branch": event.branch, "turn": event.turn}
    return {"v": VERSION, "event": "turn", **turn_record(event)}


def event_of(record: Any) -> Turn | Mark:
    """The event that `record_of` wrote. Raises `ValueError`."""
    if not isinstance(record, Mapping) or record.get("v") != VERSION:
        raise ValueError("this turn was written by another version; update orchestrator-nb to read it.")
    if record.get("event") == "mark":
        turn = record.get("turn")
        return Mark(_text(record, "branch"), None if turn is None else _text(record, "turn"))
    return turn_of({name: value for name, value in record.items() if name not in {"v", "event"}})


def retold(events: Iterable[Turn | Mark], tree: Tree | None = None) -> Tree:
    """The tree after these events. A turn whose parent is missing becomes a beginning, a mark at a missing turn is passed over: what is damaged takes nothing with it."""
    tree = tree or Tree()
    for event in events:
        if isinstance(event, Mark):
            if event.turn is None or event.turn in tree.turns:
                tree = tree.at(event.branch, event.turn)
        else:
            tree = tree.with_turn(rooted(event, tree))
    return tree


def rooted(turn: Turn, tree: Tree) -> Turn:
    """The turn, as a beginning if what it follows is not in the tree."""
    return turn if turn.parent is None or turn.parent in tree.turns else replace(turn, parent=None)


def turn_record(turn: Turn) -> dict[str, Any]:
    """A turn as JSON; what it does not have is left out."""
    full = {
        "id": turn.id,
        "parent": turn.parent,
        "question": [_message_record(message) for message in turn.question],
        "answer": _message_record(turn.answer) if turn.answer else None,
        "params": plain(turn.params) or None,
        **{name: getattr(turn, name) for name in (*_OPTIONAL, "outcome", "branch", "at")},
    }
    return {name: value for name, value in full.items() if value is not None}


_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)
_OPTIONAL: Final = ("why", "model", "maker", "system", "cell", "execution", "call")
_KNOWN: Final = {"id", "parent", "question", "answer", "params", "outcome", "branch", "at", *_OPTIONAL}


def turn_of(record: Any) -> Turn:
    """The turn that `turn_record` wrote. Raises `ValueError`, which names the field."""
    if not isinstance(record, Mapping):
        raise ValueError("a turn is not an object.")
    if strange := sorted(str(name) for name in record.keys() - _KNOWN):
        raise ValueError(f"a turn has the unknown field {strange[0]!r}.")
    question, params, at = record.get("question"), record.get("params", {}), record.get("at", 0.0)
    if not isinstance(question, list) or not isinstance(params, Mapping):
        raise ValueError("a turn's question is not a list, or its params are not an object.")
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError("a turn's time is not a number.")
    if record.get("outcome") not in get_args(Outcome):
        raise ValueError(f"a turn's outcome is none of {', '.join(get_args(Outcome))}.")
    if not _ID.fullmatch(_text(record, "id")):
        raise ValueError("a turn's id is not a word of letters and digits.")
    optional = {name: _text(record, name) for name in ("parent", *_OPTIONAL) if record.get(name) is not None}
    return Turn(
        id=_text(record, "id"),
        question=tuple(map(_message_of, question)),
        answer=_message_of(record["answer"]) if record.get("answer") is not None else None,
        outcome=record["outcome"],
        branch=checked_name(_text(record, "branch"), "branch") if "branch" in record else MAIN,
        params=dict(params),
        at=float(at),
        **{"parent": None, **optional},
    )


def _message_record(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [plain(part) for part in message.parts]}


def _message_of(record: Any) -> Message:
    if not isinstance(record, Mapping) or record.keys() != {"role", "parts"} or not isinstance(record["parts"], list):
        raise ValueError("a message is not an object with role and parts.")
    if record["role"] not in get_args(Role):
        raise ValueError(f"a message's role is none of {', '.join(get_args(Role))}.")
    return Message(record["role"], tuple(map(part_of, record["parts"])))


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"a turn's {name} is not text.")
    return value


def to_json(name: str, tree: Tree) -> str:
    """The whole tree as a JSON text that `of_json` reads. ASCII, so that no sign in it hides another."""
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "branch": tree.branch,
        "branches": dict(tree.heads),
        "turns": [turn_record(turn) for turn in tree.turns.values()],
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def is_export(record: Any) -> bool:
    """Whether this is what `to_json` wrote."""
    return isinstance(record, Mapping) and record.get("format") == FORMAT


def of_json(record: Mapping[str, Any]) -> tuple[str, Tree]:
    """Name and tree of an export. Raises `ValueError`."""
    if record.get("version") != VERSION:
        raise ValueError("it was written by another version; update orchestrator-nb to read it.")
    turns, heads = record.get("turns"), record.get("branches")
    if not isinstance(turns, list) or not isinstance(heads, Mapping):
        raise ValueError("it has no turns or no branches.")
    tree = Tree()
    for turn in map(turn_of, turns):
        tree = _added(tree, turn)
    branch = record.get("branch")
    if branch not in heads or any(head is not None and head not in tree.turns for head in heads.values()):
        raise ValueError("a branch leads to a turn that is not there.")
    return _named(record), Tree(
        tree.turns, {checked_name(str(b), "branch"): head for b, head in heads.items()}, str(branch)
    )


def _added(tree: Tree, turn: Turn) -> Tree:
    if turn.id in tree.turns:
        raise ValueError(f"the turn {turn.id!r} is there twice.")
    return tree.with_turn(turn)


def _named(record: Mapping[str, Any]) -> str:
    name = record.get("name")
    if not isinstance(name, str):
        raise ValueError("it has no name.")
    return checked_name(name)


def events_of(tree: Tree) -> Iterator[Turn | Mark]:
    """What makes the tree again from nothing, the current branch last."""
    yield from tree.turns.values()
    for branch in sorted(tree.heads, key=lambda name: name == tree.branch):
        yield Mark(branch, tree.heads[branch])
