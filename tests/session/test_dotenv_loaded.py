"""A project's .env that a notebook loads into the running kernel moves no key, runs no command and changes no vault."""

import pytest

from orchestrator_nb import Session
from orchestrator_nb.errors import ConfigError, VaultLocked
from orchestrator_nb.secret import Hidden, Veiled
from orchestrator_nb.vault.sources import COMMAND, FILE

PASSWORD = "correct horse battery staple"


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "home/config").mkdir(parents=True)
    (tmp_path / "home/config/config.yaml").write_text("vault: {iterations: 100000}\n")
    return {"ORCHESTRATOR_NB_HOME": str(tmp_path / "home")}


@pytest.fixture
def session(environ, tmp_path):
    with Session.open(cwd=tmp_path, environ=environ) as opened:
        opened.vault.vault.create(Hidden(PASSWORD))
        opened.vault.lock()
        yield opened


@pytest.mark.parametrize("name", [FILE, COMMAND])
def test_no_command_runs_and_no_file_is_read_that_was_named_after_the_session_was_opened(
    session, environ, tmp_path, name
):
    script = tmp_path / "script"
    script.write_text(f"touch {tmp_path}/ran\necho {PASSWORD}\n")
    environ[name] = f"sh {script}" if name == COMMAND else str(script)

    with pytest.raises(VaultLocked):
        session.vault.unlock()
    assert not (tmp_path / "ran").exists()
    with Session.open(cwd=tmp_path, environ={**environ, FILE: "", COMMAND: f"sh {script}"}) as later:
        later.vault.unlock()  # the control: named before, it runs
    assert (tmp_path / "ran").exists()


def test_a_proxy_that_appears_stops_the_next_cell_and_says_what_to_do(session, environ):
    environ["ORCHESTRATOR_NB_NETWORK__PROXY"] = "http://127.0.0.1:1"

    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_NB_NETWORK__PROXY: .*take it away"):
        session.refresh()
    assert session.config.settings.network.proxy is None


def test_what_is_read_once_stays_and_the_rest_follows():
    live = {"HOME": "/a", "KEY": "1"}
    seen = Veiled(live, once=("HOME", "COMMAND"))
    live |= {"HOME": "/b", "COMMAND": "sh", "KEY": "2", "OTHER": "3"}

    assert dict(seen) == {"HOME": "/a", "KEY": "2", "OTHER": "3"}
    assert (len(seen), seen.get("COMMAND"), "COMMAND" in seen) == (3, None, False)
