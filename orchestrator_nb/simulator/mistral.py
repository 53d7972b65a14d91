"""Plays Mistral (docs.mistral.ai, read November 2026): strict about fields, and content that is text or a list of chunks."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.chat import Chat
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.vendor import CREATED, Refusal, pieces, reply
from orchestrator_nb.simulator.wire import Arrived, Frame, Headers, Reply

TYPES = {
    400: ("invalid_request_invalid_args", "3051", "Bad request"),
    402: ("payment_required", "1400", "Payment required"),
    403: ("forbidden", "1200", "Forbidden"),
    408: ("timeout", "1101", "Request timed out"),
    409: ("conflict", "1102", "Conflict"),
    413: ("request_too_large", "3060", "Request too large"),
    425: ("too_early", "1103", "Too early"),
    429: ("rate_limited", "1300", "Rate limit exceeded"),
    500: ("internal_server_error", "1000", "Service unavailable."),
    502: ("unreachable_backend", "1100", "Bad gateway."),
    503: ("unreachable_backend", "1100", "Service unavailable."),
    504: ("unreachable_backend", "1100", "Gateway timeout."),
}


class Mistral(Chat):
    """https://api.mistral.ai"""

    name, family = "mistral", "mistral"
    max_fields = ("max_tokens",)
    seed_field = "random_seed"
    thinking_field = "thinking"
    known: ClassVar[frozenset[str]] = frozenset(
        """model messages temperature top_p max_tokens stream stop random_seed response_format tools tool_choice presence_penalty frequency_penalty n prediction
    parallel_tool_calls prompt_mode reasoning_effort safe_prompt metadata prompt_cache_key service_tier guardrails top_k logprobs top_logprobs""".split()  # noqa: SIM905 - words read best as one text
    )

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:  # noqa: PLR0911 - one return per case reads best
        if status == 401:
            return reply(401, {"detail": "Unauthorized"})
        if kind == "model":
            return self._documented(400, "invalid_model", "1500", f"Invalid model: {facts['model']}")
        if kind == "context":
            said = f"Prompt contains {facts['used']} tokens and 0 draft tokens, too large for model with {facts['limit']} maximum context length"
            return self._documented(400, "invalid_request_prompt_too_long", "3059", said)
        if kind == "json":
            return self._invalid("json_invalid", ["body", 0], "JSON decode error", {})
        if kind in ("missing", "value") or status == 422:
            return self._invalid(
                "missing" if kind == "missing" else "value_error",
                ["body", facts.get("field", "messages")],
                message or "Field required",
                {},
            )
        if kind == "quota":
            return self._documented(
                429, "service_tier_capacity_exceeded", "3505", "Service tier capacity exceeded for this model."
            )
        if status == 404:
            return reply(404, {"detail": "Not Found"})
        label, code, usual = TYPES.get(status) or TYPES[400 if status < 500 else 500]
        wait_s = facts.get("wait_s")
        hint = () if wait_s is None else (("retry-after", str(max(1, math.ceil(wait_s)))),)
        return self._documented(status, label, code, message or usual).with_headers(hint)

    def _documented(self, status: int, label: str, code: str, message: str) -> Reply:
        return reply(
            status,
            {
                "object": "error",
                "message": message,
                "type": label,
                "param": None,
                "code": code,
                "raw_status_code": status,
            },
        )

    def _invalid(self, kind: str, place: list[Any], message: str, found: Any) -> Reply:
        return reply(422, {"detail": [{"type": kind, "loc": place, "msg": message, "input": found}]})

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        label, code, usual = TYPES[status]
        return Frame(
            {
                "error": {
                    "object": "error",
                    "message": usual,
                    "type": label,
                    "param": None,
                    "code": code,
                    "raw_status_code": status,
                }
            }
        )

    def check_fields(self, body: Mapping[str, Any]) -> None:
        super().check_fields(body)
        for field in body:
            if field not in self.known:
                detail = [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", field],
                        "msg": "Extra inputs are not permitted",
                        "input": body[field],
                    }
                ]
                wrapped = {
                    "object": "error",
                    "message": {"detail": detail},
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                    "raw_status_code": 422,
                }
                raise Refusal(reply(422, wrapped))

    def check_rules(self, body: Mapping[str, Any], model: Model) -> None:
        if not 0 <= float(body.get("temperature") or 0) <= 1.5:
            raise Refusal(
                self._invalid(
                    "less_than_equal",
                    ["body", "temperature"],
                    "Input should be less than or equal to 1.5",
                    body["temperature"],
                )
            )
        if body["messages"][-1].get("role") == "assistant" and not body["messages"][-1].get("prefix"):
            said = "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
            raise Refusal(self._documented(400, "invalid_request_message_order", "3230", said))

    def thinks(self, body: Mapping[str, Any], model: Model) -> bool:
        effort = body.get("reasoning_effort")
        if effort not in (None, "none") and model.thinking == "never":
            raise Refusal(
                self._documented(
                    400, "invalid_request_invalid_args", "3051", f"reasoning_effort is not supported for {model.id}"
                )
            )
        return (
            effort not in (None, "none")
            or body.get("prompt_mode") == "reasoning"
            or str(body["model"]).startswith("magistral")
        )

    def listing(self, call: Arrived) -> dict[str, Any]:
        rows = [self.listed(model) | {"id": name} for model in self.models for name in (model.id, *model.aliases)]
        return {"object": "list", "data": rows}

    def listed(self, model: Model) -> dict[str, Any]:
        able = {
            "completion_chat": True,
            "function_calling": True,
            "completion_fim": False,
            "fine_tuning": False,
            "vision": True,
            "classification": False,
        }
        return {
            "id": model.id, "object": "model", "created": CREATED, "owned_by": "mistralai", "capabilities": {**able, "reasoning": model.thinking != "never"},
            "name": model.id, "description": "Simulated.", "max_context_length": model.context, "aliases": list(model.aliases), "deprecation": None,
            "deprecation_replacement_model": None, "default_model_temperature": 0.7, "type": "base",
        }  # fmt: skip

    def envelope(self, ask: Ask, answer: Answer, kind: str) -> dict[str, Any]:
        return {"id": f"cmpl-{answer.id}", "object": kind, "created": CREATED, "model": self.model_name(ask)}

    def choice(self, n: int, answer: Answer) -> dict[str, Any]:
        return {"index": n, "message": self.message(answer), "finish_reason": self.reason(answer)}

    def reason(self, answer: Answer) -> str:
        return "error" if answer.finish == "resources" else super().reason(answer)

    def message(self, answer: Answer) -> dict[str, Any]:
        message = {**super().message(answer), "prefix": False}
        message.pop("thinking", None)
        message.setdefault("tool_calls", None)
        content: Any = message["content"] or ""
        if answer.thinking:
            content = [{**_thought(answer.thinking), "closed": True}, {"type": "text", "text": answer.text}]
        return {**message, "content": content}

    def call_id(self, answer: Answer, n: int) -> str:
        return f"{answer.id[:8]}{n}"

    def thoughts(self, answer: Answer) -> list[dict[str, Any]]:
        return [{"content": [_thought(piece)]} for piece in pieces(answer.thinking)]

    def deltas(self, answer: Answer) -> list[tuple[str, dict[str, Any], str | None]]:
        """After thinking the first piece of text still comes as a list, the others as text."""
        rows = super().deltas(answer)
        first = next((n for n, (part, _, _) in enumerate(rows) if part == "text"), None)
        if answer.thinking and first is not None:
            rows[first] = ("text", {"content": [{"type": "text", "text": rows[first][1]["content"]}]}, None)
        return rows

    def event(self, base: Mapping[str, Any], n: int, delta: Mapping[str, Any], reason: str | None, part: Any) -> Frame:
        return Frame({**base, "choices": [{"index": n, "delta": delta, "finish_reason": reason}]}, part=part)

    def last(self) -> dict[str, Any]:
        return {"content": ""}

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        frames, usage = super().frames(ask, answers), self.usage(answers)
        for frame in frames:
            if frame.part == "finish" and usage is not None:
                frame.data["usage"] = usage
        return frames

    def wants_usage(self, ask: Ask) -> bool:
        return False

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        thought = sum(answer.counts.thinking for answer in answers if answer.counts)
        made = {"completion_tokens_details": {"reasoning_tokens": thought}} if thought else {}
        return {"prompt_tokens_details": {"cached_tokens": 0}, **made}

    def limit_headers(self, state: State) -> Headers:
        rows = [("req", state.requests), ("tokens", state.tokens)]
        named = [
            (kind, name, value)
            for kind, gauge in rows
            if gauge
            for name, value in (("limit", gauge.limit), ("remaining", gauge.remaining))
        ]
        cost = (("x-ratelimit-tokens-query-cost", str(state.cost)),) if named else ()
        return (*((f"x-ratelimit-{name}-{kind}-minute", str(value)) for kind, name, value in named), *cost)

    def extra_headers(self, serial: int) -> Headers:
        return (
            ("mistral-correlation-id", f"0199f000-0000-7000-8000-{serial:012d}"),
            ("x-kong-request-id", f"simkong{serial:08d}"),
        )


def _thought(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
