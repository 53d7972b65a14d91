"""Gemini's generateContent. https://ai.google.dev/api/generate-content

Version ``v1`` unless the vendor's entry says ``api_version: v1beta``. A ``thoughtSignature`` belongs to the part it came with; here it is the
signature of a `Thinking` that stands right before that part, and goes back the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from orchestrator_nb.calls import Event, Finish, Request, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import Kind
from orchestrator_nb.messages import Image, Message, Part, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers.decoding import Decoding, Empty, VendorFault
from orchestrator_nb.providers.draft import Block, count, inner, mended
from orchestrator_nb.providers.encoding import Asking, base64, wants_json
from orchestrator_nb.providers.faults import name_in, read_json, rows, unreadable
from orchestrator_nb.providers.jsontext import Malformed
from orchestrator_nb.providers.schemas import for_gemini
from orchestrator_nb.types import AuthStyle, Wire

VERSION: Final = "v1"

_TAKES: Final = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "stop": "stopSequences", "seed": "seed",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
}  # fmt: skip

_FILTERED: Final = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
     "IMAGE_RECITATION", "ESCALATION", "PUP_LIMITED_DISABLED", "MODEL_ARMOR", "OTHER"}
)  # fmt: skip
_FINISH: Final[Mapping[str, Finish]] = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "pause"}


class Gemini:
    """A `Provider` for generateContent."""

    kind = "gemini"
    auth = AuthStyle("x-goog-api-key", "")
    advice: Mapping[Kind, str] = {}

    def encode(self, request: Request) -> Wire:
        """``POST /{v}/models/{model}:generateContent``, or ``:streamGenerateContent?alt=sse``."""
        asking = Asking(request, request.model.vendor.quirks, json_word=False)
        body = _question(asking)
        config = asking.plain(_TAKES) | _config(asking)
        if config:
            body["generationConfig"] = config
        if request.resume is not None:
            body["continuationToken"] = request.resume
        method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return Wire(_path(request, method), asking.wire_body(body), notices=tuple(asking.notices))

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """A `Decoder` for one answer."""
        return GeminiDecoder(request, headers)

    def models(self, page: str | None = None) -> Wire:
        """``GET /v1/models``; a page token is the vendor's."""
        return Wire(
            f"/{VERSION}/models?{urlencode({'pageSize': 1000, **({'pageToken': page} if page else {})})}", method="GET"
        )

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """Those that generate content, with their limits."""
        value = read_json(body)
        found = (
            row for row in rows(value, "models") if "generateContent" in (row.get("supportedGenerationMethods") or ())
        )
        return [_model(vendor, row) for row in found], value.get("nextPageToken") or None

    def count(self, request: Request) -> Wire | None:
        """``:countTokens``. It knows contents only, so the system prompt is counted as one of them."""
        asking = Asking(request, request.model.vendor.quirks, json_word=False)
        question = _question(asking)
        system = question.get("systemInstruction")
        first = [{"role": "user", "parts": system["parts"]}] if system else []
        body = {"contents": [*first, *question["contents"]]}
        return Wire(_path(request, "countTokens"), asking.wire_body(body))

    def read_count(self, body: bytes) -> int:
        """``totalTokens``. Raises `BadResponse`."""
        if (tokens := count(inner(read_json(body), "totalTokens"))) is None:
            raise unreadable("a token count without totalTokens")
        return tokens


def _path(request: Request, method: str) -> str:
    version = request.model.vendor.quirks.api_version or VERSION
    return f"/{version}/models/{quote(request.model.id.removeprefix('models/'), safe='')}:{method}"


def _question(asking: Asking) -> dict[str, Any]:
    request, params = asking.request, asking.params
    body: dict[str, Any] = {"contents": _contents(request.messages)}
    later = (message.text for message in request.messages if message.role == "system")  # no such role in contents
    if system := "\n\n".join(text for text in (asking.system, *later) if text):
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if params.tools:
        declared = [
            {"name": t.name, "description": t.description, "parametersJsonSchema": for_gemini(t.schema)}
            for t in params.tools
        ]
        body["tools"] = [{"functionDeclarations": declared}]
        if params.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(params.tool_choice)}
    return body


def _config(asking: Asking) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if asking.max_tokens is not None:
        config["maxOutputTokens"] = asking.max_tokens
    if wants_json(asking.params):
        config["responseMimeType"] = "application/json"
        if asking.params.schema is not None and asking.schema_form == "schema":
            config["responseJsonSchema"] = for_gemini(asking.params.schema)
    if thinking := _thinking(asking):
        config["thinkingConfig"] = thinking
    return config


def _thinking(asking: Asking) -> dict[str, Any]:
    """Levels from Gemini 3 on, budgets for 2.5; both at once are refused. https://ai.google.dev/gemini-api/docs/thinking"""
    effort, wish = asking.effort, asking.thinking
    config: dict[str, Any] = {} if effort is None else {"thinkingLevel": effort}
    if wish is None:
        return config
    if asking.model.thinking == "budget" or (asking.model.thinking == "none" and not isinstance(wish, bool)):
        if effort is None and wish is not True:
            config["thinkingBudget"] = int(wish)
    elif not asking.budget_only_as_switch(wish) and effort is None:
        if "minimal" not in asking.model.efforts:
            asking.leave_out("thinking=False", "it thinks all the same")
            return config
        config["thinkingLevel"] = "minimal"
    return config | ({"includeThoughts": True} if wish else {})


def _choice(choice: str) -> dict[str, Any]:
    modes = {"auto": "AUTO", "any": "ANY", "required": "ANY", "none": "NONE"}
    return {"mode": modes[choice]} if choice in modes else {"mode": "ANY", "allowedFunctionNames": [choice]}


def _contents(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """One content per turn: the answers to parallel calls must stand together."""
    contents: list[dict[str, Any]] = []
    for content in (_content(message) for message in messages if message.role != "system"):
        if contents and contents[-1]["role"] == content["role"]:
            contents[-1]["parts"] += content["parts"]
        elif content["parts"]:
            contents.append(content)
    return contents


def _content(message: Message) -> dict[str, Any]:
    """Roles are ``user`` and ``model``. A signature rides on the part that follows it."""
    parts: list[dict[str, Any]] = []
    seal: dict[str, str] = {}
    for part in message.parts:
        if isinstance(part, Thinking):
            seal = {"thoughtSignature": part.signature} if part.signature else seal
        else:
            parts.append(_part(part) | seal)
            seal = {}
    if seal:
        parts.append({"text": ""} | seal)
    return {"role": "model" if message.role == "assistant" else "user", "parts": parts}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Image():
            return {"inlineData": {"mimeType": part.media_type, "data": base64(part)}}
        case ToolCall():
            return {"functionCall": {"id": part.id, "name": part.name, "args": dict(part.arguments)}}
        case ToolResult():
            answer = {"error" if part.is_error else "output": part.text}
            return {"functionResponse": {"id": part.id, "name": part.name, "response": answer}}
        case _:
            return {"text": part.text}


def _model(vendor: Vendor, row: Mapping[str, Any]) -> ModelSpec:
    return ModelSpec(
        vendor,
        name_in(row, "name").removeprefix("models/"),
        context=count(row.get("inputTokenLimit")),
        max_output=count(row.get("outputTokenLimit")),
        features=frozenset({"text", "system", "json", "json_schema", "tools", "unlisted"}),
    )


def gemini_usage(usage: Mapping[str, Any]) -> Usage:
    """``candidatesTokenCount`` does not contain the thoughts here, so they are added. Zero is left out by the vendor."""
    thoughts = count(usage.get("thoughtsTokenCount"))
    prompt = count(usage.get("promptTokenCount"))
    return Usage(
        input=None if prompt is None else prompt + (count(usage.get("toolUsePromptTokenCount")) or 0),
        output=(count(usage.get("candidatesTokenCount")) or 0) + (thoughts or 0),
        cached=count(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )


class GeminiDecoder(Decoding):
    """Every event of a stream is a fragment of the same shape as a plain body: parts are appended, usage is a running total."""

    _usage: Mapping[str, Any] | None = None

    def settle(self) -> None:
        """The running total."""
        if self._usage:
            self.draft.usage = gemini_usage(self._usage)

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One fragment."""
        if payload.get("error"):
            raise VendorFault(payload)
        draft = self.draft
        if draft.model is None:
            draft.model = payload.get("modelVersion")
            draft.id = draft.id or payload.get("responseId")
        if usage := payload.get("usageMetadata"):
            self._usage = usage  # on every fragment, but only the last counts
        if candidates := payload.get("candidates"):
            self._candidate(candidates[0], events)
        elif reason := inner(payload.get("promptFeedback"), "blockReason"):
            draft.end("content_filter", f"promptFeedback.{reason}")

    def piece(self, payload: Any) -> tuple[str, Block] | None:
        """A fragment with one part of text; its usage is a total, so reading it again changes nothing."""
        candidates = payload.get("candidates")
        if not candidates or candidates[0].get("finishReason"):
            return None
        parts: list[Any] = inner(candidates[0].get("content"), "parts") or []
        if len(parts) != 1 or parts[0].keys() != {"text"} or not parts[0]["text"]:
            return None
        return parts[0]["text"], self.draft.blocks[-1]

    def on_body(self, body: Any, events: list[Event]) -> None:
        """The whole answer; ``[{"error": ...}]`` is an error too."""
        if isinstance(body, list) and body and inner(body[0], "error"):
            raise VendorFault(body)
        self.on_event(body, events)
        if self.draft.finish is None:
            if "candidates" not in body and not self._usage:
                raise Malformed("an answer without candidates")
            raise Empty

    def _candidate(self, candidate: Mapping[str, Any], events: list[Event]) -> None:
        for part in inner(candidate.get("content"), "parts") or ():
            self._part(part, events)
        if reason := candidate.get("finishReason"):
            self.draft.end(_FINISH.get(reason, "content_filter" if reason in _FILTERED else "error"), reason)
            self.draft.resume = candidate.get("continuationToken") if reason == "CONTINUATION" else None

    def _part(self, part: Mapping[str, Any], events: list[Event]) -> None:
        draft = self.draft
        if seal := part.get("thoughtSignature"):
            self._seal(seal)
        if call := part.get("functionCall"):
            made_up = f"call_{sum(block.kind == 'tool' for block in draft.blocks)}"
            draft.open(
                "tool", id=call.get("id") or made_up, name=call["name"], arguments=mended(call.get("args") or {})
            )
        elif text := part.get("text"):
            (draft.think if part.get("thought") else draft.say)(text, events)
        elif "text" not in part and not seal:
            draft.note(f"The answer holds a part of type {next(iter(part), 'none')!r}, which is left out.")

    def _seal(self, seal: str) -> None:
        last = self.draft.blocks[-1] if self.draft.blocks else None
        if last is not None and last.kind == "thinking" and last.signature is None:
            last.signature = seal
        else:
            self.draft.open("thinking", signature=seal)
