"""A tape: recorded answers in a text file that lives beside a notebook and is committed with it.

JSON Lines in ASCII, so that nothing in it steers an editor or a terminal. The first line says what it is: version, libraries, models, when, totals. Each other
line is one answer: its question's key, a checksum of the rest, then question, outcome and times; lines are sorted by key. The checksum finds a bit that
flipped and a hand that slipped, not a forger: who can write the file can write any answer. What stands in it is data, and nothing of it is ever run.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from orchestrator_nb.calls import Request
from orchestrator_nb.canonical import canonical, digest
from orchestrator_nb.errors import StoreError, UserError
from orchestrator_nb.records import request_record
from orchestrator_nb.store.differences import differences, likeness
from orchestrator_nb.store.entry import Entry, entry_of, entry_record

FORMAT: Final = "orchestrator-nb tape"
VERSION: Final = 1
MOST_BYTES: Final = 1 << 29
"""Of a tape. Larger ones would be read for minutes, and no repository takes them."""
MOST_LINE: Final = 1 << 26
"""Bytes of one answer; the network lets no larger one in."""
_LINE: Final = re.compile(rb'\{"key":"([0-9a-f]{64})","sum":"([0-9a-f]{64})",([^\r\n]*)\Z')
_UPDATE: Final = "was written by a later version; update with: pip install -U orchestrator-nb"


@dataclass(frozen=True, slots=True)
class Line:
    """An answer's line: ``number`` in the file, from 1, and its bytes without the line's end."""

    number: int
    data: bytes

    @property
    def record(self) -> Any:
        """Question, outcome and times. Raises `ValueError`."""
        try:
            record = _JSON.decode(self.data.decode("ascii"))
        except RecursionError:
            raise ValueError("it nests too deeply.") from None
        if not isinstance(record, dict):
            raise ValueError("it is no object.")
        return {name: value for name, value in record.items() if name not in {"key", "sum"}}


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is beyond measure.")
    return number


_JSON: Final = json.JSONDecoder(parse_constant=_no_json, parse_float=_finite)
_PERHAPS_ALONE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character beyond the first 65,536: alone it can be in no file, and no answer is recorded with it."""


def _require_characters(line: Line, record: dict[str, Any]) -> None:
    if not _PERHAPS_ALONE.search(line.data):
        return
    try:
        json.dumps({**record, "request": None}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        broken = True
    else:
        broken = False
    if broken:
        raise ValueError("it holds half of a character.")


@dataclass(frozen=True, slots=True)
class Near:
    """The recorded question that is most like one that was not found: its line, and what differs in words."""

    line: int
    differs: str


@dataclass(frozen=True)
class Tape:
    """What stands on a tape. ``damaged`` tells, by line number, what was found wrong; such a line is never served."""

    name: str
    header: Mapping[str, Any]
    lines: Mapping[str, Line]
    damaged: Mapping[int, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The tape in a file. Raises `UserError` when there is none, `StoreError` when it is none of ours, too large, or from a later version."""
        return cls.of(read_file(path), path.name)

    @classmethod
    def of(cls, data: bytes, name: str) -> Self:
        """The tape with this content. Raises `StoreError`."""
        first, _, rest = data.partition(b"\n")
        header = _header(first, name)
        lines = (Line(n, line.rstrip(b"\r")) for n, line in enumerate(rest.split(b"\n"), 2) if line.strip())
        return cls(name, header, *_sorted_out(lines))

    def __len__(self) -> int:
        return len(self.lines)

    def get(self, key: str) -> Entry | None:
        """The answer to the question with this key. Raises `StoreError` when its line is damaged."""
        if (line := self.lines.get(key)) is None:
            return None
        try:
            record = line.record
            _require_characters(line, record)
            entry = entry_of(record)
            if digest(canonical(entry.request)) == key:
                return entry
            why = "its question is not the one of its key."
        except (ValueError, TypeError) as error:
            why = str(error)
        raise StoreError(f"line {line.number} of {self.name} is damaged: {why} {self._mend}")

    def nearest(self, request: Request) -> Near | None:
        """The most alike of the recorded questions. Reads the whole tape at the first time."""
        asked = json.loads(canonical(request_record(request)))
        found = max(self._questions, key=lambda question: likeness(question[1], asked), default=None)
        return Near(found[0], differences(found[1], asked)) if found else None

    @cached_property
    def _questions(self) -> list[tuple[int, Mapping[str, Any]]]:
        return list(self._readable())

    def _readable(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for line in self.lines.values():
            try:
                question = line.record.get("request")
            except ValueError:
                continue
            if isinstance(question, dict):
                yield line.number, question

    def told_damage(self) -> str:
        """What is damaged, in a sentence; empty when nothing is."""
        if not self.damaged:
            return ""
        number, why = next(iter(self.damaged.items()))
        more = f" (and {len(self.damaged) - 1} more)" if len(self.damaged) > 1 else ""
        return f"line {number} of {self.name} is damaged{more}: {why} {self._mend}"

    @property
    def _mend(self) -> str:
        return "Take the file from your repository again, or delete the line and record it anew."


def _sorted_out(lines: Iterable[Line]) -> tuple[dict[str, Line], dict[int, str]]:
    """The lines that may be served, and what is wrong with the others. A key that occurs twice is served from neither line: nobody knows which is right."""
    whole: dict[str, Line] = {}
    first: dict[str, int] = {}
    damaged: dict[int, str] = {}
    for line in lines:
        key, why = _checked(line.data)
        if key in first:
            why = f"lines {first[key]} and {line.number} answer the same question."
            whole.pop(key, None)
            damaged[first[key]] = why
        if why:
            damaged[line.number] = why
        else:
            whole[key], first[key] = line, line.number
    return whole, dict(sorted(damaged.items()))


def _checked(data: bytes) -> tuple[str, str]:
    """The line's key, and what is wrong with it."""
    if len(data) > MOST_LINE:
        return "", "it is too long."
    if (match := _LINE.fullmatch(data)) is None:
        return "", "it is not in the form of an answer."
    key, total, rest = match.groups()
    wrong = hashlib.sha256(key + b"{" + rest).hexdigest().encode() != total
    return ("", "its checksum is wrong.") if wrong else (key.decode(), "")


def line_of(entry: Entry) -> tuple[str, bytes]:
    """An entry's key, and its line without the end. Raises `ValueError` for what cannot be kept."""
    key = digest(canonical(entry.request))
    rest = canonical(entry_record(entry))
    total = digest(f"{key}{rest}")
    data = f'{{"key":"{key}","sum":"{total}",{rest[1:]}'.encode("ascii")
    if len(data) > MOST_LINE:
        raise ValueError("the answer is too long to be kept.")
    return key, data


def _header(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        header = json.loads(data[:MOST_LINE])
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise StoreError(
            f"{name} is no tape: its first line does not say so. Name another file, or record to a new one."
        )
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise StoreError(f"line 1 of {name} is damaged: it names no version. Take the file from your repository again.")
    if version > VERSION:
        raise StoreError(f"{name} {_UPDATE}")
    return header


_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def read_file(path: Path) -> bytes:
    """A tape's bytes. Raises `UserError` when the file is not there, `StoreError` when it cannot be read or is too large."""
    try:
        handle = os.open(path, _READ)
    except FileNotFoundError:
        missing = True
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read: {error.strerror}.") from None
    else:
        missing = False
    if missing:
        raise UserError(f"there is no tape {path.name} here; record it first: %llm record {path.name}")
    try:
        return _content(handle, path.name)
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read: {error.strerror}.") from None
    finally:
        os.close(handle)


def _content(handle: int, name: str) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{name} is no file.")
    if status.st_size > MOST_BYTES:
        raise StoreError(f"{name} is larger than {MOST_BYTES >> 20} MiB; split the study over several tapes.")
    with open(handle, "rb", closefd=False) as file:
        return file.read(MOST_BYTES)
