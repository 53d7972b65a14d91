"""The Chat Completions dialect that OpenAI began and most servers speak; each server states only its differences."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from orchestrator_nb.simulator.asking import Answer, Ask, Tool
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.quota import State
from orchestrator_nb.simulator.vendor import CREATED, Refusal, Vendor, bearer, pieces, reply, text_of, weigh
from orchestrator_nb.simulator.wire import Arrived, Frame, Headers, Reply, dumps

STOPS = {
    "stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter",
    "blocked": "content_filter", "refusal": "stop", "pause": "stop", "resources": "stop",
}  # fmt: skip
REFUSAL = "I'm sorry, I can't help with that."
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class Chat(Vendor):
    """A server with ``/chat/completions`` and ``/models``."""

    max_fields: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "max_tokens")
    seed_field: ClassVar[str] = "seed"
    thinking_field: ClassVar[str | None] = None
    """Where the text of the thinking goes; ``None``: it is never told."""
    fingerprint: ClassVar[str | None] = None
    types: ClassVar[Mapping[int, tuple[str, str | None, str]]] = {}
    """HTTP status -> type, code, message."""

    def key(self, call: Arrived) -> str:
        return bearer(call)

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        label, code, usual = self.types.get(status) or self.types[400 if status < 500 else 500]
        error = {"message": message or usual, "type": label, "param": None, "code": code}
        error.update(self.special(kind, facts))
        if message:
            error["message"] = message
        return reply(status, {"error": error}, *self.hints(facts.get("wait_s")))

    def special(self, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of an error of a special kind."""
        return {}

    def hints(self, wait_s: float | None) -> Headers:
        """When to come back, in headers."""
        return () if wait_s is None else (("retry-after", str(max(1, math.ceil(wait_s)))),)

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        label, code, usual = self.types.get(status) or self.types[500]
        return Frame({"error": {"message": usual, "type": label, "param": None, "code": code}})

    def route(self, call: Arrived) -> str | Reply:
        match call.method, self.inner(call.path).split("/"):
            case "POST", ["chat", "completions"]:
                return "ask"
            case "GET", ["models"]:
                return reply(200, self.listing(call))
            case "GET", ["models", *name] if name:
                return reply(200, self.listed(self.model("/".join(name))))
            case _:
                return self.error(404, "path", path=call.path)

    def inner(self, path: str) -> str:
        """The path below the version."""
        return path.strip("/").removeprefix("v1/")

    def listing(self, call: Arrived) -> dict[str, Any]:
        """The body of the model list."""
        return {"object": "list", "data": [self.listed(model) for model in self.models]}

    def listed(self, model: Model) -> dict[str, Any]:
        """One row of the model list."""
        return {"id": model.id, "object": "model", "created": CREATED, "owned_by": self.name}

    def read(self, call: Arrived) -> Ask:
        body = self.body(call)
        self.check_fields(body)
        model = self.model(body["model"])
        self.check_rules(body, model)
        return self.ask(body, model)

    def check_fields(self, body: Mapping[str, Any]) -> None:
        """What has to be there, and in which form."""
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise Refusal(self.error(400, "missing", "you must provide a model parameter", field="model"))
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refusal(self.error(400, "missing", "Missing required parameter: 'messages'.", field="messages"))
        for at, message in enumerate(messages):
            if not isinstance(message, Mapping) or message.get("role") not in ROLES:
                raise Refusal(
                    self.error(400, "value", f"Invalid value for 'messages[{at}].role'.", field=f"messages[{at}].role")
                )

    def check_rules(self, body: Mapping[str, Any], model: Model) -> None:
        """What the vendor refuses although the form is right."""

    def thinks(self, body: Mapping[str, Any], model: Model) -> bool:
        """Whether the model reasons before it answers this request."""
        effort = body.get("reasoning_effort")
        return model.thinking in ("on", "always") if effort is None else effort != "none" and model.thinking != "never"

    def ask(self, body: Mapping[str, Any], model: Model) -> Ask:
        """The request in the simulator's vocabulary."""
        turns, plan = body["messages"], body.get("response_format") or {}
        used = (weigh([turn.get("content") or "" for turn in turns]) + weigh(body.get("tools") or [])) // 4 + 1
        if used > model.context:
            raise Refusal(self.error(400, "context", used=used, limit=model.context))
        limit = next((body[field] for field in self.max_fields if body.get(field) is not None), None)
        stop = body.get("stop") or ()
        return Ask(
            self.name, model, str(body["model"]), prompt_of(turns), system_of(turns), used, limit, stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=body.get(self.seed_field), n=min(int(body.get("n") or 1), 16), schema=(plan.get("json_schema") or {}).get("schema"),
            json_mode=plan.get("type") == "json_object", stream=bool(body.get("stream")), thinks=self.thinks(body, model), shows=self.thinking_field is not None,
            tools=tuple(tool_of(tool.get("function") or {}) for tool in body.get("tools") or ()), tool_choice=_choice(body.get("tool_choice")),
            after_tool=turns[-1].get("role") == "tool", body=body,
        )  # fmt: skip

    def model_name(self, ask: Ask) -> str:
        """The model as the answer names it."""
        return ask.name if ask.name.startswith("sim-") else ask.model.id

    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        choices = [self.choice(n, answer) for n, answer in enumerate(answers)]
        body = {**self.envelope(ask, answers[0], "chat.completion"), "choices": choices, **self.closing(ask, answers)}
        usage = self.usage(answers)
        return body if usage is None else {**body, "usage": usage}

    def envelope(self, ask: Ask, answer: Answer, kind: str) -> dict[str, Any]:
        """The fields that answers and chunks have in common."""
        mark = {"system_fingerprint": self.fingerprint} if self.fingerprint else {}
        return {
            "id": f"chatcmpl-{answer.id}",
            "object": kind,
            "created": CREATED,
            "model": self.model_name(ask),
            **mark,
        }

    def closing(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        """Extra fields of a plain answer."""
        return {}

    def choice(self, n: int, answer: Answer) -> dict[str, Any]:
        """One choice of a plain answer."""
        return {"index": n, "message": self.message(answer), "logprobs": None, "finish_reason": self.reason(answer)}

    def reason(self, answer: Answer) -> str:
        """How the answer ended, in the vendor's word."""
        return STOPS.get(answer.finish, "stop")

    def message(self, answer: Answer) -> dict[str, Any]:
        """The message of a plain answer."""
        content = None if answer.finish == "refusal" or (answer.tool_calls and not answer.text) else answer.text
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if self.thinking_field and answer.thinking:
            message[self.thinking_field] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": self.call_id(answer, n), "type": "function", "function": _function(call)}
                for n, call in enumerate(answer.tool_calls)
            ]
        return message

    def call_id(self, answer: Answer, n: int) -> str:
        """The id of a tool call."""
        return f"call_{answer.id}{n}"

    def usage(self, answers: Sequence[Answer]) -> dict[str, Any] | None:
        """The token counts, summed over the choices."""
        counts = [answer.counts for answer in answers if answer.counts is not None]
        if not counts:
            return None
        given, made = counts[0].input, sum(count.output for count in counts)
        return {
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
            **self.details(answers),
        }

    def details(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """The finer token counts."""
        return {}

    def wants_usage(self, ask: Ask) -> bool:
        """Whether a stream ends with a chunk of its own for the counts."""
        return bool((ask.body.get("stream_options") or {}).get("include_usage"))

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        frames: list[Frame] = []
        for n, answer in enumerate(answers):
            base = self.envelope(ask, answer, "chat.completion.chunk")
            frames += [self.event(base, n, delta, reason, part) for part, delta, reason in self.deltas(answer)]
        frames += self.usage_frames(ask, answers)
        return [*frames, Frame("[DONE]", part="end")]

    def event(self, base: Mapping[str, Any], n: int, delta: Mapping[str, Any], reason: str | None, part: Any) -> Frame:
        """One chunk."""
        return Frame(
            {**base, "choices": [{"index": n, "delta": delta, "logprobs": None, "finish_reason": reason}]}, part=part
        )

    def deltas(self, answer: Answer) -> list[tuple[str, dict[str, Any], str | None]]:
        """What changes from chunk to chunk: the part, the delta, the finish reason."""
        rows: list[tuple[str, dict[str, Any], str | None]] = [("open", self.opening(answer), None)]
        rows += [("thinking", delta, None) for delta in self.thoughts(answer)]
        rows += [("text", self.spoken(piece), None) for piece in pieces(answer.text)]
        if answer.finish == "refusal":
            rows.append(("text", {"refusal": REFUSAL}, None))
        for n, call in enumerate(answer.tool_calls):
            function = _function(call)
            first = {
                "index": n,
                "id": self.call_id(answer, n),
                "type": "function",
                "function": {**function, "arguments": ""},
            }
            rows.append(("tool", {"tool_calls": [first]}, None))
            rows += [
                ("tool", {"tool_calls": [{"index": n, "function": {"arguments": part}}]}, None)
                for part in pieces(function["arguments"], 2)
            ]
        return [*rows, ("finish", self.last(), self.reason(answer))]

    def opening(self, answer: Answer) -> dict[str, Any]:
        """The first delta."""
        return {"role": "assistant", "content": ""}

    def thoughts(self, answer: Answer) -> list[dict[str, Any]]:
        """The deltas of the thinking."""
        return [{self.thinking_field: piece} for piece in pieces(answer.thinking)] if self.thinking_field else []

    def spoken(self, piece: str) -> dict[str, Any]:
        """The delta of a piece of text."""
        return {"content": piece}

    def last(self) -> dict[str, Any]:
        """The delta beside the finish reason."""
        return {}

    def usage_frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        """Chunks after the finish."""
        usage = self.usage(answers)
        if usage is None or not self.wants_usage(ask):
            return []
        base = self.envelope(ask, answers[0], "chat.completion.chunk")
        return [Frame({**base, "choices": [], "usage": usage}, part="usage")]

    def limit_headers(self, state: State) -> Headers:
        return go_headers(state)


def go_headers(state: State) -> Headers:
    """``x-ratelimit-*`` with resets as Go durations, as OpenAI and Groq write them."""
    rows = [("requests", state.requests), ("tokens", state.tokens)]
    named = [
        (kind, gauge, (("limit", gauge.limit), ("remaining", gauge.remaining), ("reset", go_duration(gauge.reset_s))))
        for kind, gauge in rows
        if gauge
    ]
    return tuple((f"x-ratelimit-{name}-{kind}", str(value)) for kind, _, values in named for name, value in values)


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a duration: ``12ms``, ``6s``, ``1m0.5s``, ``6h0m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


def _function(call: Any) -> dict[str, str]:
    return {"name": call.name, "arguments": dumps(call.arguments).decode()}


def tool_of(function: Mapping[str, Any]) -> Tool:
    """A function as the request declares it."""
    return Tool(function.get("name", ""), function.get("description") or "", function.get("parameters") or {})


def _choice(choice: Any) -> str:
    if isinstance(choice, Mapping):
        return str((choice.get("function") or choice).get("name") or "auto")
    return {"required": "any", None: "auto"}.get(choice, str(choice))


def prompt_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last turn of the user."""
    return next((text_of(turn.get("content")) for turn in reversed(turns) if turn["role"] == "user"), "")


def system_of(turns: Sequence[Mapping[str, Any]]) -> str:
    """The text of the system turns."""
    return "\n".join(text_of(turn.get("content")) for turn in turns if turn["role"] in ("system", "developer"))
