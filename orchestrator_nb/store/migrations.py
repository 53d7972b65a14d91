"""The tables, and the numbered, named steps that lead to them. A step that was released is never edited; a change is a new step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

APPLICATION: Final = 0x4F4E4253
"""``PRAGMA application_id`` of our files: "ONBS"."""


class NotOurs(Exception):
    """A file that must not be written to; the message tells why, as the rest of a sentence that begins with the file's name."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number becomes ``PRAGMA user_version``."""

    number: int
    name: str
    sql: tuple[str, ...]


MIGRATIONS: Final = (
    Migration(
        1,
        "runs, calls, attempts and answers",
        (
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL)",
            "CREATE TABLE requests (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, payload TEXT)",
            (
                "CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at REAL NOT NULL,"
                " payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE TABLE ends (run INTEGER PRIMARY KEY, at REAL NOT NULL, payload TEXT NOT NULL, digest BLOB NOT NULL)",
            (
                "CREATE TABLE items (run INTEGER NOT NULL, number INTEGER NOT NULL, request INTEGER NOT NULL,"
                " payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE UNIQUE INDEX items_of_run ON items (run, number)",
            (
                "CREATE TABLE answers (id INTEGER PRIMARY KEY, request INTEGER NOT NULL, space TEXT NOT NULL,"
                " good INTEGER NOT NULL, at REAL NOT NULL, payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE INDEX answers_of_request ON answers (request)",
            (
                "CREATE TABLE calls (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, number INTEGER NOT NULL, turn INTEGER NOT NULL, request INTEGER NOT NULL, answer INTEGER,"
                " payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE INDEX calls_of_run ON calls (run, number)",
            (
                "CREATE TABLE attempts (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, at REAL NOT NULL,"
                " payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE INDEX attempts_of_run ON attempts (run)",
            "CREATE TABLE settlements (attempt INTEGER PRIMARY KEY, payload TEXT NOT NULL, digest BLOB NOT NULL)",
            # for people with a SQLite shell; nothing of ours reads it
            (
                "CREATE VIEW asked AS SELECT runs.name AS run, items.number AS number,"
                " json_extract(items.payload, '$.model') AS model, requests.payload AS question, answers.payload AS answer,"
                " json_extract(calls.payload, '$.source') AS source, json_extract(calls.payload, '$.error.kind') AS error"
                " FROM items JOIN runs ON runs.id = items.run JOIN requests ON requests.id = items.request"
                " LEFT JOIN calls ON calls.id = (SELECT id FROM calls AS c"
                " WHERE c.run = items.run AND c.number = items.number ORDER BY turn DESC, id DESC LIMIT 1)"
                " LEFT JOIN answers ON answers.id = calls.answer"
            ),
        ),
    ),
    Migration(
        2,
        "what a day costs",
        (
            (
                "CREATE TABLE days (day INTEGER PRIMARY KEY, usd TEXT NOT NULL, reserved TEXT NOT NULL,"
                " digest BLOB NOT NULL)"
            ),
            (
                "CREATE TABLE reservations (id INTEGER PRIMARY KEY, day INTEGER NOT NULL, at REAL NOT NULL,"
                " owner TEXT NOT NULL, usd TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
        ),
    ),
    Migration(
        3,
        "conversations",
        (
            (
                "CREATE TABLE turns (id INTEGER PRIMARY KEY, conversation TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL,"
                " payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE UNIQUE INDEX turns_of_conversation ON turns (conversation, name)",
        ),
    ),
    Migration(
        4,
        "marks",
        (
            (
                "CREATE TABLE marks (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, number INTEGER NOT NULL, turn INTEGER NOT NULL,"
                " at REAL NOT NULL, payload TEXT NOT NULL, digest BLOB NOT NULL)"
            ),
            "CREATE UNIQUE INDEX marks_of_run ON marks (run, number)",
        ),
    ),
)


def require_ours(connection: Connection, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Only look. Raises `NotOurs` for another program's file and for one that a newer version wrote, `sqlite3.DatabaseError` for none or a damaged one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if application != APPLICATION and not (empty and application == version == 0):
        raise NotOurs("belongs to another program, and stays as it is")
    if version > steps[-1].number:
        raise NotOurs(f"was written by a newer version (its tables are version {version}); update orchestrator-nb")


def _version(connection: Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: Connection, now: float, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the tables up to date, all steps or none. ``now`` is seconds since the epoch. Raises `sqlite3.Error`; the file is the old one then."""
    if _version(connection) >= steps[-1].number:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            if step.number > _version(connection):  # read inside: another process may have been quicker
                _take(connection, step, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _take(connection: Connection, step: Migration, now: float) -> None:
    for sql in step.sql:
        connection.execute(sql)
    connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, now))
    connection.execute(f"PRAGMA user_version = {step.number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
