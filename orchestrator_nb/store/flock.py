"""One lock for all processes that write to a store: a file beside it. The end of a process, however it comes, lets go of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import StoreError

WAIT_S: Final = 10.0
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FIRST_PAUSE_S: Final = 0.0005
_LONGEST_PAUSE_S: Final = 0.002


class FileLock:
    """A context manager; threads of one process shut each other out too. Entering raises `OSError` where files cannot be locked, `StoreError` after ``wait_s``."""

    def __init__(self, path: Path, wait_s: float = WAIT_S) -> None:
        self._path, self._wait_s = path, wait_s
        self._mutex = threading.Lock()
        self._handle: int | None = None

    def __enter__(self) -> None:
        if not self._mutex.acquire(timeout=self._wait_s):
            raise self._busy()
        try:
            self._take()
        except BaseException:
            self.close()  # an interrupt may have come when it was taken already
            self._mutex.release()
            raise

    def _take(self) -> None:
        deadline, pause = time.monotonic() + self._wait_s, _FIRST_PAUSE_S
        while not self._try():
            if time.monotonic() > deadline:
                raise self._busy()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _try(self) -> bool:
        try:
            import fcntl  # not on Windows
        except ImportError:
            missing = True
        else:
            missing = False
        if missing:
            raise OSError("this system has no flock")
        if self._handle is None:
            self._handle = os.open(self._path, _FLAGS, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_exc: object) -> None:
        import fcntl

        try:
            if self._handle is not None:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        except OSError:
            self.close()  # lets go as well; what was done under the lock is done, so this is no failure
        finally:
            self._mutex.release()

    def close(self) -> None:
        """Give the handle back; the lock can be taken again, with a new one."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with contextlib.suppress(OSError):
                os.close(handle)

    def __del__(self) -> None:
        self.close()  # who was interrupted while letting go still has it

    def _busy(self) -> StoreError:
        return StoreError(f"another process has been writing to {self._path.stem} for {self._wait_s:g} s; try again.")
