"""A key that was typed into a cell is in no place any more when the cell has failed: not in the kernel, not in its history's bytes, not in the notebook."""

import secrets
import sqlite3
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from orchestrator_nb.magics.extension import load, unload
from orchestrator_nb.secret import fingerprint

sys.path.insert(0, str(Path(__file__).parents[1] / "magics"))

SETUP = """
%load_ext orchestrator_nb
%xmode Verbose
from IPython.core.magic import register_line_magic
from orchestrator_nb.errors import UserError
@register_line_magic
def naive(line):
    raise UserError("a key does not belong into a cell.")
"""

SEARCH = """
import gc, sys, linecache
def held():
    key = "".join(reversed({turned!r}))
    shell, history = get_ipython(), get_ipython().history_manager
    places = dict(
        In=In, raw=history.input_hist_raw, parsed=history.input_hist_parsed, cache=history.db_input_cache,
        i=[_i, _ii, _iii, history._i, history._ii, history._iii, history._i00],
        names=[v for k, v in get_ipython().user_ns.items() if k.startswith("_") and isinstance(v, str)],
        Out=list(Out.values()), errors=history.exceptions, lines=linecache.cache, last=[vars(sys).get("last_value")],
        result=[shell.last_execution_result.info.raw_cell, shell.last_execution_result.info.transformed_cell],
    )
    tracebacks = [vars(f.f_locals) if hasattr(f.f_locals, "__dict__") else f.f_locals for f in frames(vars(sys).get("last_traceback"))]
    return sorted(name for name, value in places.items() if key in repr(value)) + ["frame" for t in tracebacks if key in repr(t)]
def frames(tb):
    while tb:
        yield tb.tb_frame
        tb = tb.tb_next
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    return tmp_path


def saved(folder, source):
    """The notebook as the front end saved it before the cell ran, and its checkpoint; the notebook's path."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell(source)])
    path = folder / "story.ipynb"
    for file in (path, folder / ".ipynb_checkpoints" / "story-checkpoint.ipynb"):
        nbformat.write(notebook, file)
    return path


def on_disk(folder, key):
    """The files under the folder that hold the key, in any byte."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and key.encode() in p.read_bytes())


def run(folder, magic, key, monkeypatch):
    from kernels import kernel

    cell = f"%{magic} set OPENAI_API_KEY {key}"
    path = saved(folder, cell)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    with kernel(folder) as running:
        assert running.run(SETUP).status == "ok"
        assert running.run("1 + 1").status == "ok"
        shown = running.run(cell)
        assert (
            running.run("get_ipython().history_manager.writeout_cache()").status == "ok"
        )  # not when its thread gets to it
        left = on_disk(folder, key)
        assert running.run(SEARCH.format(turned=key[::-1])).status == "ok"
        return shown, running.value("held()"), left, path


@pytest.mark.slow
def test_a_key_in_a_cell_is_gone_from_everywhere_and_the_message_says_from_where(folder, monkeypatch):
    key = "sk-proj-" + secrets.token_urlsafe(30)
    shown, held, left, path = run(folder, "vault", key, monkeypatch)
    assert (held, left, on_disk(folder, key)) == ([], [], [])
    assert shown.reply["status"] == "ok", shown  # only then a notebook takes the new text
    (payload,) = shown.reply["payload"]
    assert (payload["text"], payload["replace"]) == ("%vault set OPENAI_API_KEY", True)  # run again, it asks
    nbformat.validate(nbformat.read(path, 4))
    rows = sqlite3.connect(folder / "ipython/profile_default/history.sqlite").execute("SELECT source_raw FROM history")
    [row] = [row for (row,) in rows if row.startswith("%vault")]
    assert row.startswith("%vault set OPENAI_API_KEY [key fp:")
    assert (
        fingerprint(key) not in row
    )  # it may be a password, whose fingerprint could be compared with those of guesses


@pytest.mark.slow
def test_without_the_scrub_the_key_is_in_all_those_places(folder, monkeypatch):
    key = "sk-proj-" + secrets.token_urlsafe(30)
    _, held, left, _ = run(folder, "naive", key, monkeypatch)
    assert {"In", "raw", "parsed", "i", "names", "lines"} <= set(held), held
    assert left == ["history.sqlite", "story-checkpoint.ipynb", "story.ipynb"]


def sent_at_once(client, *codes):
    """As "Run All" does: of the same moment, however long this process is kept from sending the next. The messages' ids."""
    rest = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True, "stop_on_error": True}
    messages = [client.session.msg("execute_request", {"code": code, **rest}) for code in codes]
    for message in messages:
        message["header"]["date"] = messages[0]["header"]["date"]
        client.shell_channel.send(message)
    return [message["header"]["msg_id"] for message in messages]


@pytest.mark.slow
def test_cells_that_were_sent_along_do_not_run_and_those_sent_later_do(folder):
    from kernels import kernel

    with kernel(folder) as running:
        assert running.run(SETUP).status == "ok"
        asked = sent_at_once(running.client, f"%vault set K sk-{secrets.token_hex(16)}", "after = 1", "more = 1")
        first, second, third = (running._reply(one)["status"] for one in asked)
        assert (first, second) == ("ok", "error")
        assert third in {"aborted", "error"}  # by the kernel if it was there in time, else by us
        assert running.run("'after' in globals() or 'more' in globals() or 1/0").status == "error"
        assert running.run("after = 2").status == "ok"
        assert running.value("len(get_ipython().ast_transformers)") == 0


@pytest.mark.slow
def test_without_a_person_the_cell_fails_and_the_sentence_says_what_to_do(folder, monkeypatch):
    from kernels import kernel

    key = f"sk-{secrets.token_hex(16)}"
    monkeypatch.setenv("JPY_SESSION_NAME", str(saved(folder, f"%vault set K {key}")))
    with kernel(folder) as running:
        assert running.run(SETUP).status == "ok"
        reply = running._reply(running.client.execute(f"%vault set K {key}", allow_stdin=False))
        assert reply["status"] == "error"
        assert reply["evalue"].startswith(
            "a key does not belong into a cell: it was taken out of In, IPython's history, story.ipynb and story-checkpoint.ipynb."
            " The program that runs this notebook writes it itself: the key will stand in its file."
            " If the notebook was saved, synced or shared before, replace the key at its vendor. "
        )
        assert key not in str(reply)
        assert running.run(SEARCH.format(turned=key[::-1])).status == "ok"
        assert running.value("held()") == []


@pytest.mark.slow
def test_under_a_program_that_runs_notebooks_the_sentence_says_that_the_file_will_hold_it(folder):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    key = f"sk-{secrets.token_hex(16)}"
    cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext orchestrator_nb", f"%vault set K {key}")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.raises(CellExecutionError) as failed:
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute(cwd=str(folder))
    assert key in notebook.cells[1].source  # so it is
    assert "this cell" not in str(failed.value)
    assert "writes it itself: the key will stand in its file." in str(failed.value)


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path / "home"))
    shell = InteractiveShell(user_ns={}, config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
    load(shell)
    yield shell
    unload(shell)


def test_in_a_terminal_there_is_no_cell_to_be_named(terminal):
    key = f"sk-{secrets.token_hex(16)}"
    told = said(terminal, f"%vault set K {key}")
    assert told.startswith("a key does not belong into a command: it was taken out of In")
    assert not [word for word in ("cell", "notebook") if word in told]
    assert key not in told
    assert terminal.rl_next_input == "%vault set K"


def test_a_password_is_called_so_and_changed_with_its_own_word(terminal):
    for line in ("%vault unlock my password", "%vault passwd correct-horse-battery-7-staple-9"):
        told = said(terminal, line)
        assert told.startswith("a password does not belong into a command: it was taken out of In"), told
        assert "change it with %vault passwd" in told
        assert not [word for word in ("vendor", "a key", "my", "horse") if word in told.split()]
    assert "take another one" in said(terminal, "%vault init my password")


def said(shell, line):
    result = shell.run_cell(line, store_history=True)
    return str(result.error_in_exec)
