"""A tape: what is put on it comes back as it was, the same again changes no byte, and what is damaged, foreign or hostile is named and never served."""

import hashlib
import json
import os
import random
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Cost, Params, Request, Response, Usage
from orchestrator_nb.canonical import canonical, digest
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import ContentFiltered, StoreError, UserError
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall
from orchestrator_nb.records import request_record
from orchestrator_nb.store import tape as tapes
from orchestrator_nb.store.entry import Entry, entry_record
from orchestrator_nb.store.tape import Tape, line_of
from orchestrator_nb.store.taping import TapeWriter

LAB = Vendor("lab", "openai", "https://lab.example/v1")
ONE = ModelSpec(LAB, "one")
VERSIONS = {"orchestrator-nb": "1.2.3"}


def asked(prompt="Why is the sky blue?", **how):
    return Request(how.pop("model", ONE), (Message.user(prompt),), **how)


def entry(prompt="Why is the sky blue?", text="Because.", at=1_700_000_000.0, **how):
    response = Response("one-2024", (Text(text),), usage=Usage(3, 4), cost=Cost(Decimal("0.01"), "user"))
    return Entry(request_record(asked(prompt, **how)), replace(response, raw_id=f"id-{at}"), None, at, 0.5, 0.1, 1)


def taped(path, *entries, **how):
    writer = TapeWriter(path, VERSIONS, **how)
    for one in entries:
        writer.add(one)
    writer.flush()
    return writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.jsonl"


text = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
parts = st.one_of(
    st.builds(Text, text),
    st.builds(Thinking, text, st.none() | text),
    st.builds(Image, st.binary(max_size=9), st.just("image/png")),
    st.builds(ToolCall, text, text, st.dictionaries(text, values, max_size=2)),
)
counts = st.none() | st.integers(0, 10**9)
money = st.none() | st.decimals(0, 1000, places=6)
responses = st.builds(
    Response,
    model=text,
    parts=st.lists(parts, max_size=3).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "pause"]),
    usage=st.builds(Usage, counts, counts, counts, counts, counts),
    raw_id=st.none() | text,
    complete=st.booleans(),
    cost=st.builds(Cost, money, text),
    source=st.sampled_from(["live", "simulated"]),
    parsed=values,
    notices=st.lists(text, max_size=2).map(tuple),
)
requests = st.builds(
    asked,
    st.text(st.characters(codec=None, categories=None), max_size=12),  # lone surrogates and NUL too
    system=st.none() | text,
    params=st.builds(Params, temperature=st.none() | st.floats(0, 2), extra=st.dictionaries(text, values, max_size=2)),
    sample=st.integers(0, 9),
)
seconds = st.none() | st.floats(0, 1e9)


def tape_of(*lines):
    header = canonical({"format": tapes.FORMAT, "version": 1}).encode()
    return Tape.of(b"\n".join([header, *sorted(lines), b""]), "study.jsonl")


@given(requests, responses, seconds, seconds)
def test_what_is_put_on_a_tape_comes_back_as_it_was(request, response, at, took):
    put = Entry(request_record(request), response, None, at, took, took, 1)
    key, line = line_of(put)
    assert key == request.key
    assert line.isascii()
    assert b"\n" not in line
    got = tape_of(line).get(key)
    assert got == replace(put, request=json.loads(canonical(put.request)))


def test_a_refusal_comes_back_as_the_same_error_and_new_each_time():
    error = ContentFiltered(
        "no.", kind="content_filter", vendor="lab", model="one", status=400, request_id="r", billed="yes"
    )
    error.simulated = True
    key, line = line_of(Entry(request_record(asked()), error=error))
    tape = tape_of(line)
    got = tape.get(key).error
    assert (type(got), str(got), vars(got)) == (ContentFiltered, "no.", {**vars(error), "verdict": got.verdict})
    assert tape.get(key).error is not got


def test_lines_are_sorted_and_the_first_says_what_the_tape_is(path):
    taped(path, *(entry(f"question {n}", at=1_700_000_000 + n) for n in range(9)))
    head, *lines = path.read_text("ascii").splitlines()
    assert lines == sorted(lines)
    assert json.loads(head) == {
        "format": "orchestrator-nb tape",
        "version": 1,
        "versions": VERSIONS,
        "models": {"one at https://lab.example/v1": ["one-2024"]},
        "recorded": {"first": "2023-11-14T22:13:20+00:00", "last": "2023-11-14T22:13:28+00:00"},
        "totals": {
            "answers": 9, "failed": 0, "simulated": 0, "input_tokens": 27, "output_tokens": 36, "cost_usd": "0.09", "cost_unknown": 0
        },
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["study.jsonl"]


def test_the_same_again_changes_no_byte_and_no_time_and_another_answer_changes_its_line(path):
    taped(path, entry("a"), entry("b"))
    before, stamp = path.read_bytes(), path.stat()
    taped(path, entry("b", at=1_800_000_000.0), entry("a", at=1_900_000_000.0))  # asked again later, with other ids
    assert path.read_bytes() == before
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (stamp.st_mtime_ns, stamp.st_ino)

    taped(path, entry("b", "Another word.", at=1_800_000_000.0))
    old, new = before.splitlines(), path.read_bytes().splitlines()
    assert len(set(new) - set(old)) == 2  # the line, and the header


def test_many_writers_of_one_tape_lose_nothing(path):
    def record(start):
        writer = TapeWriter(path, VERSIONS)
        for number in range(start, start + 10):
            writer.add(entry(f"question {number}"))
            writer.flush()

    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_tape import *; from pathlib import Path\n"
        "for n in range(100, 120): taped(Path(sys.argv[2]), entry(f'question {n}'))"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__), str(path)]  # noqa: PTH120
    other = subprocess.Popen(command)
    threads = [threading.Thread(target=record, args=(start,)) for start in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(30) == 0
    assert len(Tape.read(path)) == 50


def test_no_flipped_bit_is_ever_served_and_its_line_is_named(path):
    entries = [entry(f"question {n}") for n in range(5)]
    taped(path, *entries)
    right = {line_of(one)[0]: one for one in entries}
    whole, chance, noticed = path.read_bytes(), random.Random(7), 0
    start = whole.index(b"\n") + 1
    for _ in range(600):
        at = chance.randrange(start, len(whole) - 1)
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        tape = Tape.of(bytes(data), "study.jsonl")
        assert all(tape.get(key).answer == right[key].answer for key in tape.lines)
        if len(tape.lines) < 5:
            noticed += 1
            assert tape.told_damage().startswith(f"line {whole[:at].count(10) + 1} of study.jsonl is damaged")
    assert noticed == 600


def test_a_line_that_is_cut_off_doubled_or_marked_by_a_merge_is_named_and_not_served(path):
    taped(path, entry("a"), entry("b"))
    head, first, second = path.read_bytes().splitlines()
    key = second[8:72].decode()
    for lines, told in (
        ([head, first, second[:-9]], "line 3 of study.jsonl is damaged: its checksum is wrong."),
        (
            [head, first, second, second],
            "line 3 of study.jsonl is damaged (and 1 more): lines 3 and 4 answer the same question.",
        ),
        (
            [head, first, b"<<<<<<< HEAD", second[:50]],
            "line 3 of study.jsonl is damaged (and 1 more): it is not in the form",
        ),
    ):
        path.write_bytes(b"\n".join(lines))
        tape = Tape.read(path)
        assert tape.told_damage().startswith(told)
        assert tape.get(key) is None
        assert tape.get(first[8:72].decode()).answer.text == "Because."
        with pytest.raises(StoreError, match="is damaged"):  # before anything is asked, and nothing is overwritten
            TapeWriter(path, VERSIONS)
    path.write_bytes(b"\r\n".join([head, first, second, b""]))  # as some editors and git settings leave it
    assert len(Tape.read(path)) == 2


def test_a_later_version_and_foreign_files_are_refused_with_what_to_do(path, tmp_path, monkeypatch):
    def refused(match, kind=StoreError):
        for use in (Tape.read, lambda where: TapeWriter(where, VERSIONS)):
            with pytest.raises(kind, match=match):
                use(path)

    with pytest.raises(UserError, match=r"there is no tape study.jsonl here; record it first: %llm record study.jsonl"):
        Tape.read(path)
    for content, match in (
        ('{"format": "orchestrator-nb tape", "version": 2}\n', "later version; update"),
        ('{"format": "orchestrator-nb tape"}\n', "line 1 of study.jsonl is damaged"),
        ("OPENAI_API_KEY=sk-1\n", "^study.jsonl is no tape"),
        ("", "is no tape"),
        ("[" * 100_000, "is no tape"),
    ):
        path.write_text(content)
        refused(match)
        assert path.read_text() == content
    with path.open("wb") as file:
        file.truncate(tapes.MOST_BYTES + 1)
    refused("is larger than 512 MiB")
    path.unlink()
    os.mkfifo(path)
    refused("is no file")
    path.unlink()
    path.mkdir()
    refused("is no file")


def sealed(record, key=None):
    """A line with the right checksum, as somebody would make it who knows the form."""
    key = key or digest(canonical(record.get("request")))
    rest = json.dumps(record, sort_keys=True, separators=(",", ":"))
    total = hashlib.sha256(f"{key}{rest}".encode()).hexdigest()
    return key, f'{{"key":"{key}","sum":"{total}",{rest[1:]}'.encode()


@pytest.mark.parametrize(
    "change",
    [
        {"took": {"latency_s": float("nan")}},
        {"took": {"latency_s": 10**400}},
        {"took": {"sleep": 3}},
        {"took": []},
        {"response": {"v": 1, "model": "m", "usage": {"input": 10**30}}},
        {"response": {"v": 1, "model": "m", "cost": {"usd": "1E+999999", "source": "x"}}},
        {"response": {"v": 1, "model": "m", "parts": [{"type": "Path", "text": "/etc/passwd"}]}},
        {"response": {"v": 2, "model": "m"}},
        {"response": {"v": 1, "model": "m", "source": "cache"}},
        {"response": {"v": 1, "model": "m", "parts": [{"type": "Text", "text": "half \ud83d"}]}},
        {"response": {"v": 1, "model": "m", "parsed": ["\udfff"]}},
        {"response": None},
        {"error": {"kind": "content_filter", "message": "m"}},
        {"more": 1},
    ],
    ids=str,
)
def test_hostile_content_is_an_error_that_names_its_line(change):
    key, line = sealed({**entry_record(entry()), **change})
    tape = tape_of(line)
    with pytest.raises(StoreError, match=r"line 2 of study\.jsonl is damaged"):
        tape.get(key)
    assert tape.nearest(asked("Something else")) is None or tape.nearest(asked("Something else")).line == 2


@pytest.mark.parametrize(
    "error",
    [
        {"kind": "exec", "message": "x"},
        {"kind": "auth"},
        {"kind": [], "message": "x"},
        {"kind": "content_filter", "message": "\x1b]0;owned\x07"},
        {"kind": "content_filter", "message": "x", "request_id": "\u202e"},
        {"kind": "content_filter", "message": "half \ud83d"},
        [],
        "x",
    ],
    ids=ascii,
)
def test_an_error_that_is_none_of_ours_is_refused(error):
    key, line = sealed({"request": request_record(asked()), "took": {}, "error": error})
    with pytest.raises(StoreError, match=r"line 2 of study\.jsonl is damaged"):
        tape_of(line).get(key)


@pytest.mark.parametrize(
    ("parsed", "told"),
    [
        ("1e999", "1e999 is beyond measure"),
        ("[" * 100_000 + "]" * 100_000, "it nests too deeply"),
        ("9" * 5_000, "4300 digits"),
        ("NaN", "NaN is no JSON"),
    ],
    ids=["infinity", "depth", "digits", "NaN"],
)
def test_numbers_and_depths_that_break_a_reader_are_refused(parsed, told):
    record = entry_record(entry())
    text = canonical({**record, "response": {**record["response"], "parsed": "HERE"}}).replace('"HERE"', parsed)
    key = asked().key
    line = f'{{"key":"{key}","sum":"{hashlib.sha256(f"{key}{text}".encode()).hexdigest()}",{text[1:]}'.encode()
    with pytest.raises(StoreError, match=rf"line 2 of study\.jsonl is damaged: .*{told}"):
        tape_of(line).get(key)


def test_whole_characters_and_a_question_with_half_of_one_are_kept(path):
    taped(path, entry("half \ud83d", "A whale \U0001f40b."))
    tape = Tape.read(path)
    assert [tape.get(key).answer.text for key in tape.lines] == ["A whale \U0001f40b."]


def test_an_error_is_recorded_as_one_printable_line():
    error = ContentFiltered("no\x1b[2J\nnever", kind="content_filter", request_id="\x07id")
    key, line = line_of(Entry(request_record(asked()), error=error))
    read = tape_of(line).get(key).error
    assert read.args[0].isprintable()
    assert read.request_id == " id"


def test_an_answer_under_the_key_of_another_question_is_not_served():
    key, line = sealed(entry_record(entry("Is this paper sound?", "No.")), key=asked("Is that paper sound?").key)
    with pytest.raises(StoreError, match="its question is not the one of its key"):
        tape_of(line).get(key)


def test_what_holds_a_key_or_cannot_be_json_is_not_written(path):
    writer = taped(path, entry("a", "the key is sk-canary"), entry("b"), holds_key=lambda line: "sk-canary" in line)
    assert writer.withheld == 1
    assert not writer.add(replace(entry("c"), latency_s=float("nan")))
    assert "sk-canary" not in path.read_text()
    assert len(Tape.read(path)) == 1


def test_where_nothing_can_be_written_is_said_before_anything_is_asked(tmp_path):
    with pytest.raises(
        StoreError, match=r"t.jsonl cannot be written: No such file or directory. Name a tape in a folder"
    ):
        TapeWriter(tmp_path / "missing" / "t.jsonl", VERSIONS)


def test_what_could_not_be_written_is_written_with_the_next_flush(path):
    writer = taped(path, entry("a"))
    path.rename(path.with_suffix(".aside"))
    path.mkdir()
    writer.add(entry("b"))
    with pytest.raises(StoreError):
        writer.flush()
    path.rmdir()
    path.with_suffix(".aside").rename(path)
    writer.flush()
    assert len(Tape.read(path)) == 2


def test_a_link_is_replaced_and_never_written_through(path, tmp_path):
    target = tmp_path / "elsewhere"
    taped(target, entry("a"))
    before = target.read_bytes()
    path.symlink_to(target)
    taped(path, entry("b"))
    assert target.read_bytes() == before
    assert not path.is_symlink()
    assert len(Tape.read(path)) == 2


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (asked("Why is the sky red?"), "its prompt is 'Why is the sky blue?', not 'Why is the sky red?'"),
        (asked(model=ModelSpec(LAB, "two")), "its model is 'one', not 'two'"),
        (asked(model=ModelSpec(replace(LAB, base_url="http://127.0.0.1:9"), "one")), "its address is 'https://lab.example/v1', not 'http://127.0.0.1:9'"),
        (asked(params=Params(temperature=0.5)), "its temperature is unset, not 0.5"),
        (asked(system="Be brief."), "its system prompt is '', not 'Be brief.'"),
        (asked(sample=3), "its sample is 0, not 3"),
        (Request(ONE, (Message("user", (Text("Why is the sky blue?"), Image(b"x", "image/png"))),)), "it has another attachment or earlier turn"),
    ],
)  # fmt: skip
def test_the_nearest_question_is_named_with_what_differs(request_, told):
    others = (entry("Name a metal."), entry("Write a poem of a hundred lines about the sea.", system="Rhyme."))
    lines = [line_of(one)[1] for one in (entry(), *others)]
    near = tape_of(*lines).nearest(request_)
    assert near.differs == told
    assert sorted(lines)[near.line - 2] == lines[0]


def test_of_long_prompts_only_the_place_that_differs_is_shown():
    long = "word " * 2000
    near = tape_of(line_of(entry(f"{long}alpha{long}"))[1]).nearest(asked(f"{long}beta{long}"))
    around = "its prompt is '… word word word {}word word word …', not '… word word word {}word word word …'"
    assert near.differs == around.format("alpha", "beta")
    assert tape_of().nearest(asked()) is None
