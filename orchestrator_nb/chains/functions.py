"""The functions and filters of expressions: pure, over JSON values, and nothing else can be called.

Each says what it gives, so that a plan can tell a list from a text before the first call, and takes time in proportion to what it is given.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any, Final, Literal

from orchestrator_nb.chains.trigrams import similarity
from orchestrator_nb.prompts.template import OUTPUT_CAP

Gives = Literal["text", "number", "boolean", "list", "any"]
MOST_PARTS: Final = 100_000
"""Parts that one function may make of a text."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function: how many arguments it takes, what it gives, and how many units of work a sign of its arguments costs."""

    call: Callable[..., Any]
    gives: Gives
    least: int = 1
    most: int = 1
    cost: int = 1


def _similarity(a: Any, b: Any) -> float:
    return 0.0 if a is None or b is None else round(similarity(_shown(a), _shown(b)), 6)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"takes a text, not {kind_of(value)}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"takes a list, not {kind_of(value)}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"takes an object, not {kind_of(value)}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"takes a number, not {kind_of(value)}")
    return value


def _count(value: Any, low: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 10**9:
        raise ValueError(f"takes a whole number from {low}, not {_short(value)}")
    return value


def kind_of(value: Any) -> str:
    """What a value is, in plain words."""
    names = {
        bool: "true or false",
        str: "a text",
        list: "a list",
        dict: "an object",
        int: "a number",
        float: "a number",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) else kind_of(value)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise ValueError(f"takes a text, a list or an object, not {kind_of(value)}")
    return len(value)


def contains(value: Any, part: Any) -> bool:
    """Whether a text has another in it, whatever its capitals; a list an equal value; an object a key."""
    if isinstance(value, str):
        return _text(part).casefold() in value.casefold()
    if isinstance(value, list | dict):
        return part in value
    raise ValueError(f"takes a text, a list or an object, not {kind_of(value)}")


_NUMERAL: Final = re.compile(r"[-+]?\d{1,400}(?:\.\d{1,400})?(?:[eE][-+]?\d{1,3})?")


def _first_number(value: Any) -> float:
    if not isinstance(value, str):
        return _number(value)
    found = _NUMERAL.search(value)
    if not found or not isfinite(number := float(found[0])):
        raise ValueError("found no number in the text")
    return int(found[0]) if found[0].lstrip("+-").isdigit() and len(found[0]) < 17 else number


_SIGN: Final = re.compile(r"^(?:[-*•–]|\d{1,4}[.)])\s+")


def _lines(value: Any) -> list[str]:
    found = (_SIGN.sub("", line.strip()) for line in _text(value).splitlines())
    return _few([line for line in found if line])


def _split(value: Any, by: Any) -> list[str]:
    if not _text(by):
        raise ValueError("takes a text to split at that is not empty")
    return _few([part.strip() for part in _text(value).split(by)])


def _few(parts: list[str]) -> list[str]:
    if len(parts) > MOST_PARTS:
        raise ValueError(f"makes more than {MOST_PARTS:,} parts")
    return parts


def _chunks(value: Any, size: Any) -> list[str]:
    return _few(list(islice(_cut(_text(value), _count(size, 1)), MOST_PARTS + 1)))


def _cut(text: str, size: int) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = _end(text, start, size)
        if piece := text[start:end].strip():
            yield piece
        start = end


def _end(text: str, start: int, size: int) -> int:
    """Where a piece ends: after the last paragraph, line or blank in its second half, or where it is full."""
    if start + size >= len(text):
        return len(text)
    for gap in ("\n\n", "\n", " "):
        at = text.rfind(gap, start + size // 2, start + size)
        if at >= 0:
            return at + len(gap)
    return start + size


def _join(value: Any, by: Any = ", ") -> str:
    parts = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in _list(value)]
    if sum(map(len, parts)) + len(_text(by)) * len(parts) > OUTPUT_CAP:
        raise ValueError(f"makes more than {OUTPUT_CAP:,} signs")
    return str(by).join(parts)


def _first(value: Any) -> Any:
    return next(iter(_list(value)), None)


def _last(value: Any) -> Any:
    return _list(value)[-1] if _list(value) else None


def _unique(value: Any) -> list[Any]:
    found: dict[str, Any] = {}
    for item in _list(value):
        found.setdefault(_shown(item), item)
    return list(found.values())


def _flatten(value: Any) -> list[Any]:
    return [inner for item in _list(value) for inner in (item if isinstance(item, list) else [item])]


def _numbers(value: Any) -> list[float]:
    return [_number(item) for item in _list(value)]


def _some(value: Any) -> list[float]:
    return _numbers(value) or _empty()


def _empty() -> list[float]:
    raise ValueError("takes a list that is not empty")


def _round(value: Any, digits: Any = 0) -> float:
    number = round(_number(value), min(_count(digits), 15))
    return int(number) if digits == 0 else number


def word(value: Any) -> str:
    """A value as votes and verdicts are compared: its text in small letters without blanks and signs around it."""
    text = " ".join(_shown(value).casefold().split())
    inner = text.strip(" .,;:!?\"'`*_()[]{}<>#-–—“”‘’„«»")
    return inner or text


def _most_common(value: Any) -> Any:
    votes = _list(value)
    if not votes:
        return None
    words = [word(vote) for vote in votes]
    return votes[words.index(Counter(words).most_common(1)[0][0])]


def _agreement(value: Any) -> float:
    words = [word(vote) for vote in _list(value)]
    return max(Counter(words).values()) / len(words) if words else 0.0


def _truncate(value: Any, size: Any = 255) -> str:
    text, most = _text(value), _count(size, 1)
    return text if len(text) <= most else f"{text[: most - 1]}…"


_LOWER: Final = Function(lambda a: _text(a).lower(), "text")
_UPPER: Final = Function(lambda a: _text(a).upper(), "text")
_TRIM: Final = Function(lambda a: _text(a).strip(), "text")
_LENGTH: Final = Function(_length, "number", cost=0)
_JOIN: Final = Function(_join, "text", 1, 2)
_FIRST: Final = Function(_first, "any", cost=0)
_LAST: Final = Function(_last, "any", cost=0)
_ROUND: Final = Function(_round, "number", 1, 2)

FUNCTIONS: Final[Mapping[str, Function]] = {
    "similarity": Function(_similarity, "number", 2, 2, cost=1),
    "length": _LENGTH,
    "contains": Function(contains, "boolean", 2, 2, cost=2),
    "starts_with": Function(lambda a, b: _text(a).casefold().startswith(_text(b).casefold()), "boolean", 2, 2),
    "ends_with": Function(lambda a, b: _text(a).casefold().endswith(_text(b).casefold()), "boolean", 2, 2),
    "lower": _LOWER,
    "upper": _UPPER,
    "trim": _TRIM,
    "number": Function(_first_number, "number", cost=2),
    "words": Function(lambda a: len(_text(a).split()), "number"),
    "lines": Function(_lines, "list", cost=4),
    "split": Function(_split, "list", 2, 2, cost=2),
    "chunks": Function(_chunks, "list", 2, 2, cost=2),
    "join": _JOIN,
    "first": _FIRST,
    "last": _LAST,
    "unique": Function(_unique, "list", cost=4),
    "flatten": Function(_flatten, "list"),
    "sum": Function(lambda x: sum(_numbers(x)), "number", cost=2),
    "mean": Function(lambda x: sum(_some(x)) / len(x), "number", cost=2),
    "min": Function(lambda x: min(_some(x)), "number", cost=2),
    "max": Function(lambda x: max(_some(x)), "number", cost=2),
    "round": _ROUND,
    "most_common": Function(_most_common, "any", cost=8),
    "agreement": Function(_agreement, "number", cost=8),
    "pluck": Function(lambda x, y: [_object(item).get(_text(y)) for item in _list(x)], "list", 2, 2),
    "keys": Function(lambda x: list(_object(x)), "list"),
    "values": Function(lambda x: list(_object(x).values()), "list"),
}

FILTERS: Final[Mapping[str, Function]] = {
    "default": Function(lambda a, b: b if a is None else a, "any", 2, 2, cost=0),
    "first": _FIRST,
    "join": _JOIN,
    "last": _LAST,
    "length": _LENGTH,
    "lower": _LOWER,
    "round": _ROUND,
    "tojson": Function(lambda a: json.dumps(a, ensure_ascii=False), "text", cost=2),
    "trim": _TRIM,
    "truncate": Function(_truncate, "text", 1, 2),
    "upper": _UPPER,
}

TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "defined": lambda _value: True,  # what is missing never gets here
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "mapping": lambda value: isinstance(value, dict),
    "sequence": lambda value: isinstance(value, list),
}
