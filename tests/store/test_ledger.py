"""The ledger tells what happened, to the cent, and says which part of it nobody knows."""

import sqlite3
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Cost, Params, Request, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import Cancelled, RateLimited, StoreError
from orchestrator_nb.messages import Message
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.told import NOT_ASKED


def test_a_run_comes_back_as_it_was(ledger, whole_run, answer):
    items = whole_run(ledger, size=30)
    told, places = ledger.run("run")
    assert (told.items, told.done, told.failed, told.missing, told.damaged) == (30, 30, 0, 0, 0)
    assert told.sources == {"live": 30}
    assert told.about["notebook"] == "study.ipynb"
    assert [place.number for place in places] == list(range(30))
    assert [place.response for place in places] == [answer(number) for number in range(30)]
    assert [place.key for place in places] == [item.request.key for item in items]
    assert places[3].inputs == {"n": 3}
    assert places[3].request["messages"][0]["parts"][0]["text"] == "question 3"
    assert ledger.runs() == [told]


def test_the_newest_run_stands_first_and_a_list_can_be_cut(ledger, whole_run, clock):
    for name in ("first", "second", "third"):
        whole_run(ledger, name, size=2)
        clock.now += 60
    assert [told.id for told in ledger.runs()] == ["third", "second", "first"]
    assert [told.id for told in ledger.runs(2)] == ["third", "second"]
    assert ledger.runs()[0].ended_at == clock.now - 60


def test_a_run_that_is_not_there_is_a_sentence(ledger):
    with pytest.raises(StoreError, match="there is no run 'x'"):
        ledger.run("x")
    with pytest.raises(StoreError, match="begin it first"):
        ledger.sent("x", model="lab/one", key="00")


def test_a_failed_call_keeps_its_error_and_the_text_that_had_come(ledger, question, answer):
    partial = answer(0, complete=False, finish="error")
    error = RateLimited("too many at once; wait.", kind="rate_limit", status=429, request_id="q1", response=partial)
    ledger.begin("run", [Item(question())], {})
    ledger.finished("run", 0, Call(Item(question()), "run-0", error=error))
    ledger.ended("run")
    told, [place] = ledger.run("run")
    assert told.failed == 1
    assert place.error == {
        "kind": "rate_limit",
        "type": "RateLimited",
        "message": "too many at once; wait.",
        "status": 429,
        "request_id": "q1",
    }
    assert place.response == partial


@pytest.mark.parametrize("kind", sorted(NOT_ASKED))
def test_what_was_stopped_or_never_sent_is_missing_and_has_not_failed(ledger, question, answer, kind):
    items = [Item(question(number), number) for number in range(3)]
    ledger.begin("run", items, {})
    ledger.finished("run", 0, Call(items[0], "run-0", answer(0)))
    ledger.finished("run", 1, Call(items[1], "run-1", error=RateLimited("wait.", kind="rate_limit")))
    ledger.finished("run", 2, Call(items[2], "run-2", error=Cancelled("stopped.", kind=kind)))
    ledger._database.flush()
    told, places = ledger.run("run")
    assert (told.items, told.done, told.failed, told.missing, told.sources) == (3, 2, 1, 1, {"live": 2})
    assert [place.number for place in places if not place.is_done] == [2]
    assert ledger.runs() == [told], "while it goes on"
    ledger.ended("run")
    assert ledger.runs() == [ledger.run("run")[0]]
    assert (ledger.runs()[0].failed, ledger.runs()[0].missing) == (1, 1)


def test_an_attempt_whose_end_nobody_wrote_counts_at_its_worst_case(ledger, question):
    ledger.begin("run", [Item(question())], {})
    sent = [ledger.sent("run", model="lab/one", key="00", worst=Decimal("0.5")) for _ in range(4)]
    ledger.settled(sent[0], billed="yes", usd=Decimal("0.25"))
    ledger.settled(sent[1], billed="maybe", outcome="timeout")
    ledger.settled(sent[2], billed="no", outcome="rate_limit")
    ledger.ended("run")
    [spent] = ledger.cost()
    assert (spent.name, spent.attempts, spent.ambiguous) == ("lab/one", 4, 2)
    assert (spent.billed, spent.possibly) == (Decimal("0.25"), Decimal("1.0"))


def test_what_nobody_can_price_is_counted_and_in_no_figure(ledger, question):
    ledger.begin("run", [Item(question())], {})
    ledger.settled(ledger.sent("run", model="lab/one", key="00"), billed="yes", usage=Usage(1, 2))
    ledger.sent("run", model="lab/one", key="00")
    ledger.ended("run")
    [spent] = ledger.cost()
    assert (spent.billed, spent.possibly, spent.unpriced) == (0, 0, 2)


def test_a_cached_call_is_a_row_that_says_what_it_saved(ledger, whole_run, question, answer):
    whole_run(ledger, "bought", size=1)
    ledger.begin("again", [Item(question())], {"notebook": "other.ipynb"})
    ledger.finished("again", 0, Call(Item(question()), "again-0", answer(), source="cache"))
    ledger.ended("again")
    told, [place] = ledger.run("again")
    assert told.sources == {"cache": 1}
    assert place.response == answer()
    costs = {spent.name: spent for spent in ledger.cost("run")}
    assert costs["bought"].billed == costs["again"].saved == Decimal("0.001")
    assert costs["again"].billed == costs["bought"].saved == 0
    assert {spent.name for spent in ledger.cost("notebook")} == {"study.ipynb", "other.ipynb"}
    assert [spent.saved for spent in ledger.cost("model")] == [Decimal("0.001")]


def test_simulated_money_is_told_only_when_asked_for(ledger, question):
    ledger.begin("run", [Item(question())], {})
    ledger.settled(ledger.sent("run", model="lab/one", key="00", simulated=True), billed="yes", usd=Decimal(1))
    ledger.ended("run")
    assert ledger.cost() == []
    assert ledger.cost(simulated=True)[0].billed == 1


def test_days_are_those_of_this_machine(ledger, question, clock):
    ledger.begin("run", [Item(question())], {})
    for _ in range(2):
        ledger.settled(ledger.sent("run", model="lab/one", key="00"), billed="yes", usd=Decimal(1))
        clock.now += 86_400
    ledger.ended("run")
    days = [datetime.fromtimestamp(1_790_000_000 + n * 86_400).astimezone().date().isoformat() for n in range(2)]
    assert [spent.name for spent in ledger.cost("day")] == days


@given(st.lists(st.decimals(0, 1000, places=9), max_size=30))
def test_sums_are_exact(amounts):
    database = Database.open(None, clock=_Now())
    ledger = Ledger(database, Answers(database))
    ledger.begin("run", [], {})
    for usd in amounts:
        ledger.settled(ledger.sent("run", model="lab/one", key="00"), billed="yes", usd=usd)
    ledger.ended("run")
    assert sum(spent.billed for spent in ledger.cost()) == sum(amounts)
    database.close()


class _Now:
    def wall(self):
        return 1_790_000_000.0


def test_a_run_that_was_broken_off_goes_on_where_it_stood(path, clock, question, answer):
    items = [Item(question(number), number) for number in range(4)]
    first = Database.open(path, clock=clock)
    ledger = Ledger(first, Answers(first))
    ledger.begin("run", items, {})
    ledger.finished("run", 1, Call(items[1], "run-1", answer(1)))
    ledger.finished("run", 2, Call(items[2], "run-2", error=RateLimited("wait.", kind="rate_limit")))
    first.close()

    second = Database.open(path, clock=clock)
    ledger = Ledger(second, Answers(second))
    assert ledger.runs()[0].missing == 2
    places = ledger.resume("run")
    assert [place.number for place in places if not place.is_done] == [0, 3]
    assert [place.number for place in places if place.error] == [2]
    for number in (0, 2, 3):
        ledger.finished("run", number, Call(items[number], f"run-{number}", answer(number)))
    ledger.ended("run")
    told, places = ledger.run("run")
    assert (told.done, told.failed, told.missing) == (4, 0, 0)
    assert [place.response for place in places] == [answer(number) for number in range(4)]
    assert ledger.runs() == [told]
    second.close()


def test_prompts_that_are_not_to_be_kept_are_nowhere_in_the_file(path, clock, question, answer):
    database = Database.open(path, clock=clock)
    ledger = Ledger(database, Answers(database, keep_prompts=False), keep_prompts=False)
    item = Item(question(), inputs={"name": "Ada Secretive"})
    ledger.begin("run", [item], {})
    ledger.finished("run", 0, Call(item, "run-0", answer()))
    ledger.ended("run")
    _, [place] = ledger.run("run")
    assert (place.request, place.inputs, place.response) == (None, {}, answer())
    assert Answers(database).get(item.request.key, "live") == answer()
    database.close()
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"question 0" not in written
    assert b"Secretive" not in written
    assert b"answer 0" in written  # the control: what is kept can be found like this


def test_variables_of_any_type_are_kept_as_json(ledger, question):
    inputs = {
        "n": np.int64(3),
        "x": np.float64("nan"),
        "f": 0.5,
        "t": date(2026, 1, 2),
        "l": (1, [None]),
        5: {1: 2},
    }
    ledger.begin("run", [Item(question(), inputs=inputs)], {})
    ledger.ended("run")
    _, [place] = ledger.run("run")
    assert place.inputs == {"n": 3, "x": None, "f": 0.5, "t": "2026-01-02", "l": [1, [None]], "5": {"1": 2}}


def test_a_variable_that_holds_itself_is_kept_as_text(ledger, question):
    loop = []
    loop.append(loop)
    ledger.begin("run", [Item(question(), inputs={"loop": loop})], {})
    ledger.ended("run")
    assert "[...]" in str(ledger.run("run")[1][0].inputs["loop"])


def test_an_amount_that_is_no_number_is_an_amount_nobody_knows(ledger, question):
    ledger.begin("run", [Item(question())], {})
    ledger.settled(ledger.sent("run", model="lab/one", key="00"), billed="yes", usd=Decimal("NaN"))
    ledger.ended("run")
    assert (ledger.cost()[0].billed, ledger.cost()[0].unpriced) == (0, 1)


@pytest.mark.parametrize("finish", ["length", "content_filter", "pause", "error"])
def test_an_answer_that_is_no_whole_answer_is_kept_and_never_served(ledger, answers, question, answer, finish):
    ledger.begin("run", [Item(question())], {})
    ledger.finished("run", 0, Call(Item(question()), "run-0", answer(finish=finish)))
    assert answers.get(question().key, "live") is None
    ledger.ended("run")
    assert answers.get(question().key, "live") is None
    assert ledger.run("run")[1][0].response == answer(finish=finish)


def test_an_answer_is_served_at_once_and_after_a_restart_and_the_newest_wins(path, clock, question, answer):
    database = Database.open(path, clock=clock)
    answers = Answers(database)
    answers.put(question(), answer(1))
    assert answers.get(question().key, "live") == answer(1)
    clock.now += 1
    answers.put(question(), answer(2))
    database.flush()
    assert answers._unwritten == {}
    assert answers.get(question().key, "live") == answer(2)
    database.close()
    database = Database.open(path, clock=clock)
    assert Answers(database).get(question().key, "live") == answer(2)
    database.close()


def test_live_and_simulated_answers_live_apart(answers, question, answer):
    answers.put(question(), answer(source="simulated"))
    assert answers.get(question().key, "live") is None
    assert answers.get(question().key, "simulated") == answer(source="simulated")
    answers._database.flush()
    assert answers.get(question().key, "live") is None


def test_an_answer_that_json_cannot_hold_is_not_kept_and_the_row_says_so(ledger, question, answer):
    ledger.begin("run", [Item(question())], {})
    ledger.finished("run", 0, Call(Item(question()), "run-0", answer(parsed=float("nan"))))
    ledger.ended("run")
    _, [place] = ledger.run("run")
    assert place.response is None
    assert place.outcome["kept"] is False


def test_a_question_with_lone_surrogates_has_its_answer(answers, answer):
    request = Request(
        ModelSpec(Vendor("lab", "openai", "https://lab.example"), "one"), (Message.user("\ud800"),), params=Params()
    )
    answers.put(request, answer())
    answers._database.flush()
    assert answers.get(request.key, "live") == answer()


def test_people_can_look_with_plain_sqlite(ledger, whole_run, path):
    whole_run(ledger, size=3)
    rows = sqlite3.connect(path).execute("SELECT run, number, model, source, error FROM asked").fetchall()
    assert rows == [("run", number, "lab/one", "live", None) for number in range(3)]


def test_the_price_of_an_answer_stands_with_it(ledger, question, answer):
    ledger.begin("run", [Item(question())], {})
    ledger.finished("run", 0, Call(Item(question()), "run-0", answer(cost=Cost(Decimal("1E-9"), "server"))))
    ledger.ended("run")
    assert ledger.run("run")[1][0].outcome["usd"] == "1E-9"
