"""The shortcut reads what the parser would have read, or leaves it to the parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import STREAMS, ask, decode, play

from orchestrator_nb.providers.shortcut import Shortcut

SSE = {"content-type": "text/event-stream"}


def envelope(folder: str, text: str) -> dict[str, Any]:
    if folder == "anthropic":
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    if folder == "gemini":
        return {
            "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}],
            "modelVersion": "text",
        }
    return {
        "model": "content",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}],
    }


OPENED: dict[str, list[dict[str, Any]]] = {
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "model": "c", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
}
CLOSED: dict[str, list[Any]] = {
    "anthropic": [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}],
    "gemini": [{"candidates": [{"finishReason": "STOP"}]}],
    "openai_compat": [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}],
}
# Words that could be taken for something else: keys of the envelope, quotes, escapes, broken characters, nothing.
WORDS = (
    st.sampled_from(
        ["", "a", "a", "text", "content", '"', "\\", "\\n", '","x":"', "é", "😀", "\u2028", "\x00", "}]}", "model"]
    )
    | st.text()
)


def stream(folder: str, words: list[str], ascii_only: list[bool]) -> bytes:
    said = [
        json.dumps(envelope(folder, word), ensure_ascii=plain) for word, plain in zip(words, ascii_only, strict=True)
    ]
    payloads = [*map(json.dumps, OPENED.get(folder, [])), *said, *map(json.dumps, CLOSED[folder])]
    return "".join(f"data: {payload}\n\n" for payload in payloads).encode("utf-8", "surrogatepass")


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(CLOSED)), st.lists(st.tuples(WORDS, st.booleans()), max_size=12))
def test_any_words_arrive_as_they_were_said(folder: str, said: list[tuple[str, bool]]):
    words = [word.encode("utf-8", "replace").decode() for word, _ in said]
    outcome = decode(ask(folder), SSE, [stream(folder, words, [plain for _, plain in said])])
    assert outcome.response is not None, outcome.error
    assert outcome.response.text == "".join(words)


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_an_answer_is_the_same_without_the_shortcut(case, monkeypatch):
    quick = play(case)
    monkeypatch.setattr(Shortcut, "learn", lambda self, data, text: None)
    assert play(case).facts == quick.facts
    assert play(case).events == quick.events


@pytest.mark.parametrize("folder", sorted(CLOSED))
def test_most_pieces_are_read_without_parsing(folder: str, monkeypatch):
    from orchestrator_nb.providers import decoding

    parsed: list[bytes] = []
    real = decoding.parse
    monkeypatch.setattr(decoding, "parse", lambda data, notes: parsed.append(data) or real(data, notes))
    decode(ask(folder), SSE, [stream(folder, [f"word{n} " for n in range(50)], [True] * 50)])
    assert len(parsed) < 8


def test_a_duplicate_of_a_numbered_event_is_still_seen():
    delta = {
        "type": "response.output_text.delta",
        "sequence_number": 1,
        "output_index": 0,
        "content_index": 0,
        "delta": "a",
    }
    whole = {"status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}
    payloads = [delta, delta, {"type": "response.completed", "sequence_number": 2, "response": whole}]
    outcome = decode(ask("openai_responses"), SSE, ["".join(f"data: {json.dumps(p)}\n\n" for p in payloads).encode()])
    assert outcome.response is not None
    assert outcome.response.text == "a"


def test_an_escaped_word_is_not_learnt():
    shortcut = Shortcut()
    shortcut.learn(b'{"content":"\\u006dodel","model":"x"}', "model")
    assert not shortcut.ready
    shortcut.learn(b'{"content":"model","model":"x"}', "model")
    assert not shortcut.ready
    shortcut.learn(b'{"content":"word","model":"x"}', "word")
    assert shortcut.text(b'{"content":"","model":"x"}') == ""
    assert shortcut.text(b'{"content":"a","b":"c","model":"x"}') is None
    assert not shortcut.ready
