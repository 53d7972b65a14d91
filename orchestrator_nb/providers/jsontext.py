"""JSON from outside: a fast parser for the common case, a patient one for the rest, and caps on both.

The fast one (pydantic's) is strict; whatever it refuses is read again by the standard library, which decides. Values are the same.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, Protocol

from pydantic_core import from_json

from orchestrator_nb.providers.sse import Oversize

MAX_DEPTH: Final = 64
"""How deep arrays and objects may nest."""


REPLACED: Final = "Some characters of the answer were not valid Unicode; each was replaced by U+FFFD."


class Malformed(Exception):
    """Not what the format promises; the text says what is wrong."""


class Notes(Protocol):
    """Takes sentences for the user."""

    def note(self, sentence: str) -> None:
        """One sentence."""
        ...


def parse(data: bytes, notes: Notes | None = None) -> Any:
    """The value. ``notes`` are told when bytes had to be replaced because they are no UTF-8. Raises `Malformed` or `Oversize`."""
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError:
        value = _patient(data, notes)
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _deep(value):
        raise Oversize(f"JSON nests deeper than {MAX_DEPTH}")
    return value


def _patient(data: bytes, notes: Notes | None) -> Any:
    """Takes what the fast parser does not: raw control characters, lone surrogates, bytes that are no UTF-8."""
    text = data.decode("utf-8", "replace")
    if notes is not None and "�" in text and not _is_utf8(data):
        notes.note(REPLACED)
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
