"""The browser is closed in the middle of a run, or the kernel is started anew: the store is complete as far as the run came, and the rest can be asked."""

import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from vendor import Lab

sys.path.insert(0, str(Path(__file__).parents[1] / "magics"))

from kernels import Kernel, kernel

from orchestrator_nb import Session

LOAD = "%load_ext orchestrator_nb\nrows = [{'n': n} for n in range(8)]"
CELL = "%%llm found << lab/one --over rows --max-parallel 2\nquestion {{ n }} of NAME"


@pytest.fixture
def notebook(tmp_path):
    lab = Lab()
    lab.settings(tmp_path / "home")
    with kernel(tmp_path) as opened:
        assert opened.run(LOAD).status == "ok"
        yield opened, lab, tmp_path / "home"
    lab.close()


def reached(lab, number):
    """Set when so many questions have arrived."""
    event, until = threading.Event(), len(lab.asked) + number
    lab.heard = lambda _prompt: event.set() if len(lab.asked) >= until else None
    return event


@contextmanager
def another(manager):
    """A front end of a kernel that is there."""
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()


def told(home, run="last"):
    """What the store knows of a run: its places, and how many have an answer."""
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as session:
        found = session.retold(run)
    return len(found.calls), sum(call.error is None for call in found.calls)


@pytest.mark.slow
def test_a_run_outlives_its_front_end_and_a_restarted_kernel_asks_only_for_the_rest(notebook):
    opened, lab, home = notebook
    lab.pause_s, here = 0.05, reached(lab, 2)
    opened.client.execute(CELL.replace("NAME", "one"))
    assert here.wait(30)
    opened.client.stop_channels()  # the browser's tab is closed
    with another(opened.manager) as front_end:
        assert front_end.value("len(found), found['error'].isna().all().item()") == (8, True)
    assert told(home) == (8, 8)

    here = reached(lab, 4)
    with another(opened.manager) as front_end:
        front_end.client.execute(CELL.replace("NAME", "two"))
        assert here.wait(30)
        opened.manager.restart_kernel(now=True)  # as the menu does it
    places, answered = told(home)
    assert places == 8
    assert 1 <= answered <= 4
    with another(opened.manager) as front_end:
        asked = len(lab.asked)
        front_end.run(LOAD)
        shown = front_end.run("rest = %llm resume")
        assert shown.status == "ok", shown.error
        assert f"{places - answered} asked now, {answered} kept from before" in shown.text
        assert front_end.value("len(rest), rest['error'].isna().all().item()") == (8, True)
        assert len(lab.asked) - asked == 8 - answered
        assert told(home) == (8, 8)
        assert list((home / "data").glob("store.db.run-*")) == []
