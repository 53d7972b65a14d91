"""What kind of value an expression gives, as far as that can be told before anything runs: a text has no parts, a list is no condition.

`ANY` is the answer in every doubt, so that nothing right is ever refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import nodes

from orchestrator_nb.chains.functions import FILTERS, FUNCTIONS
from orchestrator_nb.chains.gate import constant
from orchestrator_nb.prompts.template import nearest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of JSON value. ``items`` of a list; ``fields`` of an object, all of them when ``closed``; ``values`` when there are only these."""

    name: str
    items: Kind | None = None
    fields: tuple[tuple[str, Kind], ...] = ()
    closed: bool = False
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return {
            "text": "a text",
            "number": "a number",
            "boolean": "true or false",
            "list": "a list",
            "object": "an object",
        }.get(self.name, "any value")


ANY: Final = Kind("any")
TEXT: Final = Kind("text")
NUMBER: Final = Kind("number")
BOOLEAN: Final = Kind("boolean")
LIST: Final = Kind("list", ANY)
OBJECT: Final = Kind("object")

Note = Callable[[int, str], None]
"""Takes a line of the text and what is wrong there."""

_BY_NAME: Final = {
    "text": TEXT,
    "number": NUMBER,
    "integer": NUMBER,
    "boolean": BOOLEAN,
    "list": LIST,
    "object": OBJECT,
    "any": ANY,
}
_OF_SCHEMA: Final = {"string": TEXT, "number": NUMBER, "integer": NUMBER, "boolean": BOOLEAN}


def named(name: str) -> Kind:
    """The kind of an input's type."""
    return _BY_NAME[name]


def of_value(value: Any) -> Kind:
    """The kind of a value."""
    match value:
        case bool():
            return BOOLEAN
        case str():
            return TEXT
        case int() | float():
            return NUMBER
        case list() | tuple():
            return listed(joined(of_value(item) for item in value))
        case Mapping():
            return record({str(key): of_value(item) for key, item in value.items()})
    return ANY


def of_schema(schema: Any) -> Kind:
    """The kind of what a JSON Schema describes."""
    if not isinstance(schema, Mapping):
        return ANY
    match schema.get("type"):
        case "object":
            fields = schema.get("properties")
            closed = schema.get("additionalProperties") is False
            return (
                record({key: of_schema(value) for key, value in fields.items()}, closed=closed)
                if isinstance(fields, Mapping)
                else OBJECT
            )
        case "array":
            return listed(of_schema(schema.get("items")))
        case str() as name if name in _OF_SCHEMA:
            values = tuple(schema["enum"]) if isinstance(schema.get("enum"), list) else ()
            return Kind(name if name == "boolean" else _OF_SCHEMA[name].name, values=values)
    return ANY


def listed(items: Kind) -> Kind:
    """A list of these."""
    return Kind("list", items)


def record(fields: Mapping[str, Kind], *, closed: bool = True) -> Kind:
    """An object with these fields."""
    return Kind("object", fields=tuple(fields.items()), closed=closed)


def joined(kinds: Iterable[Kind]) -> Kind:
    """What is said of several: their kind when they are all alike."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    names = {kind.name for kind in found}
    return _BY_NAME[names.pop()] if len(names) == 1 else ANY


def of_text(body: Iterable[nodes.Node], known: Mapping[str, Kind], note: Note) -> None:
    """Notes what cannot be right in a template."""
    for node in body:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if not isinstance(part, nodes.TemplateData):
                        of(part, known, note)
            case nodes.If():
                for branch in (node, *node.elif_):
                    of(branch.test, known, note)
                    of_text(branch.body, known, note)
                of_text(node.else_, known, note)
            case nodes.For():
                _loop(node, known, note)


def _loop(node: nodes.For, known: Mapping[str, Kind], note: Note) -> None:
    over = of(node.iter, known, note)
    if over.name not in {"list", "any"}:
        note(node.lineno, f"'for' takes a list, and this is {over}{_mended(over)}.")
    name = node.target.name if isinstance(node.target, nodes.Name) else "item"
    inner = {**known, name: over.items or ANY, "loop": ANY}
    if node.test is not None:
        of(node.test, inner, note)
    of_text(node.body, inner, note)
    of_text(node.else_, known, note)


def _mended(kind: Kind) -> str:
    return "; a text becomes one by lines(…), split(…) or chunks(…)" if kind.name == "text" else ""


def of(node: nodes.Node, known: Mapping[str, Kind], note: Note) -> Kind:
    """The kind of an expression; notes what cannot be right in it."""
    if reader := _READERS.get(type(node)):
        return reader(node, known, note)
    for part in node.iter_child_nodes():
        if not isinstance(part, nodes.Operand):
            of(part, known, note)
        else:
            of(part.expr, known, note)
    return _RESULTS.get(type(node), ANY)


_RESULTS: Final[Mapping[type[nodes.Node], Kind]] = {nodes.Compare: BOOLEAN, nodes.Not: BOOLEAN, nodes.Concat: TEXT}


def _part(whole: Kind, part: str, line: int, note: Note) -> Kind:
    if whole.name == "any":
        return ANY
    if whole.name != "object":
        hint = "; give the step that makes it a 'schema'" if whole.name == "text" else ""
        note(line, f"{part!r} is a part of an object, and this is {whole}{hint}.")
        return ANY
    fields = dict(whole.fields)
    if part in fields:
        return fields[part]
    if whole.closed:
        note(
            line,
            f"there is no {part!r} in it{nearest(part, fields) or '; there are ' + (', '.join(fields) or 'no parts') + '.'}",
        )
    return ANY


def _item(node: nodes.Getitem, known: Mapping[str, Kind], note: Note) -> Kind:
    whole = of(node.node, known, note)
    if isinstance(node.arg, nodes.Slice):
        return whole
    index = constant(node.arg)
    if isinstance(index, str):
        return _part(whole, index, node.lineno, note)
    if whole.name not in {"list", "any"}:
        note(node.lineno, f"[{index}] is a part of a list, and this is {whole}{_mended(whole)}.")
        return ANY
    return whole.items or ANY


_TAKES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset({kind})
    for kind, names in {
        "text": ("lower", "upper", "trim", "words", "lines", "split", "chunks", "starts_with", "ends_with", "truncate"),
        "list": (
            "join",
            "first",
            "last",
            "unique",
            "flatten",
            "sum",
            "mean",
            "min",
            "max",
            "most_common",
            "agreement",
            "pluck",
        ),
        "object": ("keys", "values"),
        "number": ("round",),
    }.items()
    for name in names
} | {"contains": frozenset({"text", "list", "object"}), "length": frozenset({"text", "list", "object"})}
_ONE_OF: Final = frozenset({"first", "last", "most_common"})


def _call(name: str, given: list[nodes.Expr], known: Mapping[str, Kind], note: Note, line: int) -> Kind:
    kinds = [of(part, known, note) for part in given]
    takes = _TAKES.get(name)
    if takes and kinds and kinds[0].name != "any" and kinds[0].name not in takes:
        wanted = " or ".join(str(Kind(kind)) for kind in sorted(takes))
        note(line, f"{name!r} takes {wanted}, and this is {kinds[0]}{_mended(kinds[0]) if takes == {'list'} else ''}.")
        return ANY
    if name in _ONE_OF:
        return kinds[0].items or ANY if kinds else ANY
    if name == "pluck":
        return _plucked(kinds[0].items or ANY, given[1], line, note)
    if name == "default":
        return joined(kinds)
    if name in {"lines", "split", "chunks"}:
        return listed(TEXT)
    return _BY_NAME[(FUNCTIONS.get(name) or FILTERS[name]).gives]


def _plucked(items: Kind, key: nodes.Expr, line: int, note: Note) -> Kind:
    part = constant(key)
    return listed(_part(items, part, line, note) if isinstance(part, str) else ANY)


def _numbers(node: nodes.BinExpr, known: Mapping[str, Kind], note: Note) -> Kind:
    for part in (node.left, node.right):
        kind = of(part, known, note)
        if kind.name not in {"number", "any"}:
            hint = "; join texts with ~" if kind.name == "text" else ""
            note(node.lineno, f"numbers can be counted with, and this is {kind}{hint}.")
    return NUMBER


def _either(node: Any, known: Mapping[str, Kind], note: Note) -> Kind:
    return joined((of(node.left, known, note), of(node.right, known, note)))


def _choice(node: nodes.CondExpr, known: Mapping[str, Kind], note: Note) -> Kind:
    of(node.test, known, note)
    return joined((of(node.expr1, known, note), of(node.expr2, known, note) if node.expr2 else ANY))


def _test(node: nodes.Test, known: Mapping[str, Kind], note: Note) -> Kind:
    of(node.node, known, (lambda _line, _message: None) if node.name == "defined" else note)
    return BOOLEAN


def _filter(node: nodes.Filter, known: Mapping[str, Kind], note: Note) -> Kind:
    given = [node.node, *node.args] if node.node is not None else list(node.args)
    quiet: Note = (lambda _line, _message: None) if node.name == "default" else note
    return _call(node.name, given, known, quiet, node.lineno)


_READERS: Final[Mapping[type[nodes.Node], Callable[[Any, Mapping[str, Kind], Note], Kind]]] = {
    nodes.Name: lambda node, known, _note: known.get(node.name, ANY),
    nodes.Const: lambda node, _known, _note: of_value(node.value),
    nodes.Getattr: lambda node, known, note: _part(of(node.node, known, note), node.attr, node.lineno, note),
    nodes.Getitem: _item,
    nodes.Call: lambda node, known, note: _call(node.node.name, node.args, known, note, node.lineno),
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.List: lambda node, known, note: listed(joined(of(part, known, note) for part in node.items)),
    nodes.And: _either,
    nodes.Or: _either,
    nodes.CondExpr: _choice,
    nodes.Add: _numbers,
    nodes.Sub: _numbers,
    nodes.Mul: _numbers,
    nodes.Div: _numbers,
    nodes.Neg: lambda node, known, note: (of(node.node, known, note), NUMBER)[1],
}
