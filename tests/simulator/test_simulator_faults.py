"""Every fault of the menu can be seen with a plain socket, by whichever way it is ordered."""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from simulator_client import DOORS

from orchestrator_nb.simulator import FAULTS
from orchestrator_nb.simulator.elsewhere import NO_SUCH_HOST, refused_url, tls_server

STATUSES = ["400", "402", "403", "408", "409", "413", "422", "425", "498", "500", "502", "503", "504", "529"]
SOME = ["anthropic", "gemini", "openai", "responses", "deepseek", "mistral", "ollama", "openrouter"]
STREAMED = [vendor for vendor in SOME if vendor != "ollama"]


@pytest.fixture
def upset(client):
    """Ask with one fault for this request."""

    def ask(vendor, fault, **more):
        return client.ask(vendor, headers={"x-sim-fault": fault}, **more)

    return ask


def words(seen):
    """The text of a streamed answer of a chat dialect."""
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in seen.data if chunk.get("choices"))


def test_the_menu_covers_every_row_of_the_fault_matrix():
    before_any_answer = {1, 2, 3}

    assert {row for fault in FAULTS.values() for row in fault.rows} | before_any_answer == set(range(1, 31))
    assert all(fault.about and fault.name == name for name, fault in FAULTS.items())


@pytest.mark.parametrize("vendor", DOORS)
@pytest.mark.parametrize("stream", [False, True])
def test_no_fault_breaks_the_simulator(sim, client, vendor, stream):
    for name in FAULTS:
        client.ask(vendor, stream=stream, headers={"x-sim-fault": name}, patience=0.02, most=100_000)

    assert client.ask(vendor, stream=stream).status == 200


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("vendor", SOME)
def test_a_status_comes_with_the_vendors_own_body(upset, vendor, status):
    seen = upset(vendor, status)

    assert seen.status == int(status)
    if seen.headers["content-type"].startswith("application/json"):
        assert {"error", "message", "detail"} & seen.json.keys()
    else:
        assert (vendor, status) == ("deepseek", "422")


@pytest.mark.parametrize(("style", "header", "fits"), [
    ("seconds", "retry-after", lambda said: said == "1"),
    ("date", "retry-after", lambda said: parsedate_to_datetime(said).tzinfo is not None),
    ("ms", "retry-after-ms", lambda said: said == "1000"),
    ("negative", "retry-after", lambda said: said == "-5"),
    ("garbage", "retry-after", lambda said: said == "soon"),
    ("decade", "retry-after", lambda said: said == "315360000"),
    ("none", "retry-after", lambda said: said is None),
    ("reset", "x-ratelimit-reset-requests", lambda said: said == "1s"),
])  # fmt: skip
def test_each_style_of_hint_stands_alone(upset, style, header, fits):
    seen = upset("openai", f"429-{style}")

    assert seen.status == 429
    assert fits(seen.headers.get(header))
    assert len({"retry-after", "retry-after-ms"} & seen.headers.keys()) == (style not in ("none", "reset"))


def test_a_quota_that_waiting_does_not_cure_is_told_in_each_vendors_way(upset):
    assert upset("openai", "quota").json["error"]["code"] == "insufficient_quota"
    assert upset("anthropic", "quota").json["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
    assert "PerDay" in upset("gemini", "quota").body.decode()
    assert upset("openrouter", "quota").status == 402


@pytest.mark.parametrize(
    ("fault", "status", "size"),
    [
        ("slow-headers", 0, 0),
        ("slow-first-byte", 200, 0),
        ("stall", 200, 1),
        ("comments-only", 200, 1),
        ("trickle", 200, 1),
    ],
)
def test_silence_is_silence(upset, fault, status, size):
    seen = upset("deepseek", fault, stream=True, patience=0.3)

    assert (seen.ended, seen.status) == ("silent", status)
    assert (len(seen.body) > 0) == bool(size)
    assert b"[DONE]" not in seen.body


def test_a_silence_of_known_length_ends_with_the_rest_of_the_answer(sim, client):
    plain = client.ask("openai", stream=True)
    for fault in ("slow-headers", "slow-first-byte", "stall"):
        sim.clear()
        sim.fail(fault, seconds=0.05)
        assert client.ask("openai", stream=True).body == plain.body


@pytest.mark.parametrize(("fault", "ended", "status"), [
    ("disconnect-before-headers", "closed", 0), ("reset-before-headers", "reset", 0), ("disconnect-before-body", "closed", 200),
    ("disconnect", "closed", 200), ("reset", "reset", 200),
])  # fmt: skip
@pytest.mark.parametrize("vendor", SOME)
@pytest.mark.parametrize("stream", [False, True])
def test_connections_are_lost_where_the_fault_says(upset, vendor, stream, fault, ended, status):
    seen = upset(vendor, fault, stream=stream)

    assert (seen.ended, seen.status) == (ended, status)
    assert (len(seen.body) > 0) == (fault in ("disconnect", "reset"))


def test_a_cut_stream_has_given_some_of_the_text_but_not_all(client, upset):
    whole, part = words(client.ask("mistral", stream=True)), words(upset("mistral", "disconnect", stream=True))

    assert part
    assert whole.startswith(part)
    assert len(part) < len(whole)


def test_a_stream_without_its_end_closes_in_order_but_says_no_reason(upset):
    assert b'stop_reason":"end' not in upset("anthropic", "no-end", stream=True).body
    assert b"message_stop" not in upset("anthropic", "no-done", stream=True).body
    assert b"message_delta" in upset("anthropic", "no-done", stream=True).body
    assert b"finishReason" not in upset("gemini", "no-end", stream=True).body
    assert b"response.completed" not in upset("responses", "no-end", stream=True).body
    assert b"[DONE]" not in upset("openai", "no-done", stream=True).body
    assert upset("ollama", "no-end", stream=True).data[-1]["done"] is False
    assert upset("openai", "no-end", stream=True).ended == "done"


@pytest.mark.parametrize("vendor", SOME)
def test_an_error_event_comes_after_text_or_before_it_and_ends_the_stream(upset, vendor):
    late, early = upset(vendor, "error-event", stream=True), upset(vendor, "error-event-first", stream=True)

    for seen in (late, early):
        assert (seen.status, seen.ended) == (200, "done")
        assert b"error" in json.dumps(seen.data[-1]).encode()
        assert b"[DONE]" not in seen.body
    assert len(late.data) > len(early.data)


@pytest.mark.parametrize("vendor", SOME)
def test_an_error_may_come_with_200(upset, vendor):
    seen = upset(vendor, "error-200")

    assert seen.status == 200
    assert "error" in seen.json or seen.json["object"] == "error"


@pytest.mark.parametrize("vendor", SOME)
def test_malformed_json_is_malformed(upset, vendor):
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        _ = upset(vendor, "malformed-json").json
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        _ = upset(vendor, "malformed-json", stream=True).data


@pytest.mark.parametrize(
    "fault",
    [
        "comments",
        "crlf",
        "lone-cr",
        "no-blank-line",
        "byte-by-byte",
        "unknown-events",
        "malformed-sse",
        "empty-deltas",
        "bom",
    ],
)
@pytest.mark.parametrize("vendor", ["openai", "deepseek", "mistral", "vllm"])
def test_lawful_oddities_do_not_change_the_text(client, upset, vendor, fault):
    seen = upset(vendor, fault, stream=True)
    seen.body = seen.body.removeprefix(b"\xef\xbb\xbf")
    known = [chunk for chunk in seen.data if "choices" in chunk]
    seen.body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n" for chunk in known)

    assert words(seen) == words(client.ask(vendor, stream=True))


def test_each_oddity_is_really_there(client, upset):
    plain = client.ask("openai", stream=True).body
    assert plain.endswith(b"\n\n")
    assert b": keep-alive\n" in upset("openai", "comments", stream=True).body
    assert upset("openai", "crlf", stream=True).body == plain.replace(b"\n", b"\r\n")
    assert upset("openai", "lone-cr", stream=True).body == plain.replace(b"\n", b"\r")
    assert upset("openai", "no-blank-line", stream=True).body == plain.rstrip(b"\n")
    assert upset("openai", "bom", stream=True).body == b"\xef\xbb\xbf" + plain
    assert upset("openai", "byte-by-byte", stream=True).raw.count(b"\r\n1\r\n") > 100
    assert b"event: sim.future" in upset("openai", "unknown-events", stream=True).body
    assert b"this line is no field" in upset("openai", "malformed-sse", stream=True).body
    assert upset("openai", "split-data", stream=True).body.count(b"data:") > 3 * plain.count(b"data:")
    assert all(sign in upset("openai", "separators", stream=True).body.decode() for sign in "\u2028\u2029\u0085")


def test_gemini_always_ends_lines_with_crlf(client):
    body = client.ask("gemini", stream=True).body

    assert body.count(b"\n") == body.count(b"\r\n") > 4


def test_a_proxy_answers_in_html(upset):
    assert (upset("openai", "html-502").status, upset("openai", "html-200").status) == (502, 200)
    assert upset("openai", "html-200").headers["content-type"].startswith("text/html")


def test_bombs_are_small_and_become_large(upset):
    single, double = upset("openai", "gzip-bomb"), upset("openai", "double-gzip-bomb")
    assert len(single.body) < 500_000
    assert len(double.body) < 5_000
    assert (single.headers["content-encoding"], double.headers["content-encoding"]) == ("gzip", "gzip, gzip")

    unpack = zlib.decompressobj(31)
    size, rest = 0, single.body
    while rest:
        size += len(unpack.decompress(rest, 8_000_000))
        rest = unpack.unconsumed_tail
    assert (size, unpack.eof) == (256 * 1024 * 1024, True)


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_an_encoding_may_be_claimed_that_is_not_there(upset, coding):
    assert upset("openai", f"{coding}-claimed").headers["content-encoding"] == coding


def test_nothing_comes_in_three_ways(upset):
    assert (upset("openai", "empty-body").status, upset("openai", "empty-body").body) == (200, b"")
    assert upset("openai", "204").status == 204
    assert upset("openai", "empty-choices").json["choices"] == []
    assert upset("gemini", "empty-choices").json["candidates"] == []
    assert upset("anthropic", "empty-choices").json["content"] == []
    assert upset("responses", "empty-choices").json["output"] == []
    assert upset("openai", "empty-stream", stream=True).body == b""


@pytest.mark.parametrize("fault", ["huge-body", "endless-line", "endless-headers", "endless-events"])
def test_too_much_goes_on_as_long_as_the_client_reads(upset, fault):
    seen = upset("anthropic", fault, stream=True, most=20_000_000)

    assert seen.ended == "enough"
    if fault == "huge-body":
        assert seen.headers["content-length"] == str(2**31)
    if fault == "endless-line":
        assert b"\n" not in seen.body
    if fault == "endless-headers":
        assert b"\r\n\r\n" not in seen.raw


def test_chunks_come_twice_or_in_another_order(client, upset):
    whole = words(client.ask("openai", stream=True))
    twice, swapped = (
        words(upset("openai", "duplicate-chunks", stream=True)),
        words(upset("openai", "reordered-chunks", stream=True)),
    )

    assert len(twice) == 2 * len(whole)
    assert swapped != whole
    assert sorted(swapped) == sorted(whole)
    numbers = [event["sequence_number"] for event in upset("responses", "duplicate-chunks", stream=True).data]
    assert len(numbers) > len(set(numbers))


def test_characters_may_be_broken(upset):
    with pytest.raises(UnicodeDecodeError):
        upset("openai", "invalid-utf8", stream=True).body.decode()
    assert b"\\ud800" in upset("openai", "lone-surrogate").body
    assert b"\\u0000" in upset("openai", "nul").body
    assert "日本語" in words(upset("openai", "split-utf8", stream=True))


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_points_to_another_origin_which_remembers_who_came(sim, upset, code):
    seen = upset("openai", "redirect" if code == 307 else f"redirect-{code}")
    place = urlsplit(seen.headers["location"])
    assert seen.status == code
    assert place.port != sim.port
    assert sim.elsewhere == ()

    with socket.create_connection((place.hostname, place.port)) as line:
        line.sendall(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\r\n")
        line.recv(1000)
    assert [came.headers["authorization"] for came in sim.elsewhere] == ["Bearer k"]


def test_counts_may_be_missing_or_mad(upset):
    assert "usage" not in upset("openai", "usage-missing").json
    assert "usageMetadata" not in upset("gemini", "usage-missing").json
    assert "eval_count" not in upset("ollama", "usage-missing").json
    assert upset("openai", "usage-negative").json["usage"]["prompt_tokens"] == -5
    assert upset("anthropic", "usage-absurd").json["usage"]["output_tokens"] == 10**15
    assert upset("openrouter", "cost-mismatch").json["usage"]["cost"] == 123.45


def test_models_refuse_and_filter_in_each_vendors_way(upset):
    assert upset("anthropic", "refusal").json["stop_details"]["type"] == "refusal"
    assert upset("openai", "refusal").json["choices"][0]["message"]["refusal"]
    assert upset("responses", "refusal").json["output"][-1]["content"][0]["type"] == "refusal"
    assert upset("gemini", "safety").json["candidates"][0]["finishReason"] == "SAFETY"
    assert upset("openai", "safety").json["choices"][0]["finish_reason"] == "content_filter"
    assert upset("responses", "safety").json["incomplete_details"] == {"reason": "content_filter"}
    assert upset("gemini", "blocked-prompt").json["promptFeedback"]["blockReason"]
    assert "candidates" not in upset("gemini", "blocked-prompt").json


def test_models_give_up_in_each_vendors_way(upset):
    assert (
        upset("deepseek", "insufficient-resource").json["choices"][0]["finish_reason"] == "insufficient_system_resource"
    )
    assert upset("mistral", "insufficient-resource").json["choices"][0]["finish_reason"] == "error"
    assert upset("responses", "insufficient-resource").json["status"] == "failed"
    assert upset("responses", "insufficient-resource", stream=True).data[-1]["type"] == "response.failed"


def test_thinking_may_use_up_the_limit(upset):
    seen = upset("anthropic", "length-empty").json
    assert [block["type"] for block in seen["content"]] == ["thinking"]
    assert (seen["stop_reason"], seen["usage"]["output_tokens"]) == ("max_tokens", 500)
    assert upset("openai", "length-empty").json["choices"][0]["message"]["content"] == ""
    assert "parts" not in upset("gemini", "length-empty").json["candidates"][0]["content"]


def test_a_server_may_repeat_the_key(upset):
    error, answer = upset("openai", "echo-headers"), upset("openai", "echo-answer")

    assert error.status == 401
    assert b"Bearer k" in error.body
    assert answer.status == 200
    assert b"Bearer k" in answer.body


def test_a_fault_may_be_chosen_by_the_name_of_the_model(client):
    assert client.ask("anthropic", model="sim-529").status == 529
    assert client.ask("gemini", model="sim-safety").json["candidates"][0]["finishReason"] == "SAFETY"
    plain = client.ask("openai", model="sim-plain")
    assert (plain.status, plain.json["model"]) == (200, "sim-plain")


def test_a_fault_happens_so_many_times_to_those_that_match(sim, client):
    sim.fail("500", times=2, match="mistral/")
    sim.fail("403", match="sky red")

    assert [client.ask("mistral").status for _ in range(3)] == [500, 500, 403]
    assert client.ask("openai", body={"messages": [{"role": "user", "content": "hello"}]}).status == 200
    sim.clear()
    assert client.ask("mistral").status == 200


def test_an_unknown_fault_is_refused_with_the_nearest_name(sim):
    with pytest.raises(ValueError, match="unknown fault 'disconect'; did you mean 'disconnect'"):
        sim.fail("disconect")
    with pytest.raises(ValueError, match="is not a regular expression"):
        sim.fail("500", match="(")


def test_nobody_listens_at_the_refused_url():
    place = urlsplit(refused_url())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.hostname, place.port))


def test_the_name_that_does_not_exist_does_not_resolve():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(urlsplit(NO_SUCH_HOST).hostname, 443)


@pytest.mark.parametrize(
    ("flaw", "trusted", "said"),
    [("self-signed", False, "self-signed"), ("expired", True, "expired"), ("wrong-host", True, "mismatch")],
)
def test_flawed_certificates_are_refused(flaw, trusted, said):
    with tls_server(flaw) as (url, certificate):
        context = ssl.create_default_context(cadata=certificate.decode() if trusted else None)
        place = urlsplit(url)
        with (
            socket.create_connection((place.hostname, place.port)) as line,
            pytest.raises(ssl.SSLCertVerificationError, match=said),
        ):
            context.wrap_socket(line, server_hostname=place.hostname)


def test_a_certificate_whose_authority_is_trusted_is_taken():
    with tls_server("self-signed") as (url, certificate):
        context, place = ssl.create_default_context(cadata=certificate.decode()), urlsplit(url)
        with (
            socket.create_connection((place.hostname, place.port)) as line,
            context.wrap_socket(line, server_hostname=place.hostname) as secured,
        ):
            secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert secured.recv(15) == b"HTTP/1.1 200 OK"
