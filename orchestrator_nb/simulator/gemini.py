"""Plays Google's generateContent, ``v1`` and ``v1beta`` (ai.google.dev/api, read November 2026)."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask, Tool
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.vendor import Refusal, Vendor, pieces, text_of, weigh
from orchestrator_nb.simulator.wire import Arrived, Form, Frame, Headers, Reply, dumps

STATUS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    402: ("RESOURCE_EXHAUSTED", "Prepaid credits are used up."),
    403: ("PERMISSION_DENIED", "The caller does not have permission."),
    404: ("NOT_FOUND", "Requested entity was not found."),
    408: ("DEADLINE_EXCEEDED", "The request took too long to arrive."),
    409: ("ABORTED", "The operation was aborted."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    422: ("INVALID_ARGUMENT", "The request cannot be processed."),
    425: ("UNAVAILABLE", "Too early."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    500: ("INTERNAL", "An internal error has occurred."),
    502: ("INTERNAL", "Bad gateway."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    529: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
STOPS = {
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "continuation": "CONTINUATION",
    "resources": "MALFORMED_RESPONSE",
}
TYPE = "type.googleapis.com/google.rpc."
SIGNATURE = "U2ltdWxhdGVkU2ln"
TOP = frozenset(
    """model contents systemInstruction generationConfig safetySettings tools toolConfig cachedContent serviceTier continuationToken store labels
    generateContentRequest""".split()  # noqa: SIM905 - words read best as one text
)
CONFIG = frozenset(
    """stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount maxOutputTokens temperature topP topK seed
    presencePenalty frequencyPenalty responseLogprobs logprobs enableEnhancedCivicAnswers speechConfig thinkingConfig mediaResolution imageConfig""".split()  # noqa: SIM905 - words read best as one text
)


class Gemini(Vendor):
    """https://generativelanguage.googleapis.com"""

    name, family, form = "gemini", "gemini", "sse-crlf"

    def key(self, call: Arrived) -> str:
        return call.headers.get("x-goog-api-key") or call.query.get("key", "")

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        label, usual = STATUS.get(status) or STATUS[400 if status < 500 else 500]
        code, details = status, []
        match kind:
            case "bad_key":
                code, label, usual = 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."
                details = [_info("API_KEY_INVALID")]
            case "no_key":
                code, label = 403, "PERMISSION_DENIED"
                usual = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key."
            case "json":
                usual = "Invalid JSON payload received. Unexpected token."
            case "field":
                usual = f'Invalid JSON payload received. Unknown name "{facts["field"]}": Cannot find field.'
                violation = {"field": facts["at"], "description": usual}
                details = [{"@type": TYPE + "BadRequest", "fieldViolations": [violation]}]
            case "model":
                usual = (
                    f"models/{facts['model']} is not found for API version v1, or is not supported for generateContent."
                )
            case "context":
                usual = f"The input token count ({facts['used']}) exceeds the maximum number of tokens allowed ({facts['limit']})."
            case "quota":
                details = _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", 35_640.0)
        if facts.get("wait_s") is not None:
            usual += f" Please retry in {facts['wait_s']:.3f}s."
            details = _quota("GenerateRequestsPerMinutePerProjectPerModel", facts["wait_s"])
        error = {
            "code": code,
            "message": message or usual,
            "status": label,
            **({"details": details} if details else {}),
        }
        return Reply(
            code,
            dumps({"error": error}),
            (("content-type", "application/json; charset=UTF-8"), ("vary", "Origin, X-Origin, Referer")),
        )

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        label, usual = STATUS[status]
        return Frame({"error": {"code": status, "message": usual, "status": label}})

    def route(self, call: Arrived) -> str | Reply:
        path = call.path.strip("/")
        if call.method == "POST" and re.fullmatch(
            r"v1(?:beta|alpha)?/models/[^/:]+:(?:generateContent|streamGenerateContent)", path
        ):
            return "ask"
        if call.method == "POST" and re.fullmatch(r"v1(?:beta|alpha)?/models/[^/:]+:countTokens", path):
            return "count"
        if call.method == "GET" and re.fullmatch(r"v1(?:beta|alpha)?/models", path):
            return self._list(call)
        if call.method == "GET" and (found := re.fullmatch(r"v1(?:beta|alpha)?/models/([^/:]+)", path)):
            return Reply(
                200, dumps(_listed(self.model(found[1]))), (("content-type", "application/json; charset=UTF-8"),)
            )
        return self.error(404)

    def _list(self, call: Arrived) -> Reply:
        size = min(max(int(call.query.get("pageSize", "50")), 1), 1000)
        start = int(call.query.get("pageToken") or 0)
        rows = [_listed(model) for model in self.models[start : start + size]]
        more = {"nextPageToken": str(start + size)} if start + size < len(self.models) else {}
        return Reply(200, dumps({"models": rows, **more}), (("content-type", "application/json; charset=UTF-8"),))

    def read(self, call: Arrived) -> Ask:
        name, _, method = call.path.strip("/").split("/")[-1].partition(":")
        model = self.model(name)
        body = {_camel(key): value for key, value in self.body(call).items()}
        if method == "countTokens" and isinstance(body.get("generateContentRequest"), Mapping):
            body = {_camel(key): value for key, value in body["generateContentRequest"].items()}
        self._fields(body)
        config = {_camel(key): value for key, value in (body.get("generationConfig") or {}).items()}
        self._rules(config, model)
        return self._ask(
            name, model, body, config, streams=method.startswith("stream"), sse=call.query.get("alt") == "sse"
        )

    def _fields(self, body: Mapping[str, Any]) -> None:
        for field in body:
            if field not in TOP:
                raise Refusal(self.error(400, "field", field=field, at=""))
        for field in body.get("generationConfig") or {}:
            if _camel(field) not in CONFIG:
                raise Refusal(self.error(400, "field", field=field, at="generation_config"))
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise Refusal(self.error(400, message="* GenerateContentRequest.contents: contents is not specified"))
        for content in contents:
            if content.get("role", "user") not in ("user", "model", "function"):
                raise Refusal(self.error(400, message="Please use a valid role: user, model."))

    def _rules(self, config: Mapping[str, Any], model: Model) -> None:
        thinking = {_camel(key) for key in config.get("thinkingConfig") or {}}
        if {"thinkingLevel", "thinkingBudget"} <= thinking:
            raise Refusal(self.error(400, message="You can only set one of thinking_budget and thinking_level."))
        if "thinkingLevel" in thinking and model.budgets:
            raise Refusal(self.error(400, message="Thinking level is not supported for this model."))
        if ({"responseSchema", "responseJsonSchema"} & config.keys()) and config.get(
            "responseMimeType"
        ) != "application/json":
            raise Refusal(
                self.error(400, message="response_schema is only allowed with response_mime_type 'application/json'.")
            )
        if not 0 <= float(config.get("temperature") or 0) <= 2:
            raise Refusal(
                self.error(
                    400, message="Unable to submit request because it has a temperature value outside of [0, 2]."
                )
            )
        if int(config.get("maxOutputTokens") or 1) < 1:
            raise Refusal(self.error(400, message="max_output_tokens must be positive."))

    def _ask(
        self, name: str, model: Model, body: Mapping[str, Any], config: Mapping[str, Any], *, streams: bool, sse: bool
    ) -> Ask:
        contents, system = body["contents"], (body.get("systemInstruction") or {})
        thinking = {_camel(key): value for key, value in (config.get("thinkingConfig") or {}).items()}
        used = (weigh(contents) + weigh(system) + weigh(body.get("tools") or [])) // 4 + 1
        if used > model.context:
            raise Refusal(self.error(400, "context", used=used, limit=model.context))
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        return Ask(
            self.name, model, name, _prompt(contents), _text(system), used, config.get("maxOutputTokens"),
            stop=tuple(config.get("stopSequences") or ()), seed=config.get("seed"), n=min(int(config.get("candidateCount") or 1), 8),
            schema=schema, json_mode=schema is None and config.get("responseMimeType") == "application/json", stream=streams,
            thinks=model.thinking == "on" and thinking.get("thinkingBudget") != 0, shows=bool(thinking.get("includeThoughts")),
            tools=tuple(_tool(one) for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()),
            tool_choice={"ANY": "any", "NONE": "none"}.get(str(calling.get("mode", "AUTO")).upper(), "auto"), after_tool=_after_tool(contents),
            given=_given(body.get("continuationToken")), body={**body, "sse": sse},
        )  # fmt: skip

    def count(self, ask: Ask) -> dict[str, Any]:
        return {
            "totalTokens": ask.input_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": ask.input_tokens}],
        }

    def stream_form(self, ask: Ask) -> Form:
        return "sse-crlf" if ask.body["sse"] else "array"

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream" if ask.body["sse"] else "application/json; charset=UTF-8"

    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        rows = (
            []
            if answers[0].finish == "blocked"
            else [_candidate(n, answer, _parts(ask, answer)) for n, answer in enumerate(answers)]
        )
        return {**_candidates(rows), **_usage(answers), **_closing(ask, answers[0])}

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        answer = answers[0]
        tail, given = _closing(ask, answer), answer.counts.input if answer.counts else 0
        if answer.finish == "blocked":
            return [Frame({**_candidates([]), **_usage(answers), **tail}, part="end")]
        running = {"usageMetadata": {"promptTokenCount": given, "totalTokenCount": given}} if answer.counts else {}
        frames = []
        for n, one in enumerate(answers):
            for part, piece in _split(_parts(ask, one)):
                candidate = {"content": {"role": "model", "parts": [piece]}, "index": n}
                frames.append(Frame({"candidates": [candidate], **running, **tail}, part=part))
            last = _candidate(n, one, [{"text": "", "thoughtSignature": SIGNATURE}])
            frames.append(
                Frame(
                    {"candidates": [last], **_usage(answers), **tail}, part="end" if n == len(answers) - 1 else "finish"
                )
            )
        return frames

    def limit_headers(self, state: State) -> Headers:
        return ()

    def extra_headers(self, serial: int) -> Headers:
        return (("server", "scaffolding on HTTPServer2"), ("server-timing", "gfet4t7; dur=12"))


def _info(reason: str) -> dict[str, Any]:
    service = {"service": "generativelanguage.googleapis.com"}
    return {"@type": TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": service}


def _quota(quota_id: str, wait_s: float) -> list[dict[str, Any]]:
    metric = "generativelanguage.googleapis.com/generate_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global"},
        "quotaValue": "5",
    }
    failure = {"@type": TYPE + "QuotaFailure", "violations": [violation]}
    return [failure, {"@type": TYPE + "RetryInfo", "retryDelay": f"{wait_s:.3f}s"}]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _text(content: Mapping[str, Any]) -> str:
    return text_of(content.get("parts")) if isinstance(content, Mapping) else text_of(content)


def _prompt(contents: Sequence[Mapping[str, Any]]) -> str:
    return next((_text(one) for one in reversed(contents) if one.get("role", "user") == "user" and _text(one)), "")


def _after_tool(contents: Sequence[Mapping[str, Any]]) -> bool:
    return any("functionResponse" in part or "function_response" in part for part in contents[-1].get("parts") or ())


def _tool(declared: Mapping[str, Any]) -> Tool:
    schema = (
        declared.get("parametersJsonSchema")
        or declared.get("parameters_json_schema")
        or declared.get("parameters")
        or {}
    )
    return Tool(declared.get("name", ""), declared.get("description") or "", schema)


def token(given: str) -> str:
    """A continuation token that remembers what was given."""
    return base64.b64encode(given.encode()).decode()


def _given(continuation: Any) -> str:
    return base64.b64decode(continuation).decode() if isinstance(continuation, str) else ""


def _parts(ask: Ask, answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": answer.thinking, "thought": True}] if answer.thinking and ask.shows else []
    if answer.text:
        parts.append({"text": answer.text})
    for n, call in enumerate(answer.tool_calls):
        function = {"id": f"fc-{answer.id}{n}", "name": call.name, "args": call.arguments}
        parts.append({"functionCall": function, "thoughtSignature": SIGNATURE})
    return parts


def _split(parts: Sequence[dict[str, Any]]) -> list[tuple[Any, dict[str, Any]]]:
    rows: list[tuple[Any, dict[str, Any]]] = []
    for part in parts:
        kind = "thinking" if part.get("thought") else "text"
        rows += (
            [(kind, {**part, "text": piece}) for piece in pieces(part["text"], 6)]
            if "text" in part
            else [("tool", part)]
        )
    return rows


def _candidate(n: int, answer: Answer, parts: list[dict[str, Any]]) -> dict[str, Any]:
    reason = STOPS.get(answer.finish, "STOP")
    if reason == "SAFETY":
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
        return {"finishReason": reason, "index": n, "safetyRatings": [rating]}
    content = {"role": "model", "parts": parts} if parts else {"role": "model"}
    more = {"continuationToken": token(answer.text)} if reason == "CONTINUATION" else {}
    return {"content": content, "finishReason": reason, "index": n, **more}


def _candidates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"candidates": rows} if rows else {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


def _usage(answers: Sequence[Answer]) -> dict[str, Any]:
    counts = [answer.counts for answer in answers if answer.counts is not None]
    if not counts:
        return {}
    given, text, thinking = (
        counts[0].input,
        sum(count.text for count in counts),
        sum(count.thinking for count in counts),
    )
    rows = {
        "promptTokenCount": given,
        "candidatesTokenCount": text,
        "thoughtsTokenCount": thinking,
        "totalTokenCount": given + text + thinking,
    }
    kept = {name: value for name, value in rows.items() if value}  # fields equal to zero are left out
    return {"usageMetadata": {**kept, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": given}]}}


def _closing(ask: Ask, answer: Answer) -> dict[str, Any]:
    return {"modelVersion": ask.name if ask.name.startswith("sim-") else ask.model.id, "responseId": f"sim{answer.id}"}


def _listed(model: Model) -> dict[str, Any]:
    methods = ["generateContent", "countTokens", "batchGenerateContent"]
    limits = {"inputTokenLimit": model.context, "outputTokenLimit": model.output}
    feel = {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2, "thinking": model.thinking == "on"}
    about = {
        "name": f"models/{model.id}",
        "version": model.id.split("-")[1],
        "displayName": model.name,
        "description": "Simulated.",
    }
    return {**about, **limits, "supportedGenerationMethods": methods, **feel}
