"""``onb scan`` finds what was left behind and shows none of it; ``onb scrub`` takes it out of the files' very bytes."""

import json
import os
import secrets
import sqlite3
import sys
import sysconfig
from pathlib import Path

import nbformat
import pexpect
import pytest
from click.testing import CliRunner

from orchestrator_nb.cli import main
from orchestrator_nb.secret import Hidden, fingerprint
from orchestrator_nb.traces.finder import STORED, Keys
from orchestrator_nb.traces.patterns import PATTERNS
from orchestrator_nb.traces.scan import Finding, scan
from orchestrator_nb.vault.digests import Digests
from orchestrator_nb.vault.kdf import Pbkdf2
from orchestrator_nb.vault.vault import Vault

sys.path.insert(0, str(Path(__file__).parent))
from leftovers import OPEN, leave, made


@pytest.fixture
def keys():
    yield made()
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "work" / "ipython"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def store(home, values):
    """What a vault with these keys leaves for the scan."""
    (home / "state").mkdir(parents=True)
    marks = Digests.load(home / "none").adding((fingerprint(value), Hidden(value)) for value in values)
    marks.save(home / "state" / "scan-default.json")


def onb(*words):
    return CliRunner().invoke(main, words)


def pieces(value, length=6):
    return {value[at : at + length] for at in range(len(value) - length + 1)}


def bytes_under(folder):
    """All of it, but for the index that SQLite keeps beside a write-ahead log while it is read."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.match("*-shm"))


def test_twenty_kinds_of_keys_are_found_in_six_places_and_none_is_shown(home, keys):
    store(home, keys.values())
    places = leave(Path(), keys.values())
    done = onb("scan", "--json")
    found = {
        (one["path"], one["fingerprint"]) for one in map(json.loads, done.stdout.splitlines()) if one["kind"] == STORED
    }
    assert found == {(str(path), f"fp:{fingerprint(key)}") for path in places.values() for key in keys.values()}
    assert len(found) == 120
    assert done.exit_code == 1
    shown = done.output + onb("scan").output
    assert not [name for name, key in keys.items() if any(piece in shown for piece in pieces(key))]


def test_a_place_is_named_by_cell_output_line_or_session(home, keys):
    store(home, keys.values())
    leave(Path(), keys.values())
    shown, fps = onb("scan").stdout, [fingerprint(key) for key in keys.values()]
    history = Path("ipython/profile_default/history.sqlite")
    for place in (
        "cells.ipynb cell 1",
        "outputs.ipynb cell 1 output 1",
        "tape.jsonl line 1",
        f"{history} session 1 line 1",
    ):
        assert f"{place}: stored key fp:{fps[0]}\n" in shown
    assert f"run.log line 20: stored key fp:{fps[19]}\n" in shown


def test_after_the_scrub_no_byte_is_left_and_every_file_still_opens(home, keys):
    store(home, keys.values())
    places = leave(Path(), keys.values())
    places["log"].chmod(0o640)
    before = {name: path.stat() for name, path in places.items() if name != "history"}
    assert all(key.encode() in bytes_under(Path()) for key in keys.values())
    done = onb("scrub", "--yes")
    assert done.exit_code == 0, done.output
    held = bytes_under(Path())
    assert not [name for name, key in keys.items() if key.encode() in held]
    assert onb("scan").exit_code == 0
    for name, status in before.items():
        assert (places[name].stat().st_mode, places[name].stat().st_mtime_ns) == (status.st_mode, status.st_mtime_ns)
    for name in ("cells", "outputs", "checkpoint"):
        nbformat.validate(nbformat.read(places[name], 4))
    rows = sqlite3.connect(places["history"]).execute("SELECT source FROM history").fetchall()
    assert rows[0] == (f"os.environ['K'] = '[key fp:{fingerprint(keys['anthropic'])}]'",)


def test_patterns_are_the_second_net(home, keys, capsys):
    places = leave(Path(), keys.values())
    figures = {}
    for name, path in places.items():
        found = {one.fp for one in scan([path], Keys(())) if isinstance(one, Finding)}
        figures[name] = sum(fingerprint(key) in found for key in keys.values())
    print("keys of 20 found by their looks alone:", figures)  # noqa: T201  # shown when it fails, and by the soak run
    assert figures["outputs"] >= 16  # where nothing names it, a key that is mere hex or letters is found by value alone
    assert min(figures[name] for name in ("cells", "tape", "log")) == 20


@pytest.mark.slow
def test_ordinary_text_and_code_hold_no_key():
    lines, hits = 0, []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if lines >= 100_000:
            break
        text = path.read_text(errors="replace")
        lines += text.count("\n")
        hits += [(path, pattern.name, text[start:end]) for pattern in PATTERNS for start, end in pattern.find(text)]
    assert lines >= 100_000
    assert hits == []


def test_scrub_asks_and_without_a_person_says_to_add_yes(home, keys):
    store(home, keys.values())
    leave(Path(), keys.values())
    before = bytes_under(Path())
    done = onb("scrub")
    assert (done.exit_code, bytes_under(Path())) == (2, before)
    assert "--yes" in done.stderr


def key_of_openai():
    return f"sk-proj-{secrets.token_urlsafe(40)}"


@pytest.fixture
def vault(home):
    """Where ``onb`` looks for it; open."""
    made = Vault(home / "data/vaults/default.onbv", state=home / "state", kdf=Pbkdf2(100_000))
    made.create(Hidden("correct horse battery"))
    yield made
    made.lock()


def put(vault, name, value):
    vault.put(name, "example", Hidden(value), ["https://api.example.com:443"])
    return value


ASSIGNMENTS = [".env", ".env.local", ".envrc", "prod.env", "secrets.sh", "plain"]


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_of_a_file_of_assignments_only_keys_that_the_vault_has_now_are_taken(vault, name):
    held, removed, replaced, other = (key_of_openai() for _ in range(4))
    put(vault, "A", held), put(vault, "B", removed), put(vault, "C", replaced)
    vault.remove("B"), put(vault, "C", key_of_openai())
    lines = f"# keys\nexport A={held}\nB={removed}\n\nC='{replaced}'\nD={other}\nD2={other}\n"
    Path(name).write_text(lines)
    Path("run.log").write_text(f"at 12:00 used {removed}\n")
    done = onb("scrub", "--yes")
    assert done.exit_code == 1
    assert Path(name).read_text() == lines.replace(held, f"[key fp:{vault.facts()[0].fp}]")
    assert (
        f"{name}: 1 of 4 keys taken; 3 left, as they may stand nowhere else: onb vault import {name}, then scrub again"
        in done.stdout
    )
    assert removed not in Path("run.log").read_text()


def test_a_vault_that_is_gone_or_older_than_its_digests_holds_nothing_now(vault):
    older = put(vault, "A", key_of_openai()) and vault.path.read_bytes()
    key = put(vault, "B", key_of_openai())
    Path(".env").write_text(f"B={key}\n")
    for content in (older, b"no vault", None):
        vault.path.unlink()
        if content is not None:
            vault.path.write_bytes(content)
            vault.path.chmod(0o600)
        done = onb("scrub", "--yes")
        assert ".env: 0 of 1 key taken; 1 left, as it may stand nowhere else" in done.stdout
        assert Path(".env").read_text() == f"B={key}\n"


def test_what_one_vault_held_and_another_holds_is_held(vault, home):
    key = put(vault, "A", key_of_openai())
    other = Vault(home / "data/vaults/work.onbv", state=home / "state", kdf=Pbkdf2(100_000))
    other.create(Hidden("correct horse battery")), put(other, "A", key), vault.remove("A")
    Path(".env").write_text(f"A={key}\n")
    assert onb("scrub", "--yes").exit_code == 0
    assert key not in Path(".env").read_text()
    other.lock()


def test_an_interrupt_at_the_question_leaves_all_as_it_was_and_ends_as_elsewhere(home):
    Path("a.log").write_text(key := key_of_openai())
    child = pexpect.spawn(sys.executable, ["-m", "orchestrator_nb", "scrub", "a.log"], encoding="utf-8", timeout=30)
    child.expect("Replace the keys")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, Path("a.log").read_text()) == (130, key)
    assert "onb: interrupted" in child.before
    assert "Aborted" not in child.before


def test_what_is_not_looked_at_is_told(home, tmp_path):
    Path("video.bin").write_bytes(b"\0" * 9_000_000)
    Path("old.log.gz").write_bytes(b"\x1f\x8b rest")
    Path("link").symlink_to(tmp_path)
    Path(".git").mkdir()
    done = onb("scan")
    for told in ("video.bin: not a text", "old.log.gz: compressed (gzip)", "link: a link", ".git: a folder of tools"):
        assert told in done.stderr
    assert done.exit_code == 0
    assert onb("scan", "nowhere").exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(home):
    Path("secret.log").touch(mode=0o000)
    assert "secret.log: cannot be read: Permission denied" in onb("scan").stderr


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("widgets.ipynb", lambda key: json.dumps({"cells": [], "metadata": {"widgets": {"state": {"value": key}}}})),
        ("broken.ipynb", lambda key: '{"cells": [{"source": "' + key),
        ("twice.ipynb", lambda key: json.dumps({"cells": [{"source": json.dumps({"k": key})}], "metadata": {}})),
        ("windows.log", lambda key: f"the key {key}\r\n".encode("utf-16")),
        ("latin.txt", lambda key: b"caf\xe9 " + key.encode()),
    ],
)
def test_odd_files_are_read_and_cleaned_too(home, name, write):
    key = f"s3cr3t+/\"{secrets.token_urlsafe(20)}'"
    store(home, [key])
    content = write(key)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = onb("scan")
    assert f"stored key fp:{fingerprint(key)}" in done.stdout
    assert onb("scrub", "--yes").exit_code == 0
    assert onb("scan").exit_code == 0
    assert f"[key fp:{fingerprint(key)}]" in Path(name).read_bytes().decode(
        "utf-16" if "windows" in name else "latin-1"
    )


def test_a_line_of_many_megabytes_is_read_to_its_end(home):
    key = secrets.token_urlsafe(32)
    store(home, [key])
    Path("long.json").write_text("[" + "1," * 2_200_000 + f'"{key}"]')
    assert onb("scrub", "--yes").exit_code == 0
    assert key not in Path("long.json").read_text()


def test_a_link_is_not_followed_out_of_the_folder(home, tmp_path):
    key = f"sk-proj-{secrets.token_urlsafe(40)}"
    (tmp_path / "elsewhere.txt").write_text(key)
    Path("link.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert onb("scan").exit_code == 0
    assert onb("scrub", "--yes", "link.txt").exit_code == 0
    assert (tmp_path / "elsewhere.txt").read_text() == key


def test_a_database_of_another_program_is_left_alone_and_named(home):
    key = f"sk-proj-{secrets.token_urlsafe(40)}"
    with sqlite3.connect("app.db") as base:
        base.execute("CREATE TABLE settings (name, value)")
        base.execute("INSERT INTO settings VALUES ('k', ?)", [key])
    base.close()
    assert "app.db settings row 1: OpenAI key" in onb("scan").stdout
    done = onb("scrub", "--yes")
    assert done.exit_code == 1
    assert "app.db: a database; delete the row with its own program" in done.stdout


@pytest.mark.soak
def test_figures_over_many_sets_of_keys_and_much_code(home, tmp_path, capsys):
    by_value, by_looks, sets = 0, dict.fromkeys(("cells", "outputs", "checkpoint", "history", "tape", "log"), 0), 20
    for seed in range(sets):
        keys = made(seed).values()
        places = leave(tmp_path / str(seed), keys)
        marks = Digests(secrets.token_bytes(32)).adding((fingerprint(key), Hidden(key)) for key in keys)
        for name, path in places.items():
            found = [one for one in scan([path], Keys((marks,))) if isinstance(one, Finding) and one.kind == STORED]
            by_value += len({one.fp for one in found})
            looks = {one.fp for one in scan([path], Keys(())) if isinstance(one, Finding)}
            by_looks[name] += sum(fingerprint(key) in looks for key in keys)
        OPEN.pop().close()
    lines, hits = 0, []
    for path in Path(sysconfig.get_paths()["purelib"]).rglob("*.py"):
        text = path.read_text(errors="replace")
        lines += text.count("\n")
        hits += [path for pattern in PATTERNS for _ in pattern.find(text) if "test" not in str(path).lower()]
    with capsys.disabled():
        print(f"\nby value: {by_value} of {sets * 120}; by looks, of {sets * 20} in each place: {by_looks}")  # noqa: T201
        print(f"taken for keys in {lines:,} lines of installed code that tests nothing: {len(hits)}")  # noqa: T201
    assert by_value == sets * 120
    assert len(hits) <= lines / 100_000
