"""Reading configuration files: which are trusted, and what a missing one means (nothing)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from orchestrator_nb.config.yaml import MAX_BYTES, Document, read
from orchestrator_nb.errors import ConfigError


def read_trusted(path: Path, *, root_may_own: bool = False) -> Document | None:
    """The user's or the administrator's file, or ``None`` when there is none.

    Raises `ConfigError` when somebody else owns it or others may write it: such a file could redirect keys.
    """
    return (
        _read(path, owners={os.getuid(), 0} if root_may_own else {os.getuid()})
        if hasattr(os, "getuid")
        else _read(path)
    )


def read_untrusted(path: Path) -> Document | None:
    """A project's file, or ``None`` when there is none. Whoever owns it; what it may set is judged elsewhere.

    A link is refused: an error quotes what it found, and a link may lead to a file that is not the project's to show.
    """
    return _read(path, more_flags=getattr(os, "O_NOFOLLOW", 0))


def _read(path: Path, owners: set[int] | None = None, more_flags: int = 0) -> Document | None:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)  # a pipe must not make us wait
    try:
        with os.fdopen(os.open(path, flags | more_flags), "rb") as file:
            _require_regular(path, os.fstat(file.fileno()))
            if owners is not None:
                _require_safe(path, os.fstat(file.fileno()), owners)
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        linked = error.errno == errno.ELOOP
        reason = "it is a link; put the file itself here" if linked else error.strerror or type(error).__name__
    else:
        return read(data, str(path))
    raise ConfigError(f"cannot be read: {reason}.", where=str(path))


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("is not a regular file.", where=str(path))


def _require_safe(path: Path, status: os.stat_result, owners: set[int]) -> None:
    if status.st_uid not in owners:
        raise ConfigError(
            f"belongs to user {status.st_uid}, so it is not trusted; make it yours: chown {os.getuid()} '{path}'",
            where=str(path),
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"others may write to it, so it is not trusted; run: chmod go-w '{path}'", where=str(path))
