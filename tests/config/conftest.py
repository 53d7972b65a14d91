"""A user's home, a project below it, and how to load both."""

from datetime import date
from pathlib import Path

import pytest

from orchestrator_nb.config import Paths, load

TODAY = date(2026, 11, 22)


class Home:
    """Writes files where a user has them and loads the configuration of a notebook in ``project``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "home/work/project"
        self.project.mkdir(parents=True)
        self.paths = Paths.find({"ORCHESTRATOR_NB_HOME": str(root / "onb")}, root / "home")

    def user(self, text, name="config.yaml"):
        return self.write(self.paths.config / name, text)

    def beside(self, text, name="orchestrator-nb.yaml"):
        return self.write(self.project / name, text)

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    def load(self, environ=None, cell=None, cwd="project", profile=None):
        cwd = self.project if cwd == "project" else cwd
        return load(self.paths, cwd, {} if environ is None else environ, cell, TODAY, profile)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)
