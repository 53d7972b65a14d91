"""Test modules import their shared parts by name; long runs tell their figures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def figures(capsys, request):
    """Prints what was measured, where somebody ran the long version to see it."""

    def tell(what, measured):
        if request.node.get_closest_marker("soak"):
            with capsys.disabled():
                sys.stdout.write(f"\n{what}: {measured}\n")

    return tell
