"""While the vault is locked for want of use and one run goes on, only that run has its keys."""

import threading

import pytest

from orchestrator_nb import Session
from orchestrator_nb.errors import VaultLocked
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.runs import Call
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator

PASSWORD = "correct horse battery staple"
KEY = "sk-canary-7f3a9c41d2"
KIND = "kind: openai-compatible, models: [{name: local-model}]"


class Moved(SystemClock):
    """A clock that can be put forward."""

    passed_s = 0

    def wall(self):
        return super().wall() + self.passed_s


@pytest.fixture
def lab(tmp_path):
    """A vendor with a key and, elsewhere, one without."""
    (tmp_path / "home/config").mkdir(parents=True)
    (tmp_path / "home/config/config.yaml").write_text("vault: {iterations: 100000}\n")
    with Simulator(key=KEY) as simulator, Simulator() as free:
        (tmp_path / "home/config/models.yaml").write_text(
            f"lab: {{{KIND}, api_key_name: LAB_KEY, base_url: '{simulator.url('compat')}'}}\n"
            f"free: {{{KIND}, base_url: '{free.url('compat')}'}}\n"
        )
        simulator.say("slow", "done", delay=3)
        yield simulator


@pytest.fixture
def run(lab, tmp_path):
    """A session, and a run that goes on in it though the idle time is over."""
    clock, sent = Moved(), threading.Event()
    with Session.open(home=tmp_path / "home", cwd=tmp_path, environ={}, clock=clock) as session:
        session.vault.vault.create(Hidden(PASSWORD))
        session.vault.vault.put("LAB_KEY", "lab", Hidden(KEY), session.vault.origins_for("LAB_KEY"))
        plan = session.plan("{{ p }}", ["lab/local-model"], over=[{"p": "quick"}, {"p": "slow"}])
        job = session.start(plan, parallel=1, progress=lambda _, news: isinstance(news, Call) and sent.set())
        assert sent.wait(10)
        clock.passed_s = 1_000
        assert session.vault.status().state == "locked"
        yield session, job
        job.stop()


@pytest.fixture
def idle(run):
    """The same, and that it went on all the time."""
    session, job = run
    yield session
    assert not job.done


def asked(lab):
    return [request for request in lab.requests if "new question" in str(request)]


def test_another_run_has_no_key_of_it(lab, idle):
    frame = idle.compare(["new question"], ["lab/local-model", "free/local-model"])

    assert frame["error_kind"].fillna("").tolist() == ["locked", ""]
    assert asked(lab) == []
    with pytest.raises(VaultLocked):
        idle.ask("new question", "lab/local-model")


def test_a_cell_has_no_key_of_it_and_the_password_gives_it(lab, idle):
    vault = idle.vault.vault
    with pytest.raises(VaultLocked):
        vault.secret("LAB_KEY", "lab")

    vault.unlock(Hidden(PASSWORD))
    assert idle.ask("new question", "lab/local-model").text
    assert len(asked(lab)) == 1


def test_a_key_that_the_vault_has_is_not_said_to_come_from_the_environment(lab, tmp_path):
    with Session.open(home=tmp_path / "home", cwd=tmp_path, environ={"LAB_KEY": KEY}) as other:
        other.vault.vault.create(Hidden(PASSWORD))
        other.vault.vault.put("LAB_KEY", "lab", Hidden(KEY), other.vault.origins_for("LAB_KEY"))
        other.vault.lock()
        frame = other.compare(["new question"], ["lab/local-model", "free/local-model"])
        notices = other.last.notices
        with pytest.raises(VaultLocked):
            other.ask("new question", "lab/local-model")
    assert frame["error_kind"].fillna("").tolist() == ["locked", ""]
    assert not [notice for notice in notices if "came from the environment" in notice]
    assert asked(lab) == []


def test_closing_while_a_run_ends_waits_for_no_lock_that_the_run_waits_for(run):
    session, _ = run
    busy = threading.Event()
    job = session.start(session.plan("slow", ["free/local-model"]))
    session._portal.call_soon(lambda: busy.wait(0.3))  # so that the run ends when close has begun
    job.stop()
    closing = threading.Thread(target=session.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
