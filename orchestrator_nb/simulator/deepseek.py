"""Plays DeepSeek (api-docs.deepseek.com, read November 2026): thinking by default, blank lines and comments as keep-alives."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.chat import Chat
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.vendor import CREATED, Refusal
from orchestrator_nb.simulator.wire import Frame, Headers, Reply

INVALID = "invalid_request_error"


class DeepSeek(Chat):
    """https://api.deepseek.com"""

    name, family, fingerprint, thinking_field = "deepseek", "deepseek", "fp_sim_ds", "reasoning_content"
    max_fields = ("max_tokens",)
    types = {  # noqa: RUF012 - a class constant like its parent's
        400: (INVALID, INVALID, "The request is not valid."),
        401: ("authentication_error", INVALID, "Authentication Fails, Your api key is invalid"),
        402: ("unknown_error", INVALID, "Insufficient Balance"),
        403: ("permission_error", INVALID, "Forbidden"),
        404: (INVALID, INVALID, "Not Found"),
        413: (INVALID, INVALID, "Request entity too large"),
        429: ("rate_limit_error", "rate_limit_exceeded", "Too many concurrent requests."),
        500: ("server_error", INVALID, "Server error"),
        502: ("server_error", INVALID, "Bad gateway"),
        503: ("service_unavailable_error", "service_unavailable_error", "Service is too busy. Please try again later."),
        504: ("server_error", INVALID, "Gateway timeout"),
    }

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        if status == 422 or kind == "missing":
            said = (
                message
                or f"Failed to deserialize the JSON body into the target type: missing field `{facts.get('field', 'messages')}` at line 1 column 26"
            )
            return Reply(422, said.encode(), (("content-type", "text/plain; charset=utf-8"),))
        return super().error(400 if kind == "model" else status, kind, message, **facts)

    def special(self, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        match kind:
            case "json":
                return {"message": "Failed to parse the request body as JSON"}
            case "model":
                return {"message": "Model Not Exist"}
            case "context":
                return {
                    "message": f"This model's maximum context length is {facts['limit']} tokens. However, you requested {facts['used']} tokens."
                }
            case "quota":
                return {"message": "Insufficient Balance", "type": "insufficient_quota", "code": "insufficient_quota"}
            case _:
                return {}

    def hints(self, wait_s: float | None) -> Headers:
        return ()

    def check_rules(self, body: Mapping[str, Any], model: Model) -> None:
        if (body.get("response_format") or {}).get("type") == "json_schema":
            raise Refusal(self.error(400, message="This response_format type is unavailable now"))
        if (body.get("response_format") or {}).get("type") == "json_object" and "json" not in str(
            body["messages"]
        ).lower():
            raise Refusal(
                self.error(
                    400,
                    message="Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
                )
            )
        if not 0 <= float(body.get("temperature") or 0) <= 2:
            raise Refusal(
                self.error(400, message="Invalid temperature value, the valid range of temperature is [0, 2]")
            )
        thinking = self.thinks(body, model)
        if thinking and any(turn.get("tool_calls") and not turn.get("reasoning_content") for turn in body["messages"]):
            raise Refusal(
                self.error(400, message="The `reasoning_content` in the thinking mode must be passed back to the API.")
            )

    def thinks(self, body: Mapping[str, Any], model: Model) -> bool:
        return bool((body.get("thinking") or {}).get("type", "enabled") == "enabled")

    def listed(self, model: Model) -> dict[str, Any]:
        return {"id": model.id, "object": "model", "owned_by": "deepseek"}

    def envelope(self, ask: Ask, answer: Answer, kind: str) -> dict[str, Any]:
        number = f"{answer.id:0>16}"
        shape = f"{number[:8]}-{number[8:12]}-4000-8000-{number[4:16]}"
        return {
            "id": shape,
            "object": kind,
            "created": CREATED,
            "model": self.model_name(ask),
            "system_fingerprint": "fp_sim_ds",
        }

    def reason(self, answer: Answer) -> str:
        return "insufficient_system_resource" if answer.finish == "resources" else super().reason(answer)

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        given = answers[0].counts.input if answers[0].counts else 0
        thought = sum(answer.counts.thinking for answer in answers if answer.counts)
        made = {"completion_tokens_details": {"reasoning_tokens": thought}} if thought else {}
        return {
            "prompt_tokens_details": {"cached_tokens": 0},
            **made,
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": given,
        }

    def opening(self, answer: Answer) -> dict[str, Any]:
        return {
            "role": "assistant",
            "content": None if answer.thinking else "",
            **({"reasoning_content": ""} if answer.thinking else {}),
        }

    def thoughts(self, answer: Answer) -> list[dict[str, Any]]:
        return [{"content": None, **delta} for delta in super().thoughts(answer)]

    def spoken(self, piece: str) -> dict[str, Any]:
        return {"content": piece, "reasoning_content": None}

    def last(self) -> dict[str, Any]:
        return {"content": "", "reasoning_content": None}

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        """Counts ride on the finish chunk; a comment comes first and before the text."""
        frames = [Frame(": keep-alive", part="ping")]
        for frame in super().frames(ask, answers):
            usage = self.usage(answers)
            frames.append(
                replace(frame, data={**frame.data, "usage": usage}) if frame.part == "finish" and usage else frame
            )
        return frames

    def wants_usage(self, ask: Ask) -> bool:
        return False

    def limit_headers(self, state: State) -> Headers:
        return ()

    def extra_headers(self, serial: int) -> Headers:
        return (("x-ds-trace-id", f"simdeepseek{serial:08d}"),)
