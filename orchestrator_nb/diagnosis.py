"""``doctor``: what works here and what does not, read from the installation and the settings. Opens no connection, shows no key."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator_nb.catalog import Vendor
from orchestrator_nb.config import Config
from orchestrator_nb.errors import ConfigError, VaultError
from orchestrator_nb.providers.keys import synonyms
from orchestrator_nb.vault import files, sources, telling
from orchestrator_nb.vault.vault import Vault

_PACKAGES = (
    "orchestrator-nb",
    "httpx2",
    "ipython",
    "ipykernel",
    "jupyterlab",
    "ipywidgets",
    "pandas",
    "genai-prices",
    "nest-asyncio2",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report; ``ok`` is None for what is merely worth knowing."""

    name: str
    ok: bool | None
    text: str


def examine(
    config: Config, environ: Mapping[str, str], vault: Vault, problems: Sequence[ConfigError] = (), *, simulating: bool
) -> list[Check]:
    """All checks, in the order in which a person would mend things. Asks for no password: of a locked vault it says that it is locked.

    ``problems`` is what was wrong in the settings; ``config`` what there is without it.
    """
    return [
        *_python(),
        *_looked("folders", _folders(config)),
        *_broken(problems),
        *_settings(config),
        *_looked("vault", _vault(vault)),
        *_password(environ),
        *_looked("vendors", _vendors(config, vault, environ, simulating=simulating)),
    ]


def missing_keys(vendors: Iterable[Vendor], vault: Vault, environ: Mapping[str, str]) -> dict[str, str]:
    """The vendors that cannot be asked now, each with why: its key is missing, or may be in the vault, which is locked. Asks for no password."""
    keys = _Keys(vault, environ)
    looked = {vendor.name: keys.source(vendor.key_name) for vendor in vendors if vendor.key_name}
    return {name: source for name, (found, source) in looked.items() if not found}


def without_home(problem: ConfigError, environ: Mapping[str, str]) -> list[Check]:
    """What can be told where not even the folders can be found."""
    return [*_python(), *_broken([problem]), *_password(environ)]


def _looked(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; a file that cannot be looked at is one of them, and not the end of the report."""
    try:
        yield from checks
    except OSError as error:
        yield Check(name, False, f"{error.filename or 'a file'} cannot be looked at: {error.strerror}.")


def _broken(problems: Iterable[ConfigError]) -> Iterator[Check]:
    for problem in problems:
        yield Check("settings", False, str(problem))


def _python() -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.system()}")
    yield Check("packages", None, ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _folders(config: Config) -> Iterator[Check]:
    paths = config.paths
    for name, folder in (("config", paths.config), ("data", paths.data), ("state", paths.state)):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if wrong := _unusable(existing):
            made = "" if folder.exists() else " (not made yet)"
            where = wrong if existing == folder else f"{wrong}, as {existing} is so"
            yield Check(f"{name} folder", False, f"{folder}{made}: {where}")
            continue
        yield Check(f"{name} folder", True, f"{folder}{'' if folder.exists() else ' (not made yet)'}")
        if folder.exists() and _open_to_others(folder):
            yield Check(f"{name} folder", False, f"others may write to it: chmod go-w {folder}")


def _unusable(folder: Path) -> str:
    if not folder.is_dir():
        return "is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"


def _open_to_others(folder: Path) -> bool:
    return bool(folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _settings(config: Config) -> Iterator[Check]:
    out = config.project.folder if config.project and config.project.refused else None
    read = [str(path) for path, stamp in config.files if stamp and path.parent != out]
    files = ", ".join(read) or "none: the defaults are in force"
    yield Check("settings files", None, files)
    yield Check("project", None, _project(config))
    yield from (Check("settings", None, notice) for notice in config.notices)
    default = config.settings.model
    yield Check("default model", None, default or "none: name a model in each cell, or set one: %llm config model NAME")


def _project(config: Config) -> str:
    if (found := config.project) is None:
        return f"none: no settings file of ours in {config.cwd} or above it" if config.cwd else "none"
    since = " any more, as it changed" if found.changed else ""
    trust = f"{found.folder}, {'' if found.trusted else 'not '}trusted{since}"
    if found.refused:
        return f"{trust}, refused: what follows is told without it"
    return trust if found.trusted else f"{trust}: of its settings only harmless ones count"


def _vault(vault: Vault) -> Iterator[Check]:
    try:
        status = vault.status()
    except VaultError as error:
        yield Check("vault", False, str(error))
    else:
        [first, *_] = telling.about(status, None, vault.path.stem, 0.0)
        left = f", locks in {telling.span(status.idle_left_s)} without use" if status.state == "open" else ""
        yield Check("vault", True if status.state == "open" else None, first + left)
    for path in (copy for copy in files.backups(vault.path) if copy.exists() and _readable_by_others(copy)):
        yield Check("vault", False, f"others may read {path.name}; run: chmod 600 '{path}'")


def _password(environ: Mapping[str, str]) -> Iterator[Check]:
    source = sources.FILE if environ.get(sources.FILE) else sources.COMMAND
    if problem := sources.problem(environ):
        yield Check("password", False, problem)
    elif environ.get(source):
        yield Check("password", True, f"comes from {source}; nobody is asked")


def _readable_by_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


class _Keys:
    """Where a vendor's key comes from, as far as that can be told without a password."""

    def __init__(self, vault: Vault, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._fps: dict[str, str] = {}
        self._locked = False
        with suppress(VaultError):  # told already
            self._locked = vault.exists and not vault.is_open
            self._fps = {fact.name: fact.fp for fact in vault.facts()} if vault.is_open else {}

    def source(self, key_name: str) -> tuple[bool, str]:
        """Whether there is one, and a word on where."""
        names = synonyms(key_name)
        for name in names:
            if name in self._fps:
                return True, f"{name} from the vault (fp:{self._fps[name]})"
        for name in filter(self._environ.get, names):
            return True, f"{name} from the environment{', unless the locked vault has one' if self._locked else ''}"
        if self._locked:
            return False, f"{key_name}: the vault is locked and may have it"
        return False, f"{key_name} is missing: %vault set {key_name}"


def _vendors(config: Config, vault: Vault, environ: Mapping[str, str], *, simulating: bool) -> Iterator[Check]:
    keys = _Keys(vault, environ)
    if simulating:
        yield Check("simulator", True, "on: every vendor is played on this machine, no key is used")
    for vendor in config.catalog.vendors.values():
        yield _vendor(vendor, keys)


def _vendor(vendor: Vendor, keys: _Keys) -> Check:
    where = f"{vendor.base_url} ({vendor.kind})"
    if vendor.key_name is None:
        return Check(vendor.name, None, f"{where}, needs no key")
    found, source = keys.source(vendor.key_name)
    return Check(vendor.name, True if found else None, f"{where}, {source}")
