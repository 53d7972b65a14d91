"""Who waits for the disk and who does not; how the write-ahead log is kept short; what a replayed answer takes."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace

from orchestrator_nb.kernel.recorded import BEHIND, Book
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.store.log import reaches
from orchestrator_nb.store.store import Store


def count(path, table):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def book_of(path, clock, items):
    store = Store.open(path, clock=clock)
    book = Book(store, "run")
    book.begin(items, {})
    return store, book


def test_a_call_is_told_when_it_is_on_disk_and_its_worker_goes_on_before(path, clock, question, answer):
    items = [Item(question(n), n) for n in range(3)]
    store, book = book_of(path, clock, items)
    on_disk = []

    async def ask():
        for n, item in enumerate(items):
            call = Call(item, f"run-{n}", answer(n), attempts=1)
            await book.keep(n, call, lambda: on_disk.append(count(path, "calls")))
            assert on_disk == [], "the worker did not wait"
        attempt = await book.sent(question(9), None)
        assert on_disk == [3, 3, 3], "what goes out next is written after what came before, and only then goes out"
        assert count(path, "attempts") == 1
        book.answered(attempt, answer(9))
        await book.kept()

    asyncio.run(ask())
    store.close()


def test_who_is_quicker_than_the_disk_waits_for_it_in_the_end(path, clock, question, answer):
    items = [Item(question(n), n) for n in range(BEHIND + 100)]
    store, book = book_of(path, clock, items)
    told = []

    async def ask():
        for n, item in enumerate(items):
            await book.keep(n, Call(item, f"run-{n}", answer(n), attempts=1), lambda n=n: told.append(n))
            assert n - len(told) <= BEHIND
        await book.kept()

    asyncio.run(ask())
    assert told == list(range(len(items)))
    store.close()


def test_a_listener_that_breaks_keeps_nobody_else_from_hearing(path, clock, question, answer):
    items = [Item(question(n), n) for n in range(2)]
    store, book = book_of(path, clock, items)
    told = []

    async def ask():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
        await book.keep(0, Call(items[0], "run-0", answer(0), attempts=1), lambda: 1 / 0)
        await book.keep(1, Call(items[1], "run-1", answer(1), attempts=1), lambda: told.append("heard"))
        await book.kept()

    asyncio.run(ask())
    assert told == ["telling what is on disk failed", "heard"]
    store.close()


def test_a_replayed_answer_is_kept_once_however_often_it_is_replayed(path, clock, question, answer):
    items = [Item(question(n), n) for n in range(20)]
    for turn in range(3):
        store = Store.open(path, clock=clock)
        store.ledger.begin(f"run-{turn}", items, {})
        for n, item in enumerate(items):
            replayed = replace(answer(n), source="replay")
            call = Call(item, f"run-{turn}-{n}", replayed, source="replay", started_at=1.7e9 + n, recorded="live")
            store.ledger.finished(f"run-{turn}", n, call)
        store.ledger.ended(f"run-{turn}")
        clock.now += 60
        told, places = store.ledger.run(f"run-{turn}")
        assert (told.damaged, [place.response.text for place in places]) == (0, [answer(n).text for n in range(20)])
        assert store.answers.get(items[0].request.key, "live") is None, "it is served to nobody"
        store.close()
    assert count(path, "answers") == 20


def test_the_length_of_a_log_is_known_though_its_file_keeps_its_size(tmp_path):
    path = tmp_path / "some.db"
    log = tmp_path / "some.db-wal"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in ("journal_mode = wal", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("CREATE TABLE some (text)")
        connection.execute("INSERT INTO some VALUES (?)", ("x" * 200_000,))
        size = log.stat().st_size
        assert [reaches(log, limit) for limit in (0, 100_000, size)] == [True, True, False]
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.execute("INSERT INTO some VALUES ('y')")
        assert log.stat().st_size == size
        assert [reaches(log, limit) for limit in (0, 100_000, size)] == [True, False, False]
