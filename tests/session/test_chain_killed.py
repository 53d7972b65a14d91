"""A chain's process is killed in the middle, again and again: it goes on where it was, gives what the unbroken run gives, and asks nothing again that was answered."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import zlib
from collections import Counter

import pytest

from orchestrator_nb import Session
from orchestrator_nb.chains import load
from orchestrator_nb.chains import plan as made

PARALLEL = 8
ITEMS = [f"item-{n}" for n in range(6)]
CHILD = """
import json, sys
from orchestrator_nb import Session
home, items = sys.argv[1], json.loads(sys.argv[2])
with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": home}) as session:
    begun = session.store.ledger.runs(1)
    plan = session.rest_of_chain() if begun else session.plan_chain(home + "/long.yaml", {"items": items})
    run = session.start_chain(plan, parallel=8).result()
print(json.dumps(run.chained.outputs))
"""
BLOCK = """\
- id: notes{n}
  each: {{over: items, as: thing, parallel: 4}}
  steps:
    - {{id: facts, prompt: "{n} facts {{{{ thing }}}} {{{{ last }}}}"}}
    - {{id: checked, prompt: "{n} check {{{{ facts }}}}"}}
- id: polished{n}
  input: "{{{{ notes{n} | join(' ') }}}}"
  repeat: {{max: 4, until: "contains(current, '7')"}}
  steps:
    - {{id: critique, prompt: "{n} critique {{{{ turn }}}} {{{{ previous }}}}"}}
    - {{id: revise, prompt: "{n} revise {{{{ turn }}}} {{{{ critique }}}}"}}
- id: sides{n}
  parallel:
    pro: {{prompt: "{n} pro {{{{ polished{n} }}}}"}}
    con: {{prompt: "{n} con {{{{ polished{n} }}}}"}}
- {{id: chosen{n}, prompt: "{n} choose {{{{ sides{n}.pro }}}} {{{{ sides{n}.con }}}}"}}
"""


def chain():
    """Thirty steps: three times a map of two steps, a loop of two, two branches, and a step that needs them."""
    blocks = [BLOCK.format(n=n).replace("{{ last }}", f"{{{{ chosen{n - 1} }}}}" if n else "") for n in range(3)]
    text = f"inputs: {{items: list}}\ndefaults: {{model: lab/one}}\nsteps:\n{''.join(blocks)}"
    assert len(made(load(text)).nodes) == 30
    return text


def said(prompt):
    """What the lab answers: a short text that follows from the prompt alone."""
    return f"answer {zlib.crc32(prompt.encode())}"


@pytest.fixture
def lab(lab):
    real = lab.answer

    def answer(prompt):
        status, choice = real(prompt)
        return status, {**choice, "message": {"content": said(prompt)}}

    lab.answer, lab.pause_s = answer, 0.01
    return lab


@pytest.fixture
def home(home):
    (home / "long.yaml").write_text(chain())
    return home


def go(home, lab, kill_at):
    """One process, killed ``kill_at`` arrivals from now or left to its end; its outputs, if it came there."""
    reached, arrived = threading.Event(), len(lab.asked)
    lab.heard = lambda _: reached.set() if kill_at is not None and len(lab.asked) >= arrived + kill_at else None
    command = [sys.executable, "-c", CHILD, str(home), json.dumps(ITEMS)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while child.poll() is None and not reached.wait(0.005):
            """Until the moment has come."""
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert reached.is_set() or child.returncode == 0, err.decode()
    return None if child.returncode == -signal.SIGKILL else json.loads(out)


def recorded(home):
    """The prompts whose answers are in the store, and how often."""
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as session:
        places = [place for told in session.store.ledger.runs() for place in session.store.ledger.run(told.id)[1]]
    return Counter(place.request["messages"][-1]["parts"][0]["text"] for place in places if place.response)


def ordeal(home, lab, kills, seed, total):
    """So many kills at random moments, then the rest in peace; the outputs, and how many times it was killed."""
    chance, before, killed = random.Random(seed), Counter(), 0
    while True:
        arrived, left = len(lab.asked), sum((total - before).values())
        most = max(2, 2 * left // (kills - killed + 1))
        outputs = go(home, lab, chance.randrange(1, most) if killed < kills else None)
        assert not Counter(lab.asked[arrived:]) & before, "a question was asked again whose answer was recorded"
        if outputs:
            return outputs, killed
        after = recorded(home)
        assert before <= after <= total, "an answer that was recorded is gone, or was never asked for"
        before, killed = after, killed + 1


@pytest.fixture
def whole(tmp_path_factory, lab):
    """What the run gives that nobody kills, and all that it asks."""
    home = tmp_path_factory.mktemp("whole")
    lab.settings(home)
    (home / "long.yaml").write_text(chain())
    outputs, asked = go(home, lab, None), Counter(lab.asked)
    lab.asked.clear()
    assert max(asked.values()) == 1
    return outputs, asked


def judge(home, lab, whole, kills, seed):
    """Every promise after an ordeal; how many questions were asked that the unbroken run does not ask."""
    outputs, total = whole
    found, killed = ordeal(home, lab, kills, seed, total)
    assert found == outputs
    assert Counter(lab.asked).keys() == total.keys()
    extra = len(lab.asked) - sum(total.values())
    assert 0 <= extra <= killed * PARALLEL, "more than was under way"
    assert recorded(home) == total
    return killed, extra


@pytest.mark.slow
def test_a_chain_that_is_killed_goes_on_where_it_was_and_gives_the_same(home, lab, whole):
    killed, _ = judge(home, lab, whole, kills=4, seed=1)
    assert killed == 4


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_fifty_kills_at_random_points(home, lab, whole, seed):
    killed, extra = judge(home, lab, whole, kills=5, seed=seed)
    print(f"seed {seed}: {killed} kills, {extra} of {sum(whole[1].values())} asked again, none of them answered before")  # noqa: T201
    assert killed == 5
