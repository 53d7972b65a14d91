"""What a person thought of answers: kept with its seal, forgotten with its run, salvaged, and never of an answer that is not there any more."""

import sqlite3

import pytest

from orchestrator_nb.errors import UserError
from orchestrator_nb.marks import NOTE, Mark
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.check import check, salvage, vacuum
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.forget import forget
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.marks import Marks
from orchestrator_nb.store.migrations import MIGRATIONS, migrate


@pytest.fixture
def marks(database, ledger, whole_run):
    whole_run(ledger, size=4)
    return Marks(database)


def test_a_mark_changes_piece_by_piece_and_each_piece_is_taken_back(marks):
    assert marks.set("run-1", rating=4) == Mark(rating=4)
    assert marks.set("run-1", thumbs="up", note="dry") == Mark(rating=4, thumbs="up", note="dry")
    assert marks.set("run-1", best=True, rating=None) == Mark(True, 4, "up", "dry")
    assert marks.of("run") == {"run-1": Mark(True, 4, "up", "dry")}
    assert marks.set("run-1", best=False, rating=0, thumbs="") == Mark(note="dry")
    assert marks.set("run-1", note="") == Mark()
    assert marks.of("run") == {}


@pytest.fixture
def grid(database, ledger, question, answer):
    """Two prompts, each with three answers."""
    items = [Item(question(row), row, repeat) for row in range(2) for repeat in range(3)]
    ledger.begin("run", items, {})
    for number, item in enumerate(items):
        ledger.finished("run", number, Call(item, f"run-{number}", answer(item.row)))
    ledger.ended("run")
    return Marks(database)


def test_one_answer_of_a_prompt_is_the_best_and_the_other_keeps_what_else_was_said(grid):
    grid.set("run-0", best=True, rating=5)
    grid.set("run-3", best=True)
    grid.set("run-2", best=True)
    assert grid.of("run") == {"run-0": Mark(rating=5), "run-2": Mark(best=True), "run-3": Mark(best=True)}
    grid.set("run-0", best=True)
    assert grid.of("run") == {"run-0": Mark(True, 5), "run-3": Mark(best=True)}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"rating": value} for value in (6, -1, 2.5, "5", True, float("nan"))),
        {"thumbs": "sideways"},
        {"thumbs": 1},
        {"note": 7},
        {"note": "x" * (NOTE + 1)},
        {"best": "yes"},
        {"best": 2},
    ],
)
def test_what_no_mark_can_say_is_refused_and_changes_nothing(marks, wrong):
    marks.set("run-0", rating=3)
    with pytest.raises(UserError) as raised:
        marks.set("run-0", **wrong)
    assert len(str(raised.value)) < 160
    assert marks.of("run") == {"run-0": Mark(rating=3)}


@pytest.mark.parametrize(
    "call", ["", "run", "run-", "run-99", "other-0", "run--1", "-1", "run-١", f"run-{'9' * 30}", "<b>-0"]
)
def test_a_call_that_is_not_there_is_named(marks, call):
    with pytest.raises(UserError, match="call_id"):
        marks.set(call, rating=3)


def test_a_mark_is_of_the_answer_that_was_seen(marks, ledger, question, answer):
    marks.set("run-0", rating=1, best=True)
    ledger.resume("run")
    ledger.finished("run", 0, Call(Item(question(0)), "run-0", answer(0)))
    ledger.ended("run")
    assert marks.of("run") == {}
    assert marks.set("run-0", rating=5) == Mark(rating=5)
    assert marks.of("run") == {"run-0": Mark(rating=5)}


def test_several_kernels_mark_one_run(path, marks, clock):
    other = Database.open(path, clock=clock)
    Marks(other).set("run-0", rating=2)
    marks.set("run-0", thumbs="down")
    assert Marks(other).of("run") == {"run-0": Mark(rating=2, thumbs="down")}
    other.close()


def test_keys_are_taken_out_of_notes_and_texts_that_are_not_kept_have_none(database, marks):
    clean = Marks(database, clean=lambda text: text.replace("sk-1", "[key]"))
    assert clean.set("run-0", note="sent sk-1").note == "sent [key]"
    digest = Marks(database, keep_notes=False)
    with pytest.raises(UserError, match="keep_prompts"):
        digest.set("run-1", note="they asked for", rating=1)
    assert digest.set("run-1", rating=1, note="") == Mark(rating=1)


@pytest.mark.parametrize("version", range(4))
def test_an_older_store_gets_marks_and_keeps_its_runs(path, clock, whole_run, version):
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    if version:
        migrate(connection, 1.0, MIGRATIONS[:version])
    connection.close()
    database = Database.open(path, clock=clock)
    assert database.notices == ()
    whole_run(Ledger(database, Answers(database)), size=2)
    Marks(database).set("run-1", rating=4)
    assert Marks(database).of("run") == {"run-1": Mark(rating=4)}
    with database.reading() as reading:
        assert reading.execute("SELECT name FROM migrations WHERE number = 4").fetchone() == ("marks",)
    database.close()
    assert check(path).is_sound


def test_a_damaged_mark_counts_as_none_and_is_told(path, marks, database):
    marks.set("run-0", rating=1)
    marks.set("run-1", rating=1)
    database.close()
    change(path, "UPDATE marks SET payload = replace(payload, '1', '5') WHERE number = 0")
    assert check(path).damaged["marks"] == 1
    again = Database.open(path, clock=database.clock)
    assert Marks(again).of("run") == {"run-1": Mark(rating=1)}
    again.close()


@pytest.mark.parametrize("record", ['{"stars": 3}', '{"rating": 9}', "[]"])
def test_a_mark_of_a_later_version_counts_as_none(path, marks, database, record):
    from orchestrator_nb.store.rows import seal

    marks.set("run-0", rating=1)
    database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    [(run, at)] = connection.execute("SELECT run, at FROM marks").fetchall()
    connection.execute("UPDATE marks SET payload = ?, digest = ?", (record, seal("marks", run, 0, 0, at, record)))
    connection.close()
    again = Database.open(path, clock=database.clock)
    assert Marks(again).of("run") == {}
    again.close()


def test_marks_are_salvaged(path, marks, database, clock, tmp_path):
    marks.set("run-2", rating=5, note="this one")
    database.close()
    new = tmp_path / "new" / "store.db"
    assert salvage(path, new, clock=clock)["marks"] == 1
    again = Database.open(new, clock=clock)
    assert Marks(again).of("run") == {"run-2": Mark(rating=5, note="this one")}
    again.close()


def test_marks_are_forgotten_with_their_run(path, marks, database, clock):
    marks.set("run-2", note="nobody may read this")
    clock.now += 86_400
    forget(database, before=clock.now - 3600)
    assert marks.of("run") == {}
    database.close()
    vacuum(path, clock=clock)
    assert check(path).whole["marks"] == 0
    assert all(b"nobody may read" not in file.read_bytes() for file in path.parent.iterdir())


def change(path, sql):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(sql)
    connection.close()
