"""Record and replay through the session and its faces: the same rows without a socket and without a key; any change of the question is a miss that says so."""

import asyncio
import json
import secrets
import socket
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb import Session, UserError, sessions
from orchestrator_nb.calls import Cost, Delta, Request, Response, Started
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import CLASS_OF, ConfigError, ReplayMiss, StoreError
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.settle import settle
from orchestrator_nb.kernel.taped import JUDGED, nobody, replayed, taped
from orchestrator_nb.messages import Message, Text
from orchestrator_nb.providers import redaction
from orchestrator_nb.results.summary import summary
from orchestrator_nb.runs import Item
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.source import AnswersFrom, decided
from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter

ANOTHER_EACH_TIME = ["source", "run_id", "call_id"]
MODELS = ["sonnet", "gpt", "flash", "mistral"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The simulator answers at once, not at the pace of a model."""
    monkeypatch.setattr(sessions, "_simulator", lambda _script: Simulator())


@pytest.fixture
def opened(tmp_path):
    """Opens sessions in one folder, all with the same home."""
    made = []

    def one(*, cwd=tmp_path, **environ):
        environ = {"ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), **environ}
        made.append(Session.open(cwd=cwd, environ=environ))
        return made[-1]

    yield one
    for session in made:
        session.close()


@pytest.fixture
def recorded(opened):
    """A session with the simulator on, which records to study.jsonl."""
    session = opened()
    session.simulate(True)
    session.source("record", "study.jsonl")
    return session


def forbid(monkeypatch):
    """From now on, whoever connects fails; the list tells who tried."""
    tried = []

    def connect(_socket, address):
        tried.append(address)
        raise OSError("no connection in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    return tried


def same(one, other):
    return one.drop(columns=ANOTHER_EACH_TIME).equals(other.drop(columns=ANOTHER_EACH_TIME))


def test_a_thousand_replays_open_no_socket_need_no_key_and_show_what_was_recorded(recorded, opened, monkeypatch):
