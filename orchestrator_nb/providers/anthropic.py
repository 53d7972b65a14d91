"""Anthropic's Messages API. https://docs.claude.com/en/api/messages

Versions: ``2026-10-21`` took the sampling parameters away; ``2023-06-01`` still has them for the models that do. The newer one is sent
unless the user set one of them and the model takes it. https://docs.claude.com/en/api/versioning
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from orchestrator_nb.calls import Event, Finish, Request, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import Kind, UserError
from orchestrator_nb.messages import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers.decoding import Decoding, VendorFault
from orchestrator_nb.providers.draft import Block, count, inner, mended
from orchestrator_nb.providers.encoding import Asking, base64
from orchestrator_nb.providers.faults import name_in, read_json, rows
from orchestrator_nb.providers.jsontext import Malformed
from orchestrator_nb.providers.responses import read_input_tokens
from orchestrator_nb.providers.schemas import for_anthropic
from orchestrator_nb.types import AuthStyle, Wire

VERSION: Final = "2026-10-21"
SAMPLING_VERSION: Final = "2023-06-01"

MAX_TOKENS: Final = 4096
"""Asked for when neither the user nor the catalogue says a number: the field is required."""

_SAMPLING: Final = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k"}
_STOP: Final = {"stop": "stop_sequences"}
_REDACTED: Final = "redacted_thinking:"

FINISH: Final[Mapping[str, Finish]] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "pause_turn": "pause", "refusal": "content_filter",
}  # fmt: skip


class Anthropic:
    """A `Provider` for the Messages API."""

    kind = "anthropic"
    auth = AuthStyle("x-api-key", "")
    advice: Mapping[Kind, str] = {}

    def encode(self, request: Request) -> Wire:
        """``POST /v1/messages``."""
        asking = Asking(request, request.model.vendor.quirks)
        version = request.model.vendor.quirks.api_version or _version(asking)
        takes = _STOP | (_SAMPLING if version == SAMPLING_VERSION else {})
        body = _question(asking) | {"max_tokens": _max_tokens(asking)} | asking.plain(takes)
        _check_budget(body)
        if request.stream:
            body["stream"] = True
        headers = {"anthropic-version": version}
        return Wire("/v1/messages", asking.wire_body(body), headers=headers, notices=tuple(asking.notices))

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """A `Decoder` for one answer."""
        return AnthropicDecoder(request, headers)

    def models(self, page: str | None = None) -> Wire:
        """``GET /v1/models``; a page token is the last id seen."""
        query = urlencode({"limit": 1000, **({"after_id": page} if page else {})})
        return Wire(f"/v1/models?{query}", method="GET", headers={"anthropic-version": VERSION})

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """Limits and abilities as the vendor states them."""
        page = read_json(body)
        models = [_model(vendor, row) for row in rows(page, "data") if row.get("id")]
        return models, page.get("last_id") if page.get("has_more") else None

    def count(self, request: Request) -> Wire | None:
        """``POST /v1/messages/count_tokens``."""
        asking = Asking(request, request.model.vendor.quirks)
        version = request.model.vendor.quirks.api_version or VERSION
        body = asking.wire_body(_question(asking))
        return Wire("/v1/messages/count_tokens", body, headers={"anthropic-version": version})

    def read_count(self, body: bytes) -> int:
        """``input_tokens``. Raises `BadResponse`."""
        return read_input_tokens(body)


def _version(asking: Asking) -> str:
    given = asking.params.given
    return SAMPLING_VERSION if any(name in given and not asking.refuses(name) for name in _SAMPLING) else VERSION


def _max_tokens(asking: Asking) -> int:
    numbers = (asking.max_tokens, asking.quirks.max_tokens_default, MAX_TOKENS)
    return next(number for number in numbers if number is not None)


def _check_budget(body: Mapping[str, Any]) -> None:
    budget = inner(body.get("thinking"), "budget_tokens")
    if budget is not None and not 1024 <= budget < body["max_tokens"]:
        raise UserError(
            f"thinking={budget} must be at least 1024 and below max_tokens={body['max_tokens']}; change one of them."
        )


def _question(asking: Asking) -> dict[str, Any]:
    """What both the answer and the count depend on."""
    request, params = asking.request, asking.params
    messages = [row for message in request.messages if (row := _message(message))["content"]]
    body: dict[str, Any] = {"model": asking.model.id, "messages": messages}
    if system := asking.system:
        body["system"] = system
    if (thinking := _thinking(asking)) is not None:
        body["thinking"] = thinking
    if output := _output(asking):
        body["output_config"] = output
    if params.tools:
        body["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": dict(t.schema)} for t in params.tools
        ]
        if params.tool_choice is not None:
            body["tool_choice"] = _choice(asking, params.tool_choice)
    return body


def _thinking(asking: Asking) -> dict[str, Any] | None:
    """By the style of the model. ``display`` goes along because newer models leave the text out otherwise."""
    wish = asking.thinking
    if wish is None:
        return None
    if wish is False:
        return {"type": "disabled"}
    if asking.model.thinking == "budget" or (asking.model.thinking == "none" and not isinstance(wish, bool)):
        return {"type": "enabled", "budget_tokens": 1024 if wish is True else wish}
    asking.budget_only_as_switch(wish)
    return {"type": "adaptive", "display": "summarized"}


def _output(asking: Asking) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if (effort := asking.effort) is not None:
        output["effort"] = effort
    if asking.params.schema is not None and asking.schema_form == "schema":
        output["format"] = {"type": "json_schema", "schema": for_anthropic(asking.params.schema)}
    return output


def _choice(asking: Asking, choice: str) -> dict[str, str]:
    kind = {"required": "any"}.get(choice, choice)
    forced = {"type": kind} if kind in {"auto", "any", "none"} else {"type": "tool", "name": kind}
    if forced["type"] in {"any", "tool"} and asking.refuses("tool_choice"):
        raise UserError(
            f"{asking.model.ref} cannot be forced to use a tool; leave tool_choice out or set it to 'auto'."
        )
    return forced


def _message(message: Message) -> dict[str, Any]:
    role = "user" if message.role == "tool" else message.role
    return {"role": role, "content": [block for part in message.parts if (block := _block(part)) is not None]}


def _block(part: Part) -> dict[str, Any] | None:  # noqa: PLR0911  a table of kinds
    """A content block; thoughts without a seal cannot be sent back."""
    match part:
        case Text(""):
            return None  # refused by the vendor
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            source = {"type": "base64", "media_type": part.media_type, "data": base64(part)}
            return {"type": "image", "source": source}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}
        case ToolResult():
            result = {"type": "tool_result", "tool_use_id": part.id, "content": part.text}
            return result | ({"is_error": True} if part.is_error else {})
        case Thinking(text, str(seal)) if seal.startswith(_REDACTED):
            return {"type": "redacted_thinking", "data": seal.removeprefix(_REDACTED)}
        case Thinking(text, str(seal)):
            return {"type": "thinking", "thinking": text, "signature": seal}
        case _:
            return None


def _model(vendor: Vendor, row: Mapping[str, Any]) -> ModelSpec:
    can = row.get("capabilities")
    spec = ModelSpec(
        vendor,
        name_in(row, "id"),
        context=count(row.get("max_input_tokens")),
        max_output=count(row.get("max_tokens")),
        max_tokens=None,
        features=frozenset({"text", "system", "tools", "unlisted"}),
        retired=(row.get("retires_at") or "")[:10] or None if row.get("lifecycle") == "retired" else None,
    )
    efforts = tuple(level for level in ("low", "medium", "high", "xhigh", "max") if _can(can, "effort", level))
    styles = [name for name in ("adaptive", "enabled") if _can(can, "thinking", "types", name)]
    if not styles:
        return spec
    return replace(spec, efforts=efforts, thinking="adaptive" if styles[0] == "adaptive" else "budget")


def _can(capabilities: Any, *path: str) -> bool:
    for name in path:
        capabilities = inner(capabilities, name)
    return capabilities is True or inner(capabilities, "supported") is True


def anthropic_usage(usage: Mapping[str, Any]) -> Usage:
    """``input_tokens`` does not contain the cached ones here, so they are added."""
    fresh, read, written = (
        count(usage.get(name)) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return Usage(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        output=count(usage.get("output_tokens")),
        cached=read,
        written=written,
        reasoning=count(inner(usage.get("output_tokens_details"), "thinking_tokens")),
    )


class AnthropicDecoder(Decoding):
    """Reads events by ``type``, blocks by ``index``. An index that opens twice, or a piece for one that is not open, is a broken stream."""

    def __init__(self, request: Request, headers: Mapping[str, str]) -> None:
        super().__init__(request, headers)
        self._open: dict[int, Block] = {}
        self._last = -1
        self._usage: dict[str, Any] = {}

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One event; types we do not know are passed over."""
        kind = payload.get("type")
        if kind == "content_block_delta":
            self._delta(self._block(payload["index"]), payload["delta"], events)
        elif kind == "content_block_start":
            self._start(payload["index"], payload["content_block"], events)
        elif kind == "content_block_stop":
            self._block(payload["index"])
            del self._open[payload["index"]]
        elif kind == "message_start":
            if self.draft.model is not None:
                raise Malformed("a message that starts twice")
            self._identify(payload["message"])
            self._account(payload["message"].get("usage"))
        elif kind == "message_delta":
            self._account(payload.get("usage"))
            self._end(payload["delta"])
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error" or (kind is None and payload.get("error")):
            raise VendorFault(payload)

    def piece(self, payload: Any) -> tuple[str, Block] | None:
        """A piece of an open block of text."""
        delta = payload.get("delta")
        if payload.get("type") != "content_block_delta" or delta["type"] != "text_delta":
            return None
        return delta["text"], self._open[payload["index"]]

    def on_body(self, body: Any, events: list[Event]) -> None:
        """The whole message."""
        if body.get("type") == "error" or body.get("error"):
            raise VendorFault(body)
        self._identify(body)
        self._account(body.get("usage"))
        for index, block in enumerate(body["content"]):
            self._start(index, block, events)
        self._end(body)

    def _identify(self, message: Mapping[str, Any]) -> None:
        self.draft.model = message.get("model") or self.request.model.id
        self.draft.id = self.draft.id or message.get("id")

    def _block(self, index: int) -> Block:
        if (block := self._open.get(index)) is None:
            raise Malformed(f"a piece of block {index!r}, which is not open")
        return block

    def _start(self, index: int, content: Mapping[str, Any], events: list[Event]) -> None:
        """A block begins, empty in a stream and whole in a body."""
        if index <= self._last:
            raise Malformed(f"block {index!r} twice or out of order")
        self._last = index
        draft = self.draft
        match content["type"]:
            case "text":
                block = draft.open("text")
                draft.add(block, content.get("text") or "", events)
            case "thinking":
                block = draft.open("thinking", signature=content.get("signature") or None)
                draft.add(block, content.get("thinking") or "", events)
            case "redacted_thinking":
                block = draft.open("thinking", signature=_REDACTED + content["data"])
            case "tool_use":
                given = content.get("input") or None
                block = draft.open("tool", id=content["id"], name=content["name"], arguments=mended(given))
            case other:
                block = Block("tool")  # outside the draft: what its pieces say is for the vendor's own tools
                draft.note(f"The answer holds a part of type {other!r}, which is left out.")
        self._open[index] = block

    def _delta(self, block: Block, delta: Mapping[str, Any], events: list[Event]) -> None:
        match delta["type"]:
            case "text_delta":
                self.draft.add(block, delta["text"], events)
            case "thinking_delta":
                self.draft.add(block, delta["thinking"], events)
            case "input_json_delta":
                block.arguments = None
                self.draft.add(block, delta["partial_json"], events)
            case "signature_delta":
                block.signature = (block.signature or "") + delta["signature"]

    def _account(self, usage: Any) -> None:
        """Counts are running totals: a later value replaces the earlier, a ``null`` does not."""
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            self.draft.usage = anthropic_usage(self._usage)

    def _end(self, said: Mapping[str, Any]) -> None:
        if reason := said.get("stop_reason"):
            self.draft.end(FINISH.get(reason, "error"), reason)
            if details := _refusal(said.get("stop_details")):
                self.draft.note(details)


def _refusal(details: Any) -> str | None:
    words = [word for key in ("category", "explanation") if (word := inner(details, key))]
    return f"The vendor refused to answer: {', '.join(map(str, words))}" if words else None
