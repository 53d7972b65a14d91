"""Answers that are broken, hostile, empty or odd: each is a typed error or a kept answer, never a doubled or a silent one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import KINDS, ask, decode

from orchestrator_nb.calls import Delta, Usage
from orchestrator_nb.errors import BadResponse, EmptyAnswer, Partial, ProviderError, RateLimited, ResponseTooLarge
from orchestrator_nb.providers import decoding
from orchestrator_nb.providers.jsontext import REPLACED

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
FOLDERS = tuple(KINDS)


def sse(*payloads: Any) -> bytes:
    return b"".join(b"data: " + (p if isinstance(p, bytes) else json.dumps(p).encode()) + b"\n\n" for p in payloads)


def say(text: str | None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **fields}


def chat(*payloads: Any, **quirks: Any):
    return decode(ask("openai_compat", **quirks), SSE, [sse(*payloads)])


def message(content: Any = "4", **fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content, **fields}, "finish_reason": "stop"}]}).encode()


def plain(body: bytes, folder: str = "openai_compat", headers: dict[str, str] = JSON):
    return decode(ask(folder, stream=False), headers, [body])


def block(index: int, text: str = "") -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": text}}


def delta(index: int, text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


STARTED = {"type": "message_start", "message": {"id": "m", "model": "c", "content": [], "usage": {"input_tokens": 1}}}
STOPPED = {"type": "content_block_stop", "index": 0}
ENDED = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


# Nothing, or nothing of use.


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [b"", b" \r\n\n"])
def test_an_empty_body_is_an_empty_answer_tried_once_more(folder: str, stream: bool, body: bytes):
    headers = {} if stream and not body else JSON
    error = decode(ask(folder, stream=stream), headers, [body]).error

    assert isinstance(error, EmptyAnswer)
    assert (error.kind, error.verdict.again, error.verdict.most, error.billed) == ("empty", True, 1, "maybe")


@pytest.mark.parametrize("body", [b'{"choices": []}', b'{"choices": null}'])
def test_no_choices_are_an_empty_answer_and_not_an_empty_text(body: bytes):
    assert isinstance(plain(body).error, EmptyAnswer)
    outcome = plain(message(""))
    assert outcome.response is not None
    assert outcome.response.text == ""


def test_a_stream_that_only_says_done_is_an_empty_answer():
    assert isinstance(chat(b"[DONE]").error, EmptyAnswer)
    assert isinstance(chat({"choices": []}, b"[DONE]").error, EmptyAnswer)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("headers", [{"content-type": "text/html"}, {}])
def test_a_web_page_is_never_an_answer(folder: str, stream: bool, headers: dict[str, str]):
    error = decode(ask(folder, stream=stream), headers, [b"<!doctype html>\n<p>Sign in, then \n<b>go on</b>\n"]).error

    assert isinstance(error, BadResponse)
    assert (error.verdict.again, error.verdict.most) == (True, 1)
    assert "Sign in" not in str(error)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "body", [b"{", b"[1, 2]", b'"text"', b"null", b"17", b'{"hello": "world"}', b"{'a': 1}", b'{"a": NaN}']
)
def test_a_body_of_another_format_is_a_bad_response(folder: str, body: bytes):
    error = decode(ask(folder, stream=False), JSON, [body]).error

    assert isinstance(error, BadResponse)
    assert error.partial == ""


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("line", [b"{", b"[[", b"17", b"null", b'"x"'])
def test_a_bad_line_in_a_stream_is_a_bad_response(folder: str, line: bytes):
    body = line + b"\n" if folder == "ollama" else b"data: " + line + b"\n\n"
    error = decode(ask(folder), {}, [body]).error

    assert isinstance(error, BadResponse)
    assert (error.verdict.again, error.verdict.most) == (True, 1)


def test_a_bad_line_after_text_keeps_the_text_and_is_not_tried_again():
    outcome = chat(say("Lorem"), b"{broken")

    assert isinstance(outcome.error, BadResponse)
    assert outcome.events == (Delta("Lorem"),)
    assert (outcome.error.partial, outcome.error.verdict.again, outcome.error.billed) == ("Lorem", False, "yes")


@pytest.mark.parametrize(
    "payload",
    [
        {"choices": "x"},
        {"choices": [7]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": [7]}}]},
        {"choices": [{"delta": {"tool_calls": 7}}]},
        {"choices": [{"delta": {"reasoning": {"a": 1}}}]},
        {"choices": [], "usage": [1]},
        {"choices": [{"delta": {"content": "x"}, "finish_reason": [1]}]},
    ],
)
def test_values_of_another_type_are_a_bad_response(payload: dict[str, Any]):
    assert isinstance(chat(payload, b"[DONE]").error, BadResponse)


# Cut short.


def test_a_stream_without_an_end_keeps_its_text_and_is_not_tried_again():
    error = chat(say("Lorem ipsum")).error

    assert isinstance(error, Partial)
    assert (error.kind, error.partial, error.verdict.again, error.billed) == ("truncated", "Lorem ipsum", False, "yes")
    assert error.response is not None
    assert not error.response.complete
    assert error.response.finish == "error"


@pytest.mark.parametrize("body", [b": keep-alive\n\n", sse(say(None)), sse(say(""))])
def test_a_stream_without_an_end_and_without_text_is_tried_again(body: bytes):
    error = decode(ask("openai_compat"), SSE, [body]).error

    assert isinstance(error, Partial)
    assert (error.kind, error.verdict.again, error.billed) == ("truncated", True, "maybe")


def test_a_reason_to_finish_is_an_end_without_done():
    outcome = chat(say("4", "stop"))
    assert outcome.response is not None
    assert outcome.response.text == "4"


# Errors inside a 200.


@pytest.mark.parametrize(
    ("folder", "error"),
    [
        ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}),
        ("gemini", {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}),
        ("openai_chat", {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
        ("openai_responses", {"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}),
        ("deepseek", {"error": {"message": "slow down", "type": "rate_limit_error"}}),
        ("mistral", {"error": {"message": "slow down", "type": "rate_limited"}}),
        ("ollama", {"error": {"message": "slow down", "code": 429}}),
        ("openai_compat", {"error": {"code": 429, "message": "slow down"}}),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_in_a_200_is_the_error_it_says(folder: str, error: dict[str, Any], stream: bool):
    body = json.dumps(error).encode()
    if stream:
        body = body + b"\n" if folder == "ollama" else b"data: " + body + b"\n\n"
    elif folder == "openai_responses":
        body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "slow down"}}).encode()
    outcome = decode(ask(folder, stream=stream), {} if stream else JSON, [body])

    assert isinstance(outcome.error, RateLimited), outcome
    assert outcome.error.verdict.again
    assert "slow down" in str(outcome.error)


# Doubled and reordered pieces.


@pytest.mark.parametrize(
    "payloads",
    [
        [STARTED, block(0), delta(0, "a"), block(0), delta(0, "a")],
        [STARTED, block(1), block(0)],
        [STARTED, delta(0, "a")],
        [STARTED, block(0), delta(1, "a")],
        [STARTED, block(0), STOPPED, delta(0, "a")],
        [STARTED, block(0), STOPPED, STOPPED],
        [STARTED, block(0), delta(0, "a"), STARTED],
    ],
    ids=["block twice", "blocks reordered", "no start", "other index", "after stop", "stop twice", "message twice"],
)
def test_blocks_out_of_order_are_a_bad_response(payloads: list[dict[str, Any]]):
    assert isinstance(decode(ask("anthropic"), SSE, [sse(*payloads, *ENDED)]).error, BadResponse)


def test_blocks_that_interleave_are_told_apart_by_index():
    stream = sse(STARTED, block(0), block(1), delta(1, "c"), delta(0, "a"), delta(1, "d"), delta(0, "b"), *ENDED)
    outcome = decode(ask("anthropic"), SSE, [stream])
    assert outcome.response is not None
    assert outcome.response.text == "abcd"


def test_what_comes_after_the_end_is_not_part_of_the_answer():
    outcome = chat(say("4", "stop"), b"[DONE]", say("4", "stop"), b"[DONE]")
    assert outcome.response is not None
    assert outcome.response.text == "4"


def test_text_after_a_reason_to_finish_is_a_bad_response():
    assert isinstance(chat(say("4", "stop"), say("4", "stop"), b"[DONE]").error, BadResponse)


def spoken(number: int, text: str) -> dict[str, Any]:
    return {
        "type": "response.output_text.delta",
        "sequence_number": number,
        "output_index": 0,
        "content_index": 0,
        "delta": text,
    }


def completed(number: int, text: str) -> dict[str, Any]:
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    return {
        "type": "response.completed",
        "sequence_number": number,
        "response": {"status": "completed", "output": output},
    }


def responses(*payloads: dict[str, Any]):
    return decode(ask("openai_responses"), SSE, [sse(*payloads)])


def test_a_doubled_event_is_left_out_by_its_number():
    outcome = responses(spoken(1, "a"), spoken(1, "a"), spoken(2, "b"), completed(3, "ab"))
    assert outcome.response is not None
    assert outcome.response.text == "ab"
    assert "twice" in outcome.response.notices[0]


def test_reordered_events_are_a_bad_response():
    assert isinstance(responses(spoken(2, "b"), spoken(1, "a"), completed(3, "ab")).error, BadResponse)


def test_pieces_that_do_not_add_up_to_the_whole_are_a_bad_response():
    assert isinstance(responses(spoken(1, "a"), spoken(2, "a"), completed(3, "a")).error, BadResponse)


def test_a_second_choice_is_not_mixed_into_the_first():
    other = {"choices": [{"index": 1, "delta": {"content": "B"}}]}
    outcome = chat(say("A"), other, other, other, say(None, "stop"), b"[DONE]")
    assert outcome.response is not None
    assert outcome.response.text == "A"
    assert outcome.response.notices


# Characters.


@pytest.mark.parametrize("folder", ["openai_compat", "mistral", "deepseek"])
def test_bytes_that_are_no_utf8_become_replacement_characters_with_a_notice(folder: str):
    body = sse(say("AB", "stop"), b"[DONE]").replace(b"AB", b"A\xff\xfeB")
    outcome = decode(ask(folder), SSE, [bytes([byte]) for byte in body])
    assert outcome.response is not None
    assert outcome.response.text == "A\ufffd\ufffdB"
    assert outcome.response.notices == (REPLACED,)


def test_a_replacement_character_that_the_model_wrote_needs_no_notice():
    outcome = chat(say("\ufffd", "stop"))
    assert outcome.response is not None
    assert outcome.response.notices == ()


def test_lone_surrogates_become_replacement_characters_with_a_notice():
    outcome = chat(say("a\ud800b"), say("\udc00", "stop"))
    assert outcome.response is not None
    assert outcome.response.text == "a\ufffdb\ufffd"
    assert outcome.response.notices == (REPLACED,)
    outcome.response.text.encode()


def test_a_pair_cut_between_two_events_is_joined():
    outcome = chat(say("a\ud83d"), say("\ude00b", "stop"))
    assert outcome.response is not None
    assert outcome.response.text == "a😀b"
    assert outcome.response.notices == ()
    assert outcome.events == (Delta("a"), Delta("😀b"))


def test_half_a_pair_at_the_end_is_replaced():
    outcome = chat(say("a\ud83d", "stop"))
    assert outcome.response is not None
    assert outcome.response.text == "a\ufffd"
    assert outcome.response.notices == (REPLACED,)


def test_nul_and_raw_control_characters_are_kept():
    outcome = decode(ask("openai_compat"), SSE, [sse(say("a\x00b", "stop")), b'data: {"choices":[],"x":"\x01"}\n\n'])
    assert outcome.response is not None
    assert outcome.response.text == "a\x00b"


# Caps.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "hostile", [b"[" * 65 + b"]" * 65, b"[" * 100_000, b'{"a":' * 150 + b"1" + b"}" * 150], ids=len
)
def test_json_deeper_than_64_is_refused(stream: bool, hostile: bytes):
    body = b'{"choices": [], "x": ' + hostile + b"}"
    body = b"data: " + body + b"\n\n" if stream else body
    error = decode(ask("openai_compat", stream=stream), SSE if stream else JSON, [body]).error
    assert isinstance(error, ResponseTooLarge | BadResponse)
    assert isinstance(error, ResponseTooLarge) or hostile.endswith(b"[")


def test_json_of_depth_64_is_read():
    assert plain(message("4", annotations=json.loads("[" * 60 + "]" * 60))).response is not None


def test_brackets_in_text_are_no_depth():
    outcome = plain(message("[{" * 5000))
    assert outcome.response is not None
    assert len(outcome.response.text) == 10_000


def test_an_integer_of_5000_digits_is_refused():
    assert isinstance(plain(b'{"choices": [], "created": ' + b"9" * 5000 + b"}").error, ResponseTooLarge)


def test_an_endless_line_is_refused_and_the_text_is_kept():
    outcome = decode(ask("openai_compat"), SSE, [sse(say("Lorem")), b"data: " + b"x" * (2 << 20)])
    assert isinstance(outcome.error, ResponseTooLarge)
    assert (outcome.error.partial, outcome.error.verdict.again) == ("Lorem", False)


def test_an_endless_stream_of_events_is_refused(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_EVENTS", 100)
    assert isinstance(chat(*[say("x")] * 101).error, ResponseTooLarge)


def test_an_endless_body_is_refused(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    assert isinstance(decode(ask("openai_compat"), SSE, [b": x\n" * 100] * 3).error, ResponseTooLarge)


@pytest.mark.parametrize("number", [-1, 1 << 60, 1.5, "12", None, True, []])
def test_token_counts_that_cannot_be_are_left_out(number: Any):
    outcome = chat(say("4", "stop", usage={"prompt_tokens": number, "completion_tokens": 3}))
    assert outcome.response is not None
    assert outcome.response.usage == Usage(output=3)


@pytest.mark.parametrize("cost", [-1, "free", None, 1e300, True])
def test_a_cost_that_cannot_be_is_left_out(cost: Any):
    outcome = chat(say("4", "stop", usage={"prompt_tokens": 1, "cost": cost}))
    assert outcome.response is not None
    assert outcome.response.cost_reported is None


def test_a_cost_counts_only_from_a_vendor_that_is_trusted_with_it():
    outcome = chat(say("4", "stop", usage={"prompt_tokens": 1, "cost": 0.5}), cost_in_usage=False)
    assert outcome.response is not None
    assert outcome.response.cost_reported is None


# Odd but good.


@pytest.mark.parametrize("folder", ["openai_compat", "openai_chat", "deepseek", "mistral"])
def test_a_server_that_does_not_stream_is_understood(folder: str):
    for headers in (JSON, {}, SSE):
        outcome = decode(ask(folder, stream=True), headers, [message("4")])
        assert outcome.response is not None, headers
        assert outcome.response.text == "4"


def test_tool_arguments_may_be_an_object_and_an_index_may_be_missing():
    calls = [
        {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "b", "function": {"name": "g", "arguments": ""}},
    ]
    outcome = plain(message(None, tool_calls=calls))
    assert outcome.response is not None
    assert [(call.id, call.name, dict(call.arguments)) for call in outcome.response.tool_calls] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {}),
    ]
    assert outcome.response.finish == "tool_calls"


def test_arguments_that_are_no_json_are_a_bad_response():
    calls = [{"id": "a", "function": {"name": "f", "arguments": '{"x": '}}]
    assert isinstance(plain(message(None, tool_calls=calls)).error, BadResponse)


def test_an_unknown_reason_is_an_error_that_keeps_the_word():
    outcome = chat(say("4", "bored"))
    assert outcome.response is not None
    assert (outcome.response.finish, outcome.response.finish_raw) == ("error", "bored")


def test_sealed_thoughts_come_with_their_seal():
    stream = sse(
        STARTED,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "xyz"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "signature_delta", "signature": "seal"}},
        *ENDED,
    )
    outcome = decode(ask("anthropic"), SSE, [stream])
    assert outcome.response is not None
    assert [part.signature for part in outcome.response.parts] == ["redacted_thinking:xyz", "seal"]


def test_an_error_names_vendor_and_model_and_what_to_do():
    error = chat({"error": {"code": 429, "message": "Too many"}}).error
    assert isinstance(error, ProviderError)
    assert str(error) == "openai_compat/some-model broke off (rate_limit): Too many. Lower limits.parallel or wait."
