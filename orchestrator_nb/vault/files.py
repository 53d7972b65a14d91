"""A vault's file on disk: who may read it, how it is replaced, which copies are kept. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import VaultError, VaultFormatError
from orchestrator_nb.vault.format import MAX_BYTES

BACKUPS: Final = 3
LOCK_WAIT_S: Final = 10.0
_PRIVATE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LOCK: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_CANNOT_LOCK: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def exists(path: Path) -> bool:
    """Whether something stands there, be it a broken link. Raises `VaultError` where nobody can tell."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        problem = error
    else:
        return True
    raise _unreadable(path, problem)


def read(path: Path) -> bytes:
    """The whole file. Raises `VaultError`, with the command to run, when others could read or replace it, and `VaultFormatError` for what is no file."""
    try:
        _require_safe_folder(path)
        return _read(path)
    except OSError as error:
        problem = error
    raise _unreadable(path, problem)


def _read(path: Path) -> bytes:
    handle = os.open(path, _READ)
    try:
        _require_private(path, os.fstat(handle))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(handle)


def _unreadable(path: Path, error: OSError) -> VaultError:
    if error.errno in {errno.ELOOP, errno.EMLINK}:
        return VaultFormatError(f"{path.name} is a link; a vault must be a file of its own: put the file itself there.")
    if isinstance(error, FileNotFoundError):
        return VaultError(f"{path.name} is not there; {way_back(path)}")
    return VaultError(f"{path.name} cannot be read: {error.strerror or type(error).__name__}.")


def _require_private(path: Path, status: os.stat_result) -> None:
    where = shlex.quote(str(path))
    if not stat.S_ISREG(status.st_mode):
        raise VaultFormatError(f"{path.name} is not a regular file.")
    if status.st_size > MAX_BYTES:
        raise VaultFormatError(f"{path.name} is larger than a vault can be ({MAX_BYTES:,} bytes).")
    if status.st_nlink > 1:
        raise VaultError(f"{path.name} has a second name (a hard link); copy it and delete the other: cp, then rm.")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise VaultError(f"{path.name} belongs to somebody else; make it yours: chown {os.getuid()} {where}")
    if os.name == "posix" and status.st_mode & _OTHERS:
        raise VaultError(f"others may read {path.name}; run: chmod 600 {where}")


def _require_safe_folder(path: Path) -> None:
    """In a folder that others may write to they could put another file in this one's place; the sticky bit prevents it. Raises `OSError` too."""
    try:
        status = path.parent.stat()
    except (FileNotFoundError, NotADirectoryError):
        return  # opening the file tells what is missing
    if os.name == "posix" and status.st_mode & _WRITE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        where = shlex.quote(str(path.parent))
        raise VaultError(f"others may write to the folder of {path.name}; run: chmod go-w {where}")


@contextlib.contextmanager
def locked(path: Path, *, file_lock: bool = True, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Alone with the file ``path``: others wait, ten seconds at most. The folder is made if it is missing, for its owner alone.

    Threads of one process shut each other out too. Raises `OSError`, and `VaultError` where the file system cannot lock; ``file_lock=False`` goes on without.
    """
    _make_folder(path.parent)
    _require_safe_folder(path)
    if not file_lock:
        yield
        return
    # a file object, which closes itself also where an interrupt comes between opening it and giving it back: the lock must not stay with this process
    with os.fdopen(os.open(path.with_name(f"{path.name}.lock"), _LOCK, _PRIVATE), "r+b", buffering=0) as lock:
        try:
            _take(lock.fileno(), path, wait_s)
            yield
        finally:
            _give_back(lock.fileno())


def _make_folder(folder: Path) -> None:
    """Each missing folder for its owner alone, also where the umask would let others in."""
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)


def _take(handle: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not _try_lock(handle, path):
        if time.monotonic() > deadline:
            raise VaultError(f"another process has been writing to {path.name} for {wait_s:g} s; try again.")
        time.sleep(0.01)


def _try_lock(handle: int, path: Path) -> bool:
    try:
        import fcntl  # not on Windows
    except ImportError:
        cannot = True
    else:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            cannot = error.errno in _CANNOT_LOCK
            if not cannot:
                raise
        else:
            return True
    raise VaultError(
        f"{path.name} stands on a file system that cannot lock; if no other process writes to it: vault.file_lock false"
    )


def _give_back(handle: int) -> None:
    """The end of a process does it too. Closing alone would not: a child forked meanwhile has the handle as well, and with it the lock."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the file's place: aside, to disk, then renamed. Whatever fails, the file is the old one or the new one, and nothing is left aside.

    Raises `OSError`; the file is the old one then.
    """
    with _aside(path, data) as new:
        new.replace(path)
    _sync_folder(path.parent)


def save(path: Path, data: bytes, *, before: bytes | None = None, forget: bool = False) -> None:
    """`replace` for a vault, to be called under its lock: ``before``, its content until now, becomes the newest backup; with ``forget`` none is left.

    Everything that takes room is on disk before the first name changes: a full disk costs no backup, however often it is tried.
    Backups are deleted before the vault is renamed: it must not be that the new password is taken for the only one while copies open with the old one.
    """
    _sweep(path)
    with _aside(path, data) as new:
        if forget:
            _discard(path)
        elif before is not None:
            _keep(path, before)
        new.replace(path)
    _sync_folder(path.parent)


def _sweep(path: Path) -> None:
    """What writers left aside that were killed: it may open with an older password."""
    aside = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}")
    for entry in path.parent.iterdir():
        if aside.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


@contextlib.contextmanager
def _aside(path: Path, data: bytes) -> Iterator[Path]:
    """A file beside ``path``, whole and on disk; gone at the end unless it was renamed."""
    aside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        _write_new(aside, data)
        yield aside
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, _CREATE, _PRIVATE)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """The new name is on disk too. Not every system can; the file is whole and in its place anyway, only a power cut could still bring the old one back."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def backups(path: Path) -> list[Path]:
    """Where the last copies stand, newest first, whether they are there or not."""
    return [path.with_name(f"{path.name}.{number}") for number in range(1, BACKUPS + 1)]


def kept(path: Path) -> list[str]:
    """The copies that are there, newest first, with the local time of their save: ``default.onbv.1 of 22 Nov 14:46``."""
    found = []
    for copy in backups(path):
        with contextlib.suppress(OSError):
            saved = datetime.fromtimestamp(copy.stat().st_mtime)  # noqa: DTZ006  # as the user's own clock has it
            found.append(f"{copy.name} of {saved:%d %b %H:%M}")
    return found


def way_back(path: Path) -> str:
    """What to do about a vault that is lost or damaged: ``default.onbv.1 of 22 Nov 14:46 stands beside it: cp -p …``."""
    if not (copies := kept(path)):
        return "there is no backup."
    newest = path.with_name(copies[0].split(" ")[0])
    return f"{copies[0]} stands beside it: cp -p {shlex.quote(str(newest))} {shlex.quote(str(path))}"


def others(path: Path) -> Iterator[tuple[str, bytes]]:
    """What else stands in the vault's folder, backups left out: other vaults, and copies that some program made. Not what cannot be read."""
    ours = {path, path.with_name(f"{path.name}.lock"), *backups(path)}
    entries: set[Path] = set()
    with contextlib.suppress(OSError):
        entries = {*path.parent.iterdir()} - ours
    for entry in sorted(entries):
        with contextlib.suppress(OSError):
            handle = os.open(entry, _READ)
            with os.fdopen(handle, "rb") as file:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    yield entry.name, file.read(MAX_BYTES + 1)


def _keep(path: Path, data: bytes) -> None:
    names = backups(path)
    with _aside(path, data) as copy:
        for newer, older in reversed([*pairwise(names)]):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        copy.replace(names[0])


def _discard(path: Path) -> None:
    for name in backups(path):
        name.unlink(missing_ok=True)
