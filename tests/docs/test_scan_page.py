"""The page about keys that were left behind does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "scan.md").read_text()


def test_the_example_finds_cleans_and_finds_nothing_more(tmp_path):
    env = {
        **os.environ,
        "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    script = "set -eu\n" + re.search(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1]
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = [re.sub(r"fp:\w+", "fp:…", line) for line in done.stdout.splitlines()]
    assert said == ["paper/old.ipynb cell 1: Groq key fp:…"] * 2 + ["paper/old.ipynb: cleaned"]
    assert "no key in 1 file" in done.stderr.splitlines()[-1]
