"""``onb verify`` runs a notebook twice from its tape and says whether it shows what is saved; ``onb ask --source`` records and replays in the shell."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
import warm
from click.testing import CliRunner

from orchestrator_nb.cli import main
from orchestrator_nb.cli.outputs import MOST_LINES, difference
from orchestrator_nb.cli.verify import _compared, _hints
from orchestrator_nb.results.estimate import Estimate, Share
from orchestrator_nb.source import NAME_A_TAPE

CELLS = [
    "%load_ext orchestrator_nb",
    "%llm simulate on",  # another port each time
    "%llm record study.jsonl",
    "%%llm one << sonnet\nWhy is the sky blue?",
    "%%llm many << sonnet flash --repeat 2 --source live\nName a metal.",
    "many[['model', 'text', 'cost_usd', 'latency_s', 'run_id']], object()",
    "import os\n[name for name in os.environ if name.startswith('OTHER_')]",
    "%%llm anthropic/sim-400 --on-error return --source record\nSay it.",
    "%%llm sonnet --dry-run\nWhy is the sky blue?",
    "%%llm sonnet --repeat 61 -o max_tokens 20\nName a metal.",  # a line above it says what it will take
]


def made(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return notebook


@pytest.fixture
def onb(tmp_path):
    def run(*args, **environ):
        environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), **environ}
        command = [*warm.onb(), *args]
        return subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
        )

    return run


@pytest.mark.slow
def test_of_a_recorded_notebook_only_the_changed_cells_differ(onb, tmp_path, monkeypatch):
    import nbclient

    monkeypatch.chdir(tmp_path)
    notebook = made(tmp_path / "study.ipynb", *CELLS)
    notebook.cells[4].source = CELLS[4].replace(" --source live", "")
    nbclient.NotebookClient(notebook, timeout=60).execute()
    notebook.cells[4].source = CELLS[4]  # which replays all the same
    notebook.cells[3].source = "%%llm one << sonnet\nWhy is the sky red?"
    notebook.cells.append(nbformat.v4.new_code_cell("import random\nrandom.random()"))
    nbformat.write(notebook, tmp_path / "study.ipynb")

    secrets = {"OTHER_API_KEY": "sk-other-0123456789", "OTHER_TOKEN": "hf-0123456789"}
    done = onb("verify", "study.ipynb", **secrets, ORCHESTRATOR_NB_SOURCE="live")
    *shown, verdict = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert (
        verdict
        == "study.ipynb: different. Of 11 code cells, 2 differ from what is saved; 1 differs between two replays."
    )
    assert shown[-1].startswith("What differs between two replays comes from time, chance or another file")
    assert shown[0] == "code cell 4 differs, saved and replayed: %%llm one << sonnet"
    assert any("ReplayMiss" in line and "'Why is the sky blue?'" in line for line in shown)
    assert "code cell 11 differs, one replay and the next: import random" in shown


@pytest.mark.slow
def test_an_equal_notebook_is_said_to_be_in_one_line_and_stays_as_it_is(onb, tmp_path):
    notebook = made(tmp_path / "sum.ipynb", "1 + 1")
    result = nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=7)
    notebook.cells[0].outputs = [result]
    nbformat.write(notebook, tmp_path / "sum.ipynb")
    saved = (tmp_path / "sum.ipynb").read_bytes()
    done = onb("verify", "sum.ipynb")
    assert done.stdout == "sum.ipynb: equal. The outputs of 1 code cell are the saved ones, in both replays.\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "sum.ipynb").read_bytes() == saved


def test_the_usual_reasons_are_told_with_what_to_do():
    def book(*outputs):
        cells = [nbformat.v4.new_code_cell("x", outputs=printed(*texts) if texts else []) for texts in outputs]
        return nbformat.v4.new_notebook(cells=cells)

    def told(saved, replayed, again):
        return [hint.split(":")[0] for hint in _hints(saved, replayed, _compared(saved, replayed, again))]

    missing = book([])
    missing.cells[0].outputs = [nbformat.v4.new_output("error", ename="UserError", evalue=NAME_A_TAPE, traceback=[])]
    assert told(book(["1"]), book(["1"]), book(["1"])) == []
    assert told(book([]), book(["1"]), book(["1"])) == ["The notebook was saved without outputs"]
    assert told(book(["1"]), missing, missing) == ["The notebook names no tape that is there"]
    [hint] = told(book(["1"]), book(["1"]), book(["2"]))
    assert hint.startswith("What differs between two replays comes from time, chance")


def test_what_is_no_notebook_and_what_is_not_installed_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "notes.ipynb").write_text("no JSON")
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "notes.ipynb")])
    assert (done.exit_code, done.output) == (2, "onb: notes.ipynb is no notebook that can be read.\n")
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "missing.ipynb")]).exit_code == 2

    made(tmp_path / "study.ipynb", "1")
    monkeypatch.setitem(sys.modules, "nbclient", None)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "study.ipynb")])
    assert done.exit_code == 2
    assert done.output.endswith("pip install 'orchestrator-nb[lab]'\n")


def test_the_shell_records_and_replays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def onb(*args, **environ):
        return CliRunner(env={"ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), **environ}).invoke(main, args)

    asked = ("ask", "Name a metal.", "-m", "sonnet", "--json")
    first = onb(*asked, "--simulate", "--source", "record=metals.jsonl")
    again = onb(*asked, "--source", "replay=metals.jsonl")
    rows = [json.loads(done.stdout) for done in (first, again)]
    assert [row["source"] for row in rows] == ["simulated", "replay"]
    assert rows[0]["text"] == rows[1]["text"]
    assert "1 replayed (simulated)" in again.stderr
    other = onb("ask", "Name a tree.", "-m", "sonnet", ORCHESTRATOR_NB_SOURCE="replay metals.jsonl")
    assert other.exit_code == 1
    assert "Record it: --source record=metals.jsonl" in other.stderr


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("replay=none.jsonl", "there is no tape none.jsonl here; record it first: --source record=none.jsonl"),
        ("replai x", "'replai' is no source"),
    ],
)
def test_a_wrong_source_is_wrong_usage(source, told):
    done = CliRunner().invoke(main, ["ask", "Hi", "-m", "sonnet", "--source", source])
    assert done.exit_code == 2
    assert told in done.output


# What may differ, and what may not


def shown(text, html=None):
    data = {"text/plain": text} | ({"text/html": f'<div class="onb-box">{html}</div>'} if html else {})
    return [{"output_type": "display_data", "data": data, "metadata": {}}]


def printed(*texts, name="stdout"):
    return [{"output_type": "stream", "name": name, "text": text} for text in texts]


def estimated(**counts):
    told = Estimate((Share("a/b", **counts),))._repr_mimebundle_()
    return [{"output_type": "display_data", "data": told, "metadata": {}}]


@pytest.mark.parametrize(
    ("saved", "replayed"),
    [
        (shown("<object at 0x7f36322850>"), shown("<object at 0x7f3ffff900>")),
        (shown("run 20261122-145037-0a1b2c"), shown("run 20271122-000000-ffffff")),
        (printed("simulator on at http://127.0.0.1:39239: no key"), printed("simulator on at http://127.0.0.1:4: no key")),
        (printed("source: record a.jsonl (models are asked)\nx"), printed("source: replay a.jsonl\nx")),
        (printed("one\n", "two\n"), printed("one\ntwo\n")),
        (
            shown("Hi\n\n4 calls: 3 live, 1 failed · 20 tokens · $0.01 · 1.5 s"),
            shown("Hi\n\n4 calls: 3 replayed, 1 failed · 20 tokens · saved $0.01"),
        ),
        (
            shown("Hi\n\na/b · live · 20 tokens · $0.01 · 1.5 s", '<div class="onb-summary" role="status">a/b · live · 20 tokens · $0.01 · 1.5 s</div>'),
            shown("Hi\n\na/b · replayed (simulated) · 20 tokens", '<div class="onb-summary" role="status">a/b · replayed (simulated) · 20 tokens</div>'),
        ),
        (shown("b (1.4 s, $1)", "<td>1.4 s</td>"), shown("b (0.20 s, $1)", "<td>0.20 s</td>")),
        (printed(Estimate((Share("a/b", new=61),)).announced + "\n", "x"), printed("x")),
        (printed("calls     3\nsource    record a.jsonl\n"), printed("calls     3\nsource    replay a.jsonl\n")),
        (estimated(new=3), estimated(replayed=3)),
    ],
)  # fmt: skip
def test_what_passes_is_not_compared(saved, replayed):
    assert difference(saved, replayed) == []


@pytest.mark.parametrize(
    ("saved", "replayed"),
    [
        (shown("42"), shown("43")),
        (shown("it took 1.4 s"), shown("it took 1.5 s")),  # the user's own words
        (shown("4 calls: 3 live, 1 failed · 20 tokens"), shown("4 calls: 4 replayed · 20 tokens")),
        (shown("4 calls: 4 live · 20 tokens"), shown("4 calls: 4 replayed · 21 tokens")),
        (shown("a"), []),
        (printed("estimate: mine\n"), printed("estimate: yours\n")),
        (printed(" "), []),
        (printed("a"), printed("a", name="stderr")),
        (shown("x", "<td>$0.01</td>"), shown("x", "<td>$0.02</td>")),
        (
            [{"output_type": "display_data", "data": {"image/png": "a" * 999}, "metadata": {}}],
            [{"output_type": "display_data", "data": {"image/png": "b" * 999}, "metadata": {}}],
        ),
        (
            [{"output_type": "error", "ename": "E", "evalue": "one", "traceback": []}],
            [{"output_type": "error", "ename": "E", "evalue": "two", "traceback": []}],
        ),
    ],
)
def test_all_else_counts_and_is_shown_in_a_few_short_lines(saved, replayed):
    lines = difference(saved, replayed)
    assert lines
    assert all(len(line) < 170 for line in lines)


def test_a_long_difference_is_cut():
    assert len(difference(shown("\n".join(map(str, range(99)))), shown("x"))) == MOST_LINES + 1
