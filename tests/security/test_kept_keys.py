"""What is kept holds no key: the store with its log, tapes, exports and earlier runs shown again, whoever said the key: a server, a prompt, a frame's column."""

import contextlib
import secrets
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator_nb import Session
from orchestrator_nb.cli import main
from orchestrator_nb.errors import ProviderError, UserError
from orchestrator_nb.keyless import Keyless
from orchestrator_nb.results.view import view
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))

from probe import needles

PASSWORD = "correct horse battery"
WHOLE = "lab/openai/gpt-oss-120b"


def opened(tmp_path, simulator, keys, where):
    """A session whose keys are in its environment, or in its open vault."""
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True, mode=0o700)
    vendors = [
        f"{name}: {{kind: openai-compatible, base_url: '{simulator.url('openai-compatible')}', api_key_name: {name.upper()}_KEY}}"
        for name in keys
    ]
    (config / "models.yaml").write_text("\n".join(vendors))
    (config / "config.yaml").write_text("vault: {iterations: 100000}\nlimits: {attempts: 1}\n")
    environ = {f"{name.upper()}_KEY": key for name, key in keys.items()} if where == "environment" else {}
    session = Session.open(home=tmp_path / "home", cwd=tmp_path, environ=environ)
    if where == "vault":
        vault = session.vault.vault
        vault.create(Hidden(PASSWORD))
        for name, key in keys.items():
            entry = f"{name.upper()}_KEY"
            vault.put(entry, name, Hidden(key), session.vault.origins_for(entry))
    return session


def say_it_everywhere(session, simulator, keys):
    """The keys go into whatever is kept; how many calls came to an answer, and how many to an error."""
    simulator.say("other", f"It is {keys['other']}, I think.")
    plans = [
        session.plan("Say it.", ["lab/sim-echo-answer", "lab/sim-echo-headers"], source="record study.jsonl"),
        session.plan("What is the other key?", [WHOLE], source="record study.jsonl"),
        *(
            session.plan(f"Is {key} a good key?", [WHOLE], system=f"Not {key}", source="record study.jsonl")
            for key in keys.values()
        ),
        session.plan("Row {{ n }}", [WHOLE], over=[{"n": 1, **keys}, {"n": 2, "nested": [{"deep": keys["lab"]}]}]),
        session.plan("Hello", [WHOLE], options={"stop": keys["lab"]}),
    ]
    for key in keys.values():
        with contextlib.suppress(ProviderError, UserError):  # which is refused, and written down all the same
            session.conversation("talk").ask(f"Is {key} a good key?", WHOLE)
    runs = [session.run(plan, about={"cell": keys["lab"]}) for plan in plans]
    calls = [call for run in runs for call in run.calls]
    return sum(call.error is None for call in calls), sum(call.error is not None for call in calls)


def kept(tmp_path, session, monkeypatch):
    """All that is kept or made of what is kept, by name."""
    session.store.database.flush()
    texts = {file.name: file.read_bytes() for file in (tmp_path / "home" / "data").iterdir() if file.is_file()}
    session.close()
    texts |= {
        f"{file.name}, closed": file.read_bytes() for file in (tmp_path / "home" / "data").iterdir() if file.is_file()
    }
    texts["tape"] = (tmp_path / "study.jsonl").read_bytes()
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Session.open(home=tmp_path / "home", cwd=tmp_path, environ={}) as later:
        for run in later.runs()["run"]:
            told = later.retold(run)
            texts[f"run {run}"] = repr((told, view(told).html, view(told).text)).encode()
            for form in ("csv", "jsonl"):
                done = CliRunner().invoke(main, ["runs", "export", run, "--format", form])
                assert done.exit_code == 0, done.output
                texts[f"export {form} {run}"] = done.output.encode()
    return texts


def held(tmp_path, where, monkeypatch):
    keys = {name: f"cn.{secrets.token_hex(10)}+/9=" for name in ("lab", "other")}
    with Simulator(key=keys["lab"]) as simulator:
        session = opened(tmp_path, simulator, keys, where)
        answered, failed = say_it_everywhere(session, simulator, keys)
        texts = kept(tmp_path, session, monkeypatch)
    forms = [needle.encode() for key in keys.values() for needle in needles(key)]
    return {name for name, text in texts.items() if any(form in text for form in forms)}, texts, (answered, failed)


@pytest.mark.parametrize("where", ["vault", "environment"])
def test_what_is_kept_holds_no_key(tmp_path, where, monkeypatch):
    found, texts, (answered, failed) = held(tmp_path, where, monkeypatch)
    assert found == set()
    assert {"store.db", "store.db-wal", "store.db, closed", "tape"} <= texts.keys()
    assert len(texts) > 20
    assert answered >= 4
    assert failed >= 3
    assert b"[key" in texts["store.db, closed"]


@pytest.mark.parametrize("where", ["vault", "environment"])
def test_a_store_that_writes_what_it_is_given_is_found_out(tmp_path, where, monkeypatch):
    """The control."""
    monkeypatch.setattr(Keyless, "without", lambda _self, text: text)
    monkeypatch.setattr(Keyless, "held_by", lambda _self, _text: False)
    found, _, _ = held(tmp_path, where, monkeypatch)
    assert {
        "store.db-wal",
        "store.db, closed",
        *(["tape"] if where == "environment" else []),
    } <= found  # a vault's keys are taken out of answers before
    assert any(name.startswith("export") for name in found)
    assert any(name.startswith("run ") for name in found)
