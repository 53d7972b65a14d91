"""A run as it was, made again from what the store tells of it: the same calls in the same order, so that its frame and its display are the same too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator_nb import errors
from orchestrator_nb.calls import Params, Request, Response, Tool
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import CLASS_OF, OrchestratorError
from orchestrator_nb.messages import Message
from orchestrator_nb.records import part_of
from orchestrator_nb.runs import Call, Chained, Item, Run
from orchestrator_nb.store.told import CallTold, RunTold


def run_of(told: RunTold, places: list[CallTold]) -> Run:
    """The run, with a row for each of its places; one that has no outcome says so."""
    calls = tuple(call_of(told.id, place) for place in places)
    notices, wall_s = tuple(told.told.get("notices", ())), float(told.told.get("wall_s", 0.0))
    run = Run(told.id, calls, dict(told.about.get("versions", {})), notices, wall_s)
    return _with_chain(run, told) if "chain" in told.about else run


OF_CHAIN: Final = ("definition", "used", "over", "rows")
"""What is written down of a chain when its run begins …"""
OF_CHAIN_AT_ITS_END: Final = ("outputs", "errors", "steps", "calls")
"""… and when it ends."""


def _with_chain(run: Run, told: RunTold) -> Run:
    """As it was; where prompts are not kept, only the chain's name is."""
    about: Mapping[str, Any] = told.about["chain"]
    rows = about.get("rows", ())
    lost = {"outputs": [None] * len(rows), "errors": [_NO_END] * len(rows), "steps": (), "calls": ()}
    ended: Mapping[str, Any] = told.told.get("chain", lost)
    chained = Chained(
        about.get("definition", {"name": about.get("name", "chain"), "steps": []}),
        about.get("used", {}),
        bool(about.get("over")),
        tuple(rows),
        *(tuple(ended[name]) for name in OF_CHAIN_AT_ITS_END),
    )
    order = {call["call_id"]: index for index, call in enumerate(chained.calls)}
    return replace(
        run, calls=tuple(sorted(run.calls, key=lambda call: order.get(call.id, len(order)))), chained=chained
    )


_NO_END: Final = "its kernel ended before, or is still at it."


def call_of(run_id: str, place: CallTold) -> Call:
    """One place as the call it was."""
    item = Item(request_of(place), place.row, place.repeat, place.inputs, place.at)
    outcome = place.outcome
    if outcome is None:
        return Call(item, f"{run_id}-{place.number}", error=_missing(place))
    answer = place.response and replace(place.response, source=_source(place.response, outcome["source"]))
    error = _error(place, answer) if place.error else None
    return Call(
        item,
        outcome["id"],
        None if error else answer,
        error or (None if answer else _damaged(place)),
        source=outcome["source"],
        started_at=outcome.get("at"),
        latency_s=outcome.get("latency_s"),
        ttft_s=outcome.get("ttft_s"),
        attempts=outcome.get("attempts", 0),
        recorded=outcome.get("recorded"),
    )


def _source(answer: Response, source: Any) -> Any:
    """A cached or replayed answer stands in the store as what it was."""
    return source if source in {"cache", "replay"} else answer.source


def _missing(place: CallTold) -> OrchestratorError:
    return _sentence(
        place, "has no outcome: its kernel ended before, or is still at it; %llm resume asks for the rest."
    )


def _damaged(place: CallTold) -> OrchestratorError:
    return errors.StoreError(
        f"the answer of {place.model} cannot be read any more; onb store check tells what is damaged."
    )


def _sentence(place: CallTold, text: str) -> OrchestratorError:
    vendor, _, model = place.model.partition("/")
    return errors.Cancelled(f"{place.model} {text}", kind="cancelled", vendor=vendor, model=model)


def _error(place: CallTold, answer: Response | None) -> OrchestratorError:
    """An error of the same kind, class and words."""
    told: Mapping[str, Any] = place.error or {}
    vendor, _, model = place.model.partition("/")
    kind, message = told["kind"], told["message"]
    if kind in CLASS_OF:
        return CLASS_OF[kind](
            message,
            kind=kind,
            vendor=vendor,
            model=model,
            status=told.get("status"),
            request_id=told.get("request_id"),
            response=answer,
        )
    found = getattr(errors, told.get("type", ""), None)
    known = found if isinstance(found, type) and issubclass(found, OrchestratorError) else OrchestratorError
    made = known.__new__(known, message)  # not by its constructor: each has its own, and the words are there already
    made.kind = kind
    return made


def request_of(place: CallTold, model: ModelSpec | None = None) -> Request:
    """The question. ``model`` is whom to ask now; else one that only tells its name. Where prompts are not kept there is only the key."""
    record = place.request
    model = model or _model(place, record)
    if record is None:
        bare = Request(model, ())
        bare.__dict__["key"] = place.key  # where the cached property keeps it
        return bare
    return Request(
        model,
        tuple(map(_message, record["messages"])),
        record["system"],
        _params(record["params"]),
        record["sample"],
    )


def _model(place: CallTold, record: Mapping[str, Any] | None) -> ModelSpec:
    vendor, _, model = place.model.partition("/")
    kind, origin = (record["kind"], record["origin"]) if record else ("", "")
    return ModelSpec(Vendor(vendor, kind, origin), model)


def _message(record: Mapping[str, Any]) -> Message:
    return Message(record["role"], tuple(map(part_of, record["parts"])))


def _params(given: Mapping[str, Any]) -> Params:
    known = dict(given)
    if "stop" in known:
        known["stop"] = tuple(known["stop"])
    if "tools" in known:
        known["tools"] = tuple(Tool(tool["name"], tool["description"], tool["schema"]) for tool in known["tools"])
    return Params(**known)
