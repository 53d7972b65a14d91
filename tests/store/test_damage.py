"""A flipped bit, a torn file, a lost log: nothing wrong is served, and what is whole can be saved."""

import contextlib
import random
import shutil
import sqlite3

import pytest

from orchestrator_nb.errors import StoreError
from orchestrator_nb.records import canonical, response_record
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.check import check, salvage, vacuum
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.ledger import Ledger

SIZE = 120


@pytest.fixture
def sound(path, clock, whole_run):
    """The bytes of a store with one run of ``SIZE`` calls."""
    database = Database.open(path, clock=clock)
    whole_run(Ledger(database, Answers(database)), size=SIZE)
    database.close()
    return path.read_bytes()


def flipped(data, chance):
    place, changed = chance.randrange(len(data) * 8), bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def cut(data, chance):
    return data[: chance.randrange(len(data))]


def served(path, clock, question, answer, numbers):
    """How many answers a damaged store serves, and how many of them are wrong."""
    database = Database.open(path, clock=clock)
    answers = Answers(database)
    found = {number: answers.get(question(number).key, "live") for number in numbers}
    database.close()
    wrong = sum(got is not None and got != answer(number) for number, got in found.items())
    return sum(got is not None for got in found.values()), wrong


def told(path, clock, answer):
    """How many places of the run are shown with a wrong answer and without a word."""
    database = Database.open(path, clock=clock)
    try:
        _, places = Ledger(database, Answers(database)).run("run")
        return sum(place.response not in (None, answer(place.number)) and not place.damaged for place in places)
    except StoreError:
        return 0
    finally:
        database.close()


def naive(path, question, answer):
    """The control: the same look-up without the seal; how many answers it serves that are not what was written."""
    sql = "SELECT answers.payload FROM answers JOIN requests ON requests.id = request WHERE key = ?"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        try:
            found = [connection.execute(sql, (bytes.fromhex(question(n).key),)).fetchone() for n in range(SIZE)]
        except sqlite3.Error:
            return 0
    return sum(
        row is not None and row[0] != canonical(response_record(answer(n))).encode() for n, row in enumerate(found)
    )


def damaged(path, sound, change, times, clock, question, answer, numbers):
    chance = random.Random(4)
    served_in_all, wrong, wrong_without = 0, 0, 0
    for _ in range(times):
        path.write_bytes(change(sound, chance))
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        wrong_without += bool(naive(path, question, answer))
        good, bad = served(path, clock, question, answer, numbers)
        served_in_all, wrong = served_in_all + good, wrong + bad + told(path, clock, answer)
    return served_in_all / times / len(numbers), wrong, wrong_without


@pytest.mark.slow
def test_flipped_bits_are_never_served_and_without_the_seal_they_would_be(path, sound, clock, question, answer):
    share, wrong, without = damaged(path, sound, flipped, 60, clock, question, answer, range(0, SIZE, 3))
    assert wrong == 0
    assert share > 0.9
    assert without > 0


@pytest.mark.slow
def test_torn_files_serve_nothing_wrong(path, sound, clock, question, answer):
    _, wrong, _ = damaged(path, sound, cut, 20, clock, question, answer, range(0, SIZE, 3))
    assert wrong == 0


@pytest.mark.soak
def test_a_thousand_flipped_bits_and_two_hundred_torn_files(path, sound, clock, question, answer):
    for change, times in ((flipped, 1000), (cut, 200)):
        share, wrong, without = damaged(path, sound, change, times, clock, question, answer, range(SIZE))
        assert wrong == 0
        print(f"\n{change.__name__} {times}: wrong 0, without the seal {without}; {share:.1%} of answers served")  # noqa: T201


def test_a_lost_log_loses_rows_and_serves_nothing_wrong(path, database, answers, question, answer, clock, tmp_path):
    for number in range(SIZE):
        answers.put(question(number), answer(number))
    database.flush()
    alone = tmp_path / "alone" / "store.db"
    alone.parent.mkdir()
    shutil.copy(path, alone)  # a copy without the log, as a careless backup makes it
    assert served(alone, clock, question, answer, range(SIZE))[1] == 0


def test_a_sound_store_checks_clean(path, sound):
    report = check(path)
    assert report.is_sound
    assert report.whole == {
        "requests": SIZE, "runs": 1, "ends": 1, "items": SIZE, "answers": SIZE, "calls": SIZE, "attempts": SIZE, "settlements": SIZE,
        "days": 0, "reservations": 0, "turns": 0, "marks": 0,
    }  # fmt: skip
    assert path.read_bytes() == sound


def test_every_table_row_that_was_changed_is_found(path, sound):
    connection = sqlite3.connect(path)
    changes = {
        "requests": "payload = replace(payload, 'user', 'tool')",
        "runs": "at = at + 1",
        "ends": "payload = '{}'",
        "items": "number = number + 1000",
        "answers": "good = 1 - good",
        "calls": "payload = replace(payload, 'live', 'cache')",
        "attempts": "payload = replace(payload, '0.01', '0.02')",
        "settlements": "payload = replace(payload, 'yes', 'no')",
    }
    for table, change in changes.items():
        connection.execute(f"UPDATE {table} SET {change} WHERE rowid = (SELECT max(rowid) FROM {table})")
        connection.commit()
        assert check(path).damaged[table] >= 1, table
    connection.close()


def test_an_answer_under_another_questions_key_is_not_served(path, sound, clock, question, answer):
    connection = sqlite3.connect(path)
    connection.execute("UPDATE answers SET request = request % 120 + 1")
    connection.commit()
    connection.close()
    assert served(path, clock, question, answer, range(SIZE)) == (0, 0)


def test_salvage_copies_a_whole_store_whole(path, sound, clock, tmp_path, answer):
    new = tmp_path / "new" / "store.db"
    assert salvage(path, new, clock=clock) == check(path).whole == check(new).whole
    assert check(new).is_sound
    assert path.read_bytes() == sound
    database = Database.open(new, clock=clock)
    told, places = Ledger(database, Answers(database)).run("run")
    assert (told.done, told.damaged, [place.response for place in places]) == (
        SIZE,
        0,
        [answer(n) for n in range(SIZE)],
    )
    database.close()


def readable(path):
    """Rows by table that can be read in the usual way with their seals right."""
    try:
        return check(path).whole
    except StoreError:
        return {}


def saved_of_damaged(path, sound, change, times, clock, tmp_path):
    chance, shares = random.Random(5), []
    for turn in range(times):
        path.write_bytes(change(sound, chance))
        before, usual = path.read_bytes(), readable(path)
        new = tmp_path / f"new-{turn}" / "store.db"
        saved = salvage(path, new, clock=clock)
        assert path.read_bytes() == before
        assert {name: count for name, count in usual.items() if saved[name] < count} == {}
        assert check(new).is_sound
        shares.append(sum(saved.values()) / (6 * SIZE + 2))
    return sum(shares) / times


@pytest.mark.slow
def test_salvage_finds_every_row_that_can_be_read_and_those_behind_a_broken_way(path, sound, clock, tmp_path):
    assert saved_of_damaged(path, sound, flipped, 12, clock, tmp_path) > 0.95
    torn = saved_of_damaged(path, sound, lambda data, _: data[: len(data) * 3 // 4], 1, clock, tmp_path / "torn")
    assert torn > 0.1, "the last pages hold most rows, for the tables' roots stand first"


@pytest.mark.soak
def test_salvage_of_three_hundred_damaged_stores(path, sound, clock, tmp_path):
    for change in (flipped, cut):
        share = saved_of_damaged(path, sound, change, 300, clock, tmp_path / change.__name__)
        print(f"\nsalvaged after {change.__name__}: {share:.1%} of all rows on average")  # noqa: T201


def test_salvage_finds_rows_behind_a_destroyed_root(path, sound, clock, tmp_path):
    page = int.from_bytes(sound[16:18])
    path.write_bytes(bytes(page) + sound[page:])  # no header and no list of tables
    assert not check(path).is_sound
    saved = salvage(path, tmp_path / "new" / "store.db", clock=clock)
    assert saved["answers"] == SIZE


def test_salvage_reads_what_stands_only_in_the_log(path, database, answers, question, answer, clock, tmp_path):
    for number in range(10):
        answers.put(question(number), answer(number, parsed="long " * 20_000))  # and rows longer than a page
    database.flush()
    assert salvage(path, tmp_path / "new.db", clock=clock)["answers"] == 10


def test_salvage_never_overwrites_and_says_what_is_missing(path, sound, clock, tmp_path):
    with pytest.raises(StoreError, match="exists already"):
        salvage(path, path, clock=clock)
    for act in (check, lambda p: vacuum(p, clock=clock), lambda p: salvage(p, tmp_path / "new", clock=clock)):
        with pytest.raises(StoreError, match="there is no store"):
            act(tmp_path / "missing.db")


def test_vacuum_gives_room_back_and_keeps_every_row(path, clock, whole_run):
    database = Database.open(path, clock=clock)
    ledger = Ledger(database, Answers(database))
    whole_run(ledger, size=300)
    database.transact(lambda connection: connection.execute("DELETE FROM attempts")).result()
    whole_run(ledger, "kept", size=5)
    before, after = vacuum(path, clock=clock)  # while another session has it open
    assert after < before
    assert ledger.run("kept")[0].done == 5
    database.close()
    assert check(path).is_sound


def test_another_programs_file_is_not_vacuumed(tmp_path, clock):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (n)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(StoreError, match="another program"):
        vacuum(tmp_path / "other.db", clock=clock)
    assert (tmp_path / "other.db").read_bytes() == before


def test_deleted_answers_are_nowhere_in_the_files(path, database, answers, question, answer):
    answers.put(question(), answer())
    database.flush()
    database.transact(lambda connection: connection.execute("DELETE FROM answers")).result()
    database.close()
    assert all(b"answer 0" not in file.read_bytes() for file in path.parent.iterdir())
