"""A run as a DataFrame: one row per call, successes and failures alike, always the same columns and dtypes, also when empty.

`COLUMNS` is the contract. Three groups may stand between its columns: a call's place in a chain (`PLACES`, after ``repeat``, where a chain asked), the
template's variables (behind these; a name that is taken gets the suffix ``_in``), and, when a schema was asked for, the fields of the answer (after ``parsed``; a name that is taken gets the suffix ``_out``).

Text columns are pandas' nullable ``string`` kept as Python objects, so that any text a model sends fits, NUL included; a lone surrogate, which no file
could hold, is shown as U+FFFD. The frame is built column by column: a hundred thousand rows take well under a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

import orchestrator_nb.results.accessor  # noqa: F401 - whoever has a frame has df.llm
from orchestrator_nb.calls import Request, Response, Usage
from orchestrator_nb.messages import Part, Text
from orchestrator_nb.results.chain_told import ATTRS, attrs_of
from orchestrator_nb.results.columns import STRING, inferred, renamed, typed, typed_if_possible
from orchestrator_nb.runs import Call, Run

COLUMNS: Final[Mapping[str, str]] = {
    "run_id": "string",
    "call_id": "string",
    "row": "Int64",  # the prompt, from 0
    "repeat": "Int64",  # the sample, from 0
    "model": "string",  # the id that was asked
    "provider": "string",
    "answered_by": "string",  # the id in the answer
    "mode": "string",
    "system": "string",
    "prompt": "string",
    "text": "string",  # of a failed call: what arrived
    "thinking": "string",
    "parsed": "object",  # a JSON value
    "finish": "string",  # stop length tool_calls content_filter pause error
    "complete": "boolean",
    "error": "string",
    "error_kind": "string",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "cached_tokens": "Int64",
    "cost_usd": "float64",  # NaN when unknown, never 0
    "cost_source": "string",
    "latency_s": "float64",
    "ttft_s": "float64",  # time to the first text
    "attempts": "Int64",
    "source": "string",  # live cache replay simulated
    "started_at": "datetime64[us, UTC]",
    "request_id": "string",
    "key": "string",  # Request.key
}
"""The columns that every frame has, in their order, with their dtypes. All of them can say "not known"."""

PLACES: Final[Mapping[str, str]] = {
    "chain": "string",
    "step": "string",  # its path: polished.critique; short/draft is in the chain that short uses
    "turn": "Int64",  # of the innermost loop, from 1
    "item": "Int64",  # of the innermost map, from 0
    "branch": "string",
    "outer": "string",  # the loops around that one: "item 1 turn 2"; only there when they nest
}
"""The columns that the frame of a chain has besides."""

__all__ = ["ATTRS", "COLUMNS", "PLACES", "STRING", "about", "field_types", "frame"]

_INPUTS_AFTER, _FIELDS_AFTER = "repeat", "parsed"


def frame(run: Run) -> pd.DataFrame:
    """The run's calls as a frame, in the order of the grid."""
    columns = _columns(run)
    places = _places(run)
    inputs = renamed(_inputs(run.calls), taken={**COLUMNS, **places}, suffix="_in")
    fields = renamed(_fields(run.calls, columns["parsed"]), taken={**COLUMNS, **places, **inputs}, suffix="_out")
    ordered: dict[str, Any] = {}
    for name, values in columns.items():
        ordered[name] = typed(values, COLUMNS[name])
        ordered |= {**places, **inputs} if name == _INPUTS_AFTER else fields if name == _FIELDS_AFTER else {}
    made = pd.DataFrame(ordered, index=pd.RangeIndex(len(run.calls)))
    made.attrs[ATTRS] = about(run)
    return made


def about(run: Run) -> dict[str, Any]:
    """What is true of the whole run, as plain JSON."""
    return {
        "run_id": run.id,
        "versions": dict(run.versions),
        "notices": list(dict.fromkeys(run.notices)),
        "wall_s": run.wall_s,
        **({} if run.chained is None else {"chain": attrs_of(run.chained)}),
    }


def _columns(run: Run) -> dict[str, list[Any]]:
    """The values of each column; ``None`` where there is none."""
    calls = run.calls
    requests = [call.item.request for call in calls]
    answers = [call.response or call.answer for call in calls]  # the short way first: this list is the frame's hot path
    usages = [answer.usage if answer else _NO_USAGE for answer in answers]
    errors = [call.error for call in calls]
    return {
        "run_id": [run.id] * len(calls),
        "call_id": [call.id for call in calls],
        "row": [call.item.row for call in calls],
        "repeat": [call.item.repeat for call in calls],
        "model": [request.model.id for request in requests],
        "provider": [request.model.vendor.name for request in requests],
        "answered_by": [answer.model or None if answer else None for answer in answers],
        "mode": [request.tags.get("mode") for request in requests],
        "system": [request.system for request in requests],
        "prompt": _prompts(requests),
        "text": [_text(answer.parts) if answer else None for answer in answers],
        "thinking": [_thinking(answer) for answer in answers],
        "parsed": [answer.parsed if answer else None for answer in answers],
        "finish": [_finish(call, answer) for call, answer in zip(calls, answers, strict=True)],
        "complete": [answer.complete if answer else False for answer in answers],
        "error": [None if error is None else str(error) for error in errors],
        "error_kind": [None if error is None else error.kind for error in errors],
        "input_tokens": [usage.input for usage in usages],
        "output_tokens": [usage.output for usage in usages],
        "reasoning_tokens": [usage.reasoning for usage in usages],
        "cached_tokens": [usage.cached for usage in usages],
        "cost_usd": [_usd(answer) for answer in answers],
        "cost_source": [answer.cost.source if answer else None for answer in answers],
        "latency_s": [call.latency_s for call in calls],
        "ttft_s": [call.ttft_s for call in calls],
        "attempts": [call.attempts for call in calls],
        "source": [call.source for call in calls],
        "started_at": [call.started_at for call in calls],
        "request_id": [_request_id(call, answer) for call, answer in zip(calls, answers, strict=True)],
        "key": [request.key for request in requests],
    }


_NO_USAGE: Final = Usage()


def _prompts(requests: Iterable[Request]) -> list[str]:
    """Models and repeats of one row share their messages, and so their text."""
    known: dict[int, str] = {}
    return [known.get(id(r.messages)) or known.setdefault(id(r.messages), _prompt(r)) for r in requests]


def _prompt(request: Request) -> str:
    last = request.messages[-1] if request.messages else None
    return _text(last.parts) if last and last.role == "user" else request.prompt


def _text(parts: Sequence[Part]) -> str:
    """`Response.text`, quickly for the usual answer of one piece."""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    return "".join(part.text for part in parts if isinstance(part, Text))


def _thinking(answer: Response | None) -> str | None:
    if answer is None or (len(answer.parts) == 1 and type(answer.parts[0]) is Text):
        return None
    return answer.thinking or None


def _finish(call: Call, answer: Response | None) -> str:
    """A failure is ``error``, unless the answer is whole and only its content is at fault (not the JSON that was asked for)."""
    return answer.finish if answer and (call.error is None or answer.complete) else "error"


def _usd(answer: Response | None) -> float | None:
    return None if answer is None or answer.cost.usd is None else float(answer.cost.usd)


def _request_id(call: Call, answer: Response | None) -> str | None:
    return (answer.raw_id if answer else None) or getattr(call.error, "request_id", None)


def _places(run: Run) -> dict[str, Any]:
    """Where each call stood in its chain; nothing for a run that was no chain's."""
    places = [call.item.at for call in run.calls]
    if run.chained is None and not any(places):
        return {}
    found = {name: [place.get(name) for place in places] for name in PLACES}
    nested = any(value is not None for value in found["outer"])
    return {name: typed(values, PLACES[name]) for name, values in found.items() if name != "outer" or nested}


def _inputs(calls: Sequence[Call]) -> dict[str, Any]:
    """The template's variables as columns, in the order in which they first occur; ``None`` where a call has no such variable."""
    names = dict.fromkeys(name for call in calls for name in call.item.inputs)
    return {name: inferred([call.item.inputs.get(name) for call in calls]) for name in names}


def _fields(calls: Sequence[Call], parsed: Sequence[Any]) -> dict[str, Any]:
    """The fields that the calls' schemas promise, typed by the schema."""
    schemas = {id(schema): schema for call in calls if (schema := call.item.request.params.schema)}
    types = {name: kind for schema in schemas.values() for name, kind in field_types(schema).items()}
    return {
        name: typed_if_possible([value.get(name) if isinstance(value, Mapping) else None for value in parsed], dtype)
        for name, dtype in types.items()
    }


def field_types(schema: Mapping[str, Any]) -> dict[str, str]:
    """The dtype for each property of an object schema; what has no single simple type is ``object``."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): _DTYPE_OF.get(_json_type(field, schema), "object") for name, field in properties.items()}


_DTYPE_OF: Final = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}


def _json_type(field: Any, root: Mapping[str, Any]) -> str:
    """The one JSON type a property may have besides null, or ``""``. Follows one local ``$ref`` and looks through ``anyOf`` with null."""
    if not isinstance(field, Mapping):
        return ""
    if str(field.get("$ref", "")).startswith("#/$defs/"):
        field = root.get("$defs", {}).get(field["$ref"].removeprefix("#/$defs/"), {})
    types = field.get("type", [option.get("type") for option in field.get("anyOf", ()) if isinstance(option, Mapping)])
    simple = [kind for kind in ([types] if isinstance(types, str) else types) if kind != "null"]
    return simple[0] if len(simple) == 1 and isinstance(simple[0], str) else ""
