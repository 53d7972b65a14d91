"""``onb trust``, as a person types it: in a real terminal, and where there is none."""

import os
import pty
import select
import subprocess
import sys

import pytest
import warm

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "orchestrator-nb.yaml").write_text("limits: {parallel: 7}\n")
    return folder


@pytest.fixture
def command(tmp_path, project):
    environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home")}
    return lambda *args: {"args": [sys.executable, "-m", "orchestrator_nb", *args], "env": environ, "cwd": project}


@pytest.fixture
def onb(command):
    def run(*args):
        return subprocess.run(**{**command(*args), "args": [*warm.onb(), *args]}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip

    return run


def in_a_terminal(command, *args, answer):
    """What a person sees who types ``answer`` at the question."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(**command(*args), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other side has gone
            break
        if not piece:
            break
        seen += piece
        if seen.endswith(b"[y/N] "):
            os.write(ours, answer)
    os.close(ours)
    return running.wait(30), seen.decode()


def test_a_person_is_shown_the_effect_and_asked(command, onb):
    refused = onb("config", "limits.parallel")
    assert refused.returncode == 2
    assert "orchestrator-nb.yaml:1: limits.parallel: a project's file may not set this" in refused.stderr
    assert "onb trust shows what it would change" in refused.stderr

    code, seen = in_a_terminal(command, "trust", answer=b"n\n")
    assert (code, "limits.parallel: 64 → 7" in seen, "Nothing was stored." in seen) == (0, True, True)
    assert onb("trust", "--list").stdout == "No project is trusted.\n"

    code, seen = in_a_terminal(command, "trust", answer=b"y\n")
    assert (code, "Trusted." in seen) == (0, True)
    assert "limits.parallel = 7  (project: " in onb("config", "limits.parallel").stdout


def test_without_a_terminal_it_shows_and_names_the_option_and_a_path_can_be_given(onb, project):
    done = onb("trust", str(project))
    assert done.returncode == 2
    assert "limits.parallel: 64 → 7" in done.stdout
    assert done.stderr == "onb: nothing was stored, for nobody can be asked here; if you want this: onb trust --yes\n"

    assert "Trusted." in onb("trust", "--yes", str(project)).stdout
    assert onb("trust", "--list").stdout == f"{project}  trusted: orchestrator-nb.yaml\n"
    assert onb("trust", "--forget").stdout == f"{project} is not trusted any more.\n"
    assert onb("trust", "--yes", "--list").returncode == 2
