"""What the store's tests share: a clock that stands still until it is moved, a store on disk, questions, answers, and processes that write."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator_nb.calls import Cost, Request, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.messages import Message, Text
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.ledger import Ledger

MODEL = ModelSpec(Vendor("lab", "openai", "https://lab.example/v1"), "one")
ROOT = Path(__file__).parents[2]


class StillClock:
    """`orchestrator_nb.types.Clock`; the test moves ``now``."""

    def __init__(self):
        self.now = 1_790_000_000.0

    def wall(self):
        return self.now

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "store.db"


@pytest.fixture
def database(path, clock):
    database = Database.open(path, clock=clock)
    assert database.notices == ()
    yield database
    database.close()


@pytest.fixture
def answers(database):
    return Answers(database)


@pytest.fixture
def ledger(database, answers):
    return Ledger(database, answers)


@pytest.fixture
def question():
    """Question ``number``, always the same."""
    return lambda number=0, model=MODEL: Request(model, (Message.user(f"question {number}"),))


@pytest.fixture
def answer():
    """The answer to question ``number``: its text says which it is, so that a wrong one shows."""

    def make(number=0, **fields):
        text = (Text(f"answer {number} " + "." * 60),)
        usual = {"usage": Usage(10, 5), "cost": Cost(Decimal("0.001"), "user"), "raw_id": f"r{number}"}
        return Response("one", text, **{**usual, **fields})

    return make


@pytest.fixture
def whole_run(question, answer):
    """Write a run of ``size`` calls with their attempts, all of them answered."""

    def write(ledger, run_id="run", size=20):
        items = [Item(question(number), number, inputs={"n": number}) for number in range(size)]
        ledger.begin(run_id, items, {"notebook": "study.ipynb"})
        for number, item in enumerate(items):
            attempt = ledger.sent(run_id, model="lab/one", key=item.request.key, worst=Decimal("0.01"))
            ledger.settled(attempt, billed="yes", usd=Decimal("0.001"))
            ledger.finished(run_id, number, Call(item, f"{run_id}-{number}", answer(number), attempts=1))
        ledger.ended(run_id)
        return items

    return write


@pytest.fixture
def process():
    """Start a Python process that runs ``code``; what is left of them ends with the test."""
    started = []

    def start(code, *words, **options):
        env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        command = [sys.executable, "-c", code, *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen(command, env=env, **pipes))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()
