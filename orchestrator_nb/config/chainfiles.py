"""The chain files of a project: ``chains/*.yaml`` beside its settings file, read once, so that what is sealed is what is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.config.files import Held, printable
from orchestrator_nb.config.yaml import MAX_BYTES, Document, Place, read
from orchestrator_nb.errors import ConfigError

FOLDER: Final = "chains"
ENDINGS: Final = (".yaml", ".yml")
MOST_FILES: Final = 200
"""More of them are not looked at; which they are is a matter of their names."""


@dataclass(frozen=True, slots=True)
class ChainFile:
    """One file as it was read; ``data`` is ``None`` where it could not be, for the ``problem``."""

    path: Path
    data: bytes | None = None
    problem: str = ""
    linked: bool = False

    @property
    def name(self) -> str:
        """As it is called in the project's folder."""
        return f"{FOLDER}/{self.path.name}"

    @property
    def digest(self) -> str | None:
        """The SHA-256 of what was read."""
        return None if self.data is None else hashlib.sha256(self.data).hexdigest()

    def document(self) -> Document | None:
        """Its YAML. ``None`` for a chain on one line, and for what cannot be read."""
        try:
            return None if self.data is None else read(self.data, str(self.path))
        except ConfigError:
            return None


def chain_files(project: Held) -> tuple[ChainFile, ...]:
    """What the project's folder has; nothing where ``chains`` is a link, or may not be listed."""
    with project.inside(FOLDER) as folder:
        names = sorted(filter(is_one, (folder.names() if folder else None) or ()))[:MOST_FILES]
        return tuple(_file(folder, name) for name in names) if folder else ()


def is_one(name: str) -> bool:
    """Whether a file of this name is a chain's; editors leave hidden ones beside it."""
    return name.endswith(ENDINGS) and not name.startswith(".")


def _file(folder: Held, name: str) -> ChainFile:
    path = folder.path / name
    try:
        found = folder.bytes(name)
    except ConfigError as error:
        return ChainFile(path, problem=printable(str(error).removeprefix(f"{error.where}: ")))
    if found is None:
        return ChainFile(path, problem="it is gone.")
    data, linked = found
    if len(data) > MAX_BYTES:
        return ChainFile(path, problem=f"a chain file may have {MAX_BYTES:,} bytes.", linked=linked)
    return ChainFile(path, data, linked=linked)


def looked_at(folder: Path) -> Iterator[Path]:
    """Every path whose change may change what `chain_files` finds."""
    inside = folder / FOLDER
    yield inside
    try:
        names = sorted(path.name for path in inside.iterdir() if is_one(path.name))
    except OSError:
        return
    yield from (inside / name for name in names[:MOST_FILES])


def chains_in(document: Document, name: str) -> Iterator[tuple[Place, str, Any]]:
    """The chains of a file, each with its place and name: several under ``chains``, or the one that the file is, called ``name`` unless it says otherwise."""
    value = document.value
    if "chains" in value and "steps" not in value:
        several = value["chains"] if isinstance(value["chains"], dict) else {}
        yield from ((("chains", key), key, chain) for key, chain in several.items())
    else:
        yield (), str(value.get("name") or name), value
