"""A file made to stop or to blind the scan does neither: the others are looked at, and what could not be read is said."""

import json
import sqlite3
import time

import pytest

from orchestrator_nb.traces.finder import Keys
from orchestrator_nb.traces.places import Note
from orchestrator_nb.traces.scan import Finding, scan

KEY = "sk-proj-Zq8Xw2Lm5Nv7Bt3Rk9Hd4Gf6Js1Pc0Ya"


def found(folder):
    return list(scan([folder], Keys(())))


def deep(folder):
    (folder / "a.ipynb").write_text('{"cells": [], "metadata": ' + '{"a":' * 100_000 + "1" + "}" * 100_001)


def nested(folder):
    (folder / "a.ipynb").write_text(json.dumps({"cells": [], "metadata": _nested(700)}))


def _nested(depth):
    value = KEY[:5]
    for _ in range(depth):
        value = {"a": value}
    return value


def blanks(folder):
    (folder / "a.txt").write_text("key" + " " * 100_000 + "\nAWS_SECRET" + "aws_secret" * 10_000)


def computed(folder):
    with sqlite3.connect(folder / "a.sqlite") as base:
        base.execute("CREATE TABLE t (a, b GENERATED ALWAYS AS (hex(zeroblob(400000000))) VIRTUAL)")
        base.execute("INSERT INTO t (a) VALUES (1)")
    base.close()


@pytest.mark.parametrize("hostile", [deep, nested, blanks, computed])
def test_the_next_file_is_looked_at_and_soon(tmp_path, hostile):
    hostile(tmp_path)
    (tmp_path / "z.log").write_text(f"Bearer {KEY}")
    began = time.monotonic()
    findings = [one for one in found(tmp_path) if isinstance(one, Finding)]
    assert [one.path.name for one in findings] == ["z.log"]
    assert time.monotonic() - began < 20  # quadratic it took minutes


def test_a_text_in_utf_16_without_its_mark_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(f"a line\nBearer {KEY}\n".encode("utf-16-le"))
    assert [type(one) for one in found(tmp_path)] == [Finding]


def test_an_escaped_notebook_behind_a_mark_is_read(tmp_path):
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in KEY)
    notebook = '{"cells": [{"cell_type": "code", "source": "%s", "outputs": [], "metadata": {}}], "metadata": {}, "nbformat": 4}'
    (tmp_path / "a.ipynb").write_bytes(b"\xef\xbb\xbf" + (notebook % escaped).encode())
    assert any(isinstance(one, Finding) for one in found(tmp_path))


def test_zeros_are_no_text(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(20_000))
    assert [one for one in found(tmp_path) if not isinstance(one, Note)] == []
