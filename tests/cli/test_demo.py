"""``onb demo``: what a newcomer runs first."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from orchestrator_nb import demo
from orchestrator_nb.errors import OrchestratorError

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_prints_five_vendors_side_by_side_and_nothing_else(tmp_path):
    home = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "orchestrator_nb", "demo"]
    done = subprocess.run(command, env=home, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for vendor in ("anthropic", "gemini", "openai", "deepseek", "mistral"):
        assert f" {vendor} " in done.stdout
    assert "5 simulated" in done.stdout
    assert "\\\n" not in done.stdout  # the table is not broken in two
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_cell_that_fails_is_told_in_one_sentence(tmp_path, monkeypatch):
    import nbformat

    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, tmp_path / "01_quickstart.ipynb")
    monkeypatch.setattr(demo, "_PLACES", (tmp_path,))
    with pytest.raises(OrchestratorError, match="ZeroDivisionError: division by zero"):
        demo.run_demo(lambda _text: None)


def test_every_notebook_and_what_it_reads_is_in_the_wheel():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "notebooks").rglob("*")
        if path.suffix in (".ipynb", ".yaml", ".jsonl", ".txt") and ".ipynb_checkpoints" not in path.parts
    }
    assert included["force-include"] == {name: f"orchestrator_nb/{name}" for name in files}
