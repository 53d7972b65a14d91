"""The keys of the chain language and what may stand under them, as pydantic models: the border that YAML passes.

Short forms (``retry: 2``, a list of steps for a branch) are widened before they are checked, so that a complaint names one place and one expectation.
What a model of one key cannot see (names, kinds, expressions) is found by `load` and `plan`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from orchestrator_nb.chains.chain import InputType
from orchestrator_nb.config.shapes import Count, Money, Number, Seconds, Whole

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
TITLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED: Final = frozenset({"input", "item", "index", "previous", "current", "turn", "error", "loop", "true", "false", "none", "True", "False", "None"})  # fmt: skip
"""Names with a meaning of their own, and Jinja's constants."""
MOST_STEPS: Final = 1_000


ITSELF: Final[Mapping[str, Any]] = {}
"""In the schema of a short form: the long form."""


class Piece(BaseModel):
    """A frozen value that knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        fixed = re.sub(r"\W+", "_", value).strip("_")
        hint = f"; write {fixed!r}" if NAME.fullmatch(fixed) else ""
        raise PydanticCustomError(
            "name",
            "{found} is no name: letters, digits and _, the first a letter{hint}",
            {"found": repr(value), "hint": hint},
        )
    if value in RESERVED or value in {"and", "or", "not", "in", "is", "if", "else"}:
        raise PydanticCustomError("name", "{found} has a meaning of its own; take another name", {"found": repr(value)})
    return value


def _title(value: str) -> str:
    if not TITLE.fullmatch(value):
        raise PydanticCustomError(
            "name", "{found} is no chain's name: letters, digits, _ and -, 64 at most", {"found": repr(value)}
        )
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "found an empty text")
    return value


def _case(value: str) -> str:
    if value == "default":
        raise PydanticCustomError("name", "'default' stands beside 'cases', not in it")
    return _not_blank(value)


Text = Annotated[str, Strict(), AfterValidator(_not_blank)]
Words = Annotated[str, Strict()]
Name = Annotated[
    str, Strict(), AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})
]
Title = Annotated[
    str, Strict(), AfterValidator(_title), WithJsonSchema({"type": "string", "pattern": f"^{TITLE.pattern}$"})
]
Case = Annotated[str, Strict(), AfterValidator(_case)]


def _widened(key: str, kinds: tuple[type, ...]) -> Callable[[Any], Any]:
    def widen(value: Any) -> Any:
        return (
            {key: value} if isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds) else value
        )

    return widen


def _short(key: str, *kinds: type, schema: Mapping[str, Any]) -> Any:
    """A short form: a value of these kinds stands for ``{key: value}``."""
    return _Short(key, kinds, schema)


class _Short:
    """Widens a short form before its model sees it, and tells editors of both forms."""

    def __init__(self, key: str, kinds: tuple[type, ...], schema: Mapping[str, Any]) -> None:
        self.widen, self.schema = _widened(key, kinds), dict(schema)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.widen, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:
        form = handler(core)
        short = self.schema | ({"items": form} if self.schema.get("items") is ITSELF else {})
        return {"anyOf": [short, form]}


def _expression_text(value: Any) -> Any:
    """YAML's true, false and numbers as the same word of an expression."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Condition = Annotated[Text, BeforeValidator(_expression_text), WithJsonSchema({"type": ["string", "boolean"]})]
Expr = Annotated[Text, BeforeValidator(_expression_text), WithJsonSchema({"type": "string"})]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Several = Annotated[
    tuple[Text, ...], BeforeValidator(_as_list), Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]  # fmt: skip


class RetryPiece(Piece):
    """``retry``."""

    times: Annotated[Whole, Field(ge=0, le=20)]
    wait_s: Annotated[Number, Field(ge=0, le=3600)] = 0.0


class OnErrorPiece(Piece):
    """``on_error``, when it is not one word; exactly one of both."""

    act: Literal["fail", "skip"] | None = None
    default: Any = None
    goto: Name | None = None


def _list_or_text(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError(
            "over", "found {found}, expected an expression or a list", {"found": repr(value)[:60]}
        )
    return _not_blank(value) if isinstance(value, str) else value


class EachPiece(Piece):
    """``each``."""

    over: Annotated[Any, AfterValidator(_list_or_text), WithJsonSchema({"type": ["string", "array"]})]
    name: Annotated[Name, Field(alias="as")] = "item"
    parallel: Annotated[Count, Field(le=1000)] | None = None


class RepeatPiece(Piece):
    """``repeat``."""

    max: Annotated[Count, Field(le=1000)] = 5
    until: Condition | None = None


class SwitchPiece(Piece):
    """``switch``."""

    cases: Annotated[dict[Case, Branch], Field(min_length=1)]
    on: Expr | None = None
    ask: Text | None = None
    model: Several | None = None
    options: dict[str, Any] | None = None
    default: Branch | None = None


RetryForm = Annotated[RetryPiece, _short("times", int, schema={"type": "integer", "minimum": 0, "maximum": 20})]
OnErrorForm = Annotated[OnErrorPiece, _short("act", str, schema={"enum": ["fail", "skip"]})]
EachForm = Annotated[EachPiece, _short("over", str, list, schema={"type": ["string", "array"]})]
RepeatForm = Annotated[RepeatPiece, _short("max", int, schema={"type": "integer", "minimum": 1, "maximum": 1000})]


class Common(Piece):
    """What steps and ``defaults`` share."""

    persona: Text | None = None
    system: Text | None = None
    model: Several | None = None
    fallback: Several | None = None
    mode: Text | None = None
    options: dict[str, Any] | None = None
    retry: RetryForm | None = None
    on_error: OnErrorForm | None = None
    timeout: Seconds | None = None
    budget: Money | None = None


class StepPiece(Common):
    """One step, of any kind."""

    id: Name | None = None
    input: Any = None
    when: Condition | None = None
    each: EachForm | None = None
    repeat: RepeatForm | None = None
    save: Name | None = None
    prompt: Text | None = None
    role: Text | None = None
    schema_: Annotated[str | dict[str, Any] | None, Field(alias="schema")] = None
    samples: Annotated[Count, Field(le=100)] | None = None
    steps: Annotated[tuple[StepPiece, ...], Field(min_length=1)] | None = None
    parallel: Annotated[dict[Name, Branch], Field(min_length=1)] | None = None
    switch: SwitchPiece | None = None
    use: Text | None = None
    python: Text | None = None
    with_: Annotated[dict[str, Any] | None, Field(alias="with")] = None


Branch = Annotated[StepPiece, _short("steps", list, schema={"type": "array", "items": ITSELF, "minItems": 1})]


class InputPiece(Piece):
    """One of ``inputs``."""

    type: InputType = "text"
    default: Any = None
    description: Words = ""
    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None


InputForm = Annotated[
    InputPiece, _short("type", str, schema={"enum": ["text", "number", "integer", "boolean", "list", "object", "any"]})
]


def _outputs(value: Any) -> Any:
    """A list of names as the templates that they stand for."""
    if not isinstance(value, list):
        return value
    return {name: f"{{{{ {name} }}}}" for name in value if isinstance(name, str)}


def _input_name(value: str) -> str:
    return value if value == "input" else _name(value)


InputName = Annotated[str, Strict(), AfterValidator(_input_name)]


class ChainPiece(Piece):
    """A whole chain."""

    version: Literal[2] = 2
    name: Title | None = None
    description: Words = ""
    inputs: dict[InputName, InputForm] | None = None
    defaults: Common = Common()
    steps: Annotated[tuple[StepPiece, ...], Field(min_length=1)]
    outputs: Annotated[
        dict[Name, Any], BeforeValidator(_outputs), Field(min_length=1),
        WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object"}]}),
    ] | None = None  # fmt: skip


for _piece in (SwitchPiece, StepPiece, ChainPiece):
    _piece.model_rebuild()


def schema() -> dict[str, Any]:
    """The JSON Schema of a chain, for editors."""
    found = ChainPiece.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "A chain of orchestrator_nb, version 2",
    }
