"""A shell with the magics loaded, and a real kernel."""

import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel with the extension loaded and the simulator on."""
    from kernels import kernel as fresh

    with fresh(tmp_path_factory.mktemp("kernel")) as running:
        assert running.run("%load_ext orchestrator_nb").status == "ok"
        assert running.run("%llm simulate on", timeout=60).status == "ok"
        yield running


@pytest.fixture
def shell(monkeypatch):
    """A terminal-like shell whose magics use a session of their own, with the simulator on."""
    from orchestrator_nb import sessions as module
    from orchestrator_nb.magics.extension import load, unload
    from orchestrator_nb.sessions import Session

    with Session.open(cwd=None) as own:
        own.simulate(True)
        monkeypatch.setattr(module, "session", lambda: own)
        made = InteractiveShell()
        load(made)
        made.session = own
        yield made
        unload(made)
