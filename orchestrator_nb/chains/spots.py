"""Every step of a chain's plain value with its place, name and path, also where the chain is broken: what is no step is told as one, so that it can be seen and mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator_nb.chains.convert import free, wanted
from orchestrator_nb.config.yaml import Place


@dataclass(frozen=True, slots=True)
class Spot:
    """A step as it is written: ``value`` is a mapping, or for a branch a list of steps. ``room`` is the place of its list, or of the mapping of branches.

    ``named``: others in its room can name it; a branch or a case cannot be named so.
    """

    place: Place
    value: Any
    name: str
    path: str
    room: Place
    named: bool = True
    within: Spot | None = None

    def get(self, key: str) -> Any:
        """What stands under a key, or ``None``."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    @property
    def inside(self) -> tuple[Spot, ...]:
        """The steps right in it."""
        return tuple(_inside(self))

    @property
    def above(self) -> tuple[Spot, ...]:
        """The steps that it is in, from the innermost."""
        return (self.within, *self.within.above) if self.within else ()


def spots(chain: Any) -> tuple[Spot, ...]:
    """Every step, each before what is in it."""
    steps = chain.get("steps") if isinstance(chain, dict) else None
    return tuple(found for step in _listed(steps, ("steps",), None) for found in _walk(step))


def spot_at(chain: Any, place: Place) -> Spot | None:
    """The step at a place."""
    return next((spot for spot in spots(chain) if spot.place == place), None)


def _walk(spot: Spot) -> Iterator[Spot]:
    yield spot
    for inner in spot.inside:
        yield from _walk(inner)


def _inside(spot: Spot) -> Iterator[Spot]:
    if isinstance(spot.value, list):
        yield from _listed(spot.value, spot.place, spot)
        return
    yield from _listed(spot.get("steps"), (*spot.place, "steps"), spot)
    yield from _branches(spot.get("parallel"), (*spot.place, "parallel"), spot)
    switch = spot.get("switch")
    if isinstance(switch, dict):
        place = (*spot.place, "switch")
        yield from _branches(switch.get("cases"), (*place, "cases"), spot)
        if "default" in switch:
            yield _branch("default", switch["default"], place, spot)


def _branches(branches: Any, place: Place, spot: Spot) -> Iterator[Spot]:
    if isinstance(branches, dict):
        yield from (_branch(name, value, place, spot) for name, value in branches.items())


def _branch(name: str, value: Any, room: Place, spot: Spot) -> Spot:
    return Spot((*room, name), value, name, f"{spot.path}.{name}", room, False, spot)


def _listed(steps: Any, place: Place, within: Spot | None) -> Iterator[Spot]:
    if not isinstance(steps, list):
        return
    taken = {str(step["id"]) for step in steps if isinstance(step, dict) and step.get("id")}
    for index, step in enumerate(steps):
        name = _name(step, index + 1, taken)
        taken.add(name)
        yield Spot((*place, index), step, name, f"{within.path}.{name}" if within else name, place, True, within)


def _name(step: Any, number: int, taken: set[str]) -> str:
    """As `orchestrator_nb.chains.convert` gives it."""
    given = step if isinstance(step, dict) else {}
    return str(given.get("id") or free(wanted(given.get("role"), number), taken))
