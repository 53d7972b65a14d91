"""Reading configuration files: which are trusted, and what a missing one means (nothing)."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator_nb.config.yaml import MAX_BYTES, Document, read
from orchestrator_nb.errors import ConfigError

_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
# a pipe must not make us wait
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
# a folder that may be entered and not listed can be held too, where the system has a flag for it
_HOLD: Final = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)

Judge = Callable[[Path, os.stat_result], None]


class Foreign(ConfigError):
    """A project's file that somebody else put there, or may replace at any time: it is not read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A project's file as it was read. ``linked``: it has a second name (a hard link), under which it may be changed unseen."""

    document: Document
    linked: bool


def read_trusted(path: Path, *, root_may_own: bool = False) -> Document | None:
    """The user's or the administrator's file, or ``None`` when there is none.

    Raises `ConfigError` when somebody else owns it or others may write it: such a file could redirect keys.
    """
    found = trusted_bytes(path, root_may_own=root_may_own)
    return None if found is None else read(found, str(path))


def trusted_bytes(path: Path, *, root_may_own: bool = False) -> bytes | None:
    """`read_trusted`, unparsed; at most one byte more than a file may have."""
    owners = _owners(root=root_may_own)
    found = bytes_of(path, lambda path, status: _require_safe(path, status, owners))
    return found[0] if found else None


def bytes_of(
    path: Path, judge: Judge, flags: int = 0, folder: int | None = None
) -> tuple[bytes, os.stat_result] | None:
    """A regular file's bytes and state, or ``None`` when there is none; ``judge`` raises before anything is read.

    ``folder`` is an open one in which the file is looked up. Raises `ConfigError`.
    """
    try:
        name = path if folder is None else path.name
        with os.fdopen(os.open(name, _READ | flags, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            _require_regular(path, status)
            judge(path, status)
            return file.read(MAX_BYTES + 1), status
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        linked = error.errno == errno.ELOOP
        reason = "it is a link; put the file itself here" if linked else error.strerror or type(error).__name__
    raise ConfigError(f"cannot be read: {reason}.", where=str(path))


class Held:
    """A project's folder, held open: all its files come from this one, whatever its path leads to meanwhile."""

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path, self._handle = path, handle
        self.status = path.stat() if handle is None else os.fstat(handle)

    def read(self, name: str) -> Reading | None:
        """A file whose values will be judged, or ``None`` when there is none.

        A link is refused: an error quotes what it found, and a link may lead to a file that is not the project's to show. Raises `Foreign`, `ConfigError`.
        """
        if (found := self.bytes(name)) is None:
            return None
        data, linked = found
        return Reading(read(data, str(self.path / name)), linked=linked)

    def bytes(self, name: str) -> tuple[bytes, bool] | None:
        """`read`, unparsed: at most one byte more than a file may have, and whether it has a second name."""
        if (found := bytes_of(self.path / name, self._require_ours, _NO_LINK, self._handle)) is None:
            return None
        return found[0], found[1].st_nlink > 1

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[Held | None]:
        """A folder in this one, held like it; ``None`` where there is none, it is a link, or may not be entered."""
        with held(self.path / name, name, self._handle) as folder:
            yield folder

    def names(self) -> list[str] | None:
        """What is in the folder, or ``None`` where it may not be listed."""
        try:
            if self._handle is None:
                return [entry.name for entry in self.path.iterdir()]
            listing = os.open(".", _READ | getattr(os, "O_DIRECTORY", 0), dir_fd=self._handle)
        except OSError:
            return None
        try:
            return os.listdir(listing)  # noqa: PTH208  # pathlib takes no handle
        finally:
            os.close(listing)

    def _require_ours(self, path: Path, status: os.stat_result) -> None:
        """As git does it (safe.directory): in a folder that is shared, anybody could leave a file for us."""
        if status.st_uid not in _owners(root=True):
            raise Foreign(
                f"belongs to user {status.st_uid} and is left alone; if it is meant for you: chown {os.getuid()} {_quoted(path)}",
                where=str(path),
            )
        if os.name == "posix" and self.status.st_mode & stat.S_IWOTH and not self.status.st_mode & stat.S_ISVTX:
            raise Foreign(
                f"everybody may write to its folder, so it is left alone; run: chmod o-w {_quoted(self.path)}",
                where=str(path),
            )


@contextlib.contextmanager
def held(path: Path, name: str | None = None, within: int | None = None) -> Iterator[Held | None]:
    """The folder at ``path`` for the time of a ``with``; ``None`` where there is none or it may not be entered.

    ``name`` is what it is called in the open folder ``within``, if it is looked up there.
    """
    by_handle = os.open in os.supports_dir_fd
    try:
        handle = os.open(path if within is None else str(name), _HOLD | _NO_LINK, dir_fd=within) if by_handle else None
        folder = Held(path, handle)
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        if handle is not None:
            os.close(handle)


def printable(text: object) -> str:
    """On one line, with every sign that could steer a terminal or turn the text around shown as an escape: a folder may be called anything."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text))


def _quoted(path: Path) -> str:
    """For a command that somebody may copy into a shell."""
    return shlex.quote(str(path))


def _owners(*, root: bool) -> frozenset[int]:
    """Who may own a file; on Windows every file counts as user 0's."""
    own = {os.getuid()} if hasattr(os, "getuid") else {0}
    return frozenset(own | {0} if root else own)


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("is not a regular file.", where=str(path))


def _require_safe(path: Path, status: os.stat_result, owners: frozenset[int]) -> None:
    if not hasattr(os, "getuid"):
        return
    if status.st_uid not in owners:
        raise ConfigError(
            f"belongs to user {status.st_uid}, so it is not trusted; make it yours: chown {os.getuid()} {_quoted(path)}",
            where=str(path),
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"others may write to it, so it is not trusted; run: chmod go-w {_quoted(path)}", where=str(path)
        )
