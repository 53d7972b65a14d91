"""A simulator per test, and a client that knows nothing but sockets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator_nb.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))  # test modules import simulator_client by its name


@pytest.fixture
def sim():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def client(sim):
    from simulator_client import Client

    return Client(sim)
