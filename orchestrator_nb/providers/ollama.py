"""Ollama's own API: JSON lines, options in a box of their own, images in base64. https://docs.ollama.com/api

The prompt is cut to the loaded context in silence; ``extra={"options": {"num_ctx": 16384}}`` makes room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.calls import Event, Finish, Request, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import Kind, UserError
from orchestrator_nb.messages import Image, Message, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers.chat import function_tool
from orchestrator_nb.providers.decoding import Decoding, VendorFault
from orchestrator_nb.providers.draft import count, mended
from orchestrator_nb.providers.encoding import Asking, base64
from orchestrator_nb.providers.faults import name_in, read_json, rows
from orchestrator_nb.providers.jsontext import Malformed
from orchestrator_nb.providers.sse import LineReader
from orchestrator_nb.types import AuthStyle, Wire

_TAKES: Final = {
    name: name for name in ("temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
}
_FINISH: Final[Mapping[str, Finish]] = {"stop": "stop", "": "stop", "length": "length"}


class Ollama:
    """A `Provider` for ``/api/chat``."""

    kind = "ollama"
    auth = AuthStyle()
    advice: Mapping[Kind, str] = {"not_found": "Fetch it first: ollama pull NAME in a terminal."}

    def encode(self, request: Request) -> Wire:
        """``POST /api/chat``. ``stream`` is always said: the server streams unless told not to."""
        asking = Asking(request, request.model.vendor.quirks, json_word=False)
        params = asking.params
        body: dict[str, Any] = {"model": request.model.id, "messages": _messages(asking), "stream": request.stream}
        options = asking.plain(_TAKES) | ({} if asking.max_tokens is None else {"num_predict": asking.max_tokens})
        if options:
            body["options"] = options
        if (think := _think(asking)) is not None:
            body["think"] = think
        if params.schema is not None or params.json:
            body["format"] = "json" if params.schema is None or asking.schema_form == "object" else dict(params.schema)
        if params.tools:
            body["tools"] = [function_tool(tool.name, tool.description, tool.schema) for tool in params.tools]
            if params.tool_choice is not None:
                asking.leave_out("tool_choice")
        return Wire("/api/chat", asking.wire_body(body), notices=tuple(asking.notices))

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """A `Decoder` for one answer."""
        return OllamaDecoder(request, headers)

    def models(self, page: str | None = None) -> Wire:  # noqa: ARG002  the protocol has it
        """``GET /api/tags``: what is pulled."""
        return Wire("/api/tags", method="GET")

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """Names only; what a model can do is said by ``/api/show``."""
        found = ((row, "model" if row.get("model") else "name") for row in rows(read_json(body), "models"))
        names = (name_in(row, key) for row, key in found if row.get(key))
        return [ModelSpec(vendor, name, features=frozenset({"text", "unlisted"})) for name in names], None

    def count(self, request: Request) -> Wire | None:  # noqa: ARG002  the protocol has it
        """Ollama cannot count."""
        return None

    def read_count(self, body: bytes) -> int:  # noqa: ARG002  the protocol has it
        """Never called, for there is nothing to read."""
        raise UserError("ollama does not count tokens; only an estimate can be had.")


def _think(asking: Asking) -> bool | str | None:
    effort, wish = asking.effort, asking.thinking
    switch = None if wish is None else asking.budget_only_as_switch(wish)
    return effort if effort is not None and switch is not False else switch


def _messages(asking: Asking) -> list[dict[str, Any]]:
    system = asking.system
    first = [{"role": "system", "content": system}] if system else []
    return first + [row for message in asking.request.messages for row in _rows(message)]


def _rows(message: Message) -> Iterator[dict[str, Any]]:
    """A message, after one row for each tool result in it."""
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield {"role": "tool", "tool_name": part.name, "tool_call_id": part.id, "content": part.text}
    rest = [part for part in message.parts if not isinstance(part, ToolResult)]
    if not rest:
        return
    row: dict[str, Any] = {"role": "user" if message.role == "tool" else message.role, "content": message.text}
    if images := [base64(part) for part in rest if isinstance(part, Image)]:
        row["images"] = images
    if thoughts := "".join(part.text for part in rest if isinstance(part, Thinking)):
        row["thinking"] = thoughts
    if calls := [part for part in rest if isinstance(part, ToolCall)]:
        row["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}} for call in calls
        ]
    yield row


class OllamaDecoder(Decoding):
    """Lines and plain bodies have one shape: a message, and the counts once ``done`` is true."""

    stream_reader = LineReader

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One line."""
        if payload.get("error"):
            raise VendorFault(payload)
        draft = self.draft
        draft.model = draft.model or payload.get("model")
        if message := payload.get("message"):
            if thoughts := message.get("thinking"):
                draft.think(thoughts, events)
            if content := message.get("content"):
                draft.say(content, events)
            for call in message.get("tool_calls") or ():
                self._call(call)
        if payload.get("done"):
            self._end(payload)

    def on_body(self, body: Any, events: list[Event]) -> None:
        """The whole answer."""
        self.on_event(body, events)
        if not self.ended:
            raise Malformed("an answer that is not done")

    def _call(self, call: Mapping[str, Any]) -> None:
        function = call["function"]
        made_up = f"call_{sum(block.kind == 'tool' for block in self.draft.blocks)}"
        given = mended(function.get("arguments") or {})
        self.draft.open("tool", id=call.get("id") or made_up, name=function["name"], arguments=given)

    def _end(self, payload: Mapping[str, Any]) -> None:
        self.ended = True
        reason = payload.get("done_reason") or ""
        self.draft.end(_FINISH.get(reason, "error"), reason or None)
        self.draft.usage = Usage(input=count(payload.get("prompt_eval_count")), output=count(payload.get("eval_count")))
