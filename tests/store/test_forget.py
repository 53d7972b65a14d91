"""What is forgotten is gone from every file, and what is newer is whole."""

from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.check import check, vacuum
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.forget import Forgotten, forget
from orchestrator_nb.store.ledger import Ledger


def test_old_runs_go_with_their_answers_and_newer_ones_stay_whole(path, clock, whole_run, question, answer):
    database = Database.open(path, clock=clock)
    answers = Answers(database)
    ledger = Ledger(database, answers)
    whole_run(ledger, "old", size=20)
    clock.now += 86_400
    ledger.begin("new", [Item(question(3))], {})  # served an answer of the old run from the cache
    ledger.finished("new", 0, Call(Item(question(3)), "new-0", answer(3), source="cache"))
    ledger.ended("new")

    assert forget(database, before=clock.now - 3600) == Forgotten(runs=1, answers=19, questions=19)

    assert [told.id for told in ledger.runs()] == ["new"]
    assert ledger.run("new")[1][0].response == answer(3)
    assert answers.get(question(3).key, "live") == answer(3)
    assert answers.get(question(4).key, "live") is None
    assert ledger.cost() != []
    database.close()
    vacuum(path, clock=clock)
    report = check(path)
    assert report.is_sound
    assert report.whole["answers"] == report.whole["items"] == 1
    assert all(b"answer 4 " not in file.read_bytes() for file in path.parent.iterdir())


def test_nothing_old_means_nothing_forgotten(database, ledger, whole_run):
    whole_run(ledger, size=3)
    assert forget(database, before=0) == Forgotten(0, 0, 0)
    assert ledger.run("run")[0].done == 3
