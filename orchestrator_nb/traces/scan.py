"""Looks for keys in files, and says where they are; never what they are."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from orchestrator_nb.traces import database
from orchestrator_nb.traces.finder import STORED, Finder, Found
from orchestrator_nb.traces.places import Note, Piece, Unread, files, pieces

_BATCH = 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """A key in a file. ``kind`` is "stored key" or what it looks like, ``fp`` its fingerprint."""

    path: Path
    place: str
    kind: str
    fp: str

    def __str__(self) -> str:
        return f"{self.path} {self.place}: {self.kind} fp:{self.fp}"


def scan(
    paths: Iterable[Path], finder: Finder, *, everything: bool = False, tell: Callable[[Path], None] = lambda _: None
) -> Iterator[Finding | Note]:
    """What is found at and under the paths, file by file, and what could not be looked at. ``tell`` hears of each file before it is read."""
    for file in files(paths, everything=everything):
        if isinstance(file, Note):
            yield Note(_safe(file.path, finder), file.why)
            continue
        tell(file)
        yield from scan_file(file, finder)


def scan_file(path: Path, finder: Finder) -> Iterator[Finding | Note]:
    """What is found in one file: each key once for each place."""
    shown = _safe(path, finder)
    yield from (Finding(shown, "name", found.kind, found.fp) for found in finder.find(str(path)))
    seen: set[tuple[str, str]] = set()
    try:
        for place, found in _found(pieces(path), finder):
            # what stands in a row stands in the file's bytes too, where its looks may run into the next row
            told = ("", found.fp if found.kind == STORED else found.kind)
            if (place, found.fp) not in seen and not (place == database.FREE and told in seen):
                seen |= {(place, found.fp), told}
                yield Finding(shown, place, found.kind, found.fp)
    except Unread as reason:
        yield Note(shown, str(reason))
    except OSError as error:
        yield Note(shown, f"cannot be read: {error.strerror}")
    except (RecursionError, MemoryError):  # a file made so; the others must still be looked at
        yield Note(shown, "nested too deep, or too large when unpacked, to look into it")


def _safe(path: Path, finder: Finder) -> Path:
    """A file may be called like a key."""
    return Path(finder.clean(str(path)))


def _found(texts: Iterable[Piece], finder: Finder) -> Iterator[tuple[str, Found]]:
    for batch in _batches(texts):
        starts = list(accumulate((len(piece.text) + 2 for piece in batch), initial=0))
        for found in finder.find("\n\n".join(piece.text for piece in batch)):
            index = bisect.bisect_right(starts, found.start) - 1
            yield batch[index].at(found.start - starts[index]), found


def _batches(texts: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Small pieces together: a search has its price, however short the text."""
    batch: list[Piece] = []
    size = 0
    for piece in texts:
        batch.append(piece)
        if (size := size + len(piece.text)) > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
