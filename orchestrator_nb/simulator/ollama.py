"""Plays Ollama: the native API in NDJSON, and its OpenAI-compatible door (github.com/ollama/ollama docs/api.md, August 2026)."""

# ruff: noqa: D102, ARG002 - the methods are explained where they are declared; a dialect need not use all it is given

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.chat import prompt_of, system_of, tool_of
from orchestrator_nb.simulator.compatible import Compatible
from orchestrator_nb.simulator.models import Model
from orchestrator_nb.simulator.openai import OPENAI_TYPES
from orchestrator_nb.simulator.vendor import Keys, Refusal, Vendor, bearer, pieces, reply, weigh
from orchestrator_nb.simulator.wire import Arrived, Frame, Reply

NOW = "2026-11-22T08:00:00.000000Z"
THINK = (True, False, "low", "medium", "high", "max")


class Door(Compatible):
    """``/v1`` of Ollama."""

    name, family, fingerprint, thinking_field = "ollama", "ollama", "fp_ollama", "reasoning"
    max_fields = ("max_tokens",)

    def special(self, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        said = {"model": f"model '{facts.get('model')}' not found", "json": "invalid request body"}.get(kind)
        label = "not_found_error" if kind == "model" else "invalid_request_error"
        return {"message": said, "type": label, "code": None} if said else {"code": None}


class Ollama(Vendor):
    """http://127.0.0.1:11434"""

    name, family, form = "ollama", "ollama", "ndjson"

    def key(self, call: Arrived) -> str:
        return bearer(call)

    def check_key(self, call: Arrived, keys: Keys) -> None:
        """Locally no key is needed; one that is sent has to be good."""
        if keys.only is not None or self.key(call):
            super().check_key(call, keys)

    def error(self, status: int, kind: str = "", message: str = "", **facts: Any) -> Reply:
        said = {
            "model": f"model '{facts.get('model')}' not found",
            "json": "invalid character 'x' looking for beginning of value",
            "context": f"the input length exceeds the context length: {facts.get('used')} > {facts.get('limit')}",
            "quota": "you have reached your usage limit, please upgrade to continue",
        }.get(kind)
        usual = {
            401: "unauthorized",
            503: "server busy, please try again.  maximum pending requests exceeded",
            404: "404 page not found",
            429: "too many requests",
        }
        text = message or said or usual.get(status) or OPENAI_TYPES.get(status, OPENAI_TYPES[500])[2]
        return reply(status, {"error": text, **({"signin_url": "https://ollama.com/connect"} if status == 401 else {})})

    def stream_error(self, status: int, ask: Ask | None = None) -> Frame:
        return Frame({"error": "an error was encountered while running the model: unexpected EOF"})

    def route(self, call: Arrived) -> str | Reply:  # noqa: PLR0911 - one return per case reads best
        path = call.path.rstrip("/")
        match call.method, path:
            case "POST", "/api/chat" | "/api/generate":
                return "ask"
            case "GET" | "HEAD", "":
                return Reply(200, b"Ollama is running", (("content-type", "text/plain; charset=utf-8"),))
            case "GET", "/api/tags":
                return reply(200, {"models": [_listed(model) for model in self.models]})
            case "GET", "/api/ps":
                return reply(
                    200,
                    {
                        "models": [
                            {
                                **_listed(self.models[0]),
                                "expires_at": NOW,
                                "size_vram": 2_019_393_189,
                                "context_length": 8192,
                            }
                        ]
                    },
                )
            case "GET", "/api/version":
                return reply(200, {"version": "0.30.0"})
            case "POST", "/api/show":
                return reply(200, self._show(call))
            case _:
                return Reply(404, b"404 page not found", (("content-type", "text/plain"),))

    def _show(self, call: Arrived) -> dict[str, Any]:
        body = self.body(call)
        model = self.model(body.get("model") or body.get("name"))
        able = ["completion", "tools", *(["thinking"] if model.thinking != "never" else [])]
        info = {"general.architecture": "sim", "sim.context_length": model.context}
        about = {"license": "", "modelfile": "", "parameters": "", "template": "", "details": _details(model)}
        return {**about, "model_info": info, "capabilities": able, "modified_at": NOW}

    def read(self, call: Arrived) -> Ask:
        body = self.body(call)
        if not body.get("model"):
            raise Refusal(self.error(400, message="model is required"))
        model = self.model(body["model"])
        if body.get("tools") and model.thinking == "never" and model.style == "list":
            raise Refusal(self.error(400, message=f'"{body["model"]}" does not support tools'))
        if body.get("think") not in (None, *THINK):
            raise Refusal(
                self.error(
                    400,
                    message=f'invalid think value: "{body["think"]}" (must be "high", "medium", "low", true, or false)',
                )
            )
        if body.get("think") and model.thinking == "never":
            raise Refusal(self.error(400, message=f'"{body["model"]}" does not support thinking'))
        return self._ask(body, model)

    def _ask(self, body: Mapping[str, Any], model: Model) -> Ask:
        turns = body.get("messages") or [{"role": "user", "content": body.get("prompt", "")}]
        options, plan = body.get("options") or {}, body.get("format")
        used = weigh([turn.get("content") or "" for turn in turns]) // 4 + 1
        if body.get("truncate") is False and used > int(options.get("num_ctx", model.context)):
            raise Refusal(self.error(400, "context", used=used, limit=int(options.get("num_ctx", model.context))))
        stop, limit = options.get("stop") or (), options.get("num_predict")
        thinks = model.thinking == "on" if body.get("think") is None else bool(body["think"])
        return Ask(
            self.name, model, str(body["model"]), prompt_of(turns), system_of(turns) or body.get("system") or "", min(used, int(options.get("num_ctx", used))),
            limit if limit and limit > 0 else None, stop=(stop,) if isinstance(stop, str) else tuple(stop), seed=options.get("seed"),
            schema=plan if isinstance(plan, Mapping) else None, json_mode=plan == "json", stream=body.get("stream", True), thinks=thinks, shows=True,
            tools=tuple(tool_of(tool.get("function") or {}) for tool in body.get("tools") or ()), after_tool=turns[-1].get("role") == "tool", body=body,
        )  # fmt: skip

    def stream_type(self, ask: Ask) -> str:
        return "application/x-ndjson"

    def whole(self, ask: Ask, answers: Sequence[Answer]) -> dict[str, Any]:
        answer = answers[0]
        return _line(ask, answer, _message(answer), done=True)

    def frames(self, ask: Ask, answers: Sequence[Answer]) -> list[Frame]:
        answer = answers[0]
        rows: list[tuple[Any, dict[str, Any]]] = [
            ("thinking", {"content": "", "thinking": piece}) for piece in pieces(answer.thinking)
        ]
        rows += [("text", {"content": piece}) for piece in pieces(answer.text)]
        if answer.tool_calls:
            rows.append(("tool", {"content": "", "tool_calls": _calls(answer)}))
        frames = [Frame(_line(ask, answer, {"role": "assistant", **row}, done=False), part=part) for part, row in rows]
        return [*frames, Frame(_line(ask, answer, {"role": "assistant", "content": ""}, done=True), part="end")]


def _message(answer: Answer) -> dict[str, Any]:
    thought = {"thinking": answer.thinking} if answer.thinking else {}
    called = {"tool_calls": _calls(answer)} if answer.tool_calls else {}
    return {"role": "assistant", "content": answer.text, **thought, **called}


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{answer.id[:8]}{n}", "function": {"index": n, "name": call.name, "arguments": call.arguments}}
        for n, call in enumerate(answer.tool_calls)
    ]


def _line(ask: Ask, answer: Answer, message: Mapping[str, Any], *, done: bool) -> dict[str, Any]:
    plain = "messages" not in ask.body and "prompt" in ask.body
    said = (
        {"response": message["content"], **({"thinking": message["thinking"]} if "thinking" in message else {})}
        if plain
        else {"message": message}
    )
    line = {"model": ask.name, "created_at": NOW, **said, "done": done}
    return {**line, **_closing(answer)} if done else line


def _closing(answer: Answer) -> dict[str, Any]:
    reason = {"done_reason": "length" if answer.finish == "length" else "stop"}
    times = {
        "total_duration": 4_883_583_458,
        "load_duration": 1_334_875,
        "prompt_eval_duration": 342_546_000,
        "eval_duration": 4_535_599_000,
    }
    counts = answer.counts
    return {**reason, **times, **({"prompt_eval_count": counts.input, "eval_count": counts.output} if counts else {})}


def _details(model: Model) -> dict[str, Any]:
    family = model.id.partition(":")[0]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "8B",
        "quantization_level": "Q4_K_M",
    }


def _listed(model: Model) -> dict[str, Any]:
    about = {"modified_at": NOW, "size": 2_019_393_189, "digest": "a80c4f17acd5" + "0" * 52}
    return {"name": model.id, "model": model.id, **about, "details": _details(model)}
