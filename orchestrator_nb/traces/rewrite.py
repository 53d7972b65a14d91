"""A file in the place of another: in one step, with the same owner, mode and times, so that a program that has it open does not take it for a newer one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class ChangedMeanwhile(OSError):
    """Another program wrote the file while it was read."""


def rewrite(path: Path, data: bytes, before: os.stat_result) -> None:
    """Put ``data`` in the place of the file that was ``before``. Raises `OSError`."""
    aside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        _make_alike(aside, before)
        if _stamp(path.lstat()) != _stamp(before):
            raise ChangedMeanwhile(0, "it was written to meanwhile; try again", str(path))
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def _make_alike(path: Path, before: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(PermissionError):
            os.chown(path, before.st_uid, before.st_gid)
    path.chmod(before.st_mode & 0o7777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
