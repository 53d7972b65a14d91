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
_OPENS: Final = re.compile(rb"<<|\\\r?$|[({\[]\s*$")
"""What goes on in the next lines: a here-document, a continued line, an open bracket."""
_COMMENT: Final = re.compile(rb"(?<=[ \t])#")
_QUOTED: Final = {
    b"'": re.compile(rb"'([^']*)'"),
    b'"': re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    b"`": re.compile(rb"`([^`]*)`"),
}
_LIKELY: Final = re.compile(r"(?i)(?:^|_)(?:API|APIKEY|KEY|TOKEN|SECRET|PAT)$")
_MOST_LINES: Final = 6
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
    """What a file has: what was asked for, by name, and the number of other variables, of which nothing is kept but names that are like a key's, in ``likely``.

    ``passed`` are the lines that are no NAME=value; from line ``unread`` on (0: none) nothing was read, as something is opened there and never closed.
    """

    found: dict[str, Found] = field(default_factory=dict)
    others: int = 0
    likely: tuple[str, ...] = ()
    passed: tuple[int, ...] = ()
    unread: int = 0

    def odd(self) -> list[str]:
        """What was not read, in words."""
        said = []
        if self.passed:
            lines = [*map(str, self.passed[:_MOST_LINES]), *["more"] * (len(self.passed) > _MOST_LINES)]
            one = len(self.passed) == 1
            listed = lines[0] if one else f"{', '.join(lines[:-1])} and {lines[-1]}"
            was = "was passed over: it is" if one else "were passed over: they are"
            said.append(f"line{'' if one else 's'} {listed} {was} no NAME=value.")
        if self.unread:
            said.append(
                f"from line {self.unread} on nothing was read: a quote, or what else goes over several lines, is opened there and never closed."
            )
        return said


@dataclass(frozen=True, slots=True)
class _Assignment:
    name: str
    line: int
    value: Hidden | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Odd:
    """A line that is no assignment; ``open`` when what follows it may belong to it."""

    line: int
    open: bool


def read(path: Path, wanted: Collection[str]) -> Variables:
    """The ``wanted`` variables of a file. Raises `UserError` for a file that is none of this kind."""
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
    found: dict[str, Found] = {}
    others: list[str] = []
    passed: list[int] = []
    unread = 0
    for part in _parts(data, wanted):
        if isinstance(part, _Odd):
            passed += [part.line] * (not part.open)
            unread = part.line * part.open
        elif part.name in wanted:
            found[part.name] = _with(found.get(part.name), part)
        else:
            others.append(part.name)
    likely = dict.fromkeys(name for name in others if _LIKELY.search(name))
    return Variables(found, len(others), tuple(likely), tuple(passed), unread)


def _with(before: Found | None, now: _Assignment) -> Found:
    """Readers differ on which of two lines counts."""
    if before is None:
        return Found(now.value, (now.line,), now.why)
    lines = (*before.lines, now.line)
    if before.value is not None and before.value == now.value:
        return Found(now.value, lines)
    return Found(None, lines, before.why or now.why or "it stands there more than once, with different values")


def _parts(data: bytearray, wanted: frozenset[str]) -> Iterator[_Assignment | _Odd]:
    """Each assignment and each odd line in turn. Ends where something is opened and not closed: what follows may be a part of it."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while at < len(data):
        line, end = data.count(b"\n", 0, at) + 1, _end_of_line(data, at)
        if (head := _ASSIGNMENT.match(data, at)) is None:
            if not _NOTHING.fullmatch(data, at, end):
                odd = _Odd(line, open=_goes_on(data, at, end))
                yield odd
                if odd.open:
                    return
        else:
            name = head[1].decode()
            value, end, why = _value(data, head.end(), keep=name in wanted)
            if end < 0:
                yield _Assignment(name, line, None, "its quote is never closed")
                yield _Odd(line, open=True)
                return
            yield _Assignment(name, line, value, why)
        at = end + 1


def _goes_on(data: bytearray, at: int, end: int) -> bool:
    return _OPENS.search(data, at, end) is not None or any(data.count(quote, at, end) % 2 for quote in _QUOTED)


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
