"""Plays the servers that speak OpenAI's chat dialect with quirks of their own; each class states only the differences."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.chat import Chat, go_headers
from orchestrator_nb.simulator.models import STAND_IN, Model
from orchestrator_nb.simulator.openai import OPENAI_TYPES
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.vendor import CREATED, Keys, reply, weigh
from orchestrator_nb.simulator.wire import Arrived, Frame, Headers, Reply

KINDS = {
    400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 413: "RequestTooLargeError",
    422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError", 503: "ServiceUnavailableError",
}  # fmt: skip


class Compatible(Chat):
    """A plain compatible server, local: needs no key, but refuses one it does not take, and an empty ``Bearer``."""

    name, family, types, fingerprint = "compat", "compat", OPENAI_TYPES, "fp_sim"
    local = True

    def check_key(self, call: Arrived, keys: Keys) -> None:
        if not self.local or keys.only is not None or "authorization" in call.headers:
            super().check_key(call, keys)

    def special(self, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        match kind:
            case "json":
                return {"message": "The request body is not valid JSON."}
            case "model":
                return {"message": f"The model `{facts['model']}` does not exist.", "code": "model_not_found"}
            case "context":
                said = f"This model's maximum context length is {facts['limit']} tokens. However, you requested {facts['used']} tokens."
                return {"message": said, "code": "context_length_exceeded"}
            case "quota":
                return {"type": "insufficient_quota", "code": "insufficient_quota", "message": OPENAI_TYPES[402][2]}
            case "path":
                return {"message": "Not Found"}
            case _:
                return {}


class VLLM(Compatible):
    """vLLM: errors of its own kind, ``reasoning``, ``tool_calls`` always a list, ``max_model_len``, ``/tokenize``."""

    name, thinking_field = "vllm", "reasoning"

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        usual = self.types.get(status, self.types[400 if status < 500 else 500])[2]
        said = message or self.special(kind, facts).get("message") or usual
        error = {
            "message": said,
            "type": KINDS.get(status, "BadRequestError" if status < 500 else "InternalServerError"),
            "param": None,
            "code": status,
        }
        return reply(status, {"error": error}, *self.hints(facts.get("wait_s")))

    def route(self, call: Arrived) -> str | Reply:
        if call.method == "POST" and call.path == "/tokenize":
            count = weigh(dict(call.body or {}).get("prompt") or dict(call.body or {}).get("messages") or "") // 4 + 1
            return reply(
                200,
                {"count": count, "max_model_len": self.models[0].context, "tokens": list(range(min(count, 10_000)))},
            )
        return super().route(call)

    def listed(self, model: Model) -> dict[str, Any]:
        return {
            **super().listed(model),
            "root": model.id,
            "parent": None,
            "max_model_len": model.context,
            "permission": [],
        }

    def message(self, answer: Answer) -> dict[str, Any]:
        return {"tool_calls": [], **super().message(answer)}

    def closing(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        return {"prompt_logprobs": None, "kv_transfer_params": None}


class LlamaCpp(Compatible):
    """llama.cpp: serves whatever name is asked for, ``reasoning_content``, ``timings``, errors with numeric codes."""

    name, thinking_field = "llamacpp", "reasoning_content"

    def model(self, name: object) -> Model:
        known = {model.id: model for model in self.models}
        return STAND_IN if str(name).startswith("sim-") else known.get(str(name), self.models[0])

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        kinds = {
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            500: "server_error",
            501: "not_supported_error",
            503: "unavailable_error",
        }
        error = {
            "code": status,
            "message": message or self.types.get(status, self.types[500])[2],
            "type": kinds.get(status, "invalid_request_error"),
        }
        if kind == "context":
            said = f"request ({facts['used']} tokens) exceeds the available context size ({facts['limit']} tokens), try increasing it"
            error |= {
                "message": said,
                "type": "exceed_context_size_error",
                "n_prompt_tokens": facts["used"],
                "n_ctx": facts["limit"],
            }
        elif status == 503:
            error["message"] = "Loading model"
        return reply(status, {"error": error}, *self.hints(facts.get("wait_s")))

    def route(self, call: Arrived) -> str | Reply:
        match call.method, call.path:
            case "GET", "/health":
                return reply(200, {"status": "ok"})
            case "POST", "/tokenize":
                return reply(200, {"tokens": list(range(len(str(dict(call.body or {}).get("content", ""))) // 4 + 1))})
            case _:
                return super().route(call)

    def closing(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        counts = answers[0].counts
        made = counts.output if counts else 0
        return {
            "timings": {
                "prompt_n": ask.input_tokens,
                "prompt_ms": 30.1,
                "predicted_n": made,
                "predicted_ms": made * 16.7,
                "predicted_per_second": 59.9,
            }
        }

    def usage_frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        return [
            replace(frame, data={**frame.data, **self.closing(ask, answers)})
            for frame in super().usage_frames(ask, answers)
        ]


class LMStudio(Compatible):
    """LM Studio: ``max_tokens`` only, ``reasoning_content``, errors that are plain text inside ``error``."""

    name, thinking_field = "lmstudio", "reasoning_content"
    max_fields = ("max_tokens",)

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        said = message or self.special(kind, facts).get("message") or self.types.get(status, self.types[500])[2]
        return reply(status, {"error": said}, *self.hints(facts.get("wait_s")))


class OpenRouter(Compatible):
    """OpenRouter: comments while it waits, ``reasoning`` and ``reasoning_details``, cost in the usage, numeric error codes."""

    name, thinking_field, local = "openrouter", "reasoning", False

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        special = {
            "model": f"{facts.get('model')} is not a valid model ID",
            "no_key": "No auth credentials found",
            "quota": "Insufficient credits",
        }
        status = 400 if kind == "model" else 402 if kind == "quota" else status
        error = {
            "code": status,
            "message": message
            or special.get(kind)
            or self.special(kind, facts).get("message")
            or self.types.get(status, self.types[500])[2],
        }
        return reply(status, {"error": error, "user_id": "user_sim"}, *self.hints(facts.get("wait_s")))

    def listed(self, model: Model) -> dict[str, Any]:
        price = {"prompt": "0.000002", "completion": "0.00001"}
        top = {"context_length": model.context, "max_completion_tokens": model.output, "is_moderated": False}
        return {
            "id": model.id,
            "name": model.id,
            "created": CREATED,
            "description": "Simulated.",
            "context_length": model.context,
            "pricing": price,
            "top_provider": top,
        }

    def envelope(self, ask: Ask, answer: Answer, kind: str) -> dict[str, Any]:
        return {**super().envelope(ask, answer, kind), "id": f"gen-{answer.id}", "provider": "Simulated"}

    def choice(self, n: int, answer: Answer) -> dict[str, Any]:
        return {**super().choice(n, answer), "native_finish_reason": self.reason(answer)}

    def message(self, answer: Answer) -> dict[str, Any]:
        details = [{"type": "reasoning.text", "text": answer.thinking, "index": 0}] if answer.thinking else []
        return {**super().message(answer), "refusal": None, "reasoning_details": details}

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        counts = [answer.counts for answer in answers if answer.counts]
        cost = 2e-6 * counts[0].input + 1e-5 * sum(count.output for count in counts)
        thought = sum(count.thinking for count in counts)
        return {
            "cost": round(cost, 8),
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }

    def wants_usage(self, ask: Ask) -> bool:
        return True

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        return [Frame(": OPENROUTER PROCESSING", part="ping"), *super().frames(ask, answers)]

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        return Frame(
            {
                "id": "gen-sim",
                "object": "chat.completion.chunk",
                "error": {"code": status, "message": "Provider returned error"},
                "choices": [choice],
            }
        )

    def extra_headers(self, serial: int) -> Headers:
        return (("x-generation-id", f"gen-sim{serial:08d}"),)


class Groq(Compatible):
    """Groq: ``reasoning``, counts in ``x_groq`` of the last chunk, request limits per day."""

    name, thinking_field, local = "groq", "reasoning", False

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        usage = self.usage(answers)
        for frame in (frames := super().frames(ask, answers)):
            if frame.part == "finish" and usage is not None:
                frame.data["x_groq"] = {"id": "req_sim", "usage": usage}
        return frames

    def limit_headers(self, state: State) -> Headers:
        day = state.requests and replace(state.requests, limit=state.requests.limit * 1440)
        return go_headers(replace(state, requests=day))

    def extra_headers(self, serial: int) -> Headers:
        return (("x-request-id", f"req_simgroq{serial:08d}"),)
