"""How a stream is cut into pieces, and how its lines end, changes nothing."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import STREAMS, Case, ask, decode, play

from orchestrator_nb.calls import Delta, ThinkingDelta

LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def test_every_vendor_has_a_recorded_stream():
    assert {case.folder for case in STREAMS} == {
        "anthropic", "deepseek", "gemini", "mistral", "ollama", "openai_chat", "openai_compat", "openai_responses",
    }  # fmt: skip
    assert len(STREAMS) == 26


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_a_stream_cut_in_two_at_any_byte_is_the_same_answer(case: Case):
    whole = play(case).facts
    for position in range(len(case.body) + 1):
        assert play(case, [case.body[:position], case.body[position:]]).facts == whole, position


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_a_stream_that_comes_byte_by_byte_is_the_same_answer(case: Case):
    assert play(case, [bytes([byte]) for byte in case.body]).facts == play(case).facts


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(STREAMS), st.data())
def test_a_stream_in_any_pieces_is_the_same_answer(case: Case, data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(case.body)), max_size=12).map(sorted))
    pieces = [case.body[a:b] for a, b in pairwise([0, *cuts, len(case.body)])]
    assert b"".join(pieces) == case.body
    assert play(case, pieces).facts == play(case).facts


@pytest.mark.parametrize("end", LINE_ENDS, ids=repr)
@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_lines_may_end_in_any_way(case: Case, end: bytes):
    plain = case.body.replace(b"\r\n", b"\n")
    body = plain.replace(b"\n", end)
    whole = play(case).facts
    assert play(case, [body]).facts == whole
    assert play(case, [bytes([byte]) for byte in body]).facts == whole


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_a_byte_order_mark_is_passed_over(case: Case):
    marked = b"\xef\xbb\xbf" + case.body
    assert play(case, [marked]).facts == play(case).facts
    assert play(case, [bytes([byte]) for byte in marked]).facts == play(case).facts


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_the_last_event_need_not_be_closed(case: Case):
    assert play(case, [case.body.rstrip(b"\r\n")]).facts == play(case).facts


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_the_pieces_shown_add_up_to_the_answer(case: Case):
    outcome = play(case)
    answer = outcome.response or (outcome.error and outcome.error.response)
    assert answer is not None
    assert "".join(event.text for event in outcome.events if isinstance(event, Delta)) == answer.text
    assert "".join(event.text for event in outcome.events if isinstance(event, ThinkingDelta)) == answer.thinking


@pytest.mark.parametrize("case", [c for c in STREAMS if c.name.startswith("stream")], ids=lambda case: case.id)
def test_a_stream_that_stops_anywhere_is_whole_or_an_error_that_keeps_the_text(case: Case):
    outcome = play(case)
    answer = outcome.response or (outcome.error and outcome.error.response)
    assert answer is not None
    for position in range(0, len(case.body), 7):
        part = play(case, [case.body[:position]])
        if part.error is not None:
            assert answer.text.startswith(part.error.partial)
            assert part.error.kind in {"truncated", "empty", "bad_response", outcome.error and outcome.error.kind}
        else:
            assert part.response is not None
            assert part.response.text == answer.text


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_only_cr_and_lf_end_a_line(separator: str):
    chunk = {"choices": [{"index": 0, "delta": {"content": f"a{separator}b"}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
    outcome = decode(ask("openai_compat"), {"content-type": "text/event-stream"}, [body])
    assert outcome.response is not None
    assert outcome.response.text == f"a{separator}b"


def test_comments_are_bytes_but_no_payloads():
    from orchestrator_nb.providers import PROVIDERS

    decoder = PROVIDERS["openai-compatible"].decoder(ask("openai_compat"), {"content-type": "text/event-stream"})
    assert list(decoder.feed(b": OPENROUTER PROCESSING\n\n" * 3)) == []
    assert decoder.payloads == 0
    assert list(decoder.feed(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')) == [Delta("x")]
    assert decoder.payloads == 1
