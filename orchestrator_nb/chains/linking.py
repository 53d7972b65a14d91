"""Arrows drawn by hand: one step's value as another's input, and that taken away again. What an arrow cannot mean is refused with its reason."""

from __future__ import annotations

from typing import Any

from orchestrator_nb.chains.changing import Change, Drop, Put, Refused, applied
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.planning import planned
from orchestrator_nb.chains.renaming import names_in, said_by
from orchestrator_nb.chains.spots import Spot, spot_at
from orchestrator_nb.config.yaml import Place


def connected(chain: Any, source: Place, target: Place) -> list[Change]:
    """The target's input becomes the source's value. Raises `Refused`."""
    one, other = _both(chain, source, target)
    value = f"{{{{ {_named(one, other)} }}}}"
    changes: list[Change] = [Put((*target, "input"), value)]
    owner = one if one.named else one.within
    if owner and isinstance(owner.value, dict) and not owner.get("id"):
        changes.insert(0, Put((*owner.place, "id"), owner.name))  # what is named keeps its name
    if isinstance(other.value, list):
        raise Refused(f"{other.name!r} is a list of steps; connect the first of them.")
    if not isinstance(other.value, dict):
        raise Refused(f"{other.name!r} is no step yet, so it takes no input: say what it does first.")
    _require_no_circle(chain, changes, one, other)
    return changes


def disconnected(chain: Any, source: Place, target: Place) -> list[Change]:
    """The target no longer waits for the source. Raises `Refused` where more than an input says that it does."""
    one, other = _both(chain, source, target)
    on_error = one.get("on_error")
    if isinstance(on_error, dict) and on_error.get("goto") == other.name:
        return [Drop((*source, "on_error"))]
    naming = [said for said in said_by(other) if one.name in names_in(said.text, expression=said.expression)]
    keys = sorted({str(said.place[len(target)]) for said in naming})
    if keys == ["input"] and isinstance(other.get("input"), str):
        return [Drop((*target, "input"))]
    if keys:
        raise Refused(
            f"{other.name!r} names {one.name!r} in its {' and '.join(map(repr, keys))}; take it out of the text there."
        )
    if one.room == other.room and other.get("input") is None and other.place[-1] == _next(one):
        raise Refused(
            f"{other.name!r} takes the value of the step before it; connect it with another, or give it an input of its own."
        )
    raise Refused(f"what {other.name!r} waits for stands in a step around or inside it; change it there.")


def _next(spot: Spot) -> Any:
    last = spot.place[-1]
    return last + 1 if isinstance(last, int) else None


def _both(chain: Any, source: Place, target: Place) -> tuple[Spot, Spot]:
    one, other = spot_at(chain, source), spot_at(chain, target)
    if one is None or other is None:
        raise Refused("there is no such step any more.")
    if one.place == other.place:
        raise Refused("a step cannot wait for itself; to do it several times, give it 'repeat'.")
    return one, other


def _named(one: Spot, other: Spot) -> str:
    """How the one is named where the other stands. Raises `Refused` where it cannot be."""
    if one.place[: len(other.place)] == other.place:
        raise Refused(f"{one.name!r} is a part of {other.name!r}, so it cannot give it its input.")
    if other.place[: len(one.place)] == one.place:
        raise Refused(f"{other.name!r} is a part of {one.name!r}, which has no value before it has ended.")
    if one.named and other.place[: len(one.room)] == one.room:
        return one.name
    above = one.within
    if above and above.named and _is_branch_seen_from(one, above, other):
        return f"{above.name}.{one.name}"
    if one.named and above and one.place[: len(above.place)] == above.place:
        raise Refused(f"{one.name!r} is inside {above.name!r} and not known outside; connect {above.name!r}.")
    raise Refused(f"{one.name!r} is a branch, and what is beside it does not wait for it; connect the step around it.")


def _is_branch_seen_from(one: Spot, above: Spot, other: Spot) -> bool:
    """Whether it is a branch of a parallel step that has ended where the other begins, and has one value for it."""
    outside = other.place[: len(above.room)] == above.room and other.place[: len(above.place)] != above.place
    return outside and one.room[-1] == "parallel" and not above.get("each")


def _require_no_circle(chain: Any, changes: list[Change], one: Spot, other: Spot) -> None:
    after = chain
    for change in changes:
        after = applied(after, change)
    if _circles(after) and not _circles(chain):
        raise Refused(f"{one.name!r} waits for {other.name!r} already, so they would wait for each other.")


def _circles(chain: Any) -> bool:
    reading = read_value(chain, "chain")
    made = planned(reading.chain)[0] if reading.chain else None
    if made is None:
        return False
    graphs = [made.graph, *(graph for node in made.nodes for graph in node.inside.values())]
    return any(graph.cycle() for graph in graphs)
