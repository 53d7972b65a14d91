"""The study beside its tape: it shows what is saved, without a connection, a key or a vault, and `onb verify` says so."""

import json
import os
from pathlib import Path

import nbclient
import nbformat
import pytest
from click.testing import CliRunner

from orchestrator_nb.cli import main
from orchestrator_nb.cli.outputs import difference

HERE = Path(__file__).parents[2] / "notebooks"
STUDY = HERE / "04_reproducible.ipynb"
TAPE = HERE / "04_reproducible.jsonl"
FORBID = """
import os, socket

def connect(_socket, address):
    with open(os.environ["TRIED"], "a") as file:
        print(address, file=file)
    raise OSError("no connection in this test")

socket.socket.connect = socket.socket.connect_ex = connect
"""
"""The kernel's own sockets are not Python's, and go on."""


@pytest.fixture
def ran_alone(tmp_path, monkeypatch):
    """Runs a notebook in a kernel that may not connect, with an empty home; gives it and what was tried."""
    ipython, home, tried = tmp_path / "ipython", tmp_path / "home", tmp_path / "tried"
    start = ipython / "profile_default" / "startup" / "forbid.py"
    start.parent.mkdir(parents=True)
    start.write_text(FORBID)
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("ORCHESTRATOR_NB_")]:
        monkeypatch.delenv(name)
    own = {"IPYTHONDIR": str(ipython), "ORCHESTRATOR_NB_HOME": str(home), "TRIED": str(tried)}
    own["ORCHESTRATOR_NB_LIMITS__ATTEMPTS"] = "1"

    def run(notebook):
        where = {"metadata": {"path": str(HERE)}}
        client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources=where)
        client.execute(env={**os.environ, **own})
        assert not list(home.rglob("*.onbv"))
        return notebook, tried.read_text() if tried.exists() else ""

    return run


@pytest.mark.slow
def test_the_study_shows_what_is_saved_without_a_connection_or_a_vault(ran_alone):
    saved = nbformat.read(STUDY, as_version=4)
    again, tried = ran_alone(nbformat.read(STUDY, as_version=4))
    assert tried == ""
    for old, new in zip(saved.cells, again.cells, strict=True):
        assert difference(old.get("outputs", []), new.get("outputs", [])) == [], old.source


@pytest.mark.slow
def test_without_its_tape_it_would_have_connected(ran_alone):
    cells = ["%load_ext orchestrator_nb\n%llm simulate on", "%%llm sonnet --on-error return\nAre bats blind?"]
    live = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    _, tried = ran_alone(live)
    assert "127.0.0.1" in tried


@pytest.mark.slow
def test_onb_verify_finds_it_equal():
    done = CliRunner().invoke(main, ["verify", str(STUDY)])
    assert done.output.endswith("10 code cells are the saved ones, in both replays.\n"), done.output
    assert done.exit_code == 0


def test_the_tape_says_that_its_answers_were_simulated_and_holds_no_more_than_the_study_asks():
    header, *lines = TAPE.read_text("ascii").splitlines()
    assert json.loads(header)["totals"]["answers"] == len(lines) == 108 + 18
    assert all('"simulated"' in line for line in lines)


def test_a_changed_question_is_told_from_the_nearest_one():
    error = nbformat.read(STUDY, as_version=4).cells[-2].outputs[-1]
    assert error.ename == "ReplayMiss"
    assert "this statement true or false?" in error.evalue
    assert "this statement correct or false?" in error.evalue
