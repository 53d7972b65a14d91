"""A conversation as a chat is told it: the turns of the current path, what stands beside each, and what could not be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.runs import Call
from orchestrator_nb.widgets.nodes import nodes_of

PAGE: Final = 40
"""Turns that are told at once; earlier ones when they are asked for."""
MOST: Final = 100_000
"""Characters of a question that are shown."""

Facts = Mapping[str, Any]


def path_of(tree: Tree, last: str | None) -> tuple[Turn, ...]:
    """What is shown: the current path, and after it the ``last`` question if it follows the path and has no whole answer."""
    path = tree.current
    turn = tree.turns.get(last) if last else None
    if turn is None or turn in path or turn.parent != tree.head or turn.outcome == "answered":
        return path
    return (*path, turn)


def told(tree: Tree, turn: Turn, number: int, facts: Facts) -> dict[str, Any]:
    """One turn. ``beside`` are the turns at the same place that one can go to, this one among them, oldest first."""
    answer = turn.answer
    before = tree.turns[turn.parent].system if turn.parent else None
    return {
        "id": turn.id,
        "number": number,
        "question": plain(turn.prompt)[:MOST],
        "files": sum(not hasattr(part, "text") for message in turn.question for part in message.parts),
        "nodes": nodes_of(answer.text) if answer else [],
        "text": plain(answer.text)[:MOST] if answer else "",
        "thinking": plain(_thoughts(answer))[:MOST] if answer else "",
        "outcome": turn.outcome,
        "why": plain(turn.why or "")[:500],
        "model": plain(turn.model or ""),
        "system": plain(turn.system or "")[:MOST] if turn.system != before else None,
        "beside": _beside(tree, turn),
        "at": turn.at,
        "facts": dict(facts),
    }


def ahead(tree: Tree, shown: Sequence[Turn]) -> list[str]:
    """What once followed the end of the path, newest first: the way back from an edit that came to nothing."""
    if shown and shown[-1].id != tree.head:
        return []
    return [name for name in reversed(tree.children.get(tree.head, ())) if tree.turns[name].can_go_on]


def leaf(tree: Tree, name: str) -> str:
    """The end of the newest path through a turn."""
    while following := [child for child in tree.children.get(name, ()) if tree.turns[child].can_go_on]:
        name = following[-1]
    return name


def facts_of(call: Call) -> dict[str, Any]:
    """What is known of an answer beside its text; USD and seconds."""
    answer = call.answer
    usd = None if answer is None or answer.cost.usd is None else float(answer.cost.usd)
    tokens = answer.usage.output if answer else None
    return {"usd": usd, "seconds": call.latency_s, "tokens": tokens, "source": call.source}


def _beside(tree: Tree, turn: Turn) -> list[str]:
    return [name for name in tree.children.get(turn.parent, ()) if name == turn.id or tree.turns[name].can_go_on]


def _thoughts(answer: Any) -> str:
    return "".join(part.text for part in answer.parts if type(part).__name__ == "Thinking")
