"""Pydantic's complaints about a chain in the words of its writer: the place in the file, and one sentence."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import ErrorDetails

from orchestrator_nb.chains.language import (
    ChainPiece,
    Common,
    EachPiece,
    InputPiece,
    OnErrorPiece,
    Piece,
    PlanPiece,
    RepeatPiece,
    RetryPiece,
    StepPiece,
    SwitchPiece,
)
from orchestrator_nb.chains.problems import at, key_of, steps_along
from orchestrator_nb.config.shapes import expected, unknown
from orchestrator_nb.config.yaml import Place

_SHOWN: Final = 60
_PIECES: Final[dict[str, type[Piece]]] = {
    "each": EachPiece,
    "repeat": RepeatPiece,
    "retry": RetryPiece,
    "on_error": OnErrorPiece,
    "switch": SwitchPiece,
    "plan": PlanPiece,
    "defaults": Common,
}

_FORMS: Final = {
    "retry": "a number, or times and wait_s",
    "repeat": "a number of turns, or max and until",
    "each": "an expression, a list, or over, as and parallel",
    "plan": "a text, or task, model and limits",
    "on_error": "fail, skip, {default: value} or {goto: step}",
}


def place_of(error: ErrorDetails, value: Any) -> Place:
    """Where the complaint belongs in the value that was written: without the keys that a short form was widened by, and pydantic's own words."""
    found: list[str | int] = []
    for part in error["loc"]:
        if part == "[key]":
            continue
        here = at(value, tuple(found))
        if isinstance(here, list) and not isinstance(part, int):
            continue  # `steps` of a branch that was written as a list
        if not isinstance(here, dict | list):
            break  # the key of a short form
        found.append(part)
    return tuple(found)


def sentence(error: ErrorDetails, value: Any, place: Place) -> str:
    """What was found and what is expected."""
    if error["type"] == "extra_forbidden" and at(value, place) is None and not str(place[-1]).isidentifier():
        return "this looks like the rest of the text before it; inside { }, a text with a comma stands in quotes."
    if error["type"] == "extra_forbidden":
        return f"{unknown(str(place[-1]), _accepted(place))}."
    if error["type"] == "missing":
        return f"{error['loc'][-1]!r} is missing."
    if error["type"] in {"name", "blank", "over"}:
        return f"{error['msg']}."
    if place == ("version",) and isinstance(error["input"], int) and error["input"] > 2:
        return f"version {error['input']} is newer than this package, which reads 2; update it: pip install -U orchestrator-nb."
    found = repr(at(value, place))
    shown = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"
    return f"found {shown}, expected {_FORMS.get(str(place[-1]), expected(error)) if error['type'] == 'model_type' else expected(error)}."


def _accepted(place: Place) -> list[str]:
    piece = _piece(place[:-1])
    return [
        field.alias or name
        for name, field in piece.model_fields.items()
        if (piece, name) not in {(OnErrorPiece, "act")}
    ]


def _piece(place: Place) -> type[Piece]:
    if not place:
        return ChainPiece
    if place[0] == "inputs":
        return InputPiece
    return _PIECES.get(str(place[-1]), StepPiece) if key_of(place) else StepPiece


def step_path(value: Any, place: Place) -> str:
    """The path of the step that a place is in, as far as its names were written."""
    return ".".join(_called(at(value, step), step) for step in steps_along(place))


def _called(step: Any, place: Place) -> str:
    last = place[-1]
    if isinstance(last, str):
        return last
    name = step.get("id") or step.get("role") if isinstance(step, dict) else None
    return str(name) if name else f"step_{last + 1}"
