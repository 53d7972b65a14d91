"""Writing tapes. Answers are gathered while a run goes on and merged into the file now and then: read again, under a lock, and replaced as a whole.

The header follows from the lines, and an answer that says the same as the one on the tape leaves its line alone: recording the same again changes no byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.canonical import canonical
from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.entry import Entry
from orchestrator_nb.store.tape import FORMAT, MOST_BYTES, VERSION, Line, Tape, line_of, read_file

LOCK_WAIT_S: Final = 10.0
_MODE: Final = 0o644
_FRESH: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_BY_CHANCE: Final = frozenset({"raw_id", "request_id", "took", "key", "sum"})
"""What is another each time, also where the answer is the same."""


class TapeWriter:
    """A tape that is being recorded to, by one kernel; others may record to the same file. Safe to use from several threads.

    ``versions`` of libraries go into the header. ``holds_key`` tells whether a key stands in a line: such an answer is not written. Raises `StoreError`
    when the file is none of ours or is damaged, and when nothing can be written beside it: better now than after the answers are paid for.
    """

    def __init__(
        self, path: Path, versions: Mapping[str, str], holds_key: Callable[[str], bool] = lambda _text: False
    ) -> None:
        self.path, self._versions, self._holds_key = path, dict(versions), holds_key
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._pending: dict[str, bytes] = {}
        self._facts: dict[bytes, _Facts] = {}
        self._mine: set[str] = set()
        self.withheld = 0
        self.replaced = 0
        self.check()

    def check(self) -> None:
        """Raises `StoreError` as the constructor does; asks the file as it is now."""
        _try(self.path)
        self._on_disk()

    def add(self, entry: Entry) -> bool:
        """Keep an answer for the next `flush`; whether it can be kept."""
        try:
            key, line = line_of(entry)
        except (ValueError, TypeError):
            kept = False
        else:
            kept = not self._holds_key(line.decode("ascii"))
        with self._lock:
            self.withheld += not kept
            if kept:
                self.replaced += key in self._mine and _said(self._pending.get(key, line)) != _said(line)
                self._mine.add(key)
                self._pending[key] = line
        return kept

    def flush(self) -> None:
        """Merge what was added into the file; blocks. Raises `StoreError`; nothing is lost by it, the next `flush` tries again."""
        with self._writing:
            with self._lock:
                new = dict(self._pending)
            if new:
                self._write(new)
            with self._lock:
                self._pending = {key: line for key, line in self._pending.items() if new.get(key) is not line}

    def _write(self, new: Mapping[str, bytes]) -> None:
        try:
            with _alone(self.path.parent):
                old, content = self._on_disk()
                lines = {key: line.data for key, line in old.items()}
                lines |= {key: line for key, line in new.items() if key not in lines or _differ(lines[key], line)}
                if (made := self._whole(lines)) != content and (lines.keys() != old.keys() or lines != _data(old)):
                    _replace(self.path, made)
        except OSError as error:
            raise StoreError(f"{self.path.name} cannot be written: {error.strerror}.") from None

    def _on_disk(self) -> tuple[Mapping[str, Line], bytes]:
        if not self.path.exists():
            return {}, b""
        content = read_file(self.path)
        tape = Tape.of(content, self.path.name)
        if told := tape.told_damage():
            raise StoreError(told)
        return tape.lines, content

    def _whole(self, lines: Mapping[str, bytes]) -> bytes:
        ordered = [lines[key] for key in sorted(lines)]
        whole = b"\n".join([canonical(self._header(ordered)).encode("ascii"), *ordered, b""])
        if len(whole) > MOST_BYTES:
            raise StoreError(f"{self.path.name} would be larger than {MOST_BYTES >> 20} MiB; record to a new tape.")
        return whole

    def _header(self, lines: list[bytes]) -> dict[str, Any]:
        self._facts = {line: self._facts.get(line) or _facts(line) for line in lines}
        facts = list(self._facts.values())
        models: dict[str, set[str]] = {}
        for fact in facts:
            models.setdefault(fact.asked, set()).update(fact.answered)
        return {
            "format": FORMAT,
            "version": VERSION,
            "versions": self._versions,
            "models": {asked: sorted(answered) for asked, answered in models.items()},
            "recorded": _span([fact.at for fact in facts if fact.at is not None]),
            "totals": _totals(facts),
        }


def _try(path: Path) -> None:
    """Whether a file can be written in this folder."""
    try:
        _discard(_aside(path, b""))
    except OSError as error:
        why = error.strerror
    else:
        return
    raise StoreError(f"{path.name} cannot be written: {why}. Name a tape in a folder that you may write to.")


def _data(lines: Mapping[str, Line]) -> dict[str, bytes]:
    return {key: line.data for key, line in lines.items()}


def _differ(old: bytes, new: bytes) -> bool:
    return bool(_said(old) != _said(new))


def _said(line: bytes) -> Any:
    """What an answer says, without what is another each time."""
    return _without_chance(json.loads(line))


def _without_chance(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_chance(item) if name in {"response", "error"} else item for name, item in value.items() if name not in _BY_CHANCE}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the header says of one line."""

    asked: str
    answered: tuple[str, ...]
    at: float | None
    failed: bool
    simulated: bool
    tokens: tuple[int, int]
    usd: Decimal | None


def _facts(line: bytes) -> _Facts:
    record = json.loads(line)
    error = record.get("error") or {}
    answer = record.get("response") or error.get("response") or {}
    usage, cost = answer.get("usage") or {}, answer.get("cost") or {}
    usd = cost.get("usd")
    return _Facts(
        asked=f"{record['request'].get('model')} at {record['request'].get('origin')}",
        answered=(answer["model"],) if answer.get("model") else (),
        at=record["took"].get("started_at"),
        failed=bool(error),
        simulated=answer.get("source") == "simulated" or bool(error.get("simulated")),
        tokens=(usage.get("input", 0), usage.get("output", 0)),
        usd=None if usd is None else Decimal(usd),
    )


def _totals(facts: list[_Facts]) -> dict[str, Any]:
    count = Counter(failed=sum(fact.failed for fact in facts), simulated=sum(fact.simulated for fact in facts))
    return {
        "answers": len(facts),
        **count,
        "input_tokens": sum(fact.tokens[0] for fact in facts),
        "output_tokens": sum(fact.tokens[1] for fact in facts),
        "cost_usd": str(sum((fact.usd for fact in facts if fact.usd is not None), Decimal())),
        "cost_unknown": sum(fact.usd is None for fact in facts),
    }


def _span(times: list[float]) -> dict[str, str]:
    return {"first": _day(min(times)), "last": _day(max(times))} if times else {}


def _day(at: float) -> str:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return ""


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Alone in this folder with writing tapes: locks the folder itself, so that no lock file is left beside notebooks.

    Goes on without where folders cannot be locked (Windows, some network file systems): then the last of two kernels that write at once wins.
    """
    with contextlib.ExitStack() as stack:
        try:
            import fcntl  # not on Windows

            handle = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            stack.callback(os.close, handle)
            _wait(lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB), folder)
            stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
        except (ImportError, OSError):
            pass
        yield


def _wait(take: Callable[[], None], folder: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return take()
        except BlockingIOError:
            if time.monotonic() > deadline:
                busy = StoreError(
                    f"another process has been writing in {folder.name} for {LOCK_WAIT_S:g} s; try again."
                )
                break
        time.sleep(0.01)
    raise busy


def _replace(path: Path, data: bytes) -> None:
    """Whatever fails, the file is the old one or the new one. Where the name is a link, the link is replaced, never what it leads to."""
    aside = _aside(path, data)
    try:
        aside.replace(path)
    except OSError:
        _discard(aside)
        raise


def _aside(path: Path, data: bytes) -> Path:
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    handle = os.open(aside, _FRESH, _MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _discard(aside)
        raise
    return aside


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
