"""LiteLLM pins older versions of what we use, so it gets an environment of its own, made on first need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT

VENV = ROOT / ".venv-bench"
REQUIREMENTS = ROOT / "benchmarks" / "requirements-litellm.txt"


def python() -> Path | None:
    """Its interpreter, or ``None`` (and a sentence) where it cannot be installed, as without a network."""
    interpreter = VENV / "bin" / "python"
    ready = VENV / ".ready"
    if ready.exists():
        return interpreter
    try:
        for command in _commands(interpreter):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(f"LiteLLM is left out, it could not be installed: {error.stderr.strip().splitlines()[-1]}")
        return None
    ready.touch()
    return interpreter


def _commands(interpreter: Path) -> list[list[str]]:
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)]
        return [make, [uv, "pip", "install", "--quiet", "--python", str(interpreter), "-r", str(REQUIREMENTS)]]
    make = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    return [make, [str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]]
