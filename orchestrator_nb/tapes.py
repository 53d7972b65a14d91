"""The tapes of one session: which files it replays and records to, each read once and again when it changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator_nb.store.tape import Tape
from orchestrator_nb.store.taping import TapeWriter

Stamp = tuple[int, int, int]


class Tapes:
    """``versions`` go into the header of what is recorded; ``holds_key`` tells whether a key stands in a text. Safe to use from several threads."""

    def __init__(self, versions: Callable[[], Mapping[str, str]], holds_key: Callable[[str], bool]) -> None:
        self._versions, self._holds_key = versions, holds_key
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[Stamp | None, Tape]] = {}
        self._writers: dict[Path, TapeWriter] = {}

    def read(self, path: Path) -> Tape:
        """The tape as it is now. Raises `UserError`, `StoreError`."""
        with self._lock:
            stamp = _stamp(path)
            if (known := self._read.get(path)) is None or known[0] != stamp or stamp is None:
                known = self._read[path] = stamp, Tape.read(path)
            return known[1]

    def writer(self, path: Path) -> TapeWriter:
        """The writer of this tape; the same for all runs, so that what one could not write is written with the next. Raises `StoreError`."""
        with self._lock:
            if path in self._writers:
                self._writers[path].check()
            else:
                self._writers[path] = TapeWriter(path, self._versions(), self._holds_key)
            return self._writers[path]


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
