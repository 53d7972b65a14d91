"""A vault's file on disk: who may read it, how it is replaced, which copies are kept. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
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
_CANNOT_LOCK: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

Stamp = tuple[int, int, int]
"""Time, size and inode of a file: another stamp, another content."""


def stamp(path: Path) -> Stamp | None:
    """What the file is now, or ``None`` when there is none."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read(path: Path) -> bytes:
    """The whole file. Raises `VaultError`, with the command to run, when others could read or replace it, and `VaultFormatError` for what is no file."""
    _require_safe_folder(path)
    try:
        handle = os.open(path, _READ)
    except OSError as error:
        problem = error
    else:
        with os.fdopen(handle, "rb") as file:
            _require_private(path, os.fstat(handle))
            return file.read(MAX_BYTES + 1)
    raise _unreadable(path, problem)


def _unreadable(path: Path, error: OSError) -> VaultError:
    if error.errno in {errno.ELOOP, errno.EMLINK}:
        return VaultFormatError(f"{path.name} is a link; a vault must be a file of its own: put the file itself there.")
    return VaultError(f"{path.name} cannot be read: {error.strerror}.")


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise VaultFormatError(f"{path.name} is not a regular file.")
    if status.st_size > MAX_BYTES:
        raise VaultFormatError(f"{path.name} is larger than a vault can be ({MAX_BYTES:,} bytes).")
    if status.st_nlink > 1:
        raise VaultError(f"{path.name} has a second name (a hard link); copy it and delete the other: cp, then rm.")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise VaultError(f"{path.name} belongs to somebody else; make it yours: chown {os.getuid()} '{path}'")
    if os.name == "posix" and status.st_mode & _OTHERS:
        raise VaultError(f"others may read {path.name}; run: chmod 600 '{path}'")


def _require_safe_folder(path: Path) -> None:
    """In a folder that others may write to they could put another file in this one's place; the sticky bit prevents it."""
    try:
        status = path.parent.stat()
    except (FileNotFoundError, NotADirectoryError):
        return  # opening the file tells what is missing
    if os.name == "posix" and status.st_mode & _WRITE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        raise VaultError(f"others may write to the folder of {path.name}; run: chmod go-w '{path.parent}'")


@contextlib.contextmanager
def locked(path: Path, *, file_lock: bool = True) -> Iterator[None]:
    """Alone with the file ``path``: other processes wait, ten seconds at most. The folder is made if it is missing, for its owner alone.

    Raises `VaultError` where the file system cannot lock; ``file_lock=False`` goes on without.
    """
    _make_folder(path.parent)
    _require_safe_folder(path)
    if not file_lock:
        yield
        return
    handle = os.open(
        path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), _PRIVATE
    )
    try:
        _take(handle, path)
        yield
    finally:
        os.close(handle)  # which gives the lock back, as does the end of the process


def _make_folder(folder: Path) -> None:
    """Each missing folder for its owner alone, also where the umask would let others in."""
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)


def _take(handle: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while not _try_lock(handle, path):
        if time.monotonic() > deadline:
            raise VaultError(f"another process has been writing to {path.name} for {LOCK_WAIT_S:g} s; try again.")
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


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the file's place: aside, to disk, then renamed. Whatever fails, the file is the old one or the new one, and nothing is left aside.

    Raises `OSError`.
    """
    aside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        _write_new(aside, data)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(path.parent)


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
    """The new name is on disk too; Windows has no such call."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def backups(path: Path) -> list[Path]:
    """Where the last copies stand, newest first, whether they are there or not."""
    return [path.with_name(f"{path.name}.{number}") for number in range(1, BACKUPS + 1)]


def keep(path: Path, data: bytes) -> None:
    """Make ``data``, the file's content until now, its newest backup. Raises `OSError`."""
    names = backups(path)
    for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)
    replace(names[0], data)


def discard_backups(path: Path) -> None:
    """Delete them. Raises `OSError`."""
    for name in backups(path):
        name.unlink(missing_ok=True)
