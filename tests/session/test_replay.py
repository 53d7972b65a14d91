"""Record and replay through the session and its faces: the same rows without a socket and without a key; any change of the question is a miss that says so."""

import asyncio
import json
import re
import secrets
import socket
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb import Session, UserError, playing, sessions
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
    monkeypatch.setattr(playing, "_simulator", lambda _script: Simulator())


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
    grid = ([f"Name a metal, number {n}." for n in range(10)], MODELS)
    first = recorded.compare(*grid, repeat=5)
    assert set(first.source) == {"simulated"}
    recorded.close()

    fresh, tried = opened(ORCHESTRATOR_NB_SOURCE="replay study.jsonl"), forbid(monkeypatch)
    for _ in range(5):  # × 200
        again = fresh.compare(*grid, repeat=5)
        assert same(first, again)
        assert set(again.source) == {"replay"}
    assert tried == []
    told = summary(fresh.last).line
    assert told.startswith("200 calls: 200 replayed (simulated) · ")
    assert "would cost $" in told
    assert not told.endswith(" s")  # so that the same replay says the same


def test_without_the_tape_the_same_session_would_have_connected(opened, monkeypatch):
    live = opened(ORCHESTRATOR_NB_LIMITS__ATTEMPTS="1")
    live.simulate(True)
    tried = forbid(monkeypatch)
    assert live.compare("Hello", ["sonnet"]).error[0]
    assert tried


def test_a_locked_vault_is_left_alone_and_a_streamed_answer_arrives(recorded, opened, tmp_path, monkeypatch):
    text = recorded.ask("Tell a story.", "sonnet").text
    own = tmp_path / "home" / "config" / "config.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("vault: {iterations: 100000}\n")
    fresh = opened()
    vault = fresh.vault.vault
    vault.create(Hidden("correct horse battery"))
    vault.lock()
    fresh.source("replay study.jsonl")
    tried = forbid(monkeypatch)
    assert "".join(fresh.stream("Tell a story.", "sonnet")) == text
    assert not vault.is_open
    assert asyncio.run(fresh.aask("Tell a story.", "sonnet")).text == text
    assert tried == []


def test_a_replay_is_the_same_with_the_simulator_on_and_off(recorded, opened):
    first = recorded.compare("Hello", MODELS)
    for on in (False, True):
        fresh = opened()
        fresh.simulate(on)  # at another port each time
        assert same(first, fresh.compare("Hello", MODELS, source="replay=study.jsonl"))


def test_any_change_of_the_question_is_a_miss_that_names_it(recorded, opened, tmp_path):
    recorded.compare("Why is the sky blue?", ["sonnet"], repeat=2, options={"temperature": 0})
    (tmp_path / "home/config").mkdir(parents=True, mode=0o700, exist_ok=True)
    (tmp_path / "home/config/models.yaml").write_text("mine: {kind: anthropic, base_url: 'http://127.0.0.1:9'}\n")
    fresh = opened()
    fresh.source("replay", "study.jsonl")
    how = {"options": {"temperature": 0}}
    assert fresh.ask("Why is the sky blue?", "sonnet", **how).text
    id_ = fresh.catalog.find("sonnet").id
    address = "its address is 'https://api.anthropic.com', not 'http://127.0.0.1:9'"
    for prompt, model, more, told in (
        ("Why is the sky red?", "sonnet", how, "its prompt is 'Why is the sky blue?', not 'Why is the sky red?'"),
        ("Why is the sky blue?", "haiku", how, f"its model is '{id_}', not "),
        ("Why is the sky blue?", f"mine/{id_}", how, address),
        ("Why is the sky blue?", "sonnet", {"options": {"temperature": 1}}, "its temperature is 0.0, not 1.0"),
        ("Why is the sky blue?", "sonnet", {**how, "system": "Be brief."}, "its system prompt is '', not 'Be brief.'"),
        ("Why is the sky blue?", "sonnet", {**how, "schema": "why"}, "its schema is unset, not "),
    ):
        with pytest.raises(ReplayMiss) as miss:
            fresh.ask(prompt, model, **more)
        assert told in str(miss.value)
        assert str(miss.value).endswith("Record it: %llm record study.jsonl")
    samples = fresh.compare("Why is the sky blue?", ["sonnet"], repeat=4, **how)
    assert samples.error_kind.tolist()[2:] == ["replay_miss"] * 2
    assert re.search("its sample is [01], not 2", samples.error[2])
    assert set(samples.source) == {"replay"}


def test_a_refusal_replays_and_what_failed_on_the_way_is_not_taken_for_an_answer(recorded, opened):
    models = ["anthropic/sim-400", "mistral/sim-disconnect"]
    first = recorded.compare("Hello", models)
    again = opened().compare("Hello", models, source="replay study.jsonl")
    assert again.error[0] == first.error[0]
    assert again.error_kind.tolist() == [first.error_kind[0], "replay_miss"]


def test_an_answer_with_a_schema_is_judged_again(recorded, opened):
    first = recorded.compare("Who wrote Middlemarch?", MODELS, schema="author, year int")
    again = opened().compare("Who wrote Middlemarch?", MODELS, schema="author, year int", source="replay study.jsonl")
    assert same(first, again)
    assert again.year.dtype == "Int64"


def test_a_damaged_line_is_an_error_and_the_other_answers_are_served(recorded, opened, tmp_path):
    recorded.compare(["one", "two", "three"], ["sonnet"])
    path = tmp_path / "study.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"usd":"0', b'"usd":"9', 1), *lines[3:]]))
    frame = opened().compare(["one", "two", "three"], ["sonnet"], source="replay study.jsonl")
    assert sorted(frame.error_kind.fillna("")) == ["", "", "store"]
    assert "line 3 of study.jsonl is damaged: its checksum is wrong." in frame.error.dropna().iloc[0]
    with pytest.raises(StoreError, match="line 3"):  # before anything is asked, and paid for
        recorded.ask("four", "sonnet")


def test_a_tape_that_cannot_be_used_is_said_at_once(opened):
    session = opened()
    with pytest.raises(UserError, match=r"there is no tape nothing\.jsonl here; record it first"):
        session.source("replay", "nothing.jsonl")
    with pytest.raises(StoreError, match="cannot be written"):
        session.source("record", "missing/study.jsonl")
    with pytest.raises(UserError, match="name a tape"):
        session.source("record")
    with pytest.raises(UserError, match="'nonsense' is no source; write auto, live, record PATH or replay PATH"):
        session.plan("Hello", ["sonnet"], source="nonsense")
    with pytest.raises(UserError, match=r"live takes no file"):
        session.source("live", "study.jsonl")
    assert str(session.source()) == "auto"


def test_the_cell_comes_before_the_notebook_and_the_notebook_before_the_setting():
    def way(*wishes):
        return str(decided(*(AnswersFrom.read(wish) if wish else None for wish in wishes)))

    assert way(None, None, "auto") == "auto"
    assert way("live", "replay a", "auto") == "live"
    assert way("record", "replay a", "auto") == "record a"
    assert way(None, "record", "replay b") == "record b"
    assert way("live", "record a", "replay-only") == "replay a"
    assert way("record c", "record a", "replay-only") == "replay c"
    assert way("record c", None, "replay-only b") == "replay b"
    with pytest.raises(ValueError, match="name a tape"):
        way("live", None, "replay-only")


def test_no_cell_can_leave_replay_only(recorded, opened, monkeypatch):
    recorded.ask("Hello", "sonnet")
    fresh = opened(ORCHESTRATOR_NB_SOURCE="replay-only", ANTHROPIC_API_KEY="sk-ant-0123456789abcdef")
    tried = forbid(monkeypatch)
    fresh.source("record", "study.jsonl")
    for source in (None, "live", "auto", "record=study.jsonl"):
        assert fresh.ask("Hello", "sonnet", source=source).call.source == "replay"
    assert tried == []


def test_a_projects_file_may_not_say_where_answers_come_from(opened, tmp_path):
    for source in ("live", "replay study.jsonl", "record /etc/passwd"):
        (tmp_path / "orchestrator-nb.yaml").write_text(f"source: {source}\n")
        with pytest.raises(ConfigError, match="source"):
            opened()


# A law: what is recorded and replayed is the same but for its source


text = st.text(st.characters(codec="utf-8"), max_size=20)
answers = st.builds(
    Response,
    model=text,
    parts=st.lists(st.builds(Text, text), max_size=3).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    cost=st.builds(Cost, st.none() | st.decimals(0, 99, places=5), text),
    source=st.sampled_from(["live", "simulated"]),
    notices=st.lists(text, max_size=2).map(tuple),
)
ONE = ModelSpec(Vendor("lab", "openai", "https://lab.example/v1"), "one")


async def _said(outcome, _request, emit):
    emit(Started())
    if isinstance(outcome, Response):
        for part in outcome.parts:
            emit(Delta(part.text))
        return outcome
    raise outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tapes")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcome=answers | st.sampled_from(sorted(JUDGED)), prompt=text, at=st.integers(0, 9))
def test_what_is_replayed_is_what_was_recorded_but_for_its_source(folder, outcome, prompt, at):
    if isinstance(outcome, str):
        outcome = CLASS_OF[outcome]("no.", kind=outcome, vendor="lab", model="one", status=400, billed="yes")
    path = folder / f"{secrets.token_hex(4)}.jsonl"
    writer, item = TapeWriter(path, {}), Item(Request(ONE, (Message.user(prompt),), sample=at))
    asking = build(partial(_said, outcome), [taped(writer.add, SystemClock())])
    before = asyncio.run(settle(asking, item, lambda _: None, SystemClock(), "id"))
    writer.flush()

    heard = []
    after = asyncio.run(settle(build(nobody, [replayed(Tape.read(path))]), item, heard.append, SystemClock(), "id"))
    assert after.source == "replay"
    assert after.recorded == before.source
    assert _unmarked(after) == _unmarked(before)
    assert (type(after.error), str(after.error)) == (type(before.error), str(before.error))
    said = before.response.text if before.response else ""
    assert "".join(event.text for event in heard if isinstance(event, Delta)) == said


def _unmarked(call):
    response = call.response and replace(call.response, source="live")
    return replace(call, response=response, source="live", recorded=None, error=None)


# No key on a tape


def _lab(tmp_path, simulator, key):
    home = tmp_path / "lab"
    (home / "config").mkdir(parents=True, mode=0o700)
    vendor = f"{{kind: openai-compatible, base_url: '{simulator.url('openai-compatible')}', api_key_name: LAB_KEY}}"
    (home / "config/models.yaml").write_text(f"lab: {vendor}\n")
    (home / "config/config.yaml").write_text("vault: {iterations: 100000}\n")
    session = Session.open(home=home, cwd=tmp_path, environ={})
    vault = session.vault.vault
    vault.create(Hidden("correct horse battery"))
    vault.put("LAB_KEY", "lab", Hidden(key), session.vault.origins_for("LAB_KEY"))
    return session


def _record_echoes(tmp_path):
    key = f"cn.{secrets.token_hex(12)}"
    with Simulator(key=key) as simulator, _lab(tmp_path, simulator, key) as session:
        frame = session.compare("Say it.", ["lab/sim-echo-answer", "lab/sim-echo-headers"], source="record echo.jsonl")
    return key, frame, (tmp_path / "echo.jsonl").read_text() if (tmp_path / "echo.jsonl").exists() else ""


def test_a_key_that_a_server_repeats_is_on_no_tape(tmp_path):
    key, frame, tape = _record_echoes(tmp_path)
    assert "[key]" in frame.text.dropna().iloc[0]
    assert "[key]" in tape
    assert key not in tape


def test_it_would_be_without_redaction_and_then_the_tape_refuses_it(tmp_path, monkeypatch):
    monkeypatch.setattr(redaction.Redaction, "response", lambda _self, response: response)
    key, frame, tape = _record_echoes(tmp_path)
    assert key in frame.text.dropna().iloc[0]  # the control: it does arrive
    assert key not in tape
    assert any("which hold a key" in notice for notice in frame.attrs["orchestrator_nb"]["notices"])


# In cells


@pytest.fixture
def shell(opened, monkeypatch):
    from orchestrator_nb.magics.extension import load, unload

    session = opened()
    session.simulate(True)
    monkeypatch.setattr(sessions, "session", lambda: session)
    made = InteractiveShell()
    load(made)
    yield made
    unload(made)


def cell(shell, source):
    shell.run_cell(source, store_history=True).raise_error()
    return shell.user_ns.get("_")


def test_a_notebook_is_recorded_and_replayed_by_magics(shell, capsys, tmp_path):
    cell(shell, "%llm record study.jsonl")
    assert capsys.readouterr().out.startswith("source: record study.jsonl (models are asked, and each answer")
    first = cell(shell, "%%llm one << sonnet flash --repeat 2\nHello")
    assert json.loads((tmp_path / "study.jsonl").read_text().splitlines()[0])["totals"]["answers"] == 4
    cell(shell, "%llm replay study.jsonl")
    capsys.readouterr()
    again = cell(shell, "%%llm two << sonnet flash --repeat 2\nHello")
    assert same(first, again)
    assert "4 calls: 4 replayed (simulated)" in capsys.readouterr().out
    assert cell(shell, "%%llm sonnet --source live\nHello").source[0] == "simulated"
    assert cell(shell, "%%llm sonnet --source record=other.jsonl\nHello").source[0] == "simulated"
    assert len(Tape.read(tmp_path / "other.jsonl")) == 1
    capsys.readouterr()
    cell(shell, "%llm source")
    assert capsys.readouterr().out.startswith("source: replay study.jsonl")
    cell(shell, "%%llm sonnet --source auto --dry-run\nHello")
    assert "source    auto" in capsys.readouterr().out
    cell(shell, "%llm source auto")
    assert cell(shell, "%%llm sonnet\nHello").source[0] == "simulated"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%llm record", "write it as: %llm record PATH"),
        ("%llm replay", "write it as: %llm replay PATH"),
        ("%llm replay nothing.jsonl", "there is no tape nothing.jsonl here"),
        ("%llm source replai study.jsonl", "'replai' is no source"),
        ("%%llm sonnet --source replay\nHello", "name a tape"),
        ("%%llm sonnet --source live=x\nHello", "live takes no file"),
    ],
)
def test_a_word_too_few_or_wrong_is_one_sentence(shell, line, told, capsys):
    with pytest.raises(UserError, match=re.escape(told)):
        cell(shell, line)


def test_tab_offers_modes_and_tapes(tmp_path, monkeypatch):
    from orchestrator_nb.magics.complete import Known, suggest

    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.jsonl").touch()
    (tmp_path / "notes.txt").touch()
    known = Known(tuple, tuple, {})

    def offered(text):
        return suggest(text, 0, len(text), known).names

    assert offered("%%llm sonnet --source ") == ("auto", "live", "record=", "replay=")
    assert offered("%%llm sonnet --source replay=s") == ("replay=study.jsonl",)
    assert offered("%llm source r") == ("record", "replay")
    assert offered("%llm replay ") == offered("%llm source record ") == ("study.jsonl",)
