"""What vendors say about waiting: ``retry-after`` in its forms, and the rate-limit headers. Header names are lower-case.

Values that make no sense (empty, ``-1``, garbage) are left out, never guessed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

_GO_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_GO_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class RateHint:
    """What an account has left, as the vendor said it with one answer. ``reset_s`` is seconds from now; ``None`` means not said.

    ``window_s`` is the length of the window that ``limit`` counts in: 60 unless the vendor counts by the day.
    """

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset_s: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset_s: float | None = None
    requests_window_s: float = 60.0
    tokens_window_s: float = 60.0


_SILENT: Final = RateHint()


def wait_hint(headers: Mapping[str, str], body: Any = None, now: float | None = None) -> float | None:
    """Seconds that the vendor asks us to wait, or ``None``. ``now`` is seconds since the epoch, for dates.

    In order: ``retry-after-ms``, ``retry-after`` (seconds or HTTP date), Gemini's ``RetryInfo`` in the body, the reset of an
    exhausted limit. Zero, negative and unreadable values count as not said.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None and ms > 0:
        return ms / 1000
    now = time.time() if now is None else now
    if text := headers.get("retry-after"):
        seconds = _number(text)
        return _positive(_until_http_date(text, now) if seconds is None else seconds)
    return _positive(_retry_info(body)) or _exhausted(headers, now)


def rate_hint(headers: Mapping[str, str], now: float) -> RateHint:
    """The rate-limit headers of one answer; ``now`` is seconds since the epoch."""
    if not any("ratelimit" in name for name in headers):
        return _SILENT
    if "anthropic-ratelimit-requests-limit" in headers or "anthropic-ratelimit-tokens-limit" in headers:
        return _anthropic(headers, now)
    if "x-ratelimit-limit-req-minute" in headers or "x-ratelimit-limit-tokens-minute" in headers:
        return _mistral(headers)
    return _openai(headers)


def _anthropic(headers: Mapping[str, str], now: float) -> RateHint:
    """``tokens`` is the tightest of Anthropic's token limits; resets are RFC 3339. https://docs.claude.com/en/api/rate-limits"""
    get = _reader(headers, "anthropic-ratelimit-{kind}-{what}")
    return RateHint(
        get("requests", "limit"),
        get("requests", "remaining"),
        _until_rfc3339(headers.get("anthropic-ratelimit-requests-reset"), now),
        get("tokens", "limit"),
        get("tokens", "remaining"),
        _until_rfc3339(headers.get("anthropic-ratelimit-tokens-reset"), now),
    )


def _mistral(headers: Mapping[str, str]) -> RateHint:
    """Windows of a minute without a reset. https://docs.mistral.ai/deployment/laplateforme/tier/"""
    get = _reader(headers, "x-ratelimit-{what}-{kind}-minute")
    return RateHint(
        requests_limit=get("req", "limit"),
        requests_remaining=get("req", "remaining"),
        tokens_limit=get("tokens", "limit"),
        tokens_remaining=get("tokens", "remaining"),
    )


def _openai(headers: Mapping[str, str]) -> RateHint:
    """OpenAI's names, which most compatible servers took over; resets are Go durations.

    Nothing in the headers says that Groq counts requests by the day, but a reset that is hours away does.
    https://platform.openai.com/docs/guides/rate-limits https://console.groq.com/docs/rate-limits
    """
    get = _reader(headers, "x-ratelimit-{what}-{kind}")
    requests_reset = go_duration(headers.get("x-ratelimit-reset-requests"))
    limit = get("requests", "limit")
    by_day = _refill_s(limit, get("requests", "remaining"), requests_reset) > 3600
    return RateHint(
        limit,
        get("requests", "remaining"),
        requests_reset,
        get("tokens", "limit"),
        get("tokens", "remaining"),
        go_duration(headers.get("x-ratelimit-reset-tokens")),
        requests_window_s=86400.0 if by_day else 60.0,
    )


def _refill_s(limit: float | None, remaining: float | None, reset_s: float | None) -> float:
    """How long a whole window takes to fill, judged by what is missing now and when it will be there."""
    if not limit or remaining is None or not reset_s or remaining >= limit:
        return 0.0
    return reset_s * limit / (limit - remaining)


def _reader(headers: Mapping[str, str], name: str) -> Callable[[str, str], float | None]:
    def get(kind: str, what: str) -> float | None:
        value = _number(headers.get(name.format(kind=kind, what=what)))
        return value if value is not None and value >= 0 else None

    return get


def _exhausted(headers: Mapping[str, str], now: float) -> float | None:
    """The longest reset among the limits of which nothing is left."""
    hint = rate_hint(headers, now)
    resets = (
        reset
        for remaining, reset in (
            (hint.requests_remaining, hint.requests_reset_s),
            (hint.tokens_remaining, hint.tokens_reset_s),
        )
        if remaining == 0 and reset
    )
    return _positive(max(resets, default=None))


def go_duration(text: str | None) -> float | None:
    """Seconds in Go's notation: ``12ms``, ``1m0.5s``, ``6h0m0s``."""
    text = (text or "").strip()
    pieces = _GO_PIECE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in pieces)  # fsum raises where this is infinite
    return seconds if math.isfinite(seconds) else None


def _retry_info(body: Any) -> float | None:
    """``error.details[].retryDelay`` such as ``46.205s``. https://cloud.google.com/apis/design/errors#error_details"""
    for detail in _details(body):
        if str(detail.get("@type", "")).endswith("RetryInfo"):
            return go_duration(str(detail.get("retryDelay", "")))
    return None


def _details(body: Any) -> Iterator[dict[str, Any]]:
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return (detail for detail in (details if isinstance(details, list) else ()) if isinstance(detail, dict))


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _positive(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds > 0 else None


def _until_http_date(text: str, now: float) -> float | None:
    try:
        return _moment(parsedate_to_datetime(text)) - now
    except (ValueError, TypeError, OverflowError):
        return None


def _until_rfc3339(text: str | None, now: float) -> float | None:
    try:
        return max(0.0, _moment(datetime.fromisoformat(text)) - now) if text else None
    except (ValueError, OverflowError):
        return None


def _moment(when: datetime) -> float:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
