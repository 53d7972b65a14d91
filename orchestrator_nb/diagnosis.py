"""``doctor``: what works here and what does not, read from the installation and the settings. Opens no connection, shows no key."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator_nb.catalog import Vendor
from orchestrator_nb.config import Config

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


def examine(config: Config, environ: Mapping[str, str], *, simulating: bool) -> list[Check]:
    """All checks, in the order in which a person would mend things."""
    return [*_python(), *_folders(config), *_settings(config), *_vendors(config, environ, simulating=simulating)]


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
    for name, folder in (("config", paths.config), ("data", paths.data)):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        writable = os.access(existing, os.W_OK)
        yield Check(
            f"{name} folder",
            writable,
            f"{folder}{'' if folder.exists() else ' (not made yet)'}{'' if writable else ': cannot be written'}",
        )
        if folder.exists() and _open_to_others(folder):
            yield Check(f"{name} folder", False, f"others may write to it: chmod go-w {folder}")


def _open_to_others(folder: Path) -> bool:
    return bool(folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _settings(config: Config) -> Iterator[Check]:
    files = ", ".join(str(path) for path, stamp in config.files if stamp) or "none: the defaults are in force"
    yield Check("settings files", None, files)
    yield from (Check("settings", None, notice) for notice in config.notices)
    default = config.settings.model
    yield Check("default model", None, default or "none: name a model in each cell, or set one: %llm config model NAME")


def _vendors(config: Config, environ: Mapping[str, str], *, simulating: bool) -> Iterator[Check]:
    if simulating:
        yield Check("simulator", True, "on: every vendor is played on this machine, no key is used")
    for vendor in config.catalog.vendors.values():
        yield _vendor(vendor, environ)


def _vendor(vendor: Vendor, environ: Mapping[str, str]) -> Check:
    where = f"{vendor.base_url} ({vendor.kind})"
    if vendor.key_name is None:
        return Check(vendor.name, None, f"{where}, needs no key")
    found = bool(environ.get(vendor.key_name))
    return Check(
        vendor.name, True if found else None, f"{where}, {vendor.key_name} {'is set' if found else 'is not set'}"
    )
