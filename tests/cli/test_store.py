"""``onb runs`` and ``onb store`` say what was asked, and look after the file."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import warm

from orchestrator_nb import Session


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with Session.open(cwd=folder, environ={"ORCHESTRATOR_NB_HOME": str(folder)}) as session:
        session.simulate(True)
        session.compare("Name a metal.", ["sonnet", "flash"])
    return folder


def onb(home, *words):
    environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(home)}
    return subprocess.run(
        [*warm.onb(), *words], env=environ, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )


def test_runs_are_listed_shown_and_exported(home, tmp_path):
    [run] = [json.loads(line) for line in onb(home, "runs", "list", "--json").stdout.splitlines()]
    assert run["calls"] == 2
    assert run["run"] in onb(home, "runs", "list").stdout
    assert "2 calls: 2 simulated" in onb(home, "runs", "show").stdout
    rows = [
        json.loads(line) for line in onb(home, "runs", "export", run["run"], "--format", "jsonl").stdout.splitlines()
    ]
    assert [row["provider"] for row in rows] == ["anthropic", "gemini"]
    out = tmp_path / "rows.csv"
    assert onb(home, "runs", "export", "-o", str(out)).returncode == 0
    assert out.read_text().startswith("run_id,call_id,")
    assert ",note" not in out.read_text()
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as session:
        session.mark(rows[1]["call_id"], best=True, note="=1+1")
    onb(home, "runs", "export", "-o", str(out))
    assert pd.read_csv(out)[["best", "note"]].fillna("").to_numpy().tolist() == [[False, ""], [True, "=1+1"]]


def test_the_file_is_found_checked_shrunk_and_saved(home, tmp_path):
    assert onb(home, "store", "path").stdout.strip() == str(home / "data" / "store.db")
    checked = onb(home, "store", "check")
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "sound")
    assert "after" in onb(home, "store", "vacuum").stdout
    assert "2 answers" in onb(home, "store", "salvage", str(tmp_path / "new.db")).stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("runs", "show", "nothing"), 2, "onb: there is no run 'nothing'; onb runs list"),
        (("runs", "resume"), 2, "nothing is left to ask"),
        (("ask", "x", "-m", "sonnet", "--fresh", "--source", "replay=t"), 2, "--fresh asks a model"),
    ],
)
def test_a_wrong_word_is_one_sentence(home, words, code, says):
    done = onb(home, *words)
    assert done.returncode == code
    assert says in done.stderr


def test_on_a_terminal_an_export_steers_nothing_and_to_a_pipe_it_is_as_it_was(tmp_path):
    pty = pytest.importorskip("pty")
    name = "\x1b]0;owned\x07\u202eabc"
    with Session.open(cwd=tmp_path, environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as session:
        session.simulate(True)
        session.compare("{{ who }} here", ["sonnet"], over=[{"who": name}])
    piped = onb(tmp_path, "runs", "export").stdout
    assert name in piped
    ours, theirs = pty.openpty()
    environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "orchestrator_nb", "runs", "export"]
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"abc here" in shown
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
    assert "\u202e" not in shown.decode()


def _read(handle):
    try:
        return os.read(handle, 65536)
    except OSError:  # the other end is closed
        return b""


def test_before_anything_was_asked_that_is_said(tmp_path):
    done = onb(tmp_path, "runs", "list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no run is written down yet.\n")
    done = onb(tmp_path, "runs", "show")
    assert (done.returncode, done.stderr) == (2, "onb: no run is written down yet: ask something first.\n")


def test_an_empty_list_of_a_file_that_is_no_store_says_why(tmp_path):
    file = tmp_path / "data" / "store.db"
    file.parent.mkdir()
    file.write_text("no database at all")
    done = onb(tmp_path, "runs", "list")
    assert "is damaged; onb store salvage" in done.stderr
    checked = onb(tmp_path, "store", "check")
    assert (checked.returncode, checked.stdout.count("not a database")) == (1, 1)
    assert "nothing in the old file could be read" in onb(tmp_path, "store", "salvage", "new.db").stderr
    assert file.read_text() == "no database at all"
