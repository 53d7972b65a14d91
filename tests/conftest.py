"""What every test shares: a home of its own, no keys, no way out but loopback."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # for `warm`

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # what runs in the background ignores interrupts, and so would the processes that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases each time, and no verdict by the clock: what a test says must not depend on what else the machine does. New cases are for `make soak`.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeat", derandomize=True, database=None, **_CALM)
settings.register_profile("explore", **_CALM)
settings.load_profile("explore" if os.environ.get("ORCHESTRATOR_NB_EXPLORE") == "1" else "repeat")

_KEYS = [name for name in os.environ if name.endswith(("_API_KEY", "_AUTH_TOKEN"))]


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's files, and none sees the user's keys."""
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path_factory.mktemp("home")))
    for name in _KEYS:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only():
    """A test that would reach the network fails at once and says where it wanted to go."""
    real = socket.socket.connect

    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to connect to {address}")
        return real(self, address)

    socket.socket.connect = connect
    yield
    socket.socket.connect = real


def _is_loopback(host):
    return host in {"localhost", "::1", ""} or host.startswith("127.")
