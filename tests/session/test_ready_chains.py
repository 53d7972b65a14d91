"""The ready chains as their user has them: in a session, over HTTP, with models that play their parts, to the frame and its outputs."""

from pathlib import Path

import pytest

from orchestrator_nb import Session
from orchestrator_nb.chains.templates import ready, template

SCRIPT = Path(__file__).with_name("ready_chains.yaml")
FILLER = "And so it went on, day after day. "
DOCUMENT = f"{FILLER * 1500} copper {FILLER * 1200} silver {FILLER * 300}"
EXPECTED = {
    "refine": (
        {"task": "Write about lighthouses."},
        {"text": "Lighthouses keep ships off the rocks. Their lamps turn at a pace of their own!"},
        5,
    ),
    "summarize": ({"document": DOCUMENT}, {"summary": "Copper first and silver later."}, 10),
    "route": ({"message": "I got a broken lamp."}, {"kind": "complaint", "answer": "We are sorry."}, 2),
    "debate": ({"claim": "Meetings help."}, {"winner": "against", "sure": 0.7, "reason": "Nothing was measured."}, 9),
    "vote": ({"question": "6 by 7?"}, {"answer": "42", "agreement": 0.6, "sure": True}, 5),
    "extract": (
        {"text": "Miller is owed 120.50 EUR."},
        {
            "values": {"name": "Miller", "amount": 120.5, "currency": "EUR"},
            "problems": ["currency: the text says EUR"],
            "confirmed": True,
        },
        4,
    ),
    "translate": (
        {"text": "Not more than 5 mg.", "language": "French"},
        {"translation": "Pas plus de 5 mg.", "faithful": False, "differences": ["5 mg became 50 mg"]},
        4,
    ),
}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with Session.open(home=home, cwd=home, environ={}) as session:
        session.simulate(True, SCRIPT)
        yield session


def test_each_has_its_part():
    assert EXPECTED.keys() == ready().keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_it_gives_what_it_is_for(played, name):
    given, expected, calls = EXPECTED[name]
    frame = played.run_chain(template(name).chain(), given, model="flash")
    outputs = frame.llm.outputs
    assert {key: outputs[key] for key in expected} == expected
    assert len(frame) == calls
    assert set(frame["source"]) == {"simulated"}
    assert frame["error"].isna().all()


def test_one_is_run_for_each_row_of_a_frame(played):
    over = [{"message": "I got a broken lamp."}, {"message": "When do you open?"}]
    found = played.run_chain(template("route").chain(), over=over, model="flash").llm.outputs
    assert list(found["kind"]) == ["complaint", "simple"]
    assert list(found["answer"]) == ["We are sorry.", "At nine."]


def test_its_parts_are_played_by_the_models_that_it_is_told(played):
    chain = template("extract").chain(values={"extractor": "flash", "checker": "haiku"})
    frame = played.run_chain(chain, EXPECTED["extract"][0])
    assert ["gemini" in model for model in frame["model"]] == [True, False, True, False]
