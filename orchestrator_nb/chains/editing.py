"""A chain's YAML, edited by operations: text and operation in, new text out, or a refusal with its reason. Pure.

The text is the only truth. An operation becomes changes of the plain value (`orchestrator_nb.chains.changing`), each of which is made in the text by touching as few lines
as can be (`orchestrator_nb.chains.page`). Where no such small edit is found, the smallest step around it is written anew, which is said; never the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator_nb.chains import oneline
from orchestrator_nb.chains.changing import Change, Drop, Insert, Put, Refused, applied, differences, plain
from orchestrator_nb.chains.linking import connected, disconnected
from orchestrator_nb.chains.page import NoSuchEdit, Page, changed, value_of
from orchestrator_nb.chains.problems import at, key_of, steps_along
from orchestrator_nb.chains.renaming import free_name, is_named, renamed
from orchestrator_nb.chains.spots import spots
from orchestrator_nb.chains.write import dumped
from orchestrator_nb.config.yaml import MAX_DEPTH, Place
from orchestrator_nb.errors import ConfigError

__all__ = ["Edited", "Refused", "changes_of", "edited", "value_in"]

Op = Mapping[str, Any]
_KEYS_OF_SHORT_FORMS: Final = {"each": "over", "repeat": "max", "retry": "times", "plan": "task"}


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text; ``note`` says what was changed beyond what was asked, "" where nothing was."""

    text: str
    note: str = ""


def edited(text: str, op: Op, root: Place = ()) -> Edited:
    """The text after one operation on the chain at ``root`` (docs/widgets-editor.md lists them). Raises `Refused`."""
    if op.get("do") == "text":
        return Edited(_by_hand(text, op.get("text")))
    ends = "\r\n" in text and not re.search(r"(?<!\r)\n", text)
    begun = _unfolded(text.replace("\r\n", "\n") if ends else text, root)
    made = _edited(begun.text, op, root)
    note = " ".join(filter(None, (begun.note, made.note)))
    return Edited(made.text.replace("\n", "\r\n") if ends else made.text, note)


def _by_hand(old: str, text: Any) -> str:
    """The text as a browser gives it, which has the line ends of Unix; those of the old text come back."""
    new: str = plain(text) if isinstance(text, str) else ""
    return (
        new.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in old and not re.search(r"(?<!\r)\n", old) else new
    )


def _unfolded(text: str, root: Place) -> Edited:
    """A chain on one line as YAML, which has places. Raises `Refused`."""
    note = "The chain on one line is written as YAML from here on."
    if not root and oneline.is_one_line(text):
        return Edited(dumped(_long(text)), note)
    if isinstance(line := at(_value(text), root), str) and root:
        return Edited(_made(text, [Put(root, _long(line))], ()).text, note)
    return Edited(text)


def _long(line: str) -> Any:
    value, slips = oneline.parse(line)
    if slips:
        raise Refused(slips[0].message)
    return value


def value_in(text: str, root: Place = ()) -> Any:
    """The plain value of the chain in a text. Raises `Refused` where the text is none."""
    if not root and oneline.is_one_line(text):
        return _long(text)
    value = at(_value(text), root) if root else _value(text)
    return _long(value) if isinstance(value, str) else value


def _value(text: str) -> Any:
    try:
        return value_of(text, "line")
    except ConfigError as error:
        reason = str(error).removeprefix("line:").rstrip(".")
    raise Refused(f"the YAML cannot be read (line {reason}); mend the text, or undo.")


def _edited(text: str, op: Op, root: Place) -> Edited:
    chain = at(_value(text), root) if root else _value(text)
    if not isinstance(chain, dict):
        raise Refused("there is no chain here; write 'steps:' and steps below it.")
    changes = _asked(chain, op)
    begun = _made(text, _pinned(chain, changes), root)
    if op.get("do") == "move" and (moved := _moved_as_written(begun.text, changes, root)):
        return replace(begun, text=moved)
    made = _made(begun.text, changes, root)
    return replace(made, note=begun.note or made.note)


def _made(text: str, changes: list[Change], root: Place) -> Edited:
    """The text with the changes made, one after the other."""
    value, note = _value(text), ""
    for change in changes:
        whole = replace(change, place=(*root, *change.place))
        try:
            text = changed(text, whole, value) if text.strip() else dumped(applied(value, whole))
        except NoSuchEdit:
            text, note = _around(text, whole, value, root)
        value = applied(value, whole)
    return Edited(text, note)


def _around(text: str, change: Change, value: Any, root: Place) -> tuple[str, str]:
    """The same by writing the smallest step around it anew, or the chain's own key."""
    inside = change.place[len(root) :]
    after = applied(value, change)
    steps = [
        place for place in reversed(steps_along(inside)) if len(place) < len(inside) or not isinstance(change, Drop)
    ]
    for place in (*steps, inside[:1]):
        whole = (*root, *place)
        try:
            return changed(text, Put(whole, at(after, whole)), value), _rewritten(inside, place)
        except NoSuchEdit:
            continue
    raise Refused(
        f"this cannot be changed without writing more than {key_of(inside) or 'the step'!r} anew; change the YAML by hand."
    )


def _rewritten(place: Place, step: Place) -> str:
    what = "the step" if steps_along(place) else repr(str(step[0]))
    return f"To make this change, {what} around it was written anew; comments in it are gone. Undo brings them back."


# What an operation means


def changes_of(chain: Any, op: Op) -> list[Change]:
    """The changes of the chain's plain value that an operation means. Raises `Refused`."""
    changes = _asked(chain, op)
    return [*_pinned(chain, changes), *changes]


def _asked(chain: Any, op: Op) -> list[Change]:
    if (read := _READERS.get(str(op.get("do")))) is None:
        raise Refused(f"there is no operation {str(op.get('do'))[:20]!r}.")
    try:
        return list(read(chain, op))
    except KeyError as missing:
        lacks = str(missing)
    raise Refused(f"the operation says nothing of {lacks}.")


def _set_op(chain: Any, op: Op) -> Iterable[Change]:
    return _set(chain, _place(op["place"]), plain(op["value"]))


def _unset_op(chain: Any, op: Op) -> Iterable[Change]:
    place = _place(op["place"])
    return [Drop(place)] if _there(chain, place) else []


def _add_op(chain: Any, op: Op) -> Iterable[Change]:
    place, value = _place(op["place"]), plain(op["value"])
    is_step = steps_along((*place, 0))[-1:] == ((*place, 0),)
    return _added(chain, place, _index(op), _named(chain, value) if is_step else value)


def _move_op(chain: Any, op: Op) -> Iterable[Change]:
    return _moved(chain, _existing(chain, _place(op["from"])), _place(op["to"]), _index(op))


def _rename_op(chain: Any, op: Op) -> Iterable[Change]:
    return renamed(chain, _step(chain, op["place"]), str(op["name"]))


def _connect_op(chain: Any, op: Op) -> Iterable[Change]:
    return _all_set(chain, connected(chain, _step(chain, op["source"]), _step(chain, op["target"])))


def _disconnect_op(chain: Any, op: Op) -> Iterable[Change]:
    return disconnected(chain, _step(chain, op["source"]), _step(chain, op["target"]))


_READERS: Final[Mapping[str, Callable[[Any, Op], Iterable[Change]]]] = {
    "set": _set_op,
    "unset": _unset_op,
    "add": _add_op,
    "remove": lambda chain, op: [Drop(_existing(chain, _place(op["place"])))],
    "move": _move_op,
    "rename": _rename_op,
    "connect": _connect_op,
    "disconnect": _disconnect_op,
}


def _pinned(chain: Any, changes: list[Change]) -> list[Change]:
    """A step without an id is called by its place. One that others name gets that name as its id, where it would be called otherwise afterwards."""
    after = chain
    for change in changes:
        after = applied(after, change)
    names = {id(spot.value): spot.name for spot in spots(after)}
    return [
        Put((*spot.place, "id"), spot.name)
        for spot in spots(chain)
        if spot.named and isinstance(spot.value, dict) and not spot.get("id")
        if names.get(id(spot.value), spot.name) != spot.name and is_named(chain, spot)
    ]


def _index(op: Op) -> int:
    index = op["at"]
    if isinstance(index, bool) or not isinstance(index, int):
        raise Refused("'at' is a whole number.")
    return index


def _place(given: Any) -> Place:
    fits = isinstance(given, list | tuple) and 0 < len(given) <= MAX_DEPTH
    if not fits or any(isinstance(part, bool) or not isinstance(part, str | int) for part in given):
        raise Refused("a place is a list of keys and numbers.")
    return tuple(given)


def _there(value: Any, place: Place) -> bool:
    for part in place:
        if isinstance(value, dict):
            inside = part in value
        else:
            inside = isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)
        if not inside:
            return False
        value = value[part]
    return True


def _existing(chain: Any, place: Place) -> Place:
    if not _there(chain, place):
        raise Refused(f"there is nothing at {_told(place)} any more.")
    return place


def _step(chain: Any, given: Any) -> Place:
    place = _existing(chain, _place(given))
    if steps_along(place)[-1:] != (place,):
        raise Refused(f"{_told(place)} is no step.")
    return place


def _told(place: Place) -> str:
    return repr(".".join(map(str, place)))


def _all_set(chain: Any, puts: list[Change]) -> Iterator[Change]:
    for put in puts:
        if isinstance(put, Put):
            yield from _set(chain, put.place, put.value)


def _set(chain: Any, place: Place, value: Any) -> Iterator[Change]:
    known = len(place)
    while not _there(chain, place[:known]):
        known -= 1
    here, missing = at(chain, place[:known]), place[known:]
    if not missing:
        yield from differences(here, value, place)
        return
    if isinstance(missing[0], int) or any(isinstance(part, int) for part in missing):
        raise Refused(f"there is no {_told(place[: known + 1])} in the chain any more.")
    for part in reversed(missing[1:]):
        value = {part: value}
    if isinstance(here, dict):
        yield Put((*place[:known], missing[0]), value)
    elif here is None:
        yield Put(place[:known], {missing[0]: value})
    else:
        yield Put(place[:known], {**_widened(place[:known], here), missing[0]: value})


def _widened(place: Place, short: Any) -> dict[str, Any]:
    """The long form of a short one, to which a key can be added."""
    if place[-1] == "on_error":
        return {}
    key = "type" if place[0] == "inputs" and len(place) == 2 else _KEYS_OF_SHORT_FORMS.get(str(place[-1]))
    if key is None:
        raise Refused(f"nothing can stand below {_told(place)}, which is no mapping.")
    return {key: short}


def _named(chain: Any, value: Any) -> Any:
    """A new step with a name, so that others can name it, and its place in the list may change."""
    if not isinstance(value, dict) or value.get("id") or not value:
        return value
    return {"id": free_name(chain, value), **value}


def _added(chain: Any, place: Place, index: int, value: Any) -> Iterator[Change]:
    here = at(chain, place)
    if isinstance(here, list):
        yield Insert(place, min(max(index, 0), len(here)), value) if here else Put(place, [value])
    elif isinstance(here, dict) and steps_along(place)[-1:] == (place,):  # a branch of one step
        yield Put(place, [here, value])
    elif here is None:
        yield from _set(chain, place, [value])
    else:
        raise Refused(f"{_told(place)} is no list of steps.")


def _moved(chain: Any, source: Place, target: Place, index: int) -> Iterator[Change]:
    """``index`` counts in the list without the step, ``target`` is a place of before."""
    if target[: len(source)] == source:
        raise Refused("a step cannot be moved into itself.")
    value = at(chain, source)
    without = applied(chain, Drop(source))
    yield Drop(source)
    yield from _added(without, _shifted(source, target), index, value)


def _shifted(source: Place, target: Place) -> Place:
    """The same place when what was at ``source`` is gone."""
    depth = len(source) - 1
    before, here = source[-1], target[depth] if len(target) > depth else None
    if target[:depth] == source[:depth] and isinstance(before, int) and isinstance(here, int) and here > before:
        return (*target[:depth], here - 1, *target[depth + 1 :])
    return target


def _moved_as_written(text: str, changes: list[Change], root: Place) -> str | None:
    """A step of a list put elsewhere with its own text and its comments, where that is easily done."""
    match changes:
        case [Drop(place) as drop, Insert(target, index)]:
            pass
        case _:
            return None
    after = applied(_value(text), replace(drop, place=(*root, *place)))
    try:
        raw, rest = Page(text).item((*root, *place))
        return changed(rest, Insert((*root, *target), index, at(_value(text), (*root, *place)), raw), after)
    except (NoSuchEdit, LookupError, ValueError):
        return None
