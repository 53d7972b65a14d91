"""Plays OpenAI: Chat Completions here, Responses in ``responses.py`` (platform.openai.com/docs, read November 2026)."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from orchestrator_nb.simulator import responses
from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.chat import REFUSAL, Chat
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.vendor import CREATED, Refusal
from orchestrator_nb.simulator.wire import Arrived, Frame, Headers, Reply

INVALID = "invalid_request_error"
OPENAI_TYPES: Mapping[int, tuple[str, str | None, str]] = {
    400: (INVALID, None, "The request is not valid."),
    401: (INVALID, "invalid_api_key", "Incorrect API key provided."),
    402: (
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    403: ("request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"),
    404: (INVALID, None, "Invalid URL"),
    408: (INVALID, "request_timeout", "The request took too long to arrive."),
    409: (INVALID, "conflict", "The request conflicts with another one."),
    413: (INVALID, "request_too_large", "The request is too large."),
    422: (INVALID, None, "The request cannot be processed."),
    425: (INVALID, "too_early", "The request came too early."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached on requests per min (RPM). Please slow down."),
    498: ("capacity_exceeded", "capacity_exceeded", "flex tier capacity exceeded"),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", "bad_gateway", "Bad gateway."),
    503: (
        "service_unavailable_error",
        "server_is_overloaded",
        "The engine is currently overloaded, please try again later.",
    ),
    504: ("server_error", "gateway_timeout", "The server took too long."),
    529: (
        "service_unavailable_error",
        "server_is_overloaded",
        "The engine is currently overloaded, please try again later.",
    ),
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class OpenAI(Chat):
    """https://api.openai.com/v1"""

    name, family, types, fingerprint = "openai", "openai", OPENAI_TYPES, "fp_sim"
    known: ClassVar[frozenset[str]] = frozenset(
        """model messages max_tokens max_completion_tokens reasoning_effort verbosity temperature top_p n stop seed stream stream_options presence_penalty
    frequency_penalty logit_bias logprobs top_logprobs response_format tools tool_choice parallel_tool_calls user safety_identifier prompt_cache_key
    prompt_cache_retention service_tier store metadata modalities audio prediction functions function_call web_search_options""".split()  # noqa: SIM905 - words read best as one text
    )

    def special(self, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:  # noqa: PLR0911 - one return per case reads best
        match kind:
            case "json":
                return {"message": "We could not parse the JSON body of your request."}
            case "no_key":
                return {"message": "You didn't provide an API key.", "code": None}
            case "model":
                said = f"The model `{facts['model']}` does not exist or you do not have access to it."
                return {"message": said, "code": "model_not_found"}
            case "missing" | "value":
                return {
                    "param": facts["field"],
                    "code": "missing_required_parameter" if kind == "missing" else "invalid_value",
                }
            case "parameter":
                return {"param": facts["field"], "code": facts["code"]}
            case "context":
                said = f"This model's maximum context length is {facts['limit']} tokens. However, your messages resulted in {facts['used']} tokens."
                return {"message": said, "code": "context_length_exceeded", "param": "messages"}
            case "quota":
                return {"message": OPENAI_TYPES[402][2], "type": "insufficient_quota", "code": "insufficient_quota"}
            case "path":
                return {"message": f"Invalid URL (POST {facts['path']})"}
            case _:
                return {"type": "tokens"} if facts.get("tokens") else {}

    def hints(self, wait_s: float | None) -> Headers:
        if wait_s is None:
            return ()
        return (*super().hints(wait_s), ("retry-after-ms", str(max(1, round(wait_s * 1000 + 0.5)))))

    def route(self, call: Arrived) -> str | Reply:
        match call.method, self.inner(call.path).split("/"):
            case "POST", ["responses"]:
                return "ask"
            case "POST", ["responses", "input_tokens"]:
                return "count"
            case _:
                return super().route(call)

    def listed(self, model: Model) -> dict[str, Any]:
        return {
            "id": model.id,
            "object": "model",
            "created": CREATED,
            "owned_by": "system",
            "shutdown_date": model.shutdown,
        }

    def read(self, call: Arrived) -> Ask:
        return responses.read(self, call) if "responses" in call.path else super().read(call)

    def count(self, ask: Ask) -> dict[str, Any]:
        return {"object": "response.input_tokens", "input_tokens": ask.input_tokens}

    def refuse(self, field: str, code: str, message: str) -> Refusal:
        """A 400 about one parameter."""
        return Refusal(self.error(400, "parameter", message, field=field, code=code))

    def check_rules(self, body: Mapping[str, Any], model: Model) -> None:
        self.check_known(body, self.known)
        effort = self.effort(body.get("reasoning_effort"), model, "reasoning_effort", chat=True)
        if model.effort is not None and "max_tokens" in body:
            said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise self.refuse("max_tokens", "unsupported_parameter", said)
        self.check_sampling(body, model, effort)
        if body.get("tools") and model.responses_for_tools and effort != "none":
            said = f"Function tools with reasoning_effort are not supported for {model.id} in /v1/chat/completions. Please use /v1/responses instead."
            raise self.refuse("reasoning_effort", "unsupported_value", said)

    def check_known(self, body: Mapping[str, Any], known: frozenset[str]) -> None:
        """Raises :class:`Refusal` for a field that does not exist."""
        for field in body:
            if field not in known:
                raise self.refuse(field, "unknown_parameter", f"Unknown parameter: '{field}'.")

    def effort(self, asked: Any, model: Model, field: str, *, chat: bool) -> str | None:
        """The effort the model reasons with, ``None`` when it cannot. Raises :class:`Refusal`."""
        if asked is None:
            return model.effort
        if model.effort is None:
            raise self.refuse(
                field, "unsupported_parameter", f"Unsupported parameter: '{field}' is not supported with this model."
            )
        banned = {"none"} if model.thinking == "always" else set()
        banned |= {"max"} if chat else set()
        banned |= {"minimal"} if model.responses_for_tools else set()
        if asked not in EFFORTS or asked in banned:
            raise self.refuse(
                field, "unsupported_value", f"Unsupported value: '{field}' does not support '{asked}' with this model."
            )
        return str(asked)

    def check_sampling(self, body: Mapping[str, Any], model: Model, effort: str | None) -> None:
        """Reasoning models take sampling fields only while they do not reason; temperature 1 always passes."""
        if model.effort is None:
            return
        for field in ("temperature", "top_p", "logprobs", "top_logprobs"):
            value = body.get(field)
            if value is not None and effort != "none" and not (field in ("temperature", "top_p") and value == 1):
                said = f"Unsupported value: '{field}' does not support {value} with this model. Only the default (1) value is supported."
                raise self.refuse(field, "unsupported_value", said)
        for field in ("stop", "presence_penalty", "frequency_penalty", "logit_bias", "prediction"):
            if body.get(field):
                raise self.refuse(
                    field,
                    "unsupported_parameter",
                    f"Unsupported parameter: '{field}' is not supported with this model.",
                )

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        if ask is None or "input" not in ask.body:
            return super().stream_error(status, ask)
        _, code, said = self.types[status]
        return Frame(
            {"type": "error", "sequence_number": 1, "code": code or "server_error", "message": said, "param": None},
            "error",
        )

    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        return responses.whole(ask, answers[0]) if "input" in ask.body else super().whole(ask, answers)

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        return responses.frames(ask, answers[0]) if "input" in ask.body else super().frames(ask, answers)

    def closing(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        return {"service_tier": "default"}

    def message(self, answer: Answer) -> dict[str, Any]:
        return {
            **super().message(answer),
            "refusal": REFUSAL if answer.finish == "refusal" else None,
            "annotations": [],
        }

    def opening(self, answer: Answer) -> dict[str, Any]:
        return {"role": "assistant", "content": None if answer.tool_calls else "", "refusal": None}

    def event(self, base: Mapping[str, Any], n: int, delta: Mapping[str, Any], reason: str | None, part: Any) -> Frame:
        frame = super().event(base, n, delta, reason, part)
        return Frame(
            {**frame.data, "service_tier": "default", "usage": None, "obfuscation": "sim"[: 1 + len(str(delta)) % 3]},
            part=part,
        )

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        thought = sum(answer.counts.thinking for answer in answers if answer.counts)
        made = {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
        return {
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": made,
        }

    def extra_headers(self, serial: int) -> Headers:
        return (
            ("x-request-id", f"req_sim{serial:08d}"),
            ("openai-organization", "org-sim"),
            ("openai-processing-ms", "12"),
            ("openai-version", "2020-10-01"),
        )
