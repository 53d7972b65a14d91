"""Brings the user's settings files to the current version: what would change, and the change itself.

A file's form has a number, ``version``; each step of the table leads to one number, from texts to texts. The result is not believed but read: both
forms must mean the same, for every profile, and every comment must still be there. The originals are kept beside the files.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config.edit import replace_file
from orchestrator_nb.config.files import read_trusted
from orchestrator_nb.config.layers import stack
from orchestrator_nb.config.loading import Building, builtin
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.config.pieces import comments, root
from orchestrator_nb.config.schema import VERSION
from orchestrator_nb.config.texts import Texts, version
from orchestrator_nb.config.version_2 import to_2
from orchestrator_nb.config.yaml import Document, read
from orchestrator_nb.errors import ConfigError

Step = Callable[[Texts, Catalog], Texts]
"""Files of an earlier form, one that has the new form already among them perhaps, to files of the new one. Pure."""

STEPS: Final[Mapping[int, Step]] = {2: to_2}
"""What leads to each version from the one before it, in order."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file: as it is (``None``: not there), as it will be, and the version it has."""

    path: Path
    old: str | None
    new: str
    version: int

    @property
    def diff(self) -> str:
        """The change as ``diff -u`` shows it."""
        old, new = ((text or "").replace("\r\n", "\n").splitlines() for text in (self.old, self.new))
        return "\n".join(difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm=""))


def plan(paths: Paths, today: date | None = None) -> tuple[Change, ...]:
    """What is to change in the user's files, in the order in which it must be written; nothing when they are current. Writes nothing.

    Raises `ConfigError` for a file that does not load, and for one whose layout cannot be rewritten without risk.
    """
    files = (paths.settings, paths.models)
    given = [_read(path) for path in files]
    before = Texts(*(text and text.replace("\r\n", "\n") for text in given))
    meant, catalog = _meaning(paths, before, today)
    for path, text in zip(files, (before.settings, before.models), strict=True):
        _require_lines(path, text)
    after = _current(before, catalog)
    _judge(before, after, meant, _meaning(paths, after, today)[0], paths)
    texts = zip(files, given, (after.settings, after.models), strict=True)
    return tuple(
        Change(path, old, _like(old, new), version(old or "")) for path, old, new in texts if new and _differs(old, new)
    )


def _read(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8-sig") if read_trusted(path) else None


def _require_lines(path: Path, text: str | None) -> None:
    if text is not None and version(text) < VERSION and root(text) is None:
        raise ConfigError(
            "is written in braces as a whole, which is not rewritten; it goes on loading.", where=str(path)
        )


def _current(texts: Texts, catalog: Catalog) -> Texts:
    there = [version(text) for text in (texts.settings, texts.models) if text is not None]
    for number, step in STEPS.items():
        if there and min(there) < number:
            texts = step(texts, catalog)
    return texts


def _differs(old: str | None, new: str) -> bool:
    return old is None or old.replace("\r\n", "\n") != new


def _like(old: str | None, new: str) -> str:
    """The new text with the old one's line ends."""
    return new.replace("\n", "\r\n") if old and "\r\n" in old else new


def _meaning(paths: Paths, texts: Texts, today: date | None) -> tuple[Any, Catalog]:
    """All that the files set: for everybody, for each profile, and the catalogue."""
    today = today or datetime.now(UTC).date()
    building = Building(builtin(today), today)
    if paths.system:
        building.add_folder("system", paths.system, root_may_own=True)
    building.add_files("user", _document(texts.models, paths.models), _document(texts.settings, paths.settings))
    profiles = {name: stack([layer]) for name, layer in building.profiles.items()}
    return (stack(building.layers), profiles, building.catalog), building.catalog


def _document(text: str | None, path: Path) -> Document | None:
    return None if text is None else read(text.encode(), str(path))


def _judge(before: Texts, after: Texts, meant: Any, means: Any, paths: Paths) -> None:
    said, says = ({*_comments(texts)} for texts in (before, after))
    kept = all(any(old in new for new in says) for old in said)
    if meant != means or not kept:
        raise ConfigError(
            "cannot be migrated without risk, so nothing was changed; it goes on loading as it is.",
            where=str(paths.config),
        )


def _comments(texts: Texts) -> Iterator[str]:
    for text in (texts.settings, texts.models):
        yield from (comment.text for comment in comments(text or ""))


def migrate(paths: Paths, *, dry_run: bool = False) -> str:
    """What changes, as a diff, and, unless it is a dry run, the change itself. Raises `ConfigError` as `plan` and `apply` do."""
    changes = plan(paths)
    if not changes:
        return f"nothing to migrate: the files in {paths.config} have the current form, version {VERSION}."
    diffs = "\n".join(change.diff for change in changes)
    if dry_run:
        return f"{diffs}\n\nNothing was written."
    kept = ", ".join(str(path) for path in apply(changes))
    return f"{diffs}\n\nWritten. The originals are kept: {kept}."


def apply(changes: tuple[Change, ...]) -> tuple[Path, ...]:
    """Write them, and where the originals are kept now. A crash at any point leaves files that load and mean the same.

    config.yaml comes first: it gains what models.yaml loses, and while both say a thing nothing is missing. Raises `ConfigError` when a file was
    changed since it was read, and when the disk does not take one.
    """
    for change in changes:
        if _read(change.path) != change.old:
            raise ConfigError("was changed just now; nothing was written, try again.", where=str(change.path))
    kept = tuple(_keep(change.path, change.version) for change in changes if change.old is not None)
    for change in changes:
        replace_file(change.path, change.new)
    return kept


def _keep(path: Path, number: int) -> Path:
    """A copy of the file under a name that nothing has yet, or an earlier copy that is the same."""
    data = path.read_bytes()
    for attempt in count(1):
        copy = path.with_name(f"{path.name}.v{number}" + (f"-{attempt}" if attempt > 1 else ""))
        if _made(copy, data) or copy.read_bytes() == data:
            return copy
    raise AssertionError  # count() has no end


def _made(path: Path, data: bytes) -> bool:
    """Whether the file could be made, readable by its owner alone; not where there is one."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return True
    raise ConfigError(f"cannot be written: {reason}; nothing was changed.", where=str(path))
