"""JSON from outside: a fast parser for the common case, a patient one for the rest, and caps on both.

The fast one (pydantic's) is strict; whatever it refuses is read again by the standard library, which decides. Values are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn

from pydantic_core import from_json

from orchestrator_nb.providers.sse import Oversize

MAX_DEPTH: Final = 64
"""How deep arrays and objects may nest."""


class Malformed(Exception):
    """Not what the format promises; the text says what is wrong."""


def parse(data: bytes, replaced: Callable[[], None] = lambda: None) -> Any:
    """The value. ``replaced`` is called when bytes had to be replaced because they are no UTF-8. Raises `Malformed` or `Oversize`."""
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError:
        value = _patient(data, replaced)
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _deep(value):
        raise Oversize(f"JSON nests deeper than {MAX_DEPTH}")
    return value


def _patient(data: bytes, replaced: Callable[[], None]) -> Any:
    """Takes what the fast parser does not: raw control characters, lone surrogates, bytes that are no UTF-8."""
    text = data.decode("utf-8", "replace")
    if "�" in text and not _is_utf8(data):
        replaced()
    try:
        return _DECODER.decode(text.strip())
    except json.JSONDecodeError as error:
        problem: Exception = Malformed(f"not JSON ({error.msg} at character {error.pos})")
    except (
        ValueError
    ):  # int() refuses more than 4,300 digits: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        problem = Oversize("a number has more than 4,300 digits")
    except RecursionError:
        problem = Oversize(f"JSON nests deeper than {MAX_DEPTH}")
    raise problem


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _deep(value: Any) -> bool:
    """Level by level, so that our own check cannot run out of stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH + 1):
        inner = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"not JSON ({name} is no number)")


_DECODER: Final = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
