"""Profiles: switching for good, making one, and what there is. A profile is a layer of settings under ``profiles`` and a vault of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator_nb.config.edit import unchanged_unless, write, write_setting
from orchestrator_nb.config.files import read_trusted
from orchestrator_nb.config.layers import Config, checked
from orchestrator_nb.config.loading import load
from orchestrator_nb.config.paths import DEFAULT_PROFILE, Paths
from orchestrator_nb.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """One profile: whether it is the active one, what it sets by dotted key, and where its vault is or would be."""

    name: str
    active: bool
    sets: Mapping[str, Any]
    vault: Path

    @property
    def has_vault(self) -> bool:
        """Whether the vault's file exists now."""
        return self.vault.exists()


def listed(config: Config) -> tuple[ProfileFacts, ...]:
    """Every profile, ``default`` first."""
    names = [DEFAULT_PROFILE, *sorted(config.profiles.keys() - {DEFAULT_PROFILE})]
    return tuple(_facts(config, name) for name in names)


def _facts(config: Config, name: str) -> ProfileFacts:
    sets = {key: origin.value for key, origin in sorted(config.profiles[name].values.items())}
    return ProfileFacts(name, name == config.settings.profile, sets, config.paths.vault(name))


def choose(name: str, paths: Paths, cwd: Path | None, environ: Mapping[str, str], *, new: bool = False) -> Config:
    """Make ``name`` the profile of every later session, and the configuration as it is then; ``new`` makes the profile first.

    It needs no configuration that loads now: a profile that is not there any more can be left. Raises `ConfigError`, with the user's file as it
    was, for an unknown name, for a new one that exists, and when nothing could be loaded afterwards.
    """
    checked("profile", name, "config")
    with unchanged_unless(paths.settings):
        if new:
            _make(name, paths.settings)
        write_setting(paths.settings, "profile", name)
        load(paths, cwd, environ, profile=name)
        return load(paths, cwd, environ)


def _make(name: str, settings: Path) -> None:
    document = read_trusted(settings)
    there = document.value.get("profiles") if document else None
    if name == DEFAULT_PROFILE or (isinstance(there, dict) and name in there):
        raise ConfigError(f"profile {name!r} exists already; leave out --new.", where="config", key="profile")
    write(settings, ("profiles", name), {})
