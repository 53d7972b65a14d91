"""A step called otherwise: what its name becomes, and every text that names it, in templates, expressions and jumps.

A text is changed word by word and then judged: it must read as the old one with just this name changed, else the renaming is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import jinja2
from jinja2 import nodes

from orchestrator_nb.chains.changing import Call, Change, Put, Refused
from orchestrator_nb.chains.convert import free
from orchestrator_nb.chains.language import NAME, RESERVED
from orchestrator_nb.chains.spelling import canonical
from orchestrator_nb.chains.spots import Spot, spot_at, spots
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.prompts.template import ENVIRONMENT

_WORDS: Final = RESERVED | {"and", "or", "not", "in", "is", "if", "else"}


@dataclass(frozen=True, slots=True)
class Said:
    """A text of a step that may name others; ``early``: it is read before the step's own items and turns begin."""

    place: Place
    text: str
    expression: bool = False
    early: bool = False


def renamed(chain: Any, place: Place, name: str) -> list[Change]:
    """The changes that call the step at a place ``name``. Raises `Refused`."""
    spot = spot_at(chain, place)
    if spot is None:
        raise Refused("there is no such step any more.")
    if not spot.named:
        return list(_branch_renamed(chain, spot, name))
    if not isinstance(spot.value, dict):
        raise Refused("this is no step yet, so it has no name: say what it does first.")
    _require_name(name)
    if name != spot.name and name in taken_names(chain):
        raise Refused(f"{name!r} is taken already; take another name.")
    found: list[Change] = [] if spot.get("id") == name else [Put((*place, "id"), name)]
    return found + list(_followed(chain, spot, name))


def is_named(chain: Any, spot: Spot) -> bool:
    """Whether anything names a step: a text, a jump, or the chain's outputs."""
    texts = _in_sight(chain, spot)
    outputs = chain.get("outputs")
    return (
        any(spot.name in names_in(said.text, expression=said.expression) for said in texts)
        or any(_jump(other) == spot.name for other in spots(chain) if other.room == spot.room)
        or (isinstance(outputs, list) and spot.name in outputs)
    )


def _jump(spot: Spot) -> Any:
    on_error = spot.get("on_error")
    return on_error.get("goto") if isinstance(on_error, dict) else None


def free_name(chain: Any, step: dict[str, Any]) -> str:
    """A name for a new step, which nothing in the chain has."""
    return free(_base(step), set(taken_names(chain)))


_BASES: Final = {"parallel": "branches", "switch": "choice", "steps": "block", "plan": "planned"}


def _base(step: dict[str, Any]) -> str:
    for key in ("role", "use", "python"):
        name = canonical(str(step[key])) if step.get(key) else ""
        if NAME.fullmatch(name) and name not in _WORDS:
            return name
    return next((base for key, base in _BASES.items() if key in step), "ask")


def taken_names(chain: Any) -> frozenset[str]:
    """All names of steps, inputs and saved values, and what items are called."""
    found = {spot.name for spot in spots(chain) if spot.named}
    inputs = chain.get("inputs") if isinstance(chain, dict) else None
    found |= set(inputs) if isinstance(inputs, dict) else set()
    for spot in spots(chain):
        each = spot.get("each")
        found |= {str(spot.get("save"))} if spot.get("save") else set()
        found |= {str(each["as"])} if isinstance(each, dict) and each.get("as") else set()
    return frozenset(found)


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(f"{name!r} is no name: letters, digits and _, the first a letter.")
    if name in _WORDS:
        raise Refused(f"{name!r} has a meaning of its own; take another name.")


# Branches


def _branch_renamed(chain: Any, spot: Spot, name: str) -> Iterator[Change]:
    above = spot.within
    if above is None or (spot.name == "default" and spot.room[-1] == "switch"):
        raise Refused("this is the branch for everything else; it has no other name.")
    if spot.room[-1] == "parallel":
        _require_name(name)
    elif not name.strip() or name == "default":
        raise Refused("a case is called by a value; 'default' stands beside the cases.")
    if name != spot.name and name in {other.name for other in above.inside}:
        raise Refused(f"there is a branch {name!r} already; take another name.")
    if name == spot.name:
        return
    if spot.room[-1] == "parallel" and above.named:
        for said in _in_sight(chain, above):
            yield from _retold(said, _part_renamed(said, above.name, spot.name, name), spot.name)
    yield Call(spot.place, name)


# Where a step is named


def _followed(chain: Any, spot: Spot, name: str) -> Iterator[Change]:
    old = spot.name
    if old == name:
        return
    for said in _in_sight(chain, spot):
        yield from _retold(said, _name_renamed(said, old, name), old)
    for other in spots(chain):
        if other.room == spot.room and _jump(other) == old:
            yield Put((*other.place, "on_error", "goto"), name)
    if spot.room == ("steps",) and isinstance(outputs := chain.get("outputs"), list):
        yield from (Put(("outputs", index), name) for index, one in enumerate(outputs) if one == old)


def _retold(said: Said, new: str | None, old: str) -> Iterator[Change]:
    if new is None:
        raise Refused(f"{old!r} cannot be followed into {'.'.join(map(str, said.place))!r}; change that text first.")
    if new != said.text:
        yield Put(said.place, new)


def _in_sight(chain: Any, spot: Spot) -> Iterator[Said]:
    """Every text that can name a step: those of its room and below, and at the top the chain's own."""
    for other in spots(chain):
        if other.place[: len(spot.room)] == spot.room:
            hidden = {
                name
                for one in (other, *other.above)
                if one.place[: len(spot.room)] == spot.room
                for name in _items(one)
            }
            own = _items(other)
            for said in said_by(other):
                if spot.name not in (hidden - own if said.early else hidden):
                    yield said
    if spot.room == ("steps",):
        yield from _nested(("outputs",), chain["outputs"]) if isinstance(chain.get("outputs"), dict) else ()
        system = chain["defaults"].get("system") if isinstance(chain.get("defaults"), dict) else None
        yield from _nested(("defaults", "system"), system)


def _items(spot: Spot) -> set[str]:
    each = spot.get("each")
    return {str(each.get("as", "item"))} if isinstance(each, dict) else {"item"} if each else set()


def said_by(spot: Spot) -> Iterator[Said]:
    """The texts of a step itself, as `orchestrator_nb.chains.wants` has them, from its plain value."""
    get, place = spot.get, spot.place
    yield from _expression((*place, "when"), get("when"), early=True)
    each, repeat, switch, plan = get("each"), get("repeat"), get("switch"), get("plan")
    yield from _expression((*place, "each"), each, early=True)
    if isinstance(each, dict):
        yield from _expression((*place, "each", "over"), each.get("over"), early=True)
    if isinstance(repeat, dict):
        yield from _expression((*place, "repeat", "until"), repeat.get("until"))
    if isinstance(switch, dict):
        yield from _expression((*place, "switch", "on"), switch.get("on"))
        yield from _nested((*place, "switch", "ask"), switch.get("ask"))
    yield from (
        _nested((*place, "plan", "task"), plan.get("task"))
        if isinstance(plan, dict)
        else _nested((*place, "plan"), plan)
    )
    for key in ("input", "prompt", "system", "with"):
        yield from _nested((*place, key), get(key), early=key == "input" and not each)


def _expression(place: Place, text: Any, *, early: bool = False) -> Iterator[Said]:
    if isinstance(text, str):
        yield Said(place, text, True, early)


def _nested(place: Place, value: Any, *, early: bool = False) -> Iterator[Said]:
    if isinstance(value, str):
        yield Said(place, value, False, early)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nested((*place, key), inner, early=early)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _nested((*place, index), inner, early=early)


# In a text

_RAW: Final = r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}"
_CODE: Final = re.compile(rf"({_RAW})|(\{{\{{.*?\}}\}}|\{{%.*?%\}})", re.DOTALL)
_WORD: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[A-Za-z_]\w*|[^\s\w'"]|\d[\w.]*|['"]""", re.DOTALL)


def names_in(text: str, *, expression: bool) -> frozenset[str]:
    """The names that a text needs; none where it cannot be read."""
    tree = _tree(text, expression)
    return frozenset(node.name for node in tree.find_all(nodes.Name)) if tree else frozenset()


def _name_renamed(said: Said, old: str, new: str) -> str | None:
    def tell(before: list[str], word: str, after: str) -> str:
        is_name = word == old and before[-1:] not in (["."], ["|"]) and after != "("
        return new if is_name else word

    def right(tree: nodes.Node) -> None:
        _rename(tree, old, new, frozenset())

    return _judged(said, old, tell, right)


def _part_renamed(said: Said, whole: str, old: str, new: str) -> str | None:
    def tell(before: list[str], word: str, _after: str) -> str:
        is_attribute = before[-2:] == [whole, "."] and before[-3:-2] != ["."] and word == old
        is_item = before[-2:] == [whole, "["] and before[-3:-2] != ["."] and word in (f"'{old}'", f'"{old}"')
        return new if is_attribute else f"{word[0]}{new}{word[0]}" if is_item else word

    def right(tree: nodes.Node) -> None:
        for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
            if isinstance(node.node, nodes.Name) and node.node.name == whole:  # type: ignore[attr-defined]
                _repart(node, old, new)

    return _judged(said, old, tell, right)


def _repart(node: Any, old: str, new: str) -> None:
    if isinstance(node, nodes.Getattr) and node.attr == old:
        node.attr = new
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and node.arg.value == old:
        node.arg = nodes.Const(new)


def _judged(
    said: Said, old: str, tell: Callable[[list[str], str, str], str], right: Callable[[nodes.Node], None]
) -> str | None:
    """The text with its words told anew; ``None`` where it then does not read as it should. A text that cannot be read stays."""
    text, expression = said.text, said.expression
    if not re.search(rf"\b{re.escape(old)}\b", text):
        return text
    wanted = _tree(text, expression)
    if wanted is None:
        return text
    right(wanted)
    if expression and not text.strip().startswith("{{"):
        new = _reworded(text, tell)
    else:
        new = _CODE.sub(lambda found: found[1] or _reworded(found[2], tell), text)
    return new if _tree(new, expression) == wanted else None


def _reworded(code: str, tell: Callable[[list[str], str, str], str]) -> str:
    found, before, out, end = list(_WORD.finditer(code)), list[str](), list[str](), 0
    for index, match in enumerate(found):
        after = found[index + 1][0] if index + 1 < len(found) else ""
        out += [code[end : match.start()], tell(before, match[0], after)]
        before.append(match[0])
        end = match.end()
    return "".join([*out, code[end:]])


def _tree(text: str, expression: bool) -> nodes.Template | None:
    whole = f"{{{{ {text} }}}}" if expression and not text.strip().startswith("{{") else text
    try:
        return ENVIRONMENT.parse(whole)
    except (jinja2.TemplateSyntaxError, ValueError, RecursionError):
        return None


def _rename(node: nodes.Node, old: str, new: str, own: frozenset[str]) -> None:
    """The names of a tree, but not those that a loop in it gives."""
    if isinstance(node, nodes.Name):
        node.name = new if node.name == old and old not in own else node.name
    elif isinstance(node, nodes.For):
        inner = own | {node.target.name} if isinstance(node.target, nodes.Name) else own
        _rename(node.iter, old, new, own)
        for part in (*node.body, *([node.test] if node.test else [])):
            _rename(part, old, new, inner)
        for part in node.else_:
            _rename(part, old, new, own)
    else:
        parts = [*node.args, *node.kwargs] if isinstance(node, nodes.Call) else node.iter_child_nodes()
        for part in parts:
            _rename(part, old, new, own)
