"""The base of every configuration model, and what turns pydantic's complaint into one sentence with file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import ConfigError

M = TypeVar("M", bound="Shape")

_SHOWN: Final = 60


def _decimal(value: object) -> object:
    """A number exactly as it was written: 0.1 is a tenth, not the nearest binary fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number", "expected a number")
    return Decimal(str(value))


# YAML has typed scalars, so 'true' is no number and '"8"' is no 8: strict here, where pydantic alone would convert
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Seconds = Annotated[float, Strict(), Field(gt=0)]
Money = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0), WithJsonSchema({"type": "number", "minimum": 0})]


class Shape(BaseModel):
    """A frozen value that knows all its keys; an unknown one is an error that names the nearest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and cls.model_config.get("extra") == "forbid":
            for key in given:
                if key not in cls.model_fields:
                    reason = unknown(key, cls.model_fields).replace("{", "{{").replace("}", "}}")
                    raise PydanticCustomError("unknown_key", reason, {"key": key})
        return given


def unknown(name: str, accepted: Iterable[str], what: str = "key") -> str:
    """A sentence about a name that is not one of ``accepted``: the nearest, then all of them."""
    known = list(accepted)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? Accepted" if near else "accepted"
    return f"unknown {what}; {hint}: {', '.join(known) or 'nothing'}"


def validate(shape: type[M], document: Document, place: Place = (), value: Any = None) -> M:
    """``document`` (or ``value``, the part of it at ``place``) as a ``shape``. Raises `ConfigError` for the first thing that is wrong."""
    try:
        return shape.model_validate(document.value if value is None else value)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise _config_error(document, place, details)


def _config_error(document: Document, place: Place, details: list[ErrorDetails]) -> ConfigError:
    """The first complaint, with the alternatives of a union joined; how many more there are in other places."""
    places = [_known(document, (*place, *error["loc"], *_own_key(error))) for error in details]
    here = places[0]
    same = [error for error, at in zip(details, places, strict=True) if at == here]
    others = {at for at in places if at != here[: len(at)]}
    more = f" ({len(others)} more)" if others else ""
    return ConfigError(f"{_sentence(same)}{more}.", where=document.where(here), key=dotted(here))


def _own_key(error: ErrorDetails) -> Place:
    return (error["ctx"]["key"],) if error["type"] == "unknown_key" else ()


def _known(document: Document, place: Place) -> Place:
    """The longest part of a place that stands in the file; pydantic adds names of union members, which mean nothing to a reader."""
    while place and place not in document.lines:
        place = place[:-1]
    return place


def dotted(place: Place) -> str:
    """``models[0].name`` for ``("models", 0, "name")``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


EXPECTED: Final = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "'key: value' lines",
    "mapping_type": "'key: value' lines",
    "dict_type": "'key: value' lines",
    "too_short": "at least one entry",
}
"""Pydantic's words in a YAML writer's. https://docs.pydantic.dev/latest/errors/validation_errors/"""


def _sentence(errors: list[ErrorDetails]) -> str:
    first = errors[0]
    if first["type"] in {"unknown_key", "secret"}:
        return first["msg"]
    if first["type"] == "missing":
        return f"{first['loc'][-1]!r} is missing"
    found = repr(first["input"])
    shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
    return f"found {shown}, expected {' or '.join(dict.fromkeys(expected(error) for error in errors))}"


def expected(error: ErrorDetails) -> str:
    """What pydantic expected, in a YAML writer's words."""
    known = EXPECTED.get(error["type"])
    return known or error["msg"].removeprefix("Input should be ").removeprefix("expected ")
