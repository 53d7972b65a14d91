"""The Python face, whole, against the simulator over real HTTP."""

import asyncio
import threading

import pandas as pd
import pytest

import orchestrator_nb
from orchestrator_nb import ProviderError, Session, UserError
from orchestrator_nb.calls import Delta, Started
from orchestrator_nb.errors import KeyMissing
from orchestrator_nb.runs import Call

FIVE = ["sonnet", "gpt", "flash", "deepseek", "mistral"]


@pytest.fixture
def session(tmp_path):
    with Session.open(cwd=tmp_path, environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as opened:
        opened.simulate(True)
        yield opened


def test_the_public_names_are_sorted_and_there():
    assert orchestrator_nb.__all__ == sorted(orchestrator_nb.__all__, key=lambda name: (name[0].islower(), name))
    assert all(getattr(orchestrator_nb, name) for name in orchestrator_nb.__all__)


def test_one_grid_is_answered_by_models_of_five_vendors(session):
    frame = session.compare(["What is entropy?", "Name a metal."], FIVE)
    assert frame["provider"].tolist() == ["anthropic", "openai", "gemini", "deepseek", "mistral"] * 2
    assert frame["error"].isna().all()
    assert (frame["text"].str.len() > 0).all()
    assert set(frame["source"]) == {"simulated"}


def test_an_answer_streams_in_pieces_that_make_the_whole(session):
    pieces = list(session.stream("Tell a story about a lighthouse.", "sonnet"))
    assert len(pieces) > 3
    assert "".join(pieces) == session.last.calls[0].response.text


def test_leaving_a_stream_early_cancels_the_call(session):
    stream = session.stream("Tell a long story.", "sonnet")
    next(stream)
    stream.close()
    assert session.ask("And now?", "sonnet").text


def test_a_failure_from_the_simulator_is_marked_as_such(session):
    frame = session.compare("Hello", ["anthropic/sim-400", "mistral/sim-disconnect"])
    assert frame["error_kind"].notna().all()
    assert set(frame["source"]) == {"simulated"}


def test_a_schema_gives_parsed_columns(session):
    frame = session.compare("Who wrote Middlemarch?", FIVE, schema="author, year int")
    assert frame["year"].dtype == "Int64"
    assert frame["parsed"].map(type).eq(dict).all()


def test_a_missing_key_is_a_row_that_names_the_ways_out(tmp_path):
    with Session.open(cwd=tmp_path, environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as bare:
        frame = bare.compare("Hello", ["sonnet"])
        assert frame["error_kind"].tolist() == ["no_key"]
        assert "ANTHROPIC_API_KEY" in frame["error"][0]
        assert "%llm simulate on" in frame["error"][0]
        with pytest.raises(KeyMissing):
            bare.ask("Hello", "sonnet")


def test_nobody_listening_is_an_error_that_says_so(tmp_path):
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "models.yaml").write_text(
        "nowhere:\n  kind: openai-compatible\n  base_url: http://127.0.0.1:9/v1\n  models: [{name: m}]\n"
    )
    (tmp_path / "config" / "config.yaml").write_text("limits: {attempts: 1}\n")
    with (
        Session.open(cwd=tmp_path / "config", environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as bare,
        pytest.raises(ProviderError, match=r"at http://127\.0\.0\.1:9 cannot be reached"),
    ):
        bare.ask("Hello", "nowhere/m")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda s: s.ask("Hi", "sonet"), "sonnet"),
        (lambda s: s.ask("Hi"), "%llm config model"),
        (lambda s: s.ask(" ", "sonnet"), "empty"),
        (lambda s: s.ask("Hi {{ nme }}", "sonnet", namespace={"name": "Ada"}), "name"),
        (lambda s: s.ask("Hi", "sonnet", options={"temprature": 1}), "temperature"),
        (lambda s: s.ask("Hi", "sonnet", options={"temperature": "hot"}), "0 to 2"),
        (lambda s: s.compare([], ["sonnet"]), "no rows"),
        (lambda s: s.compare("Hi", ["sonnet"], repeat=0), "at least 1"),
        (lambda s: s.plan("{{ a }}", ["sonnet"], over=pd.DataFrame({"b": [1]})), "'b'"),
        (lambda s: s.ask("Hi", "sonnet", repeat=2), "compare"),
        (lambda s: s.list_models("anthropc"), "known"),
    ],
)
def test_a_wrong_request_is_one_sentence_that_says_what_to_do(session, wrong, says):
    with pytest.raises(UserError) as error:
        wrong(session)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_blocking_calls_work_inside_a_running_loop(session):
    async def cell():
        return session.ask("Hello", "sonnet").text

    assert asyncio.run(cell())


def test_the_awaitable_twins_work_on_any_loop(session):
    async def cell():
        reply, frame = await asyncio.gather(session.aask("Hello", "sonnet"), session.acompare("Hello", ["flash"]))
        return reply.text, len(frame)

    text, rows = asyncio.run(cell())
    assert text
    assert rows == 1


def test_many_threads_share_one_session(session):
    texts = []
    threads = [
        threading.Thread(target=lambda n=n: texts.append(session.ask(f"Say {n}", "sonnet").text)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 8


def test_the_simulator_goes_off_again_and_real_addresses_come_back(session):
    assert session.catalog.find("sonnet").vendor.base_url.startswith("http://127.0.0.1:")
    session.simulate(False)
    assert session.catalog.find("sonnet").vendor.base_url == "https://api.anthropic.com"


def test_a_run_may_ask_more_at_once_than_the_setting(session):
    session.use(session.config.with_cell({"limits.parallel": 2}))
    at_once = {"most": 0}
    going = set()

    def watch(index, event):
        going.add(index) if isinstance(event, Started) else going.discard(index) if isinstance(event, Call) else None
        at_once["most"] = max(at_once["most"], len(going))

    plan = session.plan("Hello", ["sonnet"], repeat=12)
    session.run(plan, progress=watch)
    assert at_once["most"] == 2
    session.run(plan, parallel=12, progress=watch)
    assert at_once["most"] == 12


def test_faults_are_ordered_from_the_simulator_at_work(session):
    session.simulator.fail("529", times=1)
    frame = session.compare("Hello", ["sonnet"])
    assert frame["attempts"].tolist() == [2]
    assert frame["error"].isna().all()
    session.simulate(False)
    with pytest.raises(UserError, match="%llm simulate on"):
        _ = session.simulator


def test_a_script_says_what_the_simulator_answers(session, tmp_path):
    (tmp_path / "answers.yaml").write_text("- {match: capital of France, answer: Paris., model: claude}\n")
    session.simulate(True, tmp_path / "answers.yaml")
    assert session.ask("What is the capital of France?", "sonnet").text == "Paris."
    assert session.ask("What is the capital of France?", "flash").text != "Paris."
    (tmp_path / "answers.yaml").write_text("- {mach: capital}\n")
    with pytest.raises(UserError, match=r"answers\.yaml"):
        session.simulate(True, tmp_path / "answers.yaml")
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        session.simulate(True, tmp_path / "nowhere.yaml")


def test_vendors_list_their_models_and_count_tokens(session):
    assert {model.vendor.name for model in session.list_models("anthropic")} == {"anthropic"}
    assert session.count_tokens("How many tokens is this?", "sonnet") > 3
    assert session.count_tokens("How many tokens is this?", "mistral") is None


def test_a_changed_file_is_read_again(tmp_path):
    with Session.open(cwd=tmp_path, environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as opened:
        assert opened.config.settings.model is None
        opened.use(opened.config.set_user("model", "sonnet"))
        assert opened.config.settings.model == "sonnet"
        (tmp_path / "config" / "config.yaml").write_text("model: flash\n")
        opened.refresh()
        assert opened.config.settings.model == "flash"


def test_what_is_stopped_while_simulating_is_not_taken_for_live(tmp_path):
    with Session.open(cwd=tmp_path, environ={"ORCHESTRATOR_NB_HOME": str(tmp_path)}) as opened:
        opened.simulate(True)
        opened.simulator.say("slow", "word " * 4000)
        plan, some = opened.plan("slow", ["mini"], repeat=4), threading.Event()
        job = opened.start(plan, parallel=2, progress=lambda _index, news: isinstance(news, Delta) and some.set())
        assert some.wait(60)
        job.stop()
        run = job.result()
    kinds = {call.error.kind for call in run.calls}
    assert kinds == {"cancelled"}
    assert {call.source for call in run.calls} == {"simulated"}
    assert {call.answer.source for call in run.calls if call.answer} == {"simulated"}


def test_doctor_names_the_files_that_are_in_force_and_no_others(tmp_path):
    environ = {"ORCHESTRATOR_NB_HOME": str(tmp_path)}
    with Session.open(cwd=tmp_path, environ=environ) as opened:
        before = {check.name: check for check in opened.doctor()}
        path = opened.config.paths.settings
        opened.use(opened.config.set_user("model", "sonnet"))
        after = {check.name: check for check in opened.doctor()}
    assert before["settings files"].text == "none: the defaults are in force"
    assert before["default model"].ok is None  # a fresh installation is healthy
    assert after["settings files"].text == str(path)
    assert after["default model"].text == "sonnet"


def test_doctor_names_every_vendor_and_shows_no_key(tmp_path):
    environ = {"ORCHESTRATOR_NB_HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-ant-canary-0123456789"}
    with Session.open(cwd=tmp_path, environ=environ) as opened:
        report = "\n".join(f"{check.name} {check.text}" for check in opened.doctor())
    assert "ANTHROPIC_API_KEY from the environment" in report
    assert "MISTRAL_API_KEY is missing: %vault set MISTRAL_API_KEY" in report
    assert "canary" not in report
