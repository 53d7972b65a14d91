"""What a configuration file may contain, and what is refused at once."""

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_nb.config.yaml import MAX_BYTES, MAX_DEPTH, Document, read, scalar
from orchestrator_nb.errors import ConfigError

BILLION = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (c, c, *([c - 1] * 9)) for c in range(ord("b"), ord("j"))
)

HOSTILE = {
    "billion laughs": (BILLION, "anchor"),
    "alias": (b"a: *nowhere\n", "alias"),
    "alias to itself": (b"a: &a [*a]\n", "anchor"),
    "merge key": (b"base: {x: 1}\na: {<<: {x: 2}}\n", "merge key"),
    "object": (b"a: !!python/object/apply:os.system ['true']\n", "tag"),
    "local tag": (b"a: !env HOME\n", "tag"),
    "tag that is harmless": (b"a: !!str 1\n", "tag"),
    "duplicate key": (b"base_url: a\nx: 1\nbase_url: b\n", "again"),
    "number as key": (b"1: a\n", "not text"),
    "list as key": (b"? [a, b]\n: 1\n", "key must be text"),
    "deep flow": (b"a: " + b"[" * 100_000, "deep"),
    "deep block": (b"\n".join(b" " * i + b"a:" for i in range(900)), "deep"),
    "too many values": (b"a: [" + b"1," * 30_000 + b"]", "values"),
    "too long": (b"a: " + b"x" * MAX_BYTES, "bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_at_once_and_says_where(name):
    data, reason = HOSTILE[name]
    tracemalloc.start()
    began = time.process_time()

    with pytest.raises(ConfigError, match=reason) as failure:
        read(data, "evil.yaml")

    assert time.process_time() - began < 5  # traced, it takes a fifth of it; without the limits some take minutes
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert failure.value.where.startswith("evil.yaml")


def test_a_duplicate_names_both_lines():
    with pytest.raises(ConfigError, match=r"f.yaml:3: 'base_url' stands here again; it is first on line 1"):
        read(HOSTILE["duplicate key"][0], "f.yaml")


def _read_or_refused(data):
    try:
        return read(data, "f.yaml")
    except ConfigError as error:
        return error


PIECES = st.sampled_from(
    ["a", "b: ", ": ", "- ", "[", "]", "{", "}", ",", "\n", "\n  ", "\t", "&x ", "*x", "!t ", "<<", "|", ">", "'", '"', "#",
     "? ", "---\n", "...\n", "%YAML 1.2\n", "\\", "\x00", "\u2028", "\ufeff", "é", "💥", "0x1f", "1e9999", "~", "@", "`"],
)  # fmt: skip


@settings(max_examples=1000, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=2000), st.lists(PIECES, max_size=400).map(lambda parts: "".join(parts).encode())))
@pytest.mark.alone
def test_any_bytes_are_read_or_refused_within_a_second(data):
    assert isinstance(_read_or_refused(data), Document | ConfigError)


@pytest.mark.slow
@settings(max_examples=60, deadline=1000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(piece=PIECES, other=PIECES, times=st.sampled_from([1_000, 60_000]))
@pytest.mark.alone
def test_no_repeated_piece_takes_a_second(piece, other, times):
    data = ("k: " + (piece + other) * times).encode()[: MAX_BYTES - 1]
    assert isinstance(_read_or_refused(data), Document | ConfigError)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("7", 7), ("-0", 0), ("+3", 3), ("2.5", 2.5), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-2", -0.015),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("TRUE", "TRUE"), ("22:30", "22:30"), ("2026-11-22", "2026-11-22"),
        ("0x1f", "0x1f"), ("0o17", "0o17"), ("007", "007"), ("1_000", "1_000"), (".inf", ".inf"), (".nan", ".nan"),
        ("1e999", "1e999"), ("9" * 5000, "9" * 5000), ("=", "="),
    ],
)  # fmt: skip
def test_only_plain_words_of_json_are_more_than_text(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quotes_make_text_of_anything():
    assert read(b"a: '1'\nb: \"true\"\n'null': x\n'<<': y\n", "f").value == {
        "a": "1",
        "b": "true",
        "null": "x",
        "<<": "y",
    }


def test_an_empty_file_sets_nothing():
    for data in (b"", b"\n\n", b"# only a comment\n", b"\xef\xbb\xbf", b"---\n", b"null\n"):
        assert read(data, "f").value == {}


def test_a_byte_order_mark_is_skipped():
    assert read(b"\xef\xbb\xbfa: 1\n", "f").value == {"a": 1}


def test_bytes_that_are_not_utf8_are_refused_with_their_line():
    with pytest.raises(ConfigError, match=r"f:2: byte 0xe9 is not UTF-8"):
        read("a: 1\nb: é\n".encode("latin-1"), "f")


def test_a_tab_as_indentation_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"f:2: indented by a tab; use spaces"):
        read(b"a:\n\tb: 1\n", "f")


def test_a_second_document_is_refused():
    with pytest.raises(ConfigError, match="f:2: a second document"):
        read(b"a: 1\n---\nb: 2\n", "f")


def test_a_list_or_a_word_is_no_configuration():
    for data in (b"- a\n", b"just words\n"):
        with pytest.raises(ConfigError, match="expected 'key: value' lines"):
            read(data, "f")


def test_the_deepest_allowed_nesting_is_read():
    assert read(b"a: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1), "f").value["a"] is not None


def test_every_key_and_item_remembers_its_line():
    document = read(b"a: 1\nb:\n  c: {d: x}\n  e:\n    - f\n    - g: h\n", "f.yaml")

    assert document.lines == {
        ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", "d"): 3, ("b", "e"): 4, ("b", "e", 0): 5, ("b", "e", 1): 6, ("b", "e", 1, "g"): 6,
    }  # fmt: skip
    assert document.where(("b", "e", 1, "g", "unknown")) == "f.yaml:6"
