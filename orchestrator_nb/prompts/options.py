"""Options as a user writes them (``-o temperature 0.2``) become `Params`, checked once, here."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator_nb.calls import Params
from orchestrator_nb.errors import UserError

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Levels of reasoning effort over all vendors; which of them a model takes stands in the catalogue."""


def params_of(options: Mapping[str, Any]) -> Params:
    """The parameters that ``options`` mean; ``body.NAME`` goes into the vendor's request as it stands.

    Raises `UserError` for an unknown name (with the nearest) or a value that is not of its kind.
    """
    given = {name: _value(name, value) for name, value in options.items() if not name.startswith("body.")}
    extra = {name.removeprefix("body."): _json(value) for name, value in options.items() if name.startswith("body.")}
    return Params(**given, extra=extra)


def _value(name: str, value: Any) -> Any:
    read, accepted = _READERS.get(name) or _unknown(name)
    try:
        return read(value)
    except (ValueError, TypeError):
        raise UserError(f"option {name} takes {accepted}, not {value!r}.") from None


def _unknown(name: str) -> tuple[Callable[[Any], Any], str]:
    near = difflib.get_close_matches(name, _READERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_READERS)}, body.NAME."
    raise UserError(f"unknown option {name!r}; {hint}")


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = float(value)
        if isinstance(value, bool) or not low <= number <= high:
            raise ValueError
        return number

    return read


def _whole(low: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value)
        if isinstance(value, bool) or number != float(value) or number < low:
            raise ValueError
        return number

    return read


def _effort(value: Any) -> str:
    if value not in EFFORTS:
        raise ValueError
    return str(value)


def _stop(value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError
    return texts


def _thinking(value: Any) -> bool | int:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    return _SWITCH[word] if word in _SWITCH else _whole(1)(value)


def _json(value: Any) -> Any:
    """JSON where it is JSON, else the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


_SWITCH: Final = {"on": True, "true": True, "off": False, "false": False}

_READERS: Final[dict[str, tuple[Callable[[Any], Any], str]]] = {
    "temperature": (_number(0, 2), "a number from 0 to 2"),
    "top_p": (_number(0, 1), "a number from 0 to 1"),
    "top_k": (_whole(1), "a whole number from 1"),
    "max_tokens": (_whole(1), "a whole number from 1"),
    "stop": (_stop, "a text"),
    "seed": (_whole(0), "a whole number from 0"),
    "effort": (_effort, f"one of {', '.join(EFFORTS)}"),
    "thinking": (_thinking, "on, off, or a budget in tokens"),
    "presence_penalty": (_number(-2, 2), "a number from -2 to 2"),
    "frequency_penalty": (_number(-2, 2), "a number from -2 to 2"),
    "tool_choice": (str, "auto, any, none or the name of a tool"),
}

OPTION_NAMES: Final = tuple(_READERS)
"""The names that ``-o`` takes, for help and completion."""
