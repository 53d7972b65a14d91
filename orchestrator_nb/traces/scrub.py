"""Takes keys out of files: ``[key fp:…]`` stands in their place, and the old bytes are gone from the file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.traces import database, notebook
from orchestrator_nb.traces.assignments import holds_assignments, without_held
from orchestrator_nb.traces.finder import Finder
from orchestrator_nb.traces.places import Note, encoding_of, open_file
from orchestrator_nb.traces.rewrite import rewrite
from orchestrator_nb.traces.scan import Finding, scan_file


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A file without the keys that were in it."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path}: cleaned"


def scrub(paths: Iterable[Path], finder: Finder) -> Iterator[Cleaned | Note]:
    """Clean each of the files, and say of each whether it is clean now or why not."""
    for path in dict.fromkeys(paths):
        yield scrub_file(path, finder)


def scrub_file(path: Path, finder: Finder) -> Cleaned | Note:
    """Clean one file. Of a file of ``NAME=value`` lines only keys that a vault holds now are taken: any other may have its only home there."""
    try:
        problem = _clean(path, finder)
    except sqlite3.Error as error:
        problem = f"not cleaned: {error}; close what uses it and try again"
    except OSError as error:
        problem = f"not cleaned: {error.strerror}"
    if not problem and (left := _left(path, finder)):
        problem = f"still there: {left}"
    return Note(path, problem) if problem else Cleaned(path)


def _left(path: Path, finder: Finder) -> str:
    return next((str(found) for found in scan_file(path, finder) if found.path == path), "")


def _clean(path: Path, finder: Finder) -> str:
    """Why it cannot be done, or nothing."""
    with open_file(path) as file:
        before = os.fstat(file.fileno())
        data = file.read()
    if data.startswith(database.MAGIC):
        return "" if database.clean(path, finder.clean) else "a database; delete the row with its own program"
    if before.st_nlink > 1:
        return "not cleaned: it has a second name (a hard link), which would keep the key; delete that one first"
    encoding = encoding_of(data[:8192])
    if encoding == "latin-1":
        return "not a text; delete it or make it anew"
    text = data.decode(encoding, "surrogateescape")
    new, problem = (
        without_held(path, text, finder) if holds_assignments(path, text) else (_without(path, text, finder), "")
    )
    if new != text:
        rewrite(path, new.encode(encoding, "surrogateescape"), before)
    return problem


def _without(path: Path, text: str, finder: Finder) -> str:
    """Replaced in the file's own text, so that nothing else of it changes; what only a notebook's reader sees (escaped twice), in its texts."""
    new = finder.clean(text)
    whole = notebook.read(new) if path.suffix == ".ipynb" else None
    if whole and any(finder.find(piece) for _, piece in notebook.pieces(whole)):
        return notebook.changed(whole, finder.clean)
    return new


def paths_of(findings: Iterable[Finding | Note]) -> list[Path]:
    """The files in which something was found."""
    return list(dict.fromkeys(found.path for found in findings if isinstance(found, Finding) and found.place != "name"))
