"""Where files live: platformdirs' folders (XDG on Linux), or all of them under ``ORCHESTRATOR_NB_HOME``. Looking creates nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from orchestrator_nb.errors import ConfigError

APP: Final = "orchestrator-nb"
HOME: Final = "ORCHESTRATOR_NB_HOME"
DEFAULT_PROFILE: Final = "default"
PROFILE: Final = re.compile(r"[a-z0-9_-]{1,32}")
"""A profile's name, which is also a file's: no dot, no slash, no capital that a file system may fold."""
PROFILE_NAME: Final = "a profile's name: 1 to 32 of a-z, 0-9, _ and -"


@dataclass(frozen=True, slots=True)
class Paths:
    """The four folders of one user. ``system`` is the administrator's configuration; there is none when ``ORCHESTRATOR_NB_HOME`` is set."""

    config: Path
    data: Path
    state: Path
    cache: Path
    home: Path
    system: Path | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], home: Path | None = None) -> Self:
        """The folders for this environment. ``home`` is the user's home folder, where the search for a project ends.

        Raises `ConfigError` when ``ORCHESTRATOR_NB_HOME`` is not an absolute path.
        """
        home = home or Path.home()
        if root := environ.get(HOME):
            return cls._under(_absolute(root, home), home)
        import platformdirs  # only needed here, and by no one who sets ORCHESTRATOR_NB_HOME

        found = platformdirs.PlatformDirs(APP, appauthor=False)
        folders = (found.user_config_path, found.user_data_path, found.user_state_path, found.user_cache_path)
        return cls(*folders, home=home, system=found.site_config_path)

    @classmethod
    def _under(cls, root: Path, home: Path) -> Self:
        return cls(root / "config", root / "data", root / "state", root / "cache", home=home)

    @property
    def settings(self) -> Path:
        """The user's config.yaml."""
        return self.config / "config.yaml"

    @property
    def models(self) -> Path:
        """The user's models.yaml."""
        return self.config / "models.yaml"

    @property
    def chains(self) -> Path:
        """The folder of the user's chains."""
        return self.config / "chains"

    @property
    def modes(self) -> Path:
        """The folder of the user's modes."""
        return self.config / "modes"

    @property
    def store(self) -> Path:
        """The database of runs and answers."""
        return self.data / "store.db"

    def vault(self, profile: str = DEFAULT_PROFILE) -> Path:
        """The vault of a profile. Raises `ConfigError` for what is no profile's name, for it could lead to another folder."""
        if not PROFILE.fullmatch(profile):
            raise ConfigError(f"found {profile!r}, expected {PROFILE_NAME}.", key="profile")
        return self.data / "vaults" / f"{profile}.onbv"


def _absolute(root: str, home: Path) -> Path:
    path = home / root[2:] if root.startswith("~/") else Path(root)
    if not path.is_absolute():
        raise ConfigError(
            f"{root!r} is a relative path, which would change with the notebook; give an absolute one.",
            where="environment",
            key=HOME,
        )
    return path
