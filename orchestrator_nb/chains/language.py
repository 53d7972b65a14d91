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
from orchestrator_nb.config.shapes import Count, Flag, Money, Number, Seconds, Whole

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
TITLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED: Final = frozenset({"input", "item", "index", "previous", "current", "turn", "error", "loop", "true", "false", "none", "True", "False", "None"})  # fmt: skip
"""Names with a meaning of their own, and Jinja's constants."""
MOST_STEPS: Final = 1_000


ITSELF: Final[Mapping[str, Any]] = {}
"""In the schema of a short form: the long form."""


class Piece(BaseModel):
    """A frozen value that knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


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
    """how many more times, 0 to 20"""
    wait_s: Annotated[Number, Field(ge=0, le=3600)] = 0.0
    """seconds before each"""


class OnErrorPiece(Piece):
    """``on_error``, when it is not one word; exactly one of both."""

    act: Literal["fail", "skip"] | None = None
    """fail (end the chain) or skip (leave null)"""
    default: Any = None
    """leave this value"""
    goto: Name | None = None
    """go on at this later step of the same list"""


def _list_or_text(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise PydanticCustomError(
            "over", "found {found}, expected an expression or a list", {"found": repr(value)[:60]}
        )
    return _not_blank(value) if isinstance(value, str) else value


class EachPiece(Piece):
    """``each``."""

    over: Annotated[Any, AfterValidator(_list_or_text), WithJsonSchema({"type": ["string", "array"]})]
    """an expression that gives a list, or a list"""
    name: Annotated[Name, Field(alias="as")] = "item"
    """what an item is called; without it `item`"""
    parallel: Annotated[Count, Field(le=1000)] | None = None
    """how many items at a time, 1 to 1,000"""


class RepeatPiece(Piece):
    """``repeat``."""

    max: Annotated[Count, Field(le=1000)] = 5
    """the most turns, 1 to 1,000; without it 5"""
    until: Condition | None = None
    """an expression that is true or false: when to stop; it may use `previous`, `current` and `turn`"""


class SwitchPiece(Piece):
    """``switch``."""

    cases: Annotated[dict[Case, Branch], Field(min_length=1)]
    """by name: a step, or a list of steps"""
    on: Expr | None = None
    """an expression; its value chooses the case"""
    ask: Text | None = None
    """a template, in the place of `on`: a question whose one-word answer chooses the case"""
    model: Several | None = None
    """who is asked"""
    options: dict[str, Any] | None = None
    """as for a step"""
    default: Branch | None = None
    """a step, or a list of steps, for everything else"""


class PlanPiece(Piece):
    """``plan``."""

    task: Text
    """a template: what the steps are for"""
    model: Text | None = None
    """who proposes"""
    options: dict[str, Any] | None = None
    """as for a step"""
    allow: Several | None = None
    """the models that proposed steps may name"""
    max_steps: Annotated[Count, Field(le=100)] = 5
    """how many steps may be proposed, 1 to 100; without it 5"""
    max_calls: Annotated[Count, Field(le=10_000)] = 20
    """how often they may ask, 1 to 10,000; without it 20"""
    max_cost: Money | None = None
    """USD that they may cost together"""
    trusted: Flag = False
    """whether they run without being shown first"""
    repair: Annotated[Whole, Field(ge=0, le=10)] = 3
    """how often a refused proposal goes back to the model, 0 to 10; without it 3"""


RetryForm = Annotated[RetryPiece, _short("times", int, schema={"type": "integer", "minimum": 0, "maximum": 20})]
OnErrorForm = Annotated[OnErrorPiece, _short("act", str, schema={"enum": ["fail", "skip"]})]
EachForm = Annotated[EachPiece, _short("over", str, list, schema={"type": ["string", "array"]})]
RepeatForm = Annotated[RepeatPiece, _short("max", int, schema={"type": "integer", "minimum": 1, "maximum": 1000})]
PlanForm = Annotated[PlanPiece, _short("task", str, schema={"type": "string"})]


class Common(Piece):
    """What steps and ``defaults`` share."""

    persona: Text | None = None
    """who does it, by name; becomes the system prompt, with `role`"""
    system: Text | None = None
    """a template: the system prompt; not beside `role` or `persona`"""
    model: Several | None = None
    """a model, or a list of models that are all asked"""
    fallback: Several | None = None
    """a model or a list, asked in this order when the model fails"""
    mode: Text | None = None
    """the name of a mode"""
    options: dict[str, Any] | None = None
    """temperature, max_tokens and so on, by name"""
    retry: RetryForm | None = None
    """how many more times a failed step is tried, 0 to 20, or {times, wait_s}"""
    on_error: OnErrorForm | None = None
    """what a failure leads to: fail, skip, {default: value} or {goto: later_step}"""
    timeout: Seconds | None = None
    """seconds that the whole step may take"""
    budget: Money | None = None
    """USD that the whole step may cost"""


class StepPiece(Common):
    """One step, of any kind."""

    id: Name | None = None
    """the step's name, [A-Za-z][A-Za-z0-9_]*, under which later steps see its value"""
    input: Any = None
    """a template or a value: what the step is given as `input`; without it the value of the step before"""
    when: Condition | None = None
    """an expression that is true or false; the step is skipped unless it is true"""
    each: EachForm | None = None
    """an expression that gives a list, or {over, as, parallel}: the step is done for each item; its value is the list of the values"""
    repeat: RepeatForm | None = None
    """a number of turns, or {max, until}"""
    save: Name | None = None
    """a name under which its value is known in the whole chain"""
    prompt: Text | None = None
    """a template: the question to the model; the value is the answer's text"""
    role: Text | None = None
    """what to do, by name; becomes the system prompt"""
    schema_: Annotated[str | dict[str, Any] | None, Field(alias="schema")] = None
    """the structure of the answer, such as "title, score int, tags list[str], mood enum(good|bad)"; the value is then an object"""
    samples: Annotated[Count, Field(le=100)] | None = None
    """ask so many times independently, 1 to 100; the value is the list of the answers"""
    steps: Annotated[tuple[StepPiece, ...], Field(min_length=1)] | None = None
    """a list of steps, one after the other, in the place of `prompt`; the value is that of the last"""
    parallel: Annotated[dict[Name, Branch], Field(min_length=1)] | None = None
    """branches at the same time, by name: each a step or a list of steps; the value is an object with theirs"""
    switch: SwitchPiece | None = None
    """choose one of several branches"""
    use: Text | None = None
    """the name of another chain that runs as this step"""
    python: Text | None = None
    """the name of a function that the notebook has registered"""
    plan: PlanForm | None = None
    """a task, or {task, …}: a model proposes further steps, which then run"""
    with_: Annotated[dict[str, Any] | None, Field(alias="with")] = None
    """what `use` or `python` is given, by name"""


Branch = Annotated[StepPiece, _short("steps", list, schema={"type": "array", "items": ITSELF, "minItems": 1})]


class InputPiece(Piece):
    """One of ``inputs``."""

    type: InputType = "text"
    """text, number, integer, boolean, list, object or any"""
    default: Any = None
    """its value when it is not given; without it, it must be"""
    description: Words = ""
    """what it is"""
    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """the values that it may have"""


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
    """2"""
    name: Title | None = None
    """letters, digits, _ and -"""
    description: Words = ""
    """one or a few sentences"""
    inputs: dict[InputName, InputForm] | None = None
    """what the chain is given, by name: a type (text, number, integer, boolean, list, object, any), or {type, default, description, choices}"""
    defaults: Common = Common()
    """keys of the steps that ask and do not say otherwise: model, persona, mode, system, options, fallback, retry, on_error, timeout, budget"""
    steps: Annotated[tuple[StepPiece, ...], Field(min_length=1)]
    """the list of steps"""
    outputs: Annotated[
        dict[Name, Any], BeforeValidator(_outputs), Field(min_length=1),
        WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object"}]}),
    ] | None = None  # fmt: skip
    """what it gives: templates by name, or a list of names; without it the value of the last step"""


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
