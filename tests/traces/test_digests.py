"""Stored keys are found in a text by keyed digests alone, wherever they stand and however they are spelled; the file tells nothing else."""

import base64
import json
import os
import random
import secrets
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.secret import Hidden, fingerprint
from orchestrator_nb.vault.digests import BATCH, ROOM, Digests

WORD = string.ascii_letters + string.digits + "-_"
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
texts = st.text(st.characters(codec="utf-8"), max_size=40)
values = st.builds(  # drawn evenly, as vendors do
    lambda seed, signs, length: "".join(random.Random(seed).choices(signs, k=length)),
    st.integers(0, 2**64),
    st.sampled_from([WORD, PRINTABLE, string.hexdigits.lower()[:16]]),
    st.integers(12, 60),
)


def holding(*stored):
    return Digests(os.urandom(32)).adding((fingerprint(value), Hidden(value)) for value in stored)


def spelled(value, before, after, way):
    """The text, and where in it the value's own signs stand at least."""
    whole = (before + value + after).encode()
    if way == "hex":
        return whole.hex()
    if way == "base64":
        return base64.b64encode(whole).decode().rstrip("=")
    if way == "urlsafe":
        return base64.urlsafe_b64encode(whole).decode()
    form = {"plain": value, "quoted": quote(value, safe=""), "json": json.dumps(value)[1:-1]}[way]
    return before + form + after


@settings(max_examples=300, deadline=None)
@given(values, texts, texts, st.sampled_from(["plain", "quoted", "json", "hex", "base64", "urlsafe"]))
def test_every_form_is_found_at_every_place(value, before, after, way):
    text = spelled(value, before, after, way)
    (hit,) = holding(value).find(text)
    assert hit.fp == fingerprint(value)
    cleaned = text[: hit.start] + text[hit.end :]
    assert list(holding(value).find(cleaned)) == []
    if way in ("plain", "quoted", "json"):
        assert cleaned == before + after


@settings(max_examples=200, deadline=None)
@given(values, st.text(max_size=300) | st.text(st.sampled_from(WORD + "+/"), max_size=600))
def test_nothing_is_found_where_there_is_nothing(value, text):
    assert list(holding(value).find(text)) == []


def test_a_value_that_is_nearly_there_is_not_found():
    value = "sk-" + secrets.token_urlsafe(36)
    assert list(holding(value).find(f"x {value[:-1]} {value[1:]} {value.swapcase()}")) == []


def test_what_may_be_an_ordinary_word_leaves_no_mark():
    assert not holding("password", "hunter2")


def test_it_survives_a_restart_and_says_nothing_about_how_many_there_are(tmp_path):
    sizes = set()
    for count in (0, 1, 3, 40):
        stored = [secrets.token_hex(16) for _ in range(count)]
        holding(*stored).save(tmp_path / "digests")
        again = Digests.load(tmp_path / "digests")
        assert [hit.fp for hit in again.find(" ".join(stored))] == [fingerprint(value) for value in stored]
        sizes.add((tmp_path / "digests").stat().st_size - 3 * len(again.shapes))
        assert (tmp_path / "digests").stat().st_mode & 0o777 == 0o600
    assert len(sizes) == 1


def test_the_file_holds_no_piece_of_a_value_and_no_mark_twice(tmp_path):
    values = [secrets.token_urlsafe(32) for _ in range(20)]
    holding(*values).save(tmp_path / "digests")
    data = (tmp_path / "digests").read_bytes()
    assert not any(value[at : at + 6].encode() in data for value in values for at in range(len(value) - 5))
    marks = [group[at : at + 16] for group in Digests.load(tmp_path / "digests").groups for at in (4, 20, 36)]
    assert len(set(marks)) == len(marks) == 3 * ROOM


def test_adding_again_changes_nothing_and_a_key_that_is_at_hand_never_makes_room(tmp_path):
    value = secrets.token_hex(16)
    digests = holding(value)
    assert digests.adding([(fingerprint(value), Hidden(value))]).groups == digests.groups
    for _ in range(30):
        other = secrets.token_hex(16)
        digests = digests.adding((fingerprint(v), Hidden(v)) for v in (other, value))
    assert list(digests.find(value))


def pair(value):
    return fingerprint(value), Hidden(value)


def test_a_key_that_was_removed_is_found_until_the_room_is_full_and_then_the_oldest_is_forgotten_first():
    first, second, mine = (secrets.token_hex(20) for _ in range(3))
    digests = holding(first).adding([pair(second)])
    kept = []
    for count in range(ROOM // BATCH):
        digests = digests.adding([pair(secrets.token_hex(16)), pair(mine)])
        if count % 64 == 0 or count > ROOM // BATCH - 6:
            kept.append([bool(list(digests.find(value))) for value in (first, second, mine)])
    assert set(map(tuple, kept[:-4])) == {(True, True, True)}
    assert kept[-2:] == [[False, True, True], [False, False, True]]


def test_as_many_keys_as_there_are_places_fit_and_more_do_no_harm():
    stored = [secrets.token_hex(16) for _ in range(ROOM + 5)]
    digests = holding(*stored)
    assert len(digests.groups) == ROOM
    assert list(digests.find(stored[-1]))


def test_a_key_is_held_as_long_as_the_vault_is_as_it_was_when_the_key_was_in_it(tmp_path):
    odd, other, path = f"s3c+/ret{secrets.token_hex(9)}", secrets.token_hex(16), tmp_path / "digests"
    both = Digests(os.urandom(32)).adding([pair(odd), pair(other)], b"save 1")

    def held(digests, now):
        digests.save(path)
        return [hit.held for hit in Digests.load(path, now).find(f"{odd} {quote(odd, safe='')} {other}")]

    assert held(both, b"save 1") == [True, True, True]
    assert held(both, b"another") == held(both, b"") == [False, False, False]
    one = both.adding([pair(odd)], b"save 2")
    assert held(one, b"save 2") == [True, True, False]
    assert held(one.adding([pair(odd), pair(other)], b"save 3"), b"save 3") == [True, True, True]
    assert one.adding([pair(odd)], b"save 2").groups == one.groups


def test_the_file_looks_the_same_whether_a_key_is_held_or_not():
    stored = [secrets.token_hex(16) for _ in range(3)]
    before = Digests(os.urandom(32)).adding(map(pair, stored), b"save 1")
    after = before.adding(map(pair, stored[:1]), b"save 2")
    assert not {group[-8:] for group in before.groups} & {group[-8:] for group in after.groups}
    assert {group[:52] for group in before.groups} == {group[:52] for group in after.groups}


@pytest.mark.parametrize("damage", [b"", b"onb digests 1\n", b"onb digests 2\n", b"x" * 40_000])
def test_a_damaged_file_is_an_empty_one(tmp_path, damage):
    (tmp_path / "digests").write_bytes(damage)
    assert not Digests.load(tmp_path / "digests")
    assert not Digests.load(tmp_path / "none")


@pytest.mark.alone
def test_a_notebook_with_a_picture_is_read_in_less_than_three_seconds():
    lengths = (32, 39, 51, 53, 56, 64, 108, 164)
    stored = [secrets.token_urlsafe(200)[:length] for length in lengths]
    text = "def code(x):\n    return x + 1\n" * 11_000 + base64.b64encode(os.urandom(525_000)).decode() + stored[3]
    digests, tries = holding(*stored), []
    for _ in range(2):
        began = time.process_time()
        assert [hit.fp for hit in digests.find(text)] == [fingerprint(stored[3])]
        tries.append(time.process_time() - began)
    print(f"{len(text):,} signs, {len(lengths)} lengths of keys: {min(tries):.2f} s")  # noqa: T201  # shown when it fails
    assert min(tries) < 3
