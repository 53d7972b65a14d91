"""Plays OpenAI's Responses API (platform.openai.com/docs/api-reference/responses, read November 2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator_nb.simulator.asking import Answer, Ask, Tool
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.vendor import CREATED, Refusal, pieces, text_of, weigh
from orchestrator_nb.simulator.wire import Arrived, Frame, dumps

if TYPE_CHECKING:
    from orchestrator_nb.simulator.openai import OpenAI

KNOWN = frozenset(
    """model input instructions max_output_tokens reasoning text tools tool_choice parallel_tool_calls store include service_tier truncation stream
    stream_options temperature top_p top_logprobs metadata user safety_identifier prompt_cache_key prompt_cache_retention previous_response_id
    conversation background max_tool_calls prompt""".split()  # noqa: SIM905 - words read best as one text
)
REFUSAL = "I'm sorry, I can't help with that."


def read(vendor: OpenAI, call: Arrived) -> Ask:
    """The request, checked as OpenAI checks it. Raises :class:`Refusal`."""
    body = vendor.body(call)
    if not isinstance(body.get("model"), str):
        raise Refusal(vendor.error(400, "missing", "Missing required parameter: 'model'.", field="model"))
    if not isinstance(body.get("input"), str | list) or not body["input"]:
        raise Refusal(vendor.error(400, "missing", "Missing required parameter: 'input'.", field="input"))
    vendor.check_known(body, KNOWN)
    model = vendor.model(body["model"])
    reasoning = body.get("reasoning") or {}
    effort = vendor.effort(reasoning.get("effort"), model, "reasoning.effort", chat=False)
    vendor.check_sampling(body, model, effort)
    return _ask(vendor, body, model, thinks=effort not in (None, "none"))


def _ask(vendor: OpenAI, body: Mapping[str, Any], model: Model, *, thinks: bool) -> Ask:
    items = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    plan = (body.get("text") or {}).get("format") or {}
    used = (weigh(items) + weigh(body.get("instructions")) + weigh(body.get("tools") or [])) // 4 + 1
    if used > model.context:
        raise Refusal(vendor.error(400, "context", used=used, limit=model.context))
    system = [
        body.get("instructions") or "",
        *(text_of(item.get("content")) for item in items if item.get("role") in ("system", "developer")),
    ]
    choice = body.get("tool_choice")
    return Ask(
        vendor.name, model, body["model"], _prompt(items), "\n".join(filter(None, system)), used, body.get("max_output_tokens"),
        schema=plan.get("schema"), json_mode=plan.get("type") == "json_object", stream=bool(body.get("stream")), thinks=thinks,
        shows=bool((body.get("reasoning") or {}).get("summary")), after_tool=items[-1].get("type") == "function_call_output", body=body,
        tools=tuple(Tool(tool.get("name", ""), tool.get("description") or "", tool.get("parameters") or {}) for tool in body.get("tools") or ()),
        tool_choice=str(choice.get("name", "auto")) if isinstance(choice, Mapping) else {"required": "any"}.get(choice or "", choice or "auto"),
    )  # fmt: skip


def _prompt(items: Sequence[Mapping[str, Any]]) -> str:
    return next((text_of(item.get("content")) for item in reversed(items) if item.get("role") == "user"), "")


def whole(ask: Ask, answer: Answer) -> dict[str, Any]:
    """A finished Response object."""
    status, why = _status(answer)
    return {
        **_shell(ask, answer),
        "status": status,
        "incomplete_details": why and {"reason": why},
        "output": _output(ask, answer),
        "usage": _usage(answer),
    }


def _status(answer: Answer) -> tuple[str, str | None]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter", "blocked": "content_filter"}
    if answer.finish == "resources":
        return "failed", None
    why = reasons.get(answer.finish)
    return ("incomplete", why) if why else ("completed", None)


def _shell(ask: Ask, answer: Answer) -> dict[str, Any]:
    body = ask.body
    reasoning = {
        "effort": (body.get("reasoning") or {}).get("effort") or ask.model.effort,
        "summary": (body.get("reasoning") or {}).get("summary"),
    }
    return {
        "id": f"resp_{answer.id}", "object": "response", "created_at": CREATED, "status": "in_progress", "error": None, "incomplete_details": None,
        "instructions": body.get("instructions"), "max_output_tokens": body.get("max_output_tokens"), "metadata": body.get("metadata") or {},
        "model": ask.name if ask.name.startswith("sim-") else ask.model.id, "output": [], "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None, "reasoning": reasoning, "service_tier": "default", "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0), "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice") or "auto", "tools": body.get("tools") or [], "top_p": body.get("top_p", 1.0), "truncation": "disabled", "usage": None,
    }  # fmt: skip


def _usage(answer: Answer) -> dict[str, Any] | None:
    counts = answer.counts
    if counts is None:
        return None
    given = {"input_tokens": counts.input, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}}
    made = {"output_tokens": counts.output, "output_tokens_details": {"reasoning_tokens": counts.thinking}}
    return {**given, **made, "total_tokens": counts.input + counts.output}


def _output(ask: Ask, answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.thinking:
        summary = [{"type": "summary_text", "text": answer.thinking}] if ask.shows else []
        sealed = (
            {"encrypted_content": "c2ltdWxhdGVk"}
            if "reasoning.encrypted_content" in (ask.body.get("include") or ())
            else {}
        )
        items.append({"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary, **sealed})
    if answer.text or answer.finish == "refusal":
        part = {"type": "refusal", "refusal": REFUSAL} if answer.finish == "refusal" else _text(answer.text)
        status = "incomplete" if answer.finish == "length" else "completed"
        items.append(
            {
                "id": f"msg_{answer.id}",
                "type": "message",
                "role": "assistant",
                "status": status,
                "phase": "final_answer",
                "content": [part],
            }
        )
    for n, call in enumerate(answer.tool_calls):
        made = {"call_id": f"call_{answer.id}{n}", "name": call.name, "arguments": dumps(call.arguments).decode()}
        items.append({"id": f"fc_{answer.id}{n}", "type": "function_call", "status": "completed", **made})
    return items


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def frames(ask: Ask, answer: Answer) -> list[Frame]:
    """The events of a streamed Response, numbered."""
    shell, done = _shell(ask, answer), whole(ask, answer)
    rows: list[tuple[str, Any, dict[str, Any]]] = [
        ("response.created", "open", {"response": shell}),
        ("response.in_progress", "other", {"response": shell}),
    ]
    for index, item in enumerate(done["output"]):
        rows.append(
            ("response.output_item.added", "other", {"output_index": index, "item": {**item, **_EMPTY[item["type"]]}})
        )
        rows += _ITEMS[item["type"]]({"item_id": item["id"], "output_index": index}, item)
        rows.append(("response.output_item.done", "other", {"output_index": index, "item": item}))
    rows.append((f"response.{done['status']}", "end", {"response": done}))
    return [
        Frame({"type": kind, "sequence_number": n, **data}, kind, part) for n, (kind, part, data) in enumerate(rows)
    ]


Row = tuple[str, Any, dict[str, Any]]
_EMPTY: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def _reasoning(place: dict[str, Any], item: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for n, part in enumerate(item["summary"]):
        at = {**place, "summary_index": n}
        rows.append(
            ("response.reasoning_summary_part.added", "other", {**at, "part": {"type": "summary_text", "text": ""}})
        )
        rows += [
            ("response.reasoning_summary_text.delta", "thinking", {**at, "delta": piece})
            for piece in pieces(part["text"])
        ]
        rows.append(("response.reasoning_summary_text.done", "other", {**at, "text": part["text"]}))
        rows.append(("response.reasoning_summary_part.done", "other", {**at, "part": part}))
    return rows


def _message(place: dict[str, Any], item: Mapping[str, Any]) -> list[Row]:
    part, at = item["content"][0], {**place, "content_index": 0}
    field = "text" if part["type"] == "output_text" else "refusal"
    rows: list[Row] = [("response.content_part.added", "other", {**at, "part": {**part, field: ""}})]
    extra = {"logprobs": [], "obfuscation": "sim"} if field == "text" else {}
    rows += [
        (f"response.{part['type']}.delta", "text", {**at, "delta": piece, **extra}) for piece in pieces(part[field])
    ]
    last: dict[str, Any] = {"logprobs": []} if field == "text" else {}
    rows.append((f"response.{part['type']}.done", "other", {**at, field: part[field], **last}))
    return [*rows, ("response.content_part.done", "other", {**at, "part": part})]


def _call(place: dict[str, Any], item: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = [
        ("response.function_call_arguments.delta", "tool", {**place, "delta": piece})
        for piece in pieces(item["arguments"], 2)
    ]
    return [
        *rows,
        (
            "response.function_call_arguments.done",
            "other",
            {**place, "name": item["name"], "arguments": item["arguments"]},
        ),
    ]


_ITEMS = {"reasoning": _reasoning, "message": _message, "function_call": _call}
