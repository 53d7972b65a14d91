"""A change to a plain JSON value, as small as it can be told: one value put, one taken away, one item put into a list, one key called otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from orchestrator_nb.config.yaml import MAX_DEPTH, Place
from orchestrator_nb.errors import UserError


class Refused(UserError):
    """An edit that cannot be made; the message says why, and the text stays as it was."""


@dataclass(frozen=True, slots=True)
class Put:
    """``value`` at a place, whose parent is there: in the place of what stands there, or as a new key."""

    place: Place
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """What stands at a place goes."""

    place: Place


@dataclass(frozen=True, slots=True)
class Insert:
    """``value`` as an item of the list at a place. ``raw`` is the item as it was written elsewhere, from its dash, as if that stood in column 0."""

    place: Place
    at: int
    value: Any
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """The key at a place is called otherwise, and stays where it is."""

    place: Place
    name: str


Change: TypeAlias = Put | Drop | Insert | Call


def applied(value: Any, change: Change) -> Any:
    """The value with the change made; the old one stays as it was."""
    match change:
        case Put(place, new):
            return _with(value, place, lambda parent, key: _put(parent, key, new)) if place else new
        case Drop(place):
            return _with(value, place, _dropped)
        case Insert(place, at, new):
            return _with(value, (*place, at), lambda items, index: [*items[:index], new, *items[index:]])
        case Call(place, name):
            return _with(value, place, lambda parent, key: {name if k == key else k: v for k, v in parent.items()})


def _with(value: Any, place: Place, edit: Any) -> Any:
    first, *rest = place
    if not rest:
        return edit(value, first)
    return _put(value, first, _with(value[first], tuple(rest), edit))


def _put(parent: Any, key: Any, new: Any) -> Any:
    if isinstance(parent, list):
        return [*parent[:key], new, *parent[key + 1 :]]
    return {**parent, key: new}


def _dropped(parent: Any, key: Any) -> Any:
    if isinstance(parent, list):
        return [*parent[:key], *parent[key + 1 :]]
    return {name: inner for name, inner in parent.items() if name != key}


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is neither true nor 1.0, and the order of keys is none."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def differences(old: Any, new: Any, place: Place) -> Iterator[Change]:
    """What leads from one value at a place to another, keeping what is alike."""
    if isinstance(old, dict) and isinstance(new, dict) and old and new:
        for key, value in new.items():
            if key not in old:
                yield Put((*place, key), value)
            else:
                yield from differences(old[key], value, (*place, key))
        yield from (Drop((*place, key)) for key in old if key not in new)
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        yield from _of_lists(old, new, place)
    elif not alike(old, new):
        yield Put(place, new)


def _of_lists(old: list[Any], new: list[Any], place: Place) -> Iterator[Change]:
    first = 0
    while first < min(len(old), len(new)) and alike(old[first], new[first]):
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and alike(old[-1 - last], new[-1 - last]):
        last += 1
    was, now = len(old) - last, len(new) - last
    both = min(was, now)
    for index in range(first, both):
        yield from differences(old[index], new[index], (*place, index))
    yield from (Insert(place, index, new[index]) for index in range(both, now))
    yield from (Drop((*place, index)) for index in range(was - 1, both - 1, -1))


_MOST: Final = 100_000


def plain(value: Any, depth: int = 0) -> Any:
    """The value, if it is plain JSON that a YAML file can hold. Raises `Refused`."""
    if depth > MAX_DEPTH:
        raise Refused(f"the value nests more than {MAX_DEPTH} deep.")
    match value:
        case str():
            _require_text(value)
        case None | bool() | int():
            pass
        case float() if math.isfinite(value):
            pass
        case dict():
            for key, inner in value.items():
                plain(inner, depth + 1)
                _require_key(key)
        case list():
            for inner in value:
                plain(inner, depth + 1)
        case _:
            raise Refused(f"{str(value)[:40]!r} is no value that a file can hold.")
    return value


def _require_text(text: str) -> None:
    if len(text) > _MOST:
        raise Refused(f"the text has {len(text):,} signs; {_MOST:,} are the most here.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("the text has half a sign in it (a lone surrogate); take it out.") from None


def _require_key(key: Any) -> None:
    if not isinstance(key, str):
        raise Refused(f"a key is a text, and {key!r} is none.")
    _require_text(key)
