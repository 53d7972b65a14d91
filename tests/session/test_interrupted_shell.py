"""Ctrl-C in the shell, once answers are there."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

SIZE = 40


@pytest.mark.slow
def test_an_interrupt_prints_the_rows_that_are_there_and_exits_with_130(home, lab):
    reached, interrupted = threading.Event(), threading.Event()

    def heard(_prompt):
        if len(lab.asked) > SIZE // 4:
            reached.set()
            interrupted.wait(60)

    lab.heard = heard
    ask = [
        sys.executable,
        "-m",
        "orchestrator_nb",
        "ask",
        "Hi",
        "-m",
        "lab/one",
        "--repeat",
        str(SIZE),
        "--max-parallel",
        "1",
        "--json",
    ]
    environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(home)}
    child = subprocess.Popen(ask, env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert reached.wait(60)
        child.send_signal(signal.SIGINT)
        interrupted.set()
        printed, said = child.communicate(timeout=60)
    finally:
        child.kill()
    rows = [json.loads(line) for line in printed.splitlines()]
    assert child.returncode == 130
    assert len(rows) == SIZE
    assert {row["error_kind"] for row in rows} == {None, "cancelled"}
    assert "cancelled" in said
