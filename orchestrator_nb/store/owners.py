"""Which kernel a run belongs to while it is under way: a lock on a file beside the store, so that no other kernel takes the same run up and asks it twice.

The system lets go of the lock when the process ends, however it ends. So a run whose kernel is dead belongs to nobody, and can be taken up at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import StoreError

PATIENCE_S: Final = 0.1
"""For somebody who holds the lock only to find that the run is over."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_ALL: Final[weakref.WeakSet[Owners]] = weakref.WeakSet()


class Owners:
    """The runs of one session. ``path`` is the store's, ``None`` for one in memory. Where files cannot be locked, only this session's own runs are known."""

    def __init__(self, path: Path | None) -> None:
        self._store = path
        self._lock = threading.Lock()
        self._held: dict[str, int | None] = {}
        self._tidy = False
        _ALL.add(self)

    def take(self, run_id: str) -> None:
        """The run is this session's until `give`. Raises `StoreError` when it is another's, or under way here."""
        with self._lock:
            if run_id in self._held:
                raise _busy(run_id, os.getpid())
            self._held[run_id] = self._locked(run_id)

    def give(self, run_id: str) -> None:
        """The run is nobody's again."""
        with self._lock:
            handle = self._held.pop(run_id, None)
            if handle is not None:
                with contextlib.suppress(OSError):
                    self._file(run_id).unlink()
                os.close(handle)

    def at_work(self, run_ids: Iterable[str]) -> set[str]:
        """Which of these runs some kernel is at now, as far as this machine can tell."""
        held = set(self._held)
        files = set(self._store.parent.glob(f"{self._store.name}.run-*")) if self._store else set()
        return {
            run for run in run_ids if run in held or (files and (file := self._file(run)) in files and _is_locked(file))
        }

    def close(self) -> None:
        """All of them."""
        for run_id in list(self._held):
            self.give(run_id)

    def _file(self, run_id: str) -> Path:
        assert self._store is not None  # noqa: S101  for the type checker
        return self._store.with_name(f"{self._store.name}.run-{hashlib.sha256(run_id.encode()).hexdigest()[:32]}")

    def _locked(self, run_id: str) -> int | None:
        if self._store is None:
            return None
        until = time.monotonic() + PATIENCE_S
        try:
            self._tidy_up(self._store)
            while True:
                handle, holder = _try(self._file(run_id))
                if handle is not None:
                    return handle
                if time.monotonic() > until:
                    raise _busy(run_id, holder)
                time.sleep(PATIENCE_S / 20)
        except OSError:  # no locks here, or no room: the store itself will say what is wrong with its folder
            return None

    def _tidy_up(self, store: Path) -> None:
        """Once: what kernels left that were killed."""
        if self._tidy:
            return
        self._tidy = True
        for file in store.parent.glob(f"{store.name}.run-*"):
            with contextlib.suppress(OSError):
                handle, _ = _try(file)
                if handle is not None:
                    file.unlink()
                    os.close(handle)

    def _forked(self) -> None:
        """A child has the handles too, and would hold the locks for as long as it lives."""
        held, self._held = self._held, {}
        self._lock = threading.Lock()
        for handle in held.values():
            if handle is not None:
                os.close(handle)


def _try(path: Path) -> tuple[int | None, int]:
    """A handle with the lock on it, or the process that has it (0: unknown). Raises `OSError` where there are no locks."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        raise OSError("this system has no flock") from None
    handle = os.open(path, _FLAGS, 0o600)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(handle, path):  # else its owner has just given it back, and the file is gone
                os.truncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle, os.getpid()
        told = os.pread(handle, 20, 0)
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None, int(told) if told.isdigit() else 0


def _is_locked(path: Path) -> bool:
    """Whether somebody has the lock; not where there are no locks, or no such file any more."""
    try:
        import fcntl  # not on Windows

        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)  # which gives back what was taken to look
    return False


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _busy(run_id: str, process: int) -> StoreError:
    where = "this kernel" if process == os.getpid() else f"another kernel{f' (process {process})' if process else ''}"
    return StoreError(
        f"run {run_id} is still under way in {where}; wait for its end, or interrupt it there and resume it then."
    )


def _in_child() -> None:
    for owners in list(_ALL):
        owners._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
