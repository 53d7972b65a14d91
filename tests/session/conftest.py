import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vendor import Lab

from orchestrator_nb import Session


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path, lab):
    lab.settings(tmp_path)
    return tmp_path


@pytest.fixture
def opened(home):
    """Opens sessions on one home, as the kernels of one user do."""
    with ExitStack() as stack:
        yield lambda **environ: stack.enter_context(
            Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home), **environ})
        )
