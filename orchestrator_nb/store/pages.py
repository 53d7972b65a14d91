"""Rows straight from the pages of a SQLite file, whatever the trees above them look like. https://sqlite.org/fileformat2.html

Nothing here says whether a row is right: its seal does. So everything that looks like a row is handed out.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any, Final

_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_LEAF_HEADER: Final = 8

Cell = tuple[int, tuple[Any, ...]]


def cells(data: bytes, size: int) -> Iterator[Cell]:
    """Every cell that can be read as a table's row: its row number and its columns. ``size`` is that of a page."""
    for start in range(0, len(data) - size + 1, size):
        yield from _of_page(data, start, size)


def _of_page(data: bytes, start: int, size: int) -> Iterator[Cell]:
    """Follows the array of pointers as far as either the page's count or the first cell says that it goes, for each of these may be damaged."""
    head = 100 if start == 0 else 0
    place, lowest = head + _LEAF_HEADER, size
    end = min(size, place + 2 * int.from_bytes(data[start + head + 3 : start + head + 5]))
    while place + 2 <= max(lowest, end):
        at = int.from_bytes(data[start + place : start + place + 2])
        place += 2
        if place <= at < size:
            lowest = min(lowest, at)
            with contextlib.suppress(ValueError, IndexError, struct.error):
                yield _cell(data, start, at, size)


def _cell(data: bytes, start: int, at: int, size: int) -> Cell:
    length, at = _varint(data, start + at)
    number, at = _varint(data, at)
    local = _local(length, size)
    payload = data[at : at + local]
    if local < length:
        payload += _overflow(data, int.from_bytes(data[at + local : at + local + 4]), length - local, size)
    return _signed(number), tuple(_columns(payload))


def _local(length: int, size: int) -> int:
    """How much of a row stands in its own page."""
    if length <= size - 35:
        return length
    least = (size - 12) * 32 // 255 - 23
    some = least + (length - least) % (size - 4)
    return some if some <= size - 35 else least


def _overflow(data: bytes, page: int, length: int, size: int) -> bytes:
    pieces, steps = [], 0
    while length > 0:
        start = (page - 1) * size
        if page < 1 or start + size > len(data) or steps > len(data) // size:
            raise ValueError("the rest of the row is not there")
        pieces.append(data[start + 4 : start + 4 + min(length, size - 4)])
        page, length, steps = int.from_bytes(data[start : start + 4]), length - (size - 4), steps + 1
    return b"".join(pieces)


def _columns(payload: bytes) -> Iterator[Any]:
    head, at = _varint(payload, 0)
    body = head
    while at < head:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        yield value


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    if kind in _INTEGERS:
        return int.from_bytes(_piece(payload, at, _INTEGERS[kind]), signed=True), at + _INTEGERS[kind]
    if kind == 7:
        return struct.unpack(">d", _piece(payload, at, 8))[0], at + 8
    if kind < 12:
        raise ValueError("no kind of column")
    length = (kind - 12) // 2
    piece = _piece(payload, at, length)
    if kind % 2:  # a damaged text is no reason to lose what else the row tells, such as a question's key
        return piece.decode(errors="replace"), at + length
    return piece, at + length


def _piece(payload: bytes, at: int, length: int) -> bytes:
    piece = payload[at : at + length]
    if len(piece) != length:
        raise ValueError("the row ends too early")
    return piece


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
