"""The files that are looked at, and their texts with the names of the places where these stand.

Links are not followed, so that nothing outside the folder is read. What cannot be read is told, never passed over.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from orchestrator_nb.traces import database, notebook

LARGEST_BINARY: Final = 8 * 2**20
"""Bytes. A larger file that is no text is a model, a picture or a film."""
LARGEST_NOTEBOOK: Final = 256 * 2**20

SKIPPED: Final = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"})
_BLOCK: Final = 4 * 2**20
_OVERLAP: Final = 32 * 2**10
"""A key of the longest kind, in hex, is shorter."""
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"PACK": "git", b"PAR1": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """A place that was not looked at, or not cleaned, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text and its place in a file. ``line`` is the number of its first line, or 0 where lines mean nothing."""

    place: str
    text: str
    line: int = 0

    def at(self, offset: int) -> str:
        """The place of a sign."""
        return f"line {self.line + self.text.count(chr(10), 0, offset)}" if self.line else self.place


class Unread(Exception):
    """A file that is not looked at; the text says why."""


def of_user(environ: Mapping[str, str], home: Path) -> list[Path]:
    """IPython's history, in each of its profiles."""
    ipython = Path(environ.get("IPYTHONDIR") or home / ".ipython")
    return sorted(ipython.glob("profile_*/history.sqlite"))


def files(paths: Iterable[Path], *, everything: bool = False) -> Iterator[Path | Note]:
    """The files at and under the paths, each once. ``everything`` looks into the folders of tools too (`SKIPPED`, virtual environments)."""
    seen: set[Path] = set()
    for path in paths:
        for found in _under(path, everything=everything):
            if isinstance(found, Note):
                yield found
            elif (place := found.absolute()) not in seen and not database.belongs_to_another(found):
                seen.add(place)
                yield found


def _under(path: Path, *, everything: bool) -> Iterator[Path | Note]:
    try:
        mode = path.lstat().st_mode
        inside = sorted(path.iterdir()) if stat.S_ISDIR(mode) else []
    except OSError as error:
        yield Note(path, f"cannot be read: {error.strerror}")
        return
    if stat.S_ISLNK(mode):
        yield Note(path, "a link; not followed")
    elif stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        for child in inside:
            if not everything and _of_a_tool(child):
                yield Note(child, "a folder of tools; --all looks there too")
            else:
                yield from _under(child, everything=everything)


def _of_a_tool(path: Path) -> bool:
    return os.path.isdir(path) and (path.name in SKIPPED or os.path.exists(path / "pyvenv.cfg"))  # noqa: PTH110, PTH112  # never raise


def pieces(path: Path) -> Iterator[Piece]:
    """The file's texts. Raises `Unread`, and `OSError`."""
    with open_file(path) as file:
        head = file.read(8192)
        if head.startswith(database.MAGIC):
            yield from (Piece(place, text) for place, text in database.pieces(path))
            return
        file.seek(0)
        if path.suffix == ".ipynb" and (cells := _cells(file)) is not None:
            yield from (Piece(place, text) for place, text in cells)
            return
        file.seek(0)
        yield from _blocks(file, _readable(path, head))


def open_file(path: Path) -> BinaryIO:
    """The file for reading; a link that was put in its place meanwhile is an `OSError`."""
    return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb")


def _cells(file: BinaryIO) -> Iterator[tuple[str, str]] | None:
    """The pieces of a notebook; ``None`` for a file that is called so and is none."""
    data = file.read(LARGEST_NOTEBOOK)
    whole = notebook.read(data.decode(encoding_of(data[:8192]), "surrogateescape").removeprefix("\ufeff"))
    return None if whole is None else notebook.pieces(whole)


def encoding_of(head: bytes) -> str:
    """From a file's first bytes: UTF-16 by its mark, or by a NUL beside nearly every sign; a NUL elsewhere says that it is no text (``latin-1``)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" not in head:
        return "utf-8"
    return next((name for name, place in _UTF16.items() if _alternates(head, place)), "latin-1")


_UTF16: Final = {"utf-16-le": 1, "utf-16-be": 0}
"""And where the NULs of western signs stand."""


def _alternates(head: bytes, place: int) -> bool:
    """Whether nearly every second byte is NUL, and hardly any other."""
    return _share(head[place::2]) > 0.9 and _share(head[1 - place :: 2]) < 0.1


def _share(signs: bytes) -> float:
    """How many of them are NUL."""
    return signs.count(0) / max(1, len(signs))


def _readable(path: Path, head: bytes) -> str:
    """The encoding. Raises `Unread` for what holds no text that could be found."""
    encoding = encoding_of(head)
    if kind := next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), None):
        raise Unread(f"compressed ({kind}); unpack it to look into it")
    if encoding != "utf-8" and (size := path.stat().st_size) > LARGEST_BINARY:
        raise Unread(f"not a text, and {size / 2**20:,.0f} MB large")
    return encoding


def _blocks(file: BinaryIO, encoding: str) -> Iterator[Piece]:
    """A text in blocks of whole lines; of a line longer than a block, each with the end of the one before."""
    if encoding.startswith("utf-16"):
        yield Piece("text", file.read().decode(encoding, "replace"), 1)
        return
    line, rest = 1, b""
    while block := file.read(_BLOCK):
        block, cut = rest + block, 0
        if len(block) >= _BLOCK:
            cut = block.rfind(b"\n") + 1 or max(0, len(block) - _OVERLAP)
        yield Piece("bytes", block.decode(encoding, "surrogateescape"), line if encoding == "utf-8" else 0)
        line, rest = line + block.count(b"\n", 0, cut), block[cut:] if cut else b""
