"""Conversations in the store: every turn is there again, a damaged one takes no other with it, older files get the table."""

import sqlite3

import pytest

from orchestrator_nb.chronicle import Mark, retold
from orchestrator_nb.conversations import Turn
from orchestrator_nb.messages import Message, Text, Thinking
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.check import check, salvage
from orchestrator_nb.store.conversations import Conversations
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.migrations import MIGRATIONS, migrate


def turn(number, parent=None, **more):
    answer = Message("assistant", (Thinking("hm", "seal"), Text(f"answer {number} \ud800")))
    return Turn(f"t{number}", parent, (Message.user(f"question {number}"),), answer, "answered", **more)


def told(database, *events, name="chat"):
    talks = Conversations(database)
    for event in events:
        talks.put(name, event)
    database.flush()


CHAIN = [turn(0), turn(1, "t0"), turn(2, "t1"), Mark("side", "t0")]


def test_what_was_said_is_there_again_in_its_order(path, database, clock):
    told(database, *CHAIN)
    told(database, *CHAIN[:3])
    told(database, turn(9), name="other")
    database.close()
    again = Database.open(path, clock=clock)
    found = Conversations(again).read("chat")
    assert found.events == tuple(CHAIN)
    assert Conversations(again).read("chat", found.last).events == ()
    assert Conversations(again).names() == ["other", "chat"]
    again.close()


def test_a_question_and_its_answer_are_two_rows_and_one_turn(database):
    asked = Turn("t0", None, (Message.user("How?"),))
    told(database, asked)
    told(database, turn(0))
    assert retold(Conversations(database).read("chat").events).turns == {"t0": turn(0)}


@pytest.mark.parametrize("version", range(3))
def test_an_older_store_gets_conversations_and_keeps_its_runs(path, clock, whole_run, version):
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    if version:
        migrate(connection, 1.0, MIGRATIONS[:version])
    connection.close()
    database = Database.open(path, clock=clock)
    assert database.notices == ()
    told(database, *CHAIN)
    whole_run(Ledger(database, Answers(database)), size=2)
    assert Conversations(database).read("chat").events == tuple(CHAIN)
    database.close()
    assert check(path).is_sound
    assert check(path).whole["turns"] == len(CHAIN)


def test_a_damaged_turn_takes_no_other_with_it_and_is_told(path, database, clock):
    told(database, *CHAIN)
    database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(
        "UPDATE turns SET payload = replace(payload, 'question 1', 'question 7') WHERE payload LIKE '%question 1%'"
    )
    connection.close()
    assert check(path).damaged["turns"] == 1
    again = Database.open(path, clock=clock)
    since = Conversations(again).read("chat")
    again.close()
    assert since.damaged == 1
    tree = retold(since.events)
    assert [(one.id, one.parent) for one in tree.turns.values()] == [("t0", None), ("t2", None)]
    assert (tree.branch, tree.head) == ("side", "t0")


def test_a_row_cannot_be_passed_off_as_one_of_another_conversation(path, database, clock):
    told(database, *CHAIN)
    database.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE turns SET conversation = 'other'")
    connection.close()
    again = Database.open(path, clock=clock)
    assert Conversations(again).read("other").damaged == len(CHAIN)
    again.close()


def test_conversations_are_salvaged(path, database, clock, tmp_path):
    told(database, *CHAIN)
    database.close()
    new = tmp_path / "new" / "store.db"
    assert salvage(path, new, clock=clock)["turns"] == len(CHAIN)
    again = Database.open(new, clock=clock)
    assert Conversations(again).read("chat").events == tuple(CHAIN)
    again.close()
