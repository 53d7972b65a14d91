"""Answers with a structure: from what the user writes in ``--schema`` to a JSON Schema, and from a model's text to a checked value.

The short form, a field per comma (or per line, when the text has several lines; then descriptions may hold commas)::

    spec   = field ("," field)*                 name, age int: years, tags list[str], mood enum(good|bad)?: how it feels
    field  = name ["?"] [type] ["?"] [":" description]
    name   = a letter or "_", then letters, digits, "_"
    type   = "str" | "int" | "float" | "bool" | "list[" type "]" | "enum(" value ("|" value)* ")"

A field without a type is text. ``?`` makes a field optional. Every object refuses fields that it does not name.
The outside thing here is jsonschema-rs (https://github.com/Stranger6667/jsonschema), loaded with the first schema.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NoReturn

from orchestrator_nb.errors import UserError

DEPTH_CAP: Final = 64
DIGITS_CAP: Final = 4300

_TYPES: Final = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}
_WORDS: Final = (*_TYPES, "list[str]", "enum(a|b)")
_ALSO: Final = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list[str]",
}


class AnswerError(ValueError):
    """A text that is not the JSON that was asked for. ``kind`` is ``invalid_json`` or ``schema``; the message names the place."""

    def __init__(self, message: str, kind: Literal["invalid_json", "schema"]) -> None:
        super().__init__(message)
        self.kind: Literal["invalid_json", "schema"] = kind


def json_schema_of(spec: str | Mapping[str, Any] | type, namespace: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON Schema of an object, from the short form, JSON text, a dict, a pydantic model, or the name of one in ``namespace``.

    Raises `UserError` for what is none of these, with the position and the nearest type.
    """
    if isinstance(spec, type):
        return _of_model(spec)
    if isinstance(spec, Mapping):
        return _checked(spec)
    text = spec.strip()
    if text.startswith("{"):
        return _checked(_schema_text(text))
    named = (namespace or {}).get(text)
    if isinstance(named, type | Mapping):
        return json_schema_of(named)
    if text[:1].isupper() and text.isidentifier():
        _no_model(text, namespace or {})
    _no_typo(text, namespace or {})
    return _of_fields(text)


def _of_model(model: type) -> dict[str, Any]:
    make = getattr(model, "model_json_schema", None)
    if make is None:
        raise UserError(f"{model.__name__!r} is not a pydantic model; derive it from pydantic.BaseModel.")
    return _checked(make())


def _no_typo(text: str, namespace: Mapping[str, Any]) -> None:
    """A lone word may be a field of that name. Where a schema has nearly the same name it is taken for a slip of the pen, which would be paid for."""
    schemas = [
        key for key, value in namespace.items() if isinstance(value, Mapping) or hasattr(value, "model_json_schema")
    ]
    if text.isidentifier() and (found := difflib.get_close_matches(text, schemas, n=1, cutoff=0.75)):
        raise UserError(
            f"no schema {text!r} in the notebook; did you mean {found[0]!r}? For a field of that name write '{text} str'."
        )


def _no_model(name: str, namespace: Mapping[str, Any]) -> NoReturn:
    models = [key for key, value in namespace.items() if isinstance(value, type)]
    found = difflib.get_close_matches(name, models, n=1)
    hint = (
        f"did you mean {found[0]!r}?"
        if found
        else "define the pydantic model in a cell above, or write fields such as 'name, age int'."
    )
    raise UserError(f"no class {name!r} in the notebook; {hint}")


def _schema_text(text: str) -> Mapping[str, Any]:
    try:
        value = _loads(text)
    except AnswerError as error:
        raise UserError(f"the schema is {error}") from None
    if isinstance(value, Mapping):
        return value
    raise UserError("the schema is JSON, but not an object.")


# A whole schema


def _checked(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every object is closed; refused when it is no schema, not an object, or refers to something outside itself."""
    import jsonschema_rs  # 40 ms, and only schemas need it

    closed: dict[str, Any] = _closed(schema)
    for reference in _references(closed):
        if not _leads_somewhere(closed, reference):
            raise UserError(f"the schema refers to {reference!r}, which it does not define.")
    try:
        jsonschema_rs.meta.validate(closed)
    except jsonschema_rs.ValidationError as error:
        raise UserError(f"the schema is not valid at {_path(error.instance_path)}: {_short(error.message)}.") from None
    if closed.get("type") != "object":
        raise UserError("the schema's top level must be an object; wrap it: {'type': 'object', 'properties': {…}}.")
    return closed


def _leads_somewhere(node: Any, reference: str) -> bool:
    for step in filter(None, reference.removeprefix("#").split("/")):
        if not isinstance(node, Mapping) or step not in node:
            return False
        node = node[step]
    return True


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _closed(node: Any, depth: int = 0) -> Any:
    if depth > DEPTH_CAP:
        raise UserError(f"the schema is nested deeper than {DEPTH_CAP} levels.")
    if isinstance(node, list | tuple):
        return [_closed(item, depth + 1) for item in node]
    if not isinstance(node, Mapping):
        return node
    if isinstance(reference := node.get("$ref"), str) and not reference.startswith("#"):
        raise UserError(f"the schema refers to {reference!r}, which is outside of it; put that part under '$defs'.")
    copy = {str(key): _closed(value, depth + 1) for key, value in node.items()}
    if copy.get("type") == "object" and isinstance(copy.get("properties"), dict):
        copy.setdefault("additionalProperties", False)
    return copy


# The short form


def _of_fields(text: str) -> dict[str, Any]:
    if not text:
        raise UserError("the schema is empty; write fields such as 'name, age int: years'.")
    properties: dict[str, Any] = {}
    required: list[str] = []
    for start, piece in _pieces(text):
        name, schema, optional = _field(piece, text, start)
        if name in properties:
            _wrong(text, start, f"the field {name!r} occurs twice")
        properties[name] = schema
        if not optional:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _pieces(text: str) -> list[tuple[int, str]]:
    """The fields with their positions: split at line ends if there are several lines, else at commas outside brackets."""
    if "\n" in text:
        return [(m.start(), m[0].rstrip(", \t\r")) for m in re.finditer(r"\S[^\n]*", text) if m[0].strip(", \t\r")]
    pieces, start, depth = [], 0, 0
    for place, sign in enumerate(f"{text},"):
        depth += (sign in "[(") - (sign in "])")
        if sign == "," and (depth <= 0 or place == len(text)):
            pieces.append((start + _indent(text[start:place]), text[start:place].strip()))
            start, depth = place + 1, 0
    return pieces


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


_FIELD: Final = re.compile(
    r"(?P<name>[A-Za-z_]\w*)(?P<early>\?)?(?:\s+(?P<type>[^:]*?))?\s*(?::(?P<about>.*))?", re.ASCII | re.DOTALL
)


def _field(piece: str, text: str, start: int) -> tuple[str, dict[str, Any], bool]:
    match = _FIELD.fullmatch(piece)
    if match is None:
        _wrong(text, start, f"{piece!r} is not a field; write 'name', 'name type' or 'name type: description'")
    kind, early = (match["type"] or "str").strip(), bool(match["early"])
    optional = early or kind.endswith("?")
    schema = _type(kind.removesuffix("?").strip() or "str", text, start + max(match.start("type"), 0))
    about = (match["about"] or "").strip()
    return match["name"], {**schema, "description": about} if about else schema, optional


def _type(word: str, text: str, at: int) -> dict[str, Any]:
    if word in _TYPES:
        return dict(_TYPES[word])
    if word.startswith("list[") and word.endswith("]"):
        return {"type": "array", "items": _type(word[5:-1].strip(), text, at + 5)}
    if word == "list":
        return {"type": "array", "items": {"type": "string"}}
    if word.startswith("enum(") and word.endswith(")"):
        values = [value.strip() for value in word[5:-1].split("|")]
        if not all(values) or len(set(values)) < len(values):
            _wrong(text, at, f"{word!r} needs different values, none of them empty")
        return {"type": "string", "enum": values}
    near = _ALSO.get(word.lower()) or next(iter(difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.4)), None)
    hint = f"did you mean {near!r}?" if near else f"write one of {', '.join(_WORDS)}"
    return _wrong(text, at, f"unknown type {word!r}; {hint}")


def _wrong(text: str, at: int, message: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    where = f"line {line}" if "\n" in text else f"position {at + 1}"
    raise UserError(f"the schema, {where}: {message}{'' if message.endswith('?') else '.'}")


# A model's text


def parse(text: str, schema: Mapping[str, Any] | None = None) -> Any:
    """The JSON value in ``text``, checked against ``schema`` when there is one.

    White space around it and one fence (```` ```json … ``` ````) are allowed, for models are trained to write it; anything else around the value is not.
    NaN, infinities, a key that occurs twice, nesting beyond `DEPTH_CAP` and integers beyond `DIGITS_CAP` digits are refused. Raises `AnswerError`.
    """
    value = _loads(_unfenced(text.strip()))
    if schema is not None:
        _validate(value, schema)
    return value


def _unfenced(text: str) -> str:
    match = re.fullmatch(r"```(?:json|JSON)?[ \t]*\r?\n(.*?)\r?\n?```", text, re.DOTALL)
    return match[1].strip() if match and "```" not in match[1] else text


def _loads(text: str) -> Any:
    if text[:1] not in ("{", "[") and not text:
        raise AnswerError("empty, not JSON.", "invalid_json")
    if _depth(text) > DEPTH_CAP:
        raise AnswerError(f"JSON nested deeper than {DEPTH_CAP} levels.", "invalid_json")
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        message = f"not JSON at line {error.lineno}, column {error.colno} ({error.msg}); it begins {text[:40]!r}."
    else:
        return _whole(value) if r"\ud" in text.lower() else value
    raise AnswerError(message, "invalid_json")


def _depth(text: str) -> int:
    """The deepest nesting. Strings are skipped; short texts cannot be deep, so they are not looked at."""
    if text.count("[") + text.count("{") <= DEPTH_CAP:
        return 0
    depth = deepest = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _constant(word: str) -> NoReturn:
    raise AnswerError(f"not JSON: {word} is no JSON number.", "invalid_json")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise AnswerError(f"JSON with the number {_short(digits)}, which is too large.", "invalid_json")
    return value


def _int(digits: str) -> int:
    if len(digits) > DIGITS_CAP:
        raise AnswerError(
            f"JSON with an integer of {len(digits):,} digits; {DIGITS_CAP:,} are the most.", "invalid_json"
        )
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise AnswerError(f"JSON in which the key {twice!r} occurs twice.", "invalid_json")
    return value


def _whole(value: Any) -> Any:
    r"""Lone surrogates, which an escape such as ``\ud800`` can smuggle in, become U+FFFD: no file could take them."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_whole(key): _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
    return value


def _validate(value: Any, schema: Mapping[str, Any]) -> None:
    import jsonschema_rs  # as above

    errors = list(jsonschema_rs.Draft202012Validator(dict(schema)).iter_errors(value))
    if errors:
        error = min(errors, key=lambda found: len(found.instance_path))  # the outermost says most
        raise AnswerError(
            f"not what the schema asks for at {_path(error.instance_path)}: {_short(error.message)}.", "schema"
        )


def _path(steps: Iterable[str | int]) -> str:
    """``$.tags[1]``"""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:120]} … {text[-60:]}"
