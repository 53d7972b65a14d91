"""Plays Anthropic's Messages API, versions 2023-06-01 and 2026-10-21 (platform.claude.com/docs, read November 2026)."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask, Tool
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import Gauge, State
from orchestrator_nb.simulator.vendor import Refusal, Vendor, bearer, pieces, reply, text_of, weigh
from orchestrator_nb.simulator.wire import Arrived, Frame, Headers, Reply, dumps

TYPES = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    408: ("timeout_error", "The request took too long to arrive."),
    409: ("conflict_error", "The request conflicts with another one."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    422: ("invalid_request_error", "The request cannot be processed."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    502: ("api_error", "Bad gateway"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "Request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
STOPS = {
    "stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use",
    "content_filter": "refusal", "refusal": "refusal", "blocked": "refusal", "pause": "pause_turn",
}  # fmt: skip
VERSIONS = ("2023-06-01", "2026-10-21")
SIGNATURE = "U2ltdWxhdGVkU2lnbmF0dXJl"


class Anthropic(Vendor):
    """https://api.anthropic.com"""

    name, family, ill = "anthropic", "anthropic", 529

    def key(self, call: Arrived) -> str:
        return call.headers.get("x-api-key") or bearer(call)

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        label, usual = TYPES.get(status, TYPES[400 if status < 500 else 500])
        said = {
            "json": "The request body is not valid JSON: expected value",
            "model": f"model: {facts.get('model')}",
            "no_key": "x-api-key header is required",
            "context": f"prompt is too long: {facts.get('used')} tokens > {facts.get('limit')} maximum",
            "quota": "You have reached your specified API usage limits.",
        }.get(kind, usual)
        details = {"error_code": "enforced_spend_limit_reached"} if kind == "quota" else None
        error = {"type": label, "message": message or said, "details": details}
        hint = (("retry-after", str(max(1, math.ceil(facts["wait_s"])))),) if facts.get("wait_s") is not None else ()
        return reply(status, {"type": "error", "error": error, "request_id": "req_011Simulated"}, *hint)

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        label, usual = TYPES[status]
        error = {"type": label, "message": usual, "details": None}
        return Frame({"type": "error", "error": error, "request_id": "req_011Simulated"}, "error")

    def route(self, call: Arrived) -> str | Reply:
        match call.method, call.path.strip("/").split("/"):
            case "POST", ["v1", "messages"]:
                return "ask"
            case "POST", ["v1", "messages", "count_tokens"]:
                return "count"
            case "GET", ["v1", "models"]:
                return self._version(call) or self._list(call)
            case "GET", ["v1", "models", name]:
                return self._version(call) or reply(200, _listed(self.model(name)))
            case _:
                return self.error(404)

    def _version(self, call: Arrived) -> Reply | None:
        version = call.headers.get("anthropic-version")
        if version is None:
            return self.error(400, message="anthropic-version: header is required")
        if version not in VERSIONS:
            return self.error(400, message=f'anthropic-version: "{version}" is not a valid version')
        return None

    def _list(self, call: Arrived) -> Reply:
        ids = [model.id for model in self.models]
        size = min(max(int(call.query.get("limit", "20")), 1), 1000)
        start, stop = 0, len(ids)
        if (after := call.query.get("after_id")) in ids:
            start = ids.index(str(after)) + 1
        if (before := call.query.get("before_id")) in ids:
            stop = ids.index(str(before))
            start = max(0, stop - size)
        rows = [_listed(model) for model in self.models[start : min(stop, start + size)]]
        more = start + size < stop
        edge = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
        return reply(200, {"data": rows, "has_more": more, **edge})

    def read(self, call: Arrived) -> Ask:
        if refused := self._version(call):
            raise Refusal(refused)
        body = self.body(call)
        counting = call.path.endswith("count_tokens")
        self._fields(call, body, counting)
        model = self.model(body["model"])
        self._rules(call, body, model)
        return self._ask(body, model)

    def _fields(self, call: Arrived, body: Mapping[str, Any], counting: bool) -> None:
        for field in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
            if field not in body:
                raise Refusal(self.error(400, message=f"{field}: Field required"))
        for field in body:
            if field not in FIELDS:
                raise Refusal(self.error(400, message=f"{field}: Extra inputs are not permitted"))
        if not counting and (not isinstance(body["max_tokens"], int) or body["max_tokens"] < 0):
            raise Refusal(self.error(400, message="max_tokens: Input should be a valid integer"))
        if not isinstance(body["messages"], list) or not body["messages"]:
            raise Refusal(self.error(400, message="messages: at least one message is required"))
        for at, message in enumerate(body["messages"]):
            if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant", "system"):
                raise Refusal(
                    self.error(400, message=f"messages.{at}.role: Input should be 'user', 'assistant' or 'system'")
                )
            if message.get("content") in (None, "", []):
                raise Refusal(self.error(400, message=f"messages.{at}: all messages must have non-empty content"))

    def _rules(self, call: Arrived, body: Mapping[str, Any], model: Model) -> None:
        for field in ("temperature", "top_p", "top_k"):
            if field in body and call.headers["anthropic-version"] != "2023-06-01":
                raise Refusal(self.error(400, message=f"{field}: not accepted by this API version"))
            if field in body and not model.sampling:
                raise Refusal(self.error(400, message=f"{field}: not accepted by model {model.id}"))
        if body.get("max_tokens", 0) > model.output:
            raise Refusal(
                self.error(400, message=f"max_tokens: {body['max_tokens']} > {model.output}, the maximum of {model.id}")
            )
        kind = (body.get("thinking") or {}).get("type")
        allowed = {"always": ("adaptive",), "on": ("adaptive", "disabled"), "off": ("adaptive", "enabled", "disabled")}
        if kind is not None and kind not in (*allowed.get(model.thinking, ("disabled",)), "between_tools"):
            raise Refusal(self.error(400, message=f"thinking.type: '{kind}' is not supported by {model.id}"))
        if kind == "enabled" and not 1024 <= int(body["thinking"].get("budget_tokens", 0)) < body.get("max_tokens", 0):
            raise Refusal(
                self.error(400, message="thinking.budget_tokens: has to be at least 1024 and less than max_tokens")
            )

    def _ask(self, body: Mapping[str, Any], model: Model) -> Ask:
        turns = list(body["messages"])
        given = text_of(turns.pop()["content"]) if turns[-1]["role"] == "assistant" else ""
        thinking = body.get("thinking") or {}
        thinks = model.thinking in ("always", "on") if not thinking else thinking.get("type") != "disabled"
        plan = (body.get("output_config") or {}).get("format") or {}
        choice = body.get("tool_choice") or {}
        used = (weigh(turns) + weigh(body.get("system")) + weigh(body.get("tools") or [])) // 4 + 1
        if used > model.context:
            raise Refusal(self.error(400, "context", used=used, limit=model.context))
        return Ask(
            self.name, model, str(body["model"]), _prompt(turns), text_of(body.get("system")), used, body.get("max_tokens"),
            stop=tuple(body.get("stop_sequences") or ()), schema=plan.get("schema"), stream=bool(body.get("stream")), thinks=thinks,
            shows=thinking.get("display") != "omitted", after_tool=_after_tool(turns), given=given, body=body,
            tools=tuple(Tool(tool.get("name", ""), tool.get("description") or "", tool.get("input_schema") or {}) for tool in body.get("tools") or ()),
            tool_choice=choice.get("name") or choice.get("type") or "auto",
        )  # fmt: skip

    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        answer = answers[0]
        return {**_message(ask, answer), "content": _content(ask, answer), **_stop(answer), "usage": _usage(answer)}

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        answer = answers[0]
        start = {
            **_message(ask, answer),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
        }
        first = {**_usage(answer), "output_tokens": 1} if answer.counts else {}
        frames = [
            _frame("message_start", "open", message={**start, "usage": first}),
            Frame({"type": "ping"}, "ping", "ping"),
        ]
        for index, block in enumerate(_content(ask, answer)):
            frames += _block(index, block)
        usage = {**_usage(answer)} if answer.counts else {}
        frames.append(_frame("message_delta", "finish", delta=_stop(answer), usage=usage))
        return [*frames, _frame("message_stop", "end")]

    def limit_headers(self, state: State) -> Headers:
        rows = [("requests", state.requests), ("tokens", state.tokens), ("input-tokens", state.tokens)]
        return tuple(header for kind, gauge in rows if gauge for header in _gauge_headers(kind, gauge))

    def extra_headers(self, serial: int) -> Headers:
        return (
            ("request-id", f"req_011Sim{serial:08d}"),
            ("anthropic-organization-id", "00000000-0000-4000-8000-000000000001"),
        )


FIELDS = frozenset(
    """model messages max_tokens system stop_sequences stream temperature top_p top_k thinking output_config tools tool_choice metadata service_tier
    cache_control speed container context_management mcp_servers inference_geo""".split()  # noqa: SIM905 - words read best as one text
)


def _prompt(turns: Sequence[Mapping[str, Any]]) -> str:
    return next(
        (text_of(turn["content"]) for turn in reversed(turns) if turn["role"] == "user" and text_of(turn["content"])),
        "",
    )


def _after_tool(turns: Sequence[Mapping[str, Any]]) -> bool:
    content = turns[-1]["content"] if turns else ""
    return isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)


def _message(ask: Ask, answer: Answer) -> dict[str, Any]:
    model = ask.name if ask.name.startswith("sim-") else ask.model.id
    return {"id": f"msg_01{answer.id}", "type": "message", "role": "assistant", "model": model}


def _stop(answer: Answer) -> dict[str, Any]:
    refused = {"type": "refusal", "category": "cyber", "explanation": "Simulated refusal."}
    reason = STOPS.get(answer.finish, "end_turn")
    return {
        "stop_reason": reason,
        "stop_sequence": answer.stopped_at,
        "stop_details": refused if reason == "refusal" else None,
    }


def _content(ask: Ask, answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking if ask.shows else "", "signature": SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text, "citations": None})
    for n, call in enumerate(answer.tool_calls):
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{answer.id}{n}",
                "name": call.name,
                "input": call.arguments,
                "caller": {"type": "direct"},
            }
        )
    return blocks


def _usage(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    if counts is None:
        return {}
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    parts = {
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": counts.thinking},
    }
    rest = {"server_tool_use": None, "service_tier": "standard", "inference_geo": "global", "speed": "standard"}
    return {"input_tokens": counts.input, **cache, "output_tokens": counts.output, **parts, **rest}


def _frame(kind: str, part: Any, **fields: Any) -> Frame:
    return Frame({"type": kind, **fields}, kind, part)


def _delta(index: int, part: Any, kind: str, field: str, value: str) -> Frame:
    return _frame("content_block_delta", part, index=index, delta={"type": kind, field: value})


def _block(index: int, block: Mapping[str, Any]) -> list[Frame]:
    empty: dict[str, Any]
    match block["type"]:
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                _delta(index, "thinking", "thinking_delta", "thinking", piece) for piece in pieces(block["thinking"])
            ]
            deltas.append(_delta(index, "other", "signature_delta", "signature", block["signature"]))
        case "text":
            empty = {"type": "text", "text": ""}
            deltas = [_delta(index, "text", "text_delta", "text", piece) for piece in pieces(block["text"])]
        case _:
            empty = {**block, "input": {}}
            text = dumps(block["input"]).decode()
            deltas = [_delta(index, "tool", "input_json_delta", "partial_json", piece) for piece in ("", *pieces(text))]
    start = _frame("content_block_start", "other", index=index, content_block=empty)
    return [start, *deltas, _frame("content_block_stop", "other", index=index)]


def _listed(model: Model) -> dict[str, Any]:
    retires = model.shutdown and f"{model.shutdown}T00:00:00Z"
    limits = {"max_input_tokens": model.context, "max_tokens": model.output}
    return {
        "type": "model", "id": model.id, "display_name": model.name, "created_at": "2026-09-30T00:00:00Z", "line": None,
        "lifecycle": "deprecated" if retires else "active", **limits, "deprecated_at": None, "retires_at": retires,
        "capabilities": None,
    }  # fmt: skip


def _gauge_headers(kind: str, gauge: Gauge) -> Headers:
    reset = datetime.now(UTC) + timedelta(seconds=gauge.reset_s)
    values = {"limit": gauge.limit, "remaining": gauge.remaining, "reset": f"{reset:%Y-%m-%dT%H:%M:%S}Z"}
    return tuple((f"anthropic-ratelimit-{kind}-{name}", str(value)) for name, value in values.items())
