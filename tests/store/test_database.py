"""One file for its owner alone; where it cannot be used the run works in memory and says why; failures are sentences."""

import asyncio
import errno
import fcntl
import os
import sqlite3
import stat
import threading

import pytest

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.database import Database, failure
from orchestrator_nb.store.flock import FileLock
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.migrations import MIGRATIONS, Migration, migrate
from orchestrator_nb.store.opening import _is_remote


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_can_read_the_store_and_its_folder(path, clock, question, answer):
    before = os.umask(0)
    try:
        database = Database.open(path, clock=clock)
        Answers(database).put(question(), answer())
        database.flush()
    finally:
        os.umask(before)
    assert mode(path.parent) == 0o700
    assert {file.name: mode(file) for file in path.parent.iterdir()} == dict.fromkeys(
        ("store.db", "store.db-wal", "store.db-shm", "store.db.lock"), 0o600
    )
    database.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["store.db", "store.db.lock"]


def test_a_folder_may_have_any_name(tmp_path, clock, question, answer):
    path = tmp_path / "a ?mode=ro#%41 ü" / "store.db"
    database = Database.open(path, clock=clock)
    Answers(database).put(question(), answer())
    database.flush()
    assert database.notices == ()
    assert Answers(database).get(question().key, "live") == answer()
    database.close()
    assert path.stat().st_size > 0


def test_a_store_that_others_could_read_is_closed_to_them(path, clock):
    Database.open(path, clock=clock).close()
    path.chmod(0o644)
    Database.open(path, clock=clock).close()
    assert mode(path) == 0o600


def test_deleted_text_is_overwritten_and_nothing_is_mapped(database):
    def settings(connection):
        names = ("secure_delete", "mmap_size", "wal_autocheckpoint", "journal_mode")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert database.transact(lambda connection: [connection.execute("ROLLBACK TO act"), settings(connection)][1]).result() == [
        1, 0, 0, "wal",
    ]  # fmt: skip


def works_in_memory(database, whole_run):
    """A whole run on a store that could not be opened; its one notice."""
    ledger = Ledger(database, Answers(database))
    whole_run(ledger, size=5)
    assert ledger.run("run")[0].done == 5
    assert database.path is None
    database.close()
    [notice] = database.notices
    assert notice.endswith("Until then runs and answers are kept in memory only.")
    return notice


def test_without_a_home_the_run_works_in_memory(tmp_path, clock, whole_run):
    (tmp_path / "data").write_text("a file where the folder should be")
    assert "cannot be used: " in works_in_memory(Database.open(tmp_path / "data" / "store.db", clock=clock), whole_run)


def test_with_a_read_only_home_the_run_works_in_memory(tmp_path, clock, whole_run):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    if os.access(home, os.W_OK):  # an administrator may write everywhere but here
        home = type(tmp_path)("/proc/self")
    notice = works_in_memory(Database.open(home / "data" / "store.db", clock=clock), whole_run)
    assert "cannot be used" in notice


def test_another_programs_database_is_left_as_it_is(path, clock, whole_run):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE runs (id)")
    other.close()
    before = path.read_bytes()
    assert "belongs to another program" in works_in_memory(Database.open(path, clock=clock), whole_run)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_as_it_is(path, clock, whole_run):
    path.parent.mkdir()
    path.write_bytes(b"my notes, " * 1000)
    assert "is damaged" in works_in_memory(Database.open(path, clock=clock), whole_run)
    assert path.read_bytes() == b"my notes, " * 1000


def test_a_store_of_a_newer_version_is_left_as_it_is(path, clock, whole_run):
    Database.open(path, clock=clock).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.execute("PRAGMA journal_mode = DELETE")
    newer.close()
    before = path.read_bytes()
    notice = works_in_memory(Database.open(path, clock=clock), whole_run)
    assert "written by a newer version (its tables are version 99); update orchestrator-nb" in notice
    assert path.read_bytes() == before


def test_a_file_system_that_cannot_lock_gets_a_plain_journal_and_the_run_works(path, clock, monkeypatch, whole_run):
    def flock(_handle, _how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    database = Database.open(path, clock=clock)
    assert database.notices == ()
    ledger = Ledger(database, Answers(database))
    whole_run(ledger, size=5)
    assert ledger.run("run")[0].done == 5
    with database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


def test_a_store_that_another_process_holds_in_its_log_is_not_shared_without_locks(
    path, clock, monkeypatch, database, whole_run
):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks available")))
    monkeypatch.setattr("orchestrator_nb.store.opening.BUSY_S", 0.05)
    assert "The store" in works_in_memory(Database.open(path, clock=clock), whole_run)


def test_network_file_systems_are_known(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\ntmpfs {tmp_path}/local tmpfs rw 0 0\n"
    )
    assert _is_remote(tmp_path / "store.db", mounts)
    assert not _is_remote(tmp_path / "local" / "store.db", mounts)
    assert not _is_remote(tmp_path / "store.db", tmp_path / "missing")


def test_a_writer_that_waits_too_long_for_another_says_so(path, database):
    lock = FileLock(path.with_name("store.db.lock"), wait_s=0.05)
    with FileLock(path.with_name("store.db.lock")), pytest.raises(StoreError, match="another process has been writing"):
        lock.__enter__()
    with lock:
        pass


def test_two_sessions_of_one_process_share_the_file(path, clock, question, answer):
    one, two = Database.open(path, clock=clock), Database.open(path, clock=clock)
    Answers(one).put(question(1), answer(1))
    one.flush()
    Answers(two).put(question(2), answer(2))
    assert Answers(two).get(question(1).key, "live") == answer(1)
    one.close()
    two.close()
    three = Database.open(path, clock=clock)
    assert Answers(three).get(question(2).key, "live") == answer(2)
    three.close()


def test_after_closing_everything_is_a_sentence(path, clock, question, answer):
    database = Database.open(path, clock=clock)
    database.close()
    database.close()
    for act in (
        lambda: Answers(database).put(question(), answer()),
        database.flush,
        lambda: Ledger(database, None).runs(),
    ):
        with pytest.raises(StoreError, match="the store is closed"):
            act()


def test_a_forked_child_is_told_to_open_its_own(database, tmp_path):
    child = os.fork()
    if not child:
        try:
            database.flush()
        except StoreError as error:
            (tmp_path / "told").write_text(str(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "opened by the parent process" in (tmp_path / "told").read_text()


def test_what_is_wrong_inside_a_step_undoes_that_step_alone(database, answers, question, answer):
    def wrong(connection):
        connection.execute("CREATE TABLE half (n)")
        raise LookupError("mine")

    answers.put(question(), answer())
    with pytest.raises(LookupError, match="mine"):
        database.transact(wrong).result()
    assert database.transact(lambda c: c.execute("SELECT count(*) FROM answers").fetchone()).result() == (1,)
    assert database.transact(
        lambda c: c.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone()
    ).result() == (0,)


def test_rows_are_on_disk_soon_though_nobody_waits_for_them(path, clock, question, answer):
    database = Database.open(path, clock=clock)
    written = threading.Event()
    database._writer.put(*[row._replace(after=written.set) for row in _rows(question())])
    assert written.wait(10)
    database.close()


def _rows(request):
    from orchestrator_nb.store.answers import request_row

    return [request_row(request, keep=True)]


def test_a_loop_waits_for_the_disk_without_standing_still(database, answers, question, answer):
    async def ask():
        answers.put(question(), answer())
        await asyncio.wait_for(asyncio.wrap_future(database.written()), 10)

    asyncio.run(ask())
    assert answers._unwritten == {}


def old_file(path, version):
    """A store as the step ``version`` left it; 0 is an empty file."""
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    if version:
        migrate(connection, 1.0, MIGRATIONS[:version])
    connection.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_every_older_store_is_brought_up_to_date(path, clock, whole_run, version):
    old_file(path, version)
    database = Database.open(path, clock=clock)
    whole_run(Ledger(database, Answers(database)), size=3)
    with database.reading() as connection:
        assert connection.execute("SELECT number, name FROM migrations").fetchall() == [
            (m.number, m.name) for m in MIGRATIONS
        ]
        assert connection.execute("PRAGMA user_version").fetchone() == (MIGRATIONS[-1].number,)
    database.close()


def test_a_step_that_fails_leaves_the_old_store(path, clock, ledger, whole_run):
    whole_run(ledger, size=3)
    newest = len(MIGRATIONS)
    steps = (
        *MIGRATIONS,
        Migration(newest + 1, "more", ("CREATE TABLE more (n)",)),
        Migration(newest + 2, "wrong", ("CREATE TABLE wrong",)),
    )
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, 1.0, steps)
    assert connection.execute("PRAGMA user_version").fetchone() == (newest,)
    migrate(connection, 1.0, steps[:-1])
    assert connection.execute("PRAGMA user_version").fetchone() == (newest + 1,)
    connection.close()
    assert ledger.run("run")[0].done == 3


@pytest.mark.parametrize(
    ("code", "safe"), [(sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_CORRUPT, False), (sqlite3.SQLITE_NOTADB, False)]
)
def test_of_a_damaged_file_nothing_is_promised(tmp_path, code, safe):
    error = sqlite3.DatabaseError()
    error.sqlite_errorcode = code
    assert ("Everything acknowledged before is safe" in str(failure(error, tmp_path))) is safe
