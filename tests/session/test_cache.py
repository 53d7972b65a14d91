"""An identical question is not paid for twice, unless asked for; and nothing is served that is not a model's whole answer to exactly this question."""

import threading

import pytest
from vendor import Lab

from orchestrator_nb import Session
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.results.frames import frame

ONE = ["lab/one"]


class SetBack(SystemClock):
    """A wall clock that goes wrong by so many seconds."""

    def __init__(self, by_s):
        self._by_s = by_s

    def wall(self):
        return super().wall() + self._by_s


def test_a_question_that_was_asked_before_is_answered_from_the_store(opened, lab):
    first = opened().compare(["How?", "Why?"], ONE)
    second = opened().compare(["How?", "Why?"], ONE)
    assert sorted(lab.asked) == ["How?", "Why?"]
    assert first["text"].tolist() == second["text"].tolist()
    assert set(first["source"]) == {"live"}
    assert set(second["source"]) == {"cache"}
    assert second["attempts"].tolist() == [0, 0]
    assert second.llm.cost()["saved_usd"].iloc[-1] == pytest.approx(0.01)


def test_the_run_says_how_many_were_cached_from_when_and_how_to_ask_anew(opened):
    opened().ask("How?", "lab/one")
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    [told] = [notice for notice in session.last.notices if "cache" in notice]
    assert told.startswith("1 answered from the cache, the oldest of 20")
    assert told.endswith("--fresh asks anew.")


def test_live_never_looks_and_its_answer_is_served_from_then_on(opened, lab):
    session = opened()
    old, new = session.ask("How?", "lab/one").text, session.ask("How?", "lab/one", source="live").text
    assert old != new
    assert session.ask("How?", "lab/one").text == opened().ask("How?", "lab/one").text == new
    assert len(lab.asked) == 2


def test_the_newest_answer_is_served_also_when_the_clock_was_set_back_meanwhile(home, lab):
    answers = []
    for by_s in (0, -86_400, -100_000):
        with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}, clock=SetBack(by_s)) as session:
            answers.append(session.ask("How?", "lab/one", source="live").text)
    assert len(set(answers)) == 3
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as session:
        assert session.ask("How?", "lab/one").text == answers[-1]


@pytest.mark.parametrize("prompt", ["long story", "bad words", "broken question"])
def test_what_is_cut_off_refused_or_failed_is_asked_again(opened, lab, prompt):
    lab.broken.add("broken question")
    session = opened()
    for _ in range(2):
        session.compare(prompt, ONE)
    assert len(lab.asked) == 2


def test_an_answer_that_is_not_as_asked_is_asked_again(opened, lab):
    session = opened()
    for _ in range(2):
        assert session.compare("How?", ONE, schema="name")["error_kind"].notna().all()
    assert len(lab.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "How"},
        {"system": "Be brief."},
        {"options": {"temperature": 1}},
        {"models": ["lab/two"]},
    ],
)
def test_another_question_is_another_one(opened, lab, other):
    session = opened()
    asked = {"prompt": "How?", "models": ONE}
    session.run(session.plan(**asked))
    session.run(session.plan(**{**asked, **other}))
    assert len(lab.asked) == 2


def test_each_sample_is_an_answer_of_its_own_also_from_the_store(opened, lab):
    session = opened()
    frames = [session.compare("How?", ONE, repeat=repeat) for repeat in (2, 3)]
    assert frames[1]["source"].tolist() == ["cache", "cache", "live"]
    assert frames[1]["text"].nunique() == 3
    assert len(lab.asked) == 3


def test_another_address_is_another_vendor(opened, home, lab):
    opened().ask("How?", "lab/one")
    other = Lab()
    try:
        other.settings(home)
        assert opened().ask("How?", "lab/one").call.source == "live"
        assert other.asked == ["How?"]
    finally:
        other.close()


def test_two_of_the_same_at_the_same_time_are_asked_once(opened, lab):
    lab.pause_s = 0.1
    frame = opened().compare(["How?"] * 5 + ["Why?"], ONE)
    assert sorted(lab.asked) == ["How?", "Why?"]
    assert frame["source"].value_counts().to_dict() == {"cache": 4, "live": 2}
    assert frame["text"].nunique() == 2


def test_when_the_first_of_them_fails_the_next_asks_itself(opened, lab):
    lab.broken.add("How?")
    lab.pause_s = 0.05
    frame = opened().compare(["How?"] * 3, ONE)
    assert len(lab.asked) == 3
    assert set(frame["source"]) == {"live"}


def test_one_that_is_given_up_does_not_take_the_others_with_it(opened, lab):
    session, asked, go = opened(), threading.Event(), threading.Event()
    lab.heard = lambda _prompt: (asked.set(), go.wait(5))
    first = session.start(session.plan("How?", ONE))
    assert asked.wait(5)
    second = session.start(session.plan("How?", ONE))
    first.stop()
    assert first.result().calls[0].error.kind == "cancelled"
    go.set()
    assert second.result().calls[0].source == "live"


def test_the_simulator_answers_anew_and_is_never_taken_for_a_model(opened, lab):
    session = opened()
    live = session.ask("How?", "lab/one").text
    session.simulate(True)
    for _ in range(2):
        frame = session.compare("How?", ["lab/one", "sonnet"])
        assert set(frame["source"]) == {"simulated"}
        assert set(frame["attempts"]) == {1}
        assert not frame["text"].eq(live).any()
    session.simulate(False)
    assert session.store.answers.find(frame["key"][1], "live") is None
    assert session.store.answers.find(frame["key"][1], "simulated") is not None
    assert session.ask("How?", "lab/one").text == live


def test_a_configured_vendor_that_is_the_simulator_is_never_served(opened, lab):
    lab.headers["x-simulated"] = "1"
    session = opened()
    for _ in range(2):
        assert session.ask("How?", "lab/one").call.source == "simulated"
    assert session.costs().empty or session.costs()["billed_usd"].sum() == 0


def test_a_served_answer_streams_its_text(opened):
    session = opened()
    whole = session.ask("How?", "lab/one").text
    assert "".join(session.stream("How?", "lab/one")) == whole
    assert session.last.calls[0].source == "cache"


def test_without_a_store_nothing_is_served(opened, lab):
    session = opened(ORCHESTRATOR_NB_STORE__ENABLED="false")
    for _ in range(2):
        session.ask("How?", "lab/one")
    assert len(lab.asked) == 2
    assert session.store is None


def test_a_parameter_that_goes_out_now_and_did_not_then_is_asked_anew(opened, home, lab):
    models = home / "config" / "models.yaml"
    usual = models.read_text()
    models.write_text(usual.replace("name: two", "name: two, refuses: [seed]"))
    for _ in range(2):
        session = opened()
        told = session.ask("How?", "lab/two", options={"seed": 1})
        assert "takes no seed" in str(told.call.answer.notices)
    assert told.call.source == "cache"
    models.write_text(usual)
    for source in ("live", "cache"):
        told = opened().ask("How?", "lab/two", options={"seed": 1})
        assert (told.call.source, told.call.answer.notices) == (source, ())
    assert len(lab.asked) == 2


@pytest.mark.parametrize("parallel", [1, 5])
def test_equal_questions_of_a_recorded_run_are_one_so_that_it_replays_as_it_was(opened, lab, parallel):
    session = opened()
    plan = session.plan("{{ n }}", ONE, over=[{"n": "How?"}] * 4 + [{"n": "Why?"}], repeat=2, source="record t.jsonl")
    first = frame(session.run(plan, parallel=parallel))
    assert len(lab.asked) == 4  # two questions, two samples
    again = opened().compare(["How?"] * 4 + ["Why?"], ONE, repeat=2, source="replay t.jsonl")
    assert first["text"].tolist() == again["text"].tolist()
    assert first["source"].value_counts().to_dict() == {"cache": 6, "live": 4}
    assert not any("gave way" in notice for notice in session.last.notices)
    session.run(session.plan("How?", ONE, source="record t.jsonl"))  # another run asks anew
    assert len(lab.asked) == 5


def test_of_equal_questions_in_a_recorded_run_one_that_fails_or_is_cut_off_is_no_answer_to_the_others(opened, lab):
    lab.broken.add("How?")
    opened().compare(["How?"] * 3 + ["long story"] * 2, ONE, source="record t.jsonl")
    assert len(lab.asked) == 5


def test_what_a_tape_says_is_never_served_as_a_models_answer(opened, lab):
    opened().ask("How?", "lab/one", source="record t.jsonl")
    session = opened()
    session.store.database.transact(lambda connection: connection.execute("DELETE FROM answers")).result()
    assert session.ask("How?", "lab/one", source="replay t.jsonl").call.source == "replay"
    assert opened().ask("How?", "lab/one").call.source == "live"
    assert len(lab.asked) == 2
