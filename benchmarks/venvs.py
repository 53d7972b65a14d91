"""Some that we compare ourselves with want other versions than we do, or much that we do not want, so each gets an environment of its own, made on first need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT

VENVS = ROOT / ".venv-bench"
OWN = {"litellm_sdk": "litellm", "langgraph_graph": "langgraph"}
"""The contenders that have one, with the name that ``requirements-<name>.txt`` has it under."""


def python(contender: str) -> Path | None:
    """The interpreter for a contender, or ``None`` (and a sentence) where its environment cannot be installed, as without a network."""
    if contender not in OWN:
        return Path(sys.executable)
    name = OWN[contender]
    venv = VENVS / name
    ready = venv / ".ready"
    if ready.exists():
        return venv / "bin" / "python"
    try:
        for command in _commands(venv, ROOT / "benchmarks" / f"requirements-{name}.txt"):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(f"{name} is left out, it could not be installed: {error.stderr.strip().splitlines()[-1]}")
        return None
    ready.touch()
    return venv / "bin" / "python"


def _commands(venv: Path, requirements: Path) -> list[list[str]]:
    uv, interpreter = shutil.which("uv"), str(venv / "bin" / "python")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)]
        return [make, [uv, "pip", "install", "--quiet", "--python", interpreter, "-r", str(requirements)]]
    make = [sys.executable, "-m", "venv", "--clear", str(venv)]
    return [make, [interpreter, "-m", "pip", "install", "--quiet", "-r", str(requirements)]]
