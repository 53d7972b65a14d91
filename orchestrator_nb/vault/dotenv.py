"""Reads named variables from a ``.env`` file, as bytes and without doing anything that it says: nothing is expanded, run or evaluated.

The usual readers differ (dotenv, docker, a shell); what they would read differently is refused here with its line, so that no wrong key gets into the vault.
Values are `Hidden` from the first moment on, and only those that were asked for are kept.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Hidden

MAX_BYTES: Final = 64 * 1024

_ASSIGNMENT: Final = re.compile(rb"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_NOTHING: Final = re.compile(rb"[ \t]*(?:#.*)?\r?")
_COMMENT: Final = re.compile(rb"(?<=[ \t])#")
_QUOTED: Final = {
    b"'": re.compile(rb"'([^']*)'"),
    b'"': re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    b"`": re.compile(rb"`([^`]*)`"),
}
_EXPANDED: Final = re.compile(rb"[$`\\]")
_EXPANDED_PLAIN: Final = re.compile(rb"[$`\\\"']")
_REFERENCE: Final = "it has signs that some programs replace ($ ` \\ or quotes), and here nothing is replaced"


@dataclass(frozen=True, slots=True)
class Found:
    """A variable that was asked for: its ``value``, or ``why`` it cannot be taken, and the lines where it stands."""

    value: Hidden | None
    lines: tuple[int, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Variables:
    """What a file has: what was asked for, by name, and the number of other variables, of which nothing is kept."""

    found: dict[str, Found] = field(default_factory=dict)
    others: int = 0


@dataclass(frozen=True, slots=True)
class _Assignment:
    name: str
    line: int
    value: Hidden | None
    why: str = ""


def read(path: Path, wanted: Collection[str]) -> Variables:
    """The ``wanted`` variables of a file. Raises `UserError`, with the line, for a file that is none of this kind."""
    return parse(_content(path), wanted, path.name)


def _content(path: Path) -> Hidden:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}."
    else:
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UserError(f"{path} is not a file.")
            return Hidden(file.read(MAX_BYTES + 1))
    raise UserError(f"{path} {reason}")


def parse(content: Hidden, wanted: Collection[str], source: str = ".env") -> Variables:
    """As `read`, of a content that is read already. The content is wiped."""
    try:
        found = content.use(lambda data: _variables(data, frozenset(wanted)))
    finally:
        content.wipe()
    if isinstance(found, str):
        raise UserError(f"{source}{found}")
    return found


def _variables(data: bytearray, wanted: frozenset[str]) -> Variables | str:
    """What is wrong is returned, not raised: an error would carry the content in its frames."""
    if len(data) > MAX_BYTES:
        return f" is larger than {MAX_BYTES // 1024} KiB; that is no .env file."
    if b"\0" in data:
        return " is not a text in UTF-8; save it as one."
    variables = Variables(others=0)
    others = 0
    for assignment in _assignments(data, wanted):
        if isinstance(assignment, str):
            return assignment
        if assignment.name in wanted:
            variables.found[assignment.name] = _with(variables.found.get(assignment.name), assignment)
        else:
            others += 1
    return Variables(variables.found, others)


def _with(before: Found | None, now: _Assignment) -> Found:
    """Readers differ on which of two lines counts."""
    if before is None:
        return Found(now.value, (now.line,), now.why)
    lines = (*before.lines, now.line)
    if before.value is not None and before.value == now.value:
        return Found(now.value, lines)
    return Found(None, lines, before.why or now.why or "it stands there more than once, with different values")


def _assignments(data: bytearray, wanted: frozenset[str]) -> Iterator[_Assignment | str]:
    """Each assignment in turn; a text instead is what is wrong with the file, and the end."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while at < len(data):
        line = data.count(b"\n", 0, at) + 1
        if (head := _ASSIGNMENT.match(data, at)) is None:
            end = _end_of_line(data, at)
            if not _NOTHING.fullmatch(data, at, end):
                yield f", line {line}: this is no NAME=value."
                return
            at = end + 1
            continue
        name = head[1].decode()
        value, end, why = _value(data, head.end(), keep=name in wanted)
        if end < 0:
            yield f", line {line}: a quote is never closed."
            return
        yield _Assignment(name, line, value, why)
        at = end + 1


def _end_of_line(data: bytearray, at: int) -> int:
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end


def _value(data: bytearray, at: int, *, keep: bool) -> tuple[Hidden | None, int, str]:
    """The value that begins here, where its line ends (-1: nowhere), and why it cannot be taken."""
    quote = bytes(data[at : at + 1])
    if quote not in _QUOTED:
        end = _end_of_line(data, at)
        return _unquoted(data, at, end, keep=keep)
    if (quoted := _QUOTED[quote].match(data, at)) is None:
        return None, -1, ""
    end = _end_of_line(data, quoted.end())
    if not _NOTHING.fullmatch(data, quoted.end(), end):
        return None, end, "text follows its closing quote"
    if quote != b"'" and _EXPANDED.search(data, *quoted.span(1)):
        return None, end, _REFERENCE
    start, stop = quoted.span(1)
    return Hidden(data[start:stop]) if keep else None, end, ""


def _unquoted(data: bytearray, at: int, end: int, *, keep: bool) -> tuple[Hidden | None, int, str]:
    comment = _COMMENT.search(data, at, end)
    stop = at if data.startswith(b"#", at) else comment.start() if comment else end
    if _EXPANDED_PLAIN.search(data, at, stop):
        return None, end, _REFERENCE
    return Hidden(data[at:stop].strip()) if keep else None, end, ""
