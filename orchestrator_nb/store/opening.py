"""Connections to a store's file: who may read it, which settings make it safe, and why it cannot be used where it cannot."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.flock import FileLock
from orchestrator_nb.store.migrations import NotOurs, migrate, require_ours
from orchestrator_nb.store.rows import STATEMENTS

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

BUSY_S: Final = 10.0
PAGE: Final = 16384
REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "lustre", "beegfs", "glusterfs"}
)
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Opened:
    """A store ready to be written to: the writer's connection, what to hold while writing, and how to get a reader."""

    writer: Connection
    lock: AbstractContextManager[None]
    reader: Callable[[], Connection] | None
    log: Path | None
    """The write-ahead log, whose size tells when to empty it; ``None`` without one."""


def in_memory(now: float) -> Opened:
    """A store that ends with the process."""
    import sqlite3

    writer = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(writer, now)
    return Opened(writer, _Mutex(), None, None)


class _Mutex:
    """`threading.Lock` as a context manager that gives nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()


def on_disk(path: Path, now: float) -> Opened:
    """The store at ``path``, made if it is missing. Raises `OSError`, `sqlite3.Error`, `NotOurs` or `StoreError`; a file that is not ours is untouched."""
    _make(path)
    lock = _lock_for(path)
    guard = lock or _Mutex()
    with guard:
        writer = _prepared(path, now, log=lock is not None)
    return Opened(writer, guard, lambda: reader(path), path.with_name(f"{path.name}-wal") if lock else None)


def _make(path: Path) -> None:
    """Only its owner may read it. Never opened otherwise once it is there: closing any handle would drop the locks that SQLite holds in this process."""
    for folder in (*reversed(path.parent.parents), path.parent):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, _CREATE, 0o600))
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NotOurs("is not a regular file")
    if os.name == "posix" and status.st_mode & _OTHERS:
        path.chmod(0o600)


def _lock_for(path: Path) -> FileLock | None:
    """``None`` where files cannot be locked, or where the log's shared memory would not be shared.

    Older SQLite (before 3.51.3) can damage a file when one connection writes and another empties the log at the same moment:
    https://sqlite.org/wal.html#walresetbug. So whoever writes or empties holds this lock, with every version, for a newer one may share the file with an older.
    """
    if _is_remote(path):
        return None
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        with lock:
            return lock
    except OSError:
        return None


def _is_remote(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether another machine may write to the file too. Unknown is no."""
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    folders = {str(folder) for folder in path.resolve().parents}
    over = [(len(line[1]), line[2]) for line in lines if len(line) > 2 and line[1] in folders]
    return bool(over) and max(over)[1] in REMOTE


def _prepared(path: Path, now: float, *, log: bool) -> Connection:
    writer = _connect(path, "rw")
    try:
        require_ours(writer)
        _set_up(writer, log=log)
        migrate(writer, now)
    except BaseException:
        writer.close()
        raise
    return writer


def _connect(path: Path, mode: str) -> Connection:
    import sqlite3

    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        uri, BUSY_S, isolation_level=None, check_same_thread=False, uri=True, cached_statements=STATEMENTS
    )
    for setting in ("mmap_size = 0", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _set_up(writer: Connection, *, log: bool) -> None:
    wanted = "wal" if log else "delete"
    writer.execute(f"PRAGMA page_size = {PAGE}")
    (mode,) = writer.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    if mode != wanted:
        raise StoreError("it is open in another process, and this file system cannot share it.")
    for setting in (
        "secure_delete = ON",
        "synchronous = NORMAL",
        "wal_autocheckpoint = 0",
        "journal_size_limit = 16777216",
    ):
        writer.execute(f"PRAGMA {setting}")


def reader(path: Path) -> Connection:
    """Reads only; it cannot empty the log when it is closed as the last one, for it may not write to the file."""
    connection = _connect(path, "ro")
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str:
    """A damaged row's text is no UTF-8 perhaps; its seal tells, and its neighbours stay readable."""
    return data.decode(errors="replace")
