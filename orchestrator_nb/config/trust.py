"""Which projects the user trusts: ``state/trust.json`` remembers a folder and the exact bytes of its files, as direnv does (https://direnv.net).

A `Seal` is what was read: the folder's real path, its device and inode, and the SHA-256 of each file. A project is trusted when the seal of what has just
been read, and of nothing that is read later, stands in the record. So there is no moment between the check and the use.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.config.chainfiles import ChainFile, chain_files
from orchestrator_nb.config.files import Held, Reading, bytes_of, held
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.errors import ConfigError

NAMES: Final = ("orchestrator-nb.yaml", "config.yaml", "models.yaml")
"""The names of a project's files."""

_VERSION: Final = 1
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Seal:
    """One folder and its files as they were read: name → SHA-256, or ``None`` for one that bears a name of ours and does not speak."""

    folder: str
    device: int
    inode: int
    files: Mapping[str, str | None]


def seal_of(folder: Held, readings: Mapping[str, Reading], chains: Sequence[ChainFile]) -> Seal | None:
    """The seal of what was read, or ``None`` where it could change unseen: a file with a second name, a folder that cannot be listed.

    A name in other capitals counts too: where the file system folds case, it is the same file.
    """
    listed = folder.names()
    if listed is None or any(reading.linked for reading in readings.values()) or any(file.linked for file in chains):
        return None
    present = {name for name in listed if name.casefold() in NAMES} | readings.keys()
    files = {name: readings[name].document.digest if name in readings else None for name in sorted(present)}
    files |= {file.name: file.digest for file in chains}
    return Seal(str(folder.path), folder.status.st_dev, folder.status.st_ino, files)


@dataclass(frozen=True, slots=True)
class Trusted:
    """The seals that the user gave, by folder; ``notice`` says why there are none when the record cannot be used."""

    seals: Mapping[str, Seal] = field(default_factory=dict)
    notice: str = ""

    def has(self, found: Seal | None) -> bool:
        """Whether exactly this is trusted."""
        return found is not None and self.seals.get(found.folder) == found


def record(paths: Paths) -> Path:
    """The file that remembers."""
    return paths.state / "trust.json"


def trusted(paths: Paths) -> Trusted:
    """The record as it is now. One that is damaged, or that others could have written, trusts nothing and says so; it never raises."""
    path = record(paths)
    try:
        found = bytes_of(path, _require_private, getattr(os, "O_NOFOLLOW", 0))
        return Trusted(_seals(found[0]) if found else {})
    except ConfigError as error:
        reason = str(error)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reason = f"{path}: is damaged."
    return Trusted(notice=f"{reason} No project is trusted until %llm trust writes it anew.")


def trust(paths: Paths, seal: Seal) -> None:
    """Remember it, for this user and this machine. Raises `ConfigError` when the folder or the disk does not take it."""
    with _rewriting(paths) as seals:
        seals[seal.folder] = seal


def forget(paths: Paths, folder: str) -> bool:
    """Trust a folder no longer; whether it was in the record. Raises `ConfigError`."""
    if folder not in trusted(paths).seals:
        return False
    with _rewriting(paths) as seals:
        return seals.pop(folder, None) is not None


def still(seal: Seal) -> bool:
    """Whether the folder and its files are now what was sealed; for a list. Loading judges what it reads itself."""
    with held(Path(seal.folder)) as folder:
        if folder is None:
            return False
        try:
            names = [name for name, digest in seal.files.items() if digest and "/" not in name]
            readings = {name: folder.read(name) for name in names}
        except ConfigError:
            return False
        found = {name: reading for name, reading in readings.items() if reading}
        return seal_of(folder, found, chain_files(folder)) == seal


@contextlib.contextmanager
def _rewriting(paths: Paths) -> Iterator[dict[str, Seal]]:
    """The seals to change; written at the end. Processes wait for each other, so that nothing is forgotten or kept by chance."""
    from orchestrator_nb.config.edit import replace_file  # only who writes needs it

    path = record(paths)
    with _locked(path):
        seals = dict(trusted(paths).seals)
        yield seals
        if path.is_symlink():
            path.unlink()  # it is not read, so it must not be written through either
        projects = [asdict(found) for _, found in sorted(seals.items())]
        replace_file(path, json.dumps({"version": _VERSION, "projects": projects}, indent=1) + "\n")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private_folder(path)
        handle = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)
        return
    raise ConfigError(f"cannot be written: {reason}; nothing was changed.", where=str(path))


def _lock(handle: int) -> None:
    """Where the system or the file system has no locks, two changes in the same instant may lose one: of trust, so nothing is let in."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # not on Windows

        fcntl.flock(handle, fcntl.LOCK_EX)


def _require_private(path: Path, status: os.stat_result) -> None:
    """Only the user can have written it."""
    if not hasattr(os, "getuid"):
        return
    if status.st_uid != os.getuid() or status.st_mode & _OTHERS_WRITE or status.st_nlink > 1:
        raise ConfigError(
            f"others could have written it; if you know what is in it: chmod 600 {shlex.quote(str(path))}, else delete it.",
            where=str(path),
        )
    _require_private_folder(path)


def _require_private_folder(path: Path) -> None:
    status = path.parent.stat()
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & _OTHERS_WRITE):
        raise ConfigError(
            f"others may write to its folder; run: chmod go-w {shlex.quote(str(path.parent))}", where=str(path)
        )


def _seals(data: bytes) -> dict[str, Seal]:
    """Raises `ValueError` and its kin for anything that we did not write."""
    found = json.loads(data)
    if found["version"] != _VERSION:
        raise ValueError("another version")
    seals = [_seal(**project) for project in found["projects"]]
    return {one.folder: one for one in seals}


def _seal(folder: Any, device: Any, inode: Any, files: Any) -> Seal:
    texts = [folder, *files, *(digest for digest in files.values() if digest is not None)]
    if type(device) is not int or type(inode) is not int or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a seal")
    return Seal(folder, device, inode, files)
