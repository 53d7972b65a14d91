"""The simulator's page lists its menu of faults, all of it and nothing else."""

import re
from pathlib import Path

from orchestrator_nb.simulator.faults import FAULTS
from orchestrator_nb.simulator.script import load

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


def test_every_fault_is_on_the_page_with_what_it_does():
    assert re.findall(r"^\| `([^`]+)` \| (.+) \|$", PAGE, re.MULTILINE) == [(f.name, f.about) for f in FAULTS.values()]


def test_the_script_on_the_page_loads(tmp_path):
    (tmp_path / "answers.yaml").write_text(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
    assert len(load(tmp_path / "answers.yaml").entries) == 4
