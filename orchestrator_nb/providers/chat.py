"""OpenAI's Chat Completions, and the plain form of every dialect that copies it. What differs is said by `Quirks`.

https://platform.openai.com/docs/api-reference/chat. The reader takes what the copies send (as of 2026-11): reasoning in
``reasoning_content`` or ``reasoning``, content as text or as a list of chunks, usage on any late chunk or in ``x_groq``, arguments as text or object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from orchestrator_nb.calls import Event, Finish, Request, Usage
from orchestrator_nb.catalog import ModelSpec, Quirks, Vendor
from orchestrator_nb.errors import Kind, UserError
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers.decoding import Decoding, Empty, VendorFault
from orchestrator_nb.providers.draft import Block, count, inner, mended, money
from orchestrator_nb.providers.encoding import Asking, data_url, joined, merged_quirks
from orchestrator_nb.providers.faults import name_in, read_json, rows
from orchestrator_nb.providers.jsontext import Malformed
from orchestrator_nb.providers.schemas import is_closed
from orchestrator_nb.types import AuthStyle, Wire

FINISH: Final[Mapping[str, Finish]] = {
    "stop": "stop", "length": "length", "model_length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter",
}  # fmt: skip
"""Any other reason is an error on the model's side: Mistral's ``error``, DeepSeek's ``insufficient_system_resource``."""


class Chat:
    """A `Provider` for the chat dialect. A vendor that differs sets ``quirks`` and overrides what data cannot say."""

    kind = "openai-compatible"
    auth = AuthStyle()
    advice: Mapping[Kind, str] = {}
    prefix = ""
    """What stands between the base URL and ``/chat/completions``."""
    quirks = Quirks()
    _latest: tuple[Quirks | None, Quirks] = (None, Quirks())

    def quirks_of(self, vendor: Vendor) -> Quirks:
        """The dialect's quirks with the vendor's own on top."""
        theirs, merged = self._latest
        if vendor.quirks is not theirs:  # asked twice per call, and quirks are slow to hash
            merged = _merged(self.quirks, vendor.quirks)
            self._latest = vendor.quirks, merged
        return merged

    def encode(self, request: Request) -> Wire:
        """``POST /chat/completions``."""
        asking = Asking(request, self.quirks_of(request.model.vendor))
        body = self._body(asking)
        return Wire(f"{self.prefix}/chat/completions", asking.wire_body(body), notices=tuple(asking.notices))

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """A `Decoder` for one answer."""
        return ChatDecoder(request, headers, self.quirks_of(request.model.vendor))

    def models(self, page: str | None = None) -> Wire:  # noqa: ARG002  the protocol has it
        """``GET /models``; these servers have a single page."""
        return Wire(f"{self.prefix}/models", method="GET")

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """Ids, and the context where the server says it (vLLM ``max_model_len``, OpenRouter ``context_length``)."""
        return [self._model(vendor, row) for row in rows(read_json(body), "data") if row.get("id")], None

    def count(self, request: Request) -> Wire | None:  # noqa: ARG002  the protocol has it
        """The chat dialect cannot count."""
        return None

    def read_count(self, body: bytes) -> int:  # noqa: ARG002  the protocol has it
        """Never called, for there is nothing to read."""
        raise UserError(f"{self.kind} does not count tokens; only an estimate can be had.")

    def _body(self, asking: Asking) -> dict[str, Any]:
        quirks, params = asking.quirks, asking.params
        body: dict[str, Any] = {"model": asking.model.id, "messages": self._messages(asking)}
        if params.given:
            body |= asking.plain(self._takes(quirks))
        tokens = quirks.max_tokens_default if asking.max_tokens is None else asking.max_tokens
        if tokens is not None:
            body[quirks.max_tokens_field] = tokens
        body |= self._reasoning(asking) | self._format(asking)
        if params.tools:
            body["tools"] = [function_tool(tool.name, tool.description, tool.schema) for tool in params.tools]
            if params.tool_choice is not None:
                body["tool_choice"] = self._choice(quirks, params.tool_choice)
        if asking.request.stream:
            body["stream"] = True
            if quirks.usage_option:
                body["stream_options"] = {"include_usage": True}
        return body

    def _takes(self, quirks: Quirks) -> dict[str, str]:
        names = ("temperature", "top_p", "top_k", "stop", "presence_penalty", "frequency_penalty")
        takes = {name: name for name in names if name not in quirks.lacks}
        return takes | ({"seed": quirks.seed_field} if quirks.seed_field else {})

    def _reasoning(self, asking: Asking) -> dict[str, Any]:
        """Effort and thinking, each by the field the server has for it."""
        body: dict[str, Any] = {}
        quirks, effort, wish = asking.quirks, asking.effort, asking.thinking
        if effort is not None:
            if quirks.effort_field:
                body[quirks.effort_field] = effort
            else:
                asking.leave_out("effort")
        if wish is not None:
            body |= self._thinking(asking, wish, has_effort=effort is not None)
        return body

    def _thinking(self, asking: Asking, wish: bool | int, *, has_effort: bool) -> dict[str, Any]:
        quirks, on = asking.quirks, asking.budget_only_as_switch(wish)
        if quirks.thinking_field:
            return {"thinking": {"type": "enabled" if on else "disabled"}}
        if asking.model.thinking == "toggle":  # vLLM: https://docs.vllm.ai/en/latest/features/reasoning_outputs.html
            return {"chat_template_kwargs": {"enable_thinking": on}}
        level = "high" if on else "none"
        if quirks.effort_field and not has_effort and (level in asking.model.efforts or not asking.known):
            return {quirks.effort_field: level}
        if not (on and has_effort):  # with an effort set, thinking is on already
            asking.leave_out(
                f"thinking={wish}", f"set effort ({', '.join(asking.model.efforts) or 'if it has any'}) instead"
            )
        return {}

    def _format(self, asking: Asking) -> dict[str, Any]:
        params = asking.params
        if params.schema is None and not params.json:
            return {}
        if params.schema is None or asking.schema_form == "object":
            return {"response_format": {"type": "json_object"}}
        schema = {"name": "answer", "schema": dict(params.schema), "strict": is_closed(params.schema)}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _choice(self, quirks: Quirks, choice: str) -> Any:
        if choice in {"any", "required"}:
            return quirks.tool_choice_any
        return choice if choice in {"auto", "none"} else {"type": "function", "function": {"name": choice}}

    def _messages(self, asking: Asking) -> list[dict[str, Any]]:
        quirks = asking.quirks
        system = asking.system
        first = [{"role": quirks.system_role, "content": system}] if system else []
        return first + [row for message in asking.request.messages for row in self._rows(message, quirks)]

    def _rows(self, message: Message, quirks: Quirks) -> list[dict[str, Any]]:
        """A message, after one row for each tool result in it."""
        if message.role == "user" and len(message.parts) == 1 and type(message.parts[0]) is Text:  # most are
            return [{"role": "user", "content": message.parts[0].text}]
        results = [self._result(part) for part in message.parts if isinstance(part, ToolResult)]
        if message.role == "assistant":
            return [*results, self._assistant(message, quirks)]
        rest = tuple(part for part in message.parts if isinstance(part, Text | Image))
        role = quirks.system_role if message.role == "system" else "user"
        return [*results, {"role": role, "content": self._content(rest, quirks)}] if rest else results

    def _result(self, part: ToolResult) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": self._call_id(part.id), "content": part.text}

    def _assistant(self, message: Message, quirks: Quirks) -> dict[str, Any]:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        row: dict[str, Any] = {"role": "assistant", "content": message.text or (None if calls else "")}
        thoughts = "".join(part.text for part in message.parts if isinstance(part, Thinking))
        if quirks.echo_field and calls and thoughts:
            row[quirks.echo_field] = thoughts
        if calls:
            row["tool_calls"] = [function_call(self._call_id(call.id), call) for call in calls]
        return row

    def _content(self, parts: tuple[Text | Image, ...], quirks: Quirks) -> Any:
        if not any(isinstance(part, Image) for part in parts):
            return joined(parts)
        return [
            {"type": "text", "text": part.text}
            if isinstance(part, Text)
            else {
                "type": "image_url",
                "image_url": data_url(part) if quirks.image_form == "string" else {"url": data_url(part)},
            }
            for part in parts
        ]

    def _call_id(self, call_id: str) -> str:
        return call_id

    def _model(self, vendor: Vendor, row: Mapping[str, Any]) -> ModelSpec:
        context = count(row.get("max_model_len")) or count(row.get("context_length"))
        return ModelSpec(vendor, name_in(row, "id"), context=context, features=frozenset({"text", "unlisted"}))


@lru_cache(maxsize=64)
def _merged(own: Quirks, theirs: Quirks) -> Quirks:
    return merged_quirks(own, theirs)


def function_tool(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in the nested form of the chat dialect, which Ollama shares."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": dict(schema)}}


def function_call(call_id: str, call: ToolCall) -> dict[str, Any]:
    """A call that is sent back, its arguments as JSON text."""
    text = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": text}}


def chat_usage(usage: Mapping[str, Any]) -> Usage:
    """``prompt_tokens`` contains what was cached, ``completion_tokens`` what was thought."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = count(inner(prompt, "cached_tokens"))
    return Usage(
        input=count(usage.get("prompt_tokens")),
        output=count(usage.get("completion_tokens")),
        cached=count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
        written=count(inner(prompt, "cache_write_tokens")),
        reasoning=count(inner(completion, "reasoning_tokens")),
    )


class ChatDecoder(Decoding):
    """Reads both forms of an answer: chunks with a ``delta``, or one body with a ``message``; they share their fields."""

    end_marker = b"[DONE]"

    def __init__(self, request: Request, headers: Mapping[str, str], quirks: Quirks) -> None:
        super().__init__(request, headers)
        self._quirks = quirks
        self._calls: dict[int, Block] = {}
        self._refused = False

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One chunk."""
        if "error" in payload and payload["error"]:  # noqa: RUF019  faster than get for what is hardly ever there
            raise VendorFault(payload)
        if self.draft.model is None:
            self._identify(payload)
        get = payload.get
        if choices := get("choices"):
            choice = choices[0]
            if choice.get("index"):
                self.draft.note("The vendor sent more than one answer; only the first is kept.")
                return
            if delta := choice.get("delta"):
                self._say(delta, events)
            if reason := choice.get("finish_reason"):
                self._end(reason)
        if usage := get("usage") or ("x_groq" in payload and inner(payload["x_groq"], "usage")):
            self._account(usage)

    def on_body(self, body: Any, events: list[Event]) -> None:
        """The whole completion."""
        if body.get("error") or ("choices" not in body and (body.get("object") == "error" or "detail" in body)):
            raise VendorFault(body)
        self._identify(body)
        if usage := body.get("usage"):
            self._account(usage)
        choices = body["choices"]
        if not choices:
            raise Empty
        self._say(choices[0]["message"], events)
        self._end(choices[0].get("finish_reason") or "stop")

    def piece(self, payload: Any) -> tuple[str, Block] | None:
        """A delta that has content, and nothing beside it that counts."""
        choices = payload.get("choices")
        if not choices or payload.get("usage") or "x_groq" in payload:
            return None
        choice = choices[0]
        delta = choice.get("delta")
        if not delta or choice.get("index") or choice.get("finish_reason"):
            return None
        text = delta.get("content")
        others = any(value for name, value in delta.items() if name not in {"content", "role"})
        return None if others or not text or not isinstance(text, str) else (text, self.draft.blocks[-1])

    def is_whole(self) -> bool:
        """Whether there was any choice at all."""
        return self.draft.finish is not None or bool(self.draft.blocks)

    def _identify(self, payload: Mapping[str, Any]) -> None:
        self.draft.model = payload.get("model")
        self.draft.id = self.draft.id or payload.get("id")

    def _say(self, delta: Mapping[str, Any], events: list[Event]) -> None:
        draft, get = self.draft, delta.get
        if thoughts := get("reasoning_content") or get("reasoning"):
            draft.think(thoughts, events)
        if content := get("content"):
            if draft.finish is not None:
                raise Malformed("text after the end of the answer")
            if content.__class__ is str:
                draft.say(content, events)
            else:
                self._chunks(content, events)
        if "refusal" in delta and delta["refusal"]:  # noqa: RUF019
            self._refused = True
            draft.say(delta["refusal"], events)
        if "tool_calls" in delta:
            for position, call in enumerate(delta["tool_calls"] or ()):
                self._call(call, position, events)

    def _chunks(self, chunks: list[Any], events: list[Event]) -> None:
        """Mistral's list of chunks. https://docs.mistral.ai/capabilities/reasoning/"""
        for chunk in chunks:
            kind = chunk.get("type")
            if kind == "text":
                self.draft.say(chunk["text"], events)
            elif kind == "thinking":
                for piece in chunk["thinking"]:
                    self.draft.think(piece.get("text") or "", events)
            else:
                self.draft.note(f"The answer holds a part of type {kind!r}, which is left out.")

    def _call(self, call: Mapping[str, Any], position: int, events: list[Event]) -> None:
        """A call, or a piece of one, by its index. Pieces without a name continue the call that has their index."""
        index = call.get("index")
        index = index if isinstance(index, int) else position
        function = call.get("function") or {}
        block = self._calls.get(index)
        if block is None or (call.get("id") and block.id and call["id"] != block.id):
            block = self._calls[index] = self.draft.open("tool", id=call.get("id") or f"call_{len(self._calls)}")
        block.name = function.get("name") or block.name
        given = function.get("arguments")
        if isinstance(given, dict):
            block.arguments = mended(given)
        elif given:
            self.draft.add(block, given, events)

    def _end(self, reason: str) -> None:
        finish = FINISH.get(reason, "error")
        self.draft.end("content_filter" if self._refused and finish == "stop" else finish, reason)

    def _account(self, usage: Mapping[str, Any]) -> None:
        self.draft.usage = chat_usage(usage)
        if self._quirks.cost_in_usage:
            self.draft.cost = money(usage.get("cost"))
