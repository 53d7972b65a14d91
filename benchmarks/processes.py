"""Starts the mock and the contenders, hands them tasks one at a time, and stops them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.worker import Measured, Task

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def running(module: str, *args: str, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """``python -m module args`` with pipes at both ends; it ends when its standard input closes, or is killed after 10 s."""
    command = [python, "-m", module, *args]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def mock(core: int = 1) -> Iterator[str]:
    """The mock server; gives its origin."""
    with running("benchmarks.mock", "--core", str(core)) as process:
        yield f"http://127.0.0.1:{_line(process)}"


@contextmanager
def worker(name: str, python: str = sys.executable) -> Iterator[Worker]:
    """A contender, ready."""
    with running("benchmarks.worker", name, python=python) as process:
        yield Worker(name, process, json.loads(_line(process))["version"])


class Worker:
    """A contender's process."""

    def __init__(self, name: str, process: subprocess.Popen[str], version: str) -> None:
        self.name, self.version, self._process = name, version, process

    def do(self, task: Task) -> Measured:
        """Have one task done. Nothing else is running meanwhile."""
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        fields: dict[str, Any] = json.loads(_line(self._process))
        return Measured(**fields)


def _line(process: subprocess.Popen[str]) -> str:
    line: str = process.stdout.readline()  # type: ignore[union-attr]
    if not line:
        raise RuntimeError(f"{' '.join(map(str, process.args))} ended without an answer; its own message stands above.")  # type: ignore[arg-type]
    return line.strip()


def output(module: str, *args: str) -> str:
    """What a module prints when it is run once in a fresh interpreter."""
    command = [sys.executable, "-m", module, *args]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]
