"""OpenAI's Responses: flat tools and formats, named events, reasoning items that can be sent back. https://platform.openai.com/docs/api-reference/responses

No seed, no stop, no penalties. ``store`` is sent as false: the default keeps each answer on the vendor's side for 30 days.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator_nb.calls import Event, Finish, Request, Usage
from orchestrator_nb.catalog import Quirks
from orchestrator_nb.messages import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers.decoding import Decoding, Empty, VendorFault
from orchestrator_nb.providers.draft import Block, count, inner, mend
from orchestrator_nb.providers.encoding import Asking, data_url, wants_json
from orchestrator_nb.providers.faults import read_json, unreadable
from orchestrator_nb.providers.jsontext import Malformed
from orchestrator_nb.providers.schemas import is_closed
from orchestrator_nb.types import Wire

_TAKES: Final = {"temperature": "temperature", "top_p": "top_p"}

_INCOMPLETE: Final[Mapping[str, Finish]] = {
    "max_output_tokens": "length", "content_filter": "content_filter", "max_messages": "pause", "steered": "pause",
}  # fmt: skip


class Responses:
    """The encoder and decoder; `orchestrator_nb.providers.openai.OpenAI` is the `Provider`."""

    def encode(self, request: Request) -> Wire:
        """``POST /responses``."""
        asking = Asking(request, Quirks())
        body = self._question(asking) | asking.plain(_TAKES)
        if asking.max_tokens is not None:
            body["max_output_tokens"] = asking.max_tokens
        body["store"] = False
        if request.params.tools:
            body["include"] = [
                "reasoning.encrypted_content"
            ]  # without it a tool turn loses the thoughts, as nothing is stored
        if request.stream:
            body["stream"] = True
        return Wire("/responses", asking.wire_body(body), notices=tuple(asking.notices))

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """A `Decoder` for one answer."""
        return ResponsesDecoder(request, headers)

    def count(self, request: Request) -> Wire:
        """``POST /responses/input_tokens``."""
        asking = Asking(request, Quirks())
        return Wire("/responses/input_tokens", asking.wire_body(self._question(asking)))

    def read_count(self, body: bytes) -> int:
        """``input_tokens``. Raises `BadResponse`."""
        return read_input_tokens(body)

    def _question(self, asking: Asking) -> dict[str, Any]:
        """What both the answer and the count depend on."""
        request, params = asking.request, asking.params
        body: dict[str, Any] = {"model": asking.model.id, "input": [i for m in request.messages for i in _items(m)]}
        if system := asking.system:
            body["instructions"] = system
        if reasoning := _reasoning(asking):
            body["reasoning"] = reasoning
        if wants_json(params):
            body["text"] = {"format": _format(asking)}
        if params.tools:
            body["tools"] = [
                {"type": "function", "name": t.name, "description": t.description, "parameters": dict(t.schema)}
                | (
                    {"strict": False} if not is_closed(t.schema) else {}
                )  # the default is strict, which refuses open schemas
                for t in params.tools
            ]
            if params.tool_choice is not None:
                body["tool_choice"] = _choice(params.tool_choice)
        return body


def _reasoning(asking: Asking) -> dict[str, Any]:
    reasoning: dict[str, Any] = {}
    effort, wish = asking.effort, asking.thinking
    if effort is not None:
        reasoning["effort"] = effort
    if wish is None:
        return reasoning
    if asking.budget_only_as_switch(wish):
        return reasoning | {"summary": "auto"}
    if "none" in asking.model.efforts and effort is None:
        return {"effort": "none"}
    asking.leave_out("thinking=False", "it thinks all the same")
    return reasoning


def _format(asking: Asking) -> dict[str, Any]:
    schema = asking.params.schema
    if schema is None or asking.schema_form == "object":
        return {"type": "json_object"}
    return {"type": "json_schema", "name": "answer", "schema": dict(schema), "strict": is_closed(schema)}


def _choice(choice: str) -> Any:
    if choice in {"any", "required"}:
        return "required"
    return choice if choice in {"auto", "none"} else {"type": "function", "name": choice}


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """A message as input items: calls, results and thoughts stand beside the spoken parts, in their order."""
    spoken: list[dict[str, Any]] = []
    role = {"assistant": "assistant", "system": "developer"}.get(message.role, "user")
    for part in message.parts:
        if isinstance(part, Text | Image):
            spoken.append(_spoken(part, role))
            continue
        if spoken:
            yield {"role": role, "content": spoken}
            spoken = []
        yield from _beside(part)
    if spoken:
        yield {"role": role, "content": spoken}


def _spoken(part: Text | Image, role: str) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": data_url(part)}
    return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}


def _beside(part: Part) -> Iterator[dict[str, Any]]:
    match part:
        case ToolCall():
            text = json.dumps(dict(part.arguments), ensure_ascii=False)
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": text}
        case ToolResult():
            yield {"type": "function_call_output", "call_id": part.id, "output": part.text}
        case Thinking() if item := _sealed(part.signature):
            yield {"type": "reasoning", "summary": [], **item}


def seal(item: Mapping[str, Any]) -> str | None:
    """Id and encrypted content of a reasoning item as one signature; ``None`` without the content, for then nothing can be sent back."""
    content = item.get("encrypted_content")
    return json.dumps({"id": item.get("id"), "encrypted_content": content}) if content else None


def _sealed(signature: str | None) -> dict[str, Any] | None:
    """The opposite of `seal`; ``None`` for the signature of another vendor."""
    try:
        item = json.loads(signature) if signature else None
    except ValueError:
        return None
    return item if isinstance(item, dict) and "encrypted_content" in item else None


def read_input_tokens(body: bytes) -> int:
    """``{"input_tokens": n}``, which Anthropic has too. Raises `BadResponse`."""
    if (tokens := count(inner(read_json(body), "input_tokens"))) is None:
        raise unreadable("a token count without input_tokens")
    return tokens


def responses_usage(usage: Mapping[str, Any]) -> Usage:
    """``input_tokens`` contains what was cached, ``output_tokens`` what was thought."""
    details = usage.get("input_tokens_details")
    return Usage(
        input=count(usage.get("input_tokens")),
        output=count(usage.get("output_tokens")),
        cached=count(inner(details, "cached_tokens")),
        written=count(inner(details, "cache_write_tokens")),
        reasoning=count(inner(usage.get("output_tokens_details"), "reasoning_tokens")),
    )


class ResponsesDecoder(Decoding):
    """Reads events by ``type``. The closing event holds the whole answer, which is compared with what was streamed."""

    def __init__(self, request: Request, headers: Mapping[str, str]) -> None:
        super().__init__(request, headers)
        self._blocks: dict[tuple[int, int], Block] = {}
        self._refused = False
        self._seen: set[int] = set()
        self._latest = -1

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One event; types we do not know are passed over."""
        if payload.get("type") != "error" and self._again(payload.get("sequence_number")):
            return
        match payload.get("type"):
            case "response.output_text.delta":
                self._add("text", payload, "content_index", events)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._add("thinking", payload, "summary_index", events)
            case "response.refusal.delta":
                self._refused = True
                self._add("text", payload, "content_index", events)
            case "response.output_item.done":
                self._item(payload.get("output_index", 0), payload["item"])
            case "response.created" | "response.in_progress":
                self._identify(payload["response"])
            case "response.completed" | "response.incomplete" | "response.failed":
                self._close(payload["response"], events)
            case "error":
                raise VendorFault(payload if payload.get("error") else {"error": payload})
            case None if payload.get("error"):
                raise VendorFault(payload)

    def on_body(self, body: Any, events: list[Event]) -> None:
        """The whole response."""
        if "output" not in body and body.get("error"):
            raise VendorFault(body)
        self._close(body, events)

    def _again(self, number: Any) -> bool:
        """Whether this event came before. One that comes late cannot be put in its place any more."""
        if not isinstance(number, int):
            return False
        if number in self._seen:
            self.draft.note("The vendor sent an event twice; the second was left out.")
            return True
        if number < self._latest:
            raise Malformed("events out of order")
        self._seen.add(number)
        self._latest = number
        return False

    def _identify(self, response: Mapping[str, Any]) -> None:
        self.draft.model = response.get("model") or self.draft.model
        self.draft.id = self.draft.id or response.get("id")

    def _add(self, kind: Any, payload: Mapping[str, Any], inner_index: str, events: list[Event]) -> None:
        """A piece for the part at its indexes."""
        place = (payload.get("output_index", 0), payload.get(inner_index, 0) if kind == "text" else 0)
        block = self._blocks.get(place)
        if block is None:
            block = self._blocks[place] = self.draft.open(kind)
        self.draft.add(block, payload["delta"], events)

    def _item(self, index: int, item: Mapping[str, Any]) -> None:
        """A finished item: the call, or the seal of the thoughts."""
        if item.get("type") == "function_call":
            if (index, 0) not in self._blocks:
                call_id, name = item.get("call_id") or item.get("id") or "", item.get("name") or ""
                block = self.draft.open("tool", id=call_id, name=name, pieces=[item.get("arguments") or ""])
                self._blocks[index, 0] = block
        elif item.get("type") == "reasoning" and (signature := seal(item)):
            block = self._blocks.get((index, 0)) or self.draft.open("thinking")
            self._blocks[index, 0] = block
            block.signature = signature

    def _close(self, response: Mapping[str, Any], events: list[Event]) -> None:
        """The end: what was not streamed is taken from the whole, what was must agree with it."""
        self.ended = True
        self._identify(response)
        if usage := response.get("usage"):
            self.draft.usage = responses_usage(usage)
        status = response.get("status")
        if status in {"failed", "cancelled"}:
            raise VendorFault(
                {"error": response.get("error") or {"message": f"the response is {status}", "code": "server_error"}}
            )
        if status is None or not isinstance(response.get("output"), list):
            raise Malformed("a response without status and output")
        for index, item in enumerate(response["output"]):
            self._compare(index, item, events)
        if status == "completed" and not response["output"]:
            raise Empty
        self._end(status, inner(response.get("incomplete_details"), "reason"))

    def _compare(self, index: int, item: Mapping[str, Any], events: list[Event]) -> None:
        match item.get("type"):
            case "message":
                for position, part in enumerate(item.get("content") or ()):
                    self._refused = self._refused or part.get("type") == "refusal"
                    self._whole("text", (index, position), part.get("text") or part.get("refusal") or "", events)
            case "reasoning":
                text = "".join(piece.get("text") or "" for piece in item.get("summary") or ())
                if (index, 0) not in self._blocks:
                    self._whole("thinking", (index, 0), text, events)
                self._item(index, item)
            case "function_call":
                self._item(index, item)

    def _whole(self, kind: Any, place: tuple[int, int], text: str, events: list[Event]) -> None:
        block = self._blocks.get(place)
        if block is None:
            if text:
                self._blocks[place] = self.draft.open(kind)
                self.draft.add(self._blocks[place], text, events)
        elif "".join(block.pieces) != mend(text):
            raise Malformed("pieces that do not add up to the whole answer")

    def _end(self, status: str, reason: str | None) -> None:
        raw = f"{status}:{reason}" if reason else status
        if status == "completed":
            self.draft.end("content_filter" if self._refused else "stop", raw)
        elif status == "incomplete":
            self.draft.end(_INCOMPLETE.get(reason or "", "error"), raw)
        else:
            self.draft.end("pause" if status in {"queued", "in_progress"} else "error", raw)
