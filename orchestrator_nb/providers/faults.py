"""What a failed answer means: an error status, or an error object inside a 200, becomes one `ProviderError`.

The order of the tests in `_kind` matters: words about the context come first (any vendor may say them with 400), then the account,
then the status. Facts of each vendor stand beside the test that needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator_nb.calls import Response
from orchestrator_nb.errors import CLASS_OF, BadResponse, Kind, ProviderError, Verdict
from orchestrator_nb.providers.draft import mend
from orchestrator_nb.providers.hints import wait_hint
from orchestrator_nb.providers.jsontext import Malformed, parse
from orchestrator_nb.providers.sse import Oversize

LONGEST_WAIT_S: Final = 120.0
"""A longer wait is told to the user instead of waited. The OpenAI SDK has the same bound."""

MAX_TEXT: Final = 500
"""Characters of a vendor's own words in a message."""

MAX_BODY: Final = 1 << 16
"""Bytes of an error body that are looked at."""

SHAPE: Final = (AttributeError, TypeError, LookupError, ValueError, ArithmeticError)
"""What a reader meets where the vendor sent another type than its format has. Each becomes a `BadResponse`."""

_AGAIN: Final[frozenset[Kind]] = frozenset({"rate_limit", "overloaded", "timeout", "server", "transient"})
_AGAIN_ONCE: Final[frozenset[Kind]] = frozenset({"bad_response", "empty"})

_ADVICE: Final[Mapping[Kind, str]] = {
    "auth": "Check the key.",
    "permission": "Check what this key and this region may use.",
    "quota": "Add credit or raise the limit at the vendor, or ask another model.",
    "not_found": "%llm models lists what there is.",
    "context_length": "Shorten the prompt or take a model with a longer context.",
    "too_large": "Shorten the prompt or shrink its images.",
    "content_filter": "Rephrase the prompt.",
    "invalid_request": "Change the prompt or the option it names.",
    "rate_limit": "Lower limits.parallel or wait.",
    "redirect": "Correct base_url; redirects are never followed.",
}

# Type or code in the error object, for a 200 or where the status says too little.
_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    "overloaded_error": 529, "server_is_overloaded": 503, "service_unavailable_error": 503, "slow_down": 503,
    "api_error": 500, "server_error": 500, "internal_server_error": 500, "timeout_error": 504, "rate_limit_error": 429,
    "rate_limit_exceeded": 429, "rate_limited": 429, "authentication_error": 401, "invalid_api_key": 401,
    "permission_error": 403, "not_found_error": 404, "billing_error": 402, "request_too_large": 413,
}  # fmt: skip

_CONTEXT_WORDS: Final = (
    "context_length_exceeded", "maximum context length", "prompt is too long", "exceeds the maximum number of tokens",
    "exceed_context_size", "available context size", "too large for model with", "prompt_too_long",
    "exceeds the context length",
)  # fmt: skip
_MONEY_WORDS: Final = frozenset(
    {"insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached", "contract_spend_limit_reached"}
)
_POLICY_WORDS: Final = frozenset(
    {"invalid_prompt", "content_policy_violation", "bio_policy", "misalignment_policy_violation"}
)
_ABSENT_WORDS: Final = frozenset({"model_not_found", "invalid_model"})

_KEY_LIKE: Final = re.compile(
    r"\b(?:sk|gsk|pk|rk|xai|(?<!\[)key|AIza|Bearer)[-_ ][\w*.-]{3,}|AIza[\w-]{10,}|\*{3,}\w*|\b\w{40,}\b"
)
"""``[key NAME]`` is our own mark and stays."""
_REQUEST_IDS: Final = (
    "request-id", "x-request-id", "x-ds-trace-id", "mistral-correlation-id", "x-kong-request-id", "x-generation-id",
)  # fmt: skip


def fault(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    vendor: str,
    model: str,
    response: Response | None = None,
    advice: Mapping[Kind, str] | None = None,
    hide: Callable[[str], str] = str,
) -> ProviderError:
    """The error for an answer with a status that is not 2xx. Header names are lower-case; ``body`` may be anything.

    ``advice`` replaces the closing sentence of a kind (Ollama knows how to fetch a missing model). ``hide`` takes keys out of the vendor's words.
    """
    value, text = _read(body[:MAX_BODY], headers)
    if 300 <= status < 400:
        text = f"it points to {_origin(headers.get('location', ''))}"
    return fault_of(
        value,
        text,
        status=status,
        headers=headers,
        vendor=vendor,
        model=model,
        response=response,
        advice=advice,
        hide=hide,
    )


def fault_of(
    body: Any,
    text: str | None = None,
    *,
    status: int,
    headers: Mapping[str, str],
    vendor: str,
    model: str,
    response: Response | None = None,
    advice: Mapping[Kind, str] | None = None,
    hide: Callable[[str], str] = str,
) -> ProviderError:
    """The error for a parsed error object, from an error status or from inside a 200."""
    error = _Error(body)
    kind = _kind(_status(status, error), error)
    # decoded, and before a pattern takes a part of a key that it knows by its value
    words = plain(hide(error.message if text is None else text))
    return trouble(
        kind,
        f"answered {status} ({kind})" if status >= 300 else f"broke off ({kind})",
        words,
        status=status,
        headers=headers,
        vendor=vendor,
        model=model,
        response=response,
        wait_s=wait_hint(headers, body),
        advice=advice,
        request_id=error.request_id,
    )


def trouble(
    kind: Kind,
    what: str,
    words: str = "",
    *,
    status: int | None = None,
    headers: Mapping[str, str],
    vendor: str,
    model: str,
    response: Response | None = None,
    wait_s: float | None = None,
    advice: Mapping[Kind, str] | None = None,
    request_id: str | None = None,
) -> ProviderError:
    """A `ProviderError` of the class that carries ``kind``, as a sentence with the vendor's ``words`` and the next step."""
    closing = {**_ADVICE, **(advice or {})}.get(kind, "")
    sentence = f"{vendor}/{model} {what}" + (f": {words}" if words else "")
    if wait_s is not None and wait_s > LONGEST_WAIT_S:
        closing = f"It asks to wait {wait_s:,.0f} s, which is for you to do."
    message = sentence.rstrip(".") + "." + (f" {closing}" if closing else "")
    seen = response is not None and bool(response.parts)
    return CLASS_OF[kind](
        message,
        kind=kind,
        vendor=vendor,
        model=model,
        status=status,
        verdict=_verdict(kind, headers, wait_s, broken=seen),
        request_id=request_id_of(headers) or request_id,
        response=response,
        billed="yes"
        if seen
        else "maybe"
        if kind in {"truncated", "bad_response", "empty", "response_too_large"}
        else "no",
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The vendor's id of this exchange, from the header each of them uses."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


def read_json(body: bytes) -> Any:
    """The JSON value of a list of models or a token count. Raises `BadResponse`."""
    try:
        return parse(body)
    except (Malformed, Oversize) as caught:
        reason = str(caught)
    raise unreadable(reason)


def rows(page: Any, key: str) -> list[dict[str, Any]]:
    """The objects of a list of models. Raises `BadResponse` when there is no such list."""
    found = page.get(key) if isinstance(page, dict) else None
    if not isinstance(found, list):
        raise unreadable(f"a list of models without {key!r}")
    return [row for row in found if isinstance(row, dict)]


def name_in(row: Mapping[str, Any], key: str) -> str:
    """A model's name, mended. Raises `BadResponse` for what is no text."""
    if not isinstance(name := row[key], str):
        raise unreadable(f"a model whose {key!r} is no text")
    return mend(name)


def unreadable(reason: str) -> BadResponse:
    """The error for an answer other than a model's that is not what was asked for."""
    return BadResponse(f"The vendor's answer cannot be read: {reason}. Check base_url.", kind="bad_response")


def plain(text: str) -> str:
    """A vendor's words as one printable line of at most 500 characters, without what looks like a key."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * MAX_TEXT]).split())
    line = _KEY_LIKE.sub("[key]", line)
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def _verdict(kind: Kind, headers: Mapping[str, str], wait_s: float | None, *, broken: bool) -> Verdict:
    """``broken``: parts of an answer have arrived. An error that the vendor names keeps its own verdict then; the retry layer
    knows what was shown. A wait of over two minutes is never waited, whatever asks for it.
    """
    if kind in _AGAIN_ONCE:
        return Verdict(not broken, kind, wait_s, most=1)
    if kind == "truncated":
        return Verdict(not broken, kind, wait_s)
    again = kind in _AGAIN and headers.get("x-should-retry") != "false" and (wait_s or 0) <= LONGEST_WAIT_S
    return Verdict(again, kind, wait_s)


def _read(body: bytes, headers: Mapping[str, str]) -> tuple[Any, str | None]:
    """The JSON value of an error body, or its words when it is none. A web page has no words for us."""
    stripped = body.strip()
    if stripped.startswith(b"<") or "html" in headers.get("content-type", ""):
        return None, "a web page, not an answer of the API"
    try:
        return parse(stripped), None
    except (Malformed, Oversize):
        return None, stripped.decode("utf-8", "replace")


class _Error:
    """The facts of an error object, whichever of the vendors' shapes it has.

    ``{"error": {...}}`` (most), ``{"error": "text"}`` (Ollama, LM Studio), ``[{"error": ...}]`` (Gemini without ``alt=sse``), fields at top
    level (Mistral, older vLLM, the error event of OpenAI's Responses), ``{"detail": ...}`` (FastAPI).
    """

    def __init__(self, body: Any) -> None:
        if isinstance(body, list):
            body = body[0] if body else None
        top = body if isinstance(body, dict) else {}
        error = top.get("error")
        inner: dict[str, Any] = error if isinstance(error, dict) else {} if error else top
        details = inner.get("details")
        facts = details if isinstance(details, dict) else {}
        self.code = inner.get("code")
        self.words = {str(word) for word in (inner.get("type"), self.code, facts.get("error_code")) if word}
        self.grpc = str(inner.get("status") or "")
        self.message = error if isinstance(error, str) else _message(inner.get("message") or inner.get("detail") or "")
        self.details = json.dumps(details) if isinstance(details, list) else ""
        found = top.get("request_id")
        self.request_id = found if isinstance(found, str) else None


def _message(message: Any) -> str:
    """Text, or FastAPI's list of places and complaints. The ``input`` it quotes is the user's prompt and stays out."""
    if isinstance(message, dict):
        message = message.get("detail") or message.get("message") or ""
    if isinstance(message, list):
        rows = (row for row in message if isinstance(row, dict))
        return "; ".join(f"{_place(row.get('loc'))}: {row.get('msg', '')}" for row in rows)
    return str(message)


def _place(loc: Any) -> str:
    return ".".join(map(str, loc)) if isinstance(loc, list) else str(loc or "")


def _status(status: int, error: _Error) -> int:
    """The status that counts: inside a 200, or in an event, the error object says it."""
    if status >= 300:
        return status
    code = error.code
    if isinstance(code, int | str) and str(code).isdecimal() and 400 <= int(str(code)[:4]) < 600:
        return int(code)
    return next((_STATUS_OF_WORD[word] for word in sorted(error.words) if word in _STATUS_OF_WORD), 0)


def _kind(status: int, error: _Error) -> Kind:  # noqa: PLR0911  a table of tests, first match wins
    everything = " ".join((*error.words, error.message)).lower()
    if any(words in everything for words in _CONTEXT_WORDS):
        return "context_length"
    if status == 401 or "API_KEY_INVALID" in error.details:  # Gemini says a bad key with 400
        return "auth"
    if status == 402 or error.words & _MONEY_WORDS or (status == 429 and "PerDay" in error.details):
        return "quota"
    if error.words & _POLICY_WORDS:
        return "content_filter"
    if error.grpc == "FAILED_PRECONDITION":  # Gemini: region or billing, with 400
        return "permission"
    if error.words & _ABSENT_WORDS or error.message.lower().startswith("model not exist"):  # DeepSeek's words, with 400
        return "not_found"
    return _by_status(status)


def _by_status(status: int) -> Kind:
    known: dict[int, Kind] = {
        403: "permission", 404: "not_found", 410: "not_found", 408: "transient", 409: "transient", 425: "transient",
        413: "too_large", 429: "rate_limit", 498: "overloaded", 503: "overloaded", 529: "overloaded", 504: "timeout",
    }  # fmt: skip
    fallback: Kind = (
        "server" if status >= 500 or not status else "redirect" if 300 <= status < 400 else "invalid_request"
    )
    return known.get(status, fallback)


def _origin(location: str) -> str:
    """Scheme, host and port; a path or user information could hold a secret."""
    try:
        parts = urlsplit(location)
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        host = None
    return f"{parts.scheme}://{host}" if host else "another place"
