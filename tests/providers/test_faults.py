"""What an error status means, what to do about it, and how long to wait: the fault matrix, row by row."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.errors import (
    CLASS_OF,
    AuthFailed,
    BadRequest,
    ContentFiltered,
    Forbidden,
    ModelNotFound,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    ServerFailure,
    Timeout,
    TooLarge,
    Transient,
    UnexpectedRedirect,
)
from orchestrator_nb.providers.faults import fault, plain
from orchestrator_nb.providers.hints import RateHint, go_duration, rate_hint, wait_hint
from orchestrator_nb.providers.ollama import Ollama

NOW = 1_795_334_400.0  # 2026-11-22 08:00:00 UTC


def failed(status: int, body: Any = b"", **headers: str) -> ProviderError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fault(status, named, data, vendor="v", model="m")


@pytest.mark.parametrize(
    ("status", "error_class", "kind", "again"),
    [
        (400, BadRequest, "invalid_request", False),
        (401, AuthFailed, "auth", False),
        (402, QuotaExhausted, "quota", False),
        (403, Forbidden, "permission", False),
        (404, ModelNotFound, "not_found", False),
        (405, BadRequest, "invalid_request", False),
        (408, Transient, "transient", True),
        (409, Transient, "transient", True),
        (413, TooLarge, "too_large", False),
        (422, BadRequest, "invalid_request", False),
        (425, Transient, "transient", True),
        (429, RateLimited, "rate_limit", True),
        (451, BadRequest, "invalid_request", False),
        (498, ServerFailure, "overloaded", True),
        (500, ServerFailure, "server", True),
        (501, ServerFailure, "server", True),
        (502, ServerFailure, "server", True),
        (503, ServerFailure, "overloaded", True),
        (504, Timeout, "timeout", True),
        (520, ServerFailure, "server", True),
        (529, ServerFailure, "overloaded", True),
        (301, UnexpectedRedirect, "redirect", False),
        (307, UnexpectedRedirect, "redirect", False),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"plain words",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"error": {}}',
        b'{"error": null}',
        b"[" * 9999,
    ],
)
def test_a_status_alone_says_what_happened(status: int, error_class: type, kind: str, again: bool, body: bytes):
    error = failed(status, body)
    assert type(error) is error_class
    assert (error.kind, error.status, error.verdict.again, error.billed) == (kind, status, again, "no")
    assert str(error).startswith("v/m answered")
    assert "oops" not in str(error)


@given(st.integers(300, 599), st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "detail", "details", "status"]), inner)
)))  # fmt: skip
def test_whatever_the_body_the_error_is_typed_short_and_on_one_line(status: int, body: Any):
    error = failed(status, body)
    assert type(error) is CLASS_OF[error.kind]
    assert len(str(error)) < 700
    assert "\n" not in str(error)
    assert str(error).isprintable()


def test_money_is_not_waited_for():
    for code in ("insufficient_quota", "credit_balance_exhausted"):
        assert failed(429, {"error": {"code": code}}).kind == "quota"
    for code in ("enforced_spend_limit_reached", "contract_spend_limit_reached"):
        error = failed(429, {"error": {"type": "rate_limit_error", "details": {"error_code": code}}}, retry_after="1")
        assert (error.kind, error.verdict.again) == ("quota", False)


def test_a_policy_is_not_a_bad_request():
    assert isinstance(failed(400, {"error": {"code": "content_policy_violation"}}), ContentFiltered)


def test_a_redirect_names_the_origin_and_nothing_more():
    error = failed(302, location="https://user:secret@evil.example:8443/path?key=abc")
    assert "https://evil.example:8443." in str(error)
    assert "secret" not in str(error)
    assert "abc" not in str(error)
    for odd in ("/relative", "", "http://[bad", "http://x:y"):
        assert "another place" in str(failed(302, location=odd))


def test_a_missing_local_model_says_how_to_get_it():
    error = fault(
        404, {}, b'{"error": "model \'nope\' not found"}', vendor="ollama", model="nope", advice=Ollama.advice
    )
    assert "ollama pull" in str(error)


def test_the_request_id_is_kept():
    assert failed(500, x_request_id="r1").request_id == "r1"
    assert failed(500, {"error": {}, "request_id": "r2"}).request_id == "r2"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-sim-1234.",
        "Your api key: ****1234 is invalid",
        "key AIzaSyA1234567890abcdefg is wrong",
        "Authorization: Bearer abc.def.1234",
        "token 0123456789abcdef0123456789abcdef012341234",
    ],
)
def test_what_looks_like_a_key_is_not_repeated(text: str):
    assert "1234" not in plain(text)
    assert "[key]" in plain(text)


def test_a_vendors_words_are_short_and_plain():
    assert len(plain("word " * 1000)) == 500
    assert plain("a\n\tb\x1b[31m\u202ec") == "a b [31m c"


def test_the_prompt_that_fastapi_quotes_back_stays_out():
    error = failed(422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "input": "SECRET PROMPT"}]})
    assert "body.messages: Field required" in str(error)
    assert "SECRET" not in str(error)


# Waiting.


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "2500", "retry-after": "3"}, 2.5),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": str(10 * 365 * 86400)}, 315_360_000.0),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m0.5s"}, 60.5),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1m0.5s"}, None),
        ({"anthropic-ratelimit-tokens-limit": "9", "anthropic-ratelimit-tokens-remaining": "0",
          "anthropic-ratelimit-tokens-reset": "2026-11-22T08:00:12Z"}, 12.0),
    ],
)  # fmt: skip
def test_a_wait_is_read_in_every_form(headers: dict[str, str], wait_s: float | None):
    assert wait_hint(headers, None, NOW) == wait_s


def test_gemini_says_the_wait_in_the_body():
    body = {"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46.205s"}]}}
    assert wait_hint({}, body, NOW) == pytest.approx(46.205)
    for odd in (None, [], {"error": []}, {"error": {"details": [1, {"@type": 2}]}}):
        assert wait_hint({}, odd, NOW) is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_over_two_minutes_is_told_and_not_waited(status: int):
    assert failed(status, retry_after="120").verdict.again
    error = failed(status, retry_after="121")
    assert (error.verdict.again, error.verdict.wait_s) == (False, 121.0)
    assert "It asks to wait 121 s" in str(error)


def test_a_vendor_may_say_that_trying_again_is_useless():
    assert not failed(500, x_should_retry="false").verdict.again
    assert failed(500, x_should_retry="true").verdict.again
    assert not failed(400, x_should_retry="true").verdict.again


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("6s", 6.0),
        ("1m0.5s", 60.5),
        ("2m59.56s", 179.56),
        ("6h0m0s", 21600.0),
        ("3µs", 3e-6),
        ("5ns", 5e-9),
    ],
)
def test_go_durations_are_read(text: str, seconds: float):
    assert go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "5", "s", "-1s", "1m x", "x1m", "1e5s"])
def test_what_is_no_go_duration_is_none(text: str | None):
    assert go_duration(text) is None


@given(st.text(max_size=12))
def test_no_header_value_breaks_the_readers(text: str):
    names = [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-remaining-tokens",
    ]
    names += [
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-requests-reset",
    ]
    wait = wait_hint(dict.fromkeys(names, text), None, NOW)
    assert wait is None or wait > 0
    rate_hint(dict.fromkeys(names, text), NOW)
    rate_hint({name: text for name in names if name.startswith("x-")}, NOW)


def test_rate_limits_of_anthropic():
    headers = {
        "anthropic-ratelimit-requests-limit": "4000", "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-requests-reset": "2026-11-22T08:00:01Z", "anthropic-ratelimit-tokens-limit": "2400000",
        "anthropic-ratelimit-tokens-remaining": "2398500", "anthropic-ratelimit-tokens-reset": "2026-11-22T07:59:59Z",
    }  # fmt: skip
    assert rate_hint(headers, NOW) == RateHint(4000, 3999, 1.0, 2_400_000, 2_398_500, 0.0)


def test_rate_limits_of_mistral():
    headers = {
        "x-ratelimit-limit-req-minute": "300", "x-ratelimit-remaining-req-minute": "299",
        "x-ratelimit-limit-tokens-minute": "500000", "x-ratelimit-remaining-tokens-minute": "499000",
    }  # fmt: skip
    assert rate_hint(headers, NOW) == RateHint(300, 299, None, 500_000, 499_000, None)


def test_rate_limits_of_openai_and_its_copies():
    headers = {
        "x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9999", "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "2000000", "x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "1m0.5s",
    }  # fmt: skip
    assert rate_hint(headers, NOW) == RateHint(10_000, 9999, 0.006, 2_000_000, None, 60.5)
    assert rate_hint({}, NOW) == RateHint()


def test_groq_counts_requests_by_the_day():
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
    }
    assert rate_hint(headers, NOW).requests_window_s == 86400.0
