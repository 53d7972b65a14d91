"""Framing alone: lines, events, caps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.providers.sse import MAX_LINE, MAX_STRAY, EventReader, LineReader, Oversize


def events(*chunks: bytes) -> list[bytes]:
    reader = EventReader()
    return [payload for chunk in chunks for payload in reader.feed(chunk)] + reader.close()


def drain(reader: EventReader | LineReader, chunk: bytes, times: int) -> None:
    for _ in range(times):
        reader.feed(chunk)


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data\n\n", [b""]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\ndata:\ndata: b\n\n", [b"a\n\nb"]),
        (b": comment\n\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"event: x\n\n", []),
        (b"\n\n\n", []),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\n\r\ndata: b\r\r\n", [b"a", b"b"]),
        (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
        (b"data: a", [b"a"]),
        (b"data: a\ndata: b", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"", []),
    ],
)
def test_events_are_read_as_the_standard_says(stream: bytes, payloads: list[bytes]):
    assert events(stream) == payloads
    assert events(*(bytes([byte]) for byte in stream)) == payloads


@given(
    st.lists(st.sampled_from([b"data: x", b"data: y", b":c", b"event: e", b"\r", b"\n", b"\r\n", b"\n\n"])), st.data()
)
def test_any_bytes_mean_the_same_in_any_pieces(words: list[bytes], data: st.DataObject):
    stream = b"".join(words)
    cut = data.draw(st.integers(0, len(stream)))
    assert events(stream[:cut], stream[cut:]) == events(stream)


def test_an_event_is_given_out_as_soon_as_a_lone_cr_closes_it():
    reader = EventReader()
    assert reader.feed(b"data: a\r\r") == [b"a"]
    assert reader.feed(b"\ndata: b\r\r") == [b"b"]


def test_bare_lines_are_kept_aside():
    reader = EventReader()
    assert reader.feed(b'data: a\n\n{\n  "error": 1\n}\n') == [b"a"]
    assert reader.close() == []
    assert reader.stray == b'{\n  "error": 1\n}'


@pytest.mark.parametrize("chunk_size", [1 << 12, 1 << 22])
def test_a_line_without_end_is_refused_at_1_mib(chunk_size: int):
    for reader in (EventReader(), LineReader()):
        with pytest.raises(Oversize, match="a line"):
            drain(reader, b"data: " + b"x" * chunk_size, (2 << 20) // chunk_size + 2)


def test_a_long_line_with_its_end_is_refused_too():
    with pytest.raises(Oversize):
        EventReader().feed(b"data: " + b"x" * MAX_LINE + b"\n\n")


def test_an_event_of_many_lines_is_refused_at_1_mib():
    reader = EventReader()
    with pytest.raises(Oversize, match="an event"):
        drain(reader, b"data: " + b"x" * 1000 + b"\n", MAX_LINE // 1000 + 2)


def test_a_long_page_that_is_no_stream_is_refused():
    with pytest.raises(Oversize):
        EventReader().feed(b"<p>\n" * MAX_STRAY)


def test_json_lines_skip_blank_ones_and_take_an_unfinished_last():
    reader = LineReader()
    assert reader.feed(b'{"a":1}\n\n  \r\n{"b"') == [b'{"a":1}']
    assert reader.feed(b":2}") == []
    assert reader.close() == [b'{"b":2}']
