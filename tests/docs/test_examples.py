"""Every example in README and docs does what it says: Python cells in a real shell, shell lines in a real shell, all against the simulator."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import warm

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

RUN_CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext orchestrator_nb")
shell.run_cell("%llm simulate on")
__import__("orchestrator_nb").session().simulator._world.lively = False  # at once, not at a vendor's pace
shell.run_cell(json.loads(sys.argv[2]))
for number, cell in enumerate(json.loads(sys.argv[1]), 1):
    result = shell.run_cell(cell)
    if not result.success:
        sys.exit(f"example {number} failed: {cell}")
"""

SETUP = """
import pandas as pd
reviews = pd.DataFrame({"text": ["I love it", "It broke after a day"]})
"""


def blocks(page, language):
    return [text for found, text in FENCE.findall(page.read_text()) if found == language]


def pages_with(language):
    return [pytest.param(page, id=page.name) for page in PAGES if blocks(page, language)]


@pytest.fixture
def home(tmp_path):
    return {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("python"))
def test_the_cells_of_a_page_run_in_order(page, home, tmp_path):
    import json

    cells = [
        cell for cell in blocks(page, "python") if "-> Layer" not in cell
    ]  # CONTRIBUTING's sketch of a policy is not a cell
    command = [*warm.python(), RUN_CELLS, json.dumps(cells), json.dumps(SETUP)]
    done = subprocess.run(command, env=home, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]


def shell_of_ours(folder):
    """A folder with an ``onb`` that begins quickly."""
    script = folder / "bin" / "onb"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shlex.join(warm.onb())} "$@"\n')
    script.chmod(0o755)
    return script.parent


@pytest.mark.slow
@pytest.mark.parametrize("page", ["shell.md", "configuration.md"])
def test_the_shell_examples_run(page, home, tmp_path):
    path = f"{shell_of_ours(tmp_path)}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    for example in blocks(ROOT / "docs" / page, "bash"):
        script = f"set -eu\n{example.replace('onb doctor', 'onb doctor || test $? = 1')}"
        done = subprocess.run(
            ["bash", "-c", script],
            env={**home, "PATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
