"""A conversation as an immutable tree of turns: nothing that was said ever disappears, and every path from its root is one that a vendor takes.

A turn is a question and what came of it. Branches are names for places in the tree. Each change gives a new tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Message

Outcome = Literal["asked", "answered", "cut", "failed"]

MAIN: Final = "main"
_NAME: Final = re.compile(r"\w[\w .:@+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what came of it. ``parent`` is the turn it follows, ``None`` at the beginning.

    ``outcome``: ``asked`` has no answer (yet), ``answered`` has one, ``cut`` has the beginning of one, ``failed`` has what came instead, if anything; ``why``
    tells more of the last two. ``model`` is ``provider/model``, ``maker`` whom the answer's thoughts belong to (`orchestrator_nb.echoes`), ``params`` is JSON.
    ``cell`` and ``execution`` tell which notebook cell asked, and at which press of its button; ``call`` names the row in the ledger. ``at`` is seconds since the epoch.
    """

    id: str
    parent: str | None
    question: tuple[Message, ...]
    answer: Message | None = None
    outcome: Outcome = "asked"
    why: str | None = None
    model: str | None = None
    maker: str | None = None
    system: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    branch: str = MAIN
    at: float = 0.0
    cell: str | None = None
    execution: str | None = None
    call: str | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The question and the answer."""
        return (*self.question, self.answer) if self.answer else self.question

    @property
    def can_go_on(self) -> bool:
        """Whether something can follow: no vendor takes an answer without content."""
        return self.answer is not None and (self.outcome == "answered" or bool(self.answer.text.strip()))

    @property
    def prompt(self) -> str:
        """The question's text."""
        return "\n".join(message.text for message in self.question if message.text)


@dataclass(frozen=True)
class Tree:
    """``turns`` by id, each after its parent; ``heads`` are the branches' last turns (``None`` before the first); ``branch`` is where the next question goes."""

    turns: Mapping[str, Turn] = field(default_factory=dict)
    heads: Mapping[str, str | None] = field(default_factory=lambda: {MAIN: None})
    branch: str = MAIN

    @property
    def head(self) -> str | None:
        """The turn that the next question follows."""
        return self.heads.get(self.branch)

    @cached_property
    def children(self) -> Mapping[str | None, tuple[str, ...]]:
        """What follows each turn, the oldest first; under ``None`` the beginnings."""
        found: dict[str | None, list[str]] = {}
        for turn in self.turns.values():
            found.setdefault(turn.parent, []).append(turn.id)
        return {parent: tuple(ids) for parent, ids in found.items()}

    def path(self, to: str | None) -> tuple[Turn, ...]:
        """The turns from the beginning to ``to``."""
        found = []
        while to is not None:
            found.append(self.turns[to])
            to = found[-1].parent
        return tuple(reversed(found))

    @property
    def current(self) -> tuple[Turn, ...]:
        """The path to `head`."""
        return self.path(self.head)

    def find(self, name: str) -> Turn:
        """The turn whose id is ``name`` or begins with it. Raises `UserError` for none and for several."""
        found = [turn for turn in self.turns.values() if turn.id.startswith(name)] if name else []
        if (exact := self.turns.get(name)) is not None:
            return exact
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{len(found)} turns begin with {name!r}; write more of it.")
        raise UserError(f"there is no turn {name!r} in this conversation; its tree shows them.")

    def with_turn(self, turn: Turn) -> Tree:
        """The tree with a turn, or with what came of one that was asked. What is there already stays as it is; an answer moves its branch.

        Raises `ValueError` for a turn whose parent is not there.
        """
        before = self.turns.get(turn.id)
        if before is not None and (before.outcome != "asked" or turn.outcome == "asked"):
            return self
        if before is not None:
            turn = replace(turn, parent=before.parent)
        if turn.parent is not None and turn.parent not in self.turns:
            raise ValueError(f"the turn {turn.id} follows one that is not there.")
        grown = replace(self, turns={**self.turns, turn.id: turn})
        return grown.at(turn.branch, turn.id) if turn.outcome == "answered" else grown

    def at(self, branch: str, turn: str | None) -> Tree:
        """The tree with ``branch`` at ``turn``, where the next question goes."""
        return replace(self, heads={**self.heads, branch: turn}, branch=branch)

    def branched(self, at: str | None, new: str) -> Tree:
        """A new branch that begins after the turn ``at``, and go there. Raises `UserError`."""
        new = checked_name(new, "branch")
        if new in self.heads:
            raise UserError(f"there is a branch {new!r} already; switch to it, or take another name.")
        return self.at(new, self._open(at) if at is not None else None)

    def switched(self, to: str) -> Tree:
        """Go to a branch, or to any turn: one that ends no branch gets a branch of its own name. Raises `UserError`."""
        if to in self.heads:
            return replace(self, branch=to)
        turn = self._open(to)
        named = next((branch for branch, head in self.heads.items() if head == turn), turn)
        return self.at(named, turn)

    def _open(self, name: str) -> str:
        turn = self.find(name)
        if not turn.can_go_on:
            instead = f"go to {turn.parent}, the turn before it" if turn.parent else "ask its question again"
            raise UserError(f"the turn {turn.id} has no answer that could be followed; {instead}.")
        return turn.id

    def stand(self, cell: str | None, execution: str | None = None) -> str | None:
        """The turn that a question of this cell follows.

        A cell that asks for the first time goes on at the head, and so does one that asks several times at one press of its button. One that runs again goes
        where it stood: after the turn that it followed first; or, if the cell of that turn was run again too, after its newest answer on the current path.
        """
        first = self._first(cell)
        if first is None or self._in(execution):
            return self.head
        if first.parent is None:
            return None
        before = self.turns[first.parent].cell
        again = [turn.id for turn in self.current if before is not None and before != cell and turn.cell == before]
        return again[-1] if again else first.parent

    def branch_of(self, parent: str | None, cell: str | None) -> str:
        """The branch that a question of this cell belongs to, given where it stands: the current one, or that of its first time where it goes back to another path."""
        first = self._first(cell)
        here = parent is None or any(turn.id == parent for turn in self.current)
        return self.branch if here or first is None else first.branch

    def _first(self, cell: str | None) -> Turn | None:
        return next((turn for turn in self.turns.values() if cell is not None and turn.cell == cell), None)

    def _in(self, execution: str | None) -> bool:
        return execution is not None and any(turn.execution == execution for turn in self.turns.values())

    def twin(self, turn: Turn) -> Turn | None:
        """An answered turn at the same place that says the same: an answer that comes from the store again is no new one."""
        places = (self.turns[name] for name in self.children.get(turn.parent, ()))
        return next((other for other in places if other.outcome == "answered" and _said(other) == _said(turn)), None)

    def merged(self, other: Tree) -> Tree:
        """The tree with the turns and branches of another; where both know a branch, this one's place holds."""
        turns = {**self.turns}
        for turn in other.turns.values():
            known = turns.get(turn.id)
            if known is None or (known.outcome == "asked" and turn.outcome != "asked"):
                turns[turn.id] = turn
        return replace(self, turns=turns, heads={**other.heads, **self.heads})


def _said(turn: Turn) -> tuple[Any, ...]:
    return turn.question, turn.answer, turn.model, turn.system, dict(turn.params)


def is_name(name: str) -> bool:
    """Whether `checked_name` takes it."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str, what: str = "conversation") -> str:
    """A name that can stand in a command, a table and a file's name. Raises `UserError`."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name[:40]!r} is no name for a {what}; write a letter or digit, then letters, digits, spaces or . : @ + - _ (up to 100)."
        )
    return name


def drawn(tree: Tree) -> str:
    """The tree as text: one line for each turn, what leaves the current path indented under the turn where it does. ``*`` ends the current path, ``x`` has no whole answer."""
    if not tree.turns:
        return "nothing has been said yet."
    ends: dict[str, list[str]] = {}
    for branch, head in tree.heads.items():
        if head is not None:
            ends.setdefault(head, []).append(branch)
    return "\n".join(_line(tree, turn, indent, ends.get(turn.id, [])) for turn, indent in _walk(tree))


def _walk(tree: Tree) -> Iterator[tuple[Turn, str]]:
    """Every turn with what stands before it; the current path comes last and stays at the left, as a list would show it."""
    current = {turn.id for turn in tree.current}
    waiting: list[tuple[str | None, int, bool]] = [(None, 0, False)]
    while waiting:
        name, depth, leaves = waiting.pop()
        if name is not None:
            yield tree.turns[name], "  " * (depth - leaves) + "\u2514 " * leaves
        following = tree.children.get(name, ())
        main = next((child for child in following if child in current), following[-1] if following else None)
        if main is not None:
            waiting.append((main, depth, False))
        waiting += [(child, depth + 1, True) for child in reversed(following) if child != main]


def _line(tree: Tree, turn: Turn, indent: str, branches: list[str]) -> str:
    mark = "*" if turn.id == tree.head else "o" if turn.outcome == "answered" else "x"
    asked, answered = _short(turn.prompt), _short(turn.answer.text) if turn.answer else ""
    told = answered if turn.outcome == "answered" else f"{answered} ({turn.why or 'no answer'})".strip()
    names = f"  [{', '.join(branches)}]" if branches else ""
    return f"{indent}{mark} {turn.id}  {asked} -> {told}  {turn.model or ''}{names}".rstrip()


def _short(text: str, most: int = 48) -> str:
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
