"""Configuration: where files live, what may stand in them, who set what, and the catalogue of models.

Importing this costs nothing; pydantic and PyYAML are imported by the first `load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator_nb.config.paths import Paths

if (
    TYPE_CHECKING
):  # pydantic and PyYAML take 0.1 s to import, and a notebook that only loads the extension needs neither
    from orchestrator_nb.config.layers import Config
    from orchestrator_nb.config.profiles import ProfileFacts
    from orchestrator_nb.errors import ConfigError

__all__ = ["Config", "Paths", "choose_profile", "json_schema", "list_profiles", "load", "migrate"]


def __getattr__(name: str) -> Any:
    """``Config`` on demand."""
    if name == "Config":
        from orchestrator_nb.config.layers import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    paths: Paths,
    cwd: Path | None,
    environ: Mapping[str, str],
    cell: Mapping[str, Any] | None = None,
    today: date | None = None,
    profile: str | None = None,
    *,
    project: bool = True,
    problems: list[ConfigError] | None = None,
) -> Config:
    """The configuration for a notebook in ``cwd`` (``None``: no project layer), with ``cell`` options by dotted key on top.

    ``today`` decides which announced retirements have happened; ``profile`` is used instead of the one that files and environment choose. Creates nothing. Raises `ConfigError`, with file, line and key, for anything wrong.
    ``project=False`` leaves the project out for now. Where there is a list of ``problems``, what is wrong is added to it and left out, instead of raising.
    """
    from orchestrator_nb.config.loading import load as load_now

    return load_now(paths, cwd, environ, cell, today, profile, project=project, problems=problems)


def choose_profile(
    name: str, paths: Paths, cwd: Path | None, environ: Mapping[str, str], *, new: bool = False
) -> Config:
    """See `orchestrator_nb.config.profiles.choose`."""
    from orchestrator_nb.config.profiles import choose

    return choose(name, paths, cwd, environ, new=new)


def list_profiles(config: Config) -> tuple[ProfileFacts, ...]:
    """See `orchestrator_nb.config.profiles.listed`."""
    from orchestrator_nb.config.profiles import listed

    return listed(config)


def migrate(paths: Paths, *, dry_run: bool = False) -> str:
    """See `orchestrator_nb.config.migrations.migrate`."""
    from orchestrator_nb.config.migrations import migrate as migrate_now

    return migrate_now(paths, dry_run=dry_run)


def json_schema(file: Literal["config", "models"]) -> dict[str, Any]:
    """The JSON Schema of config.yaml or models.yaml, for editors that check while one types."""
    from orchestrator_nb.config.schema import SettingsFile
    from orchestrator_nb.config.vendors import ModelsFile

    shape = SettingsFile if file == "config" else ModelsFile
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **shape.model_json_schema()}
