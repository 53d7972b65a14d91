"""Puts the configuration together: every file that exists, in the order of the layers, into one `Config`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config import project as projects
from orchestrator_nb.config import retired
from orchestrator_nb.config.files import read_trusted
from orchestrator_nb.config.layers import (
    Beside,
    Config,
    Layer,
    Origin,
    checked,
    defaults,
    environment_layer,
    file_layer,
    own_variables,
    stack,
    stamps,
    unknown_profile,
)
from orchestrator_nb.config.paths import DEFAULT_PROFILE, Paths
from orchestrator_nb.config.schema import MAX_WORK_KIB, TOO_MUCH_WORK, SettingsFile
from orchestrator_nb.config.shapes import validate
from orchestrator_nb.config.trust import record, trusted
from orchestrator_nb.config.vendors import ModelsFile, merge
from orchestrator_nb.config.yaml import Document
from orchestrator_nb.config.yaml import read as read_yaml
from orchestrator_nb.errors import ConfigError, UnknownModel


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
    """See `orchestrator_nb.config.load`."""
    today = today or datetime.now(UTC).date()
    seen = stamps(_candidates(paths, cwd))  # before reading: what changes meanwhile is then read again
    building = Building(builtin(today), today, problems)
    building.add_own(paths)
    environment, chosen = building.environment(environ), Layer("cell")
    with building.part():
        chosen = _profile_layer(profile)
    building.add_profile(environment, chosen)
    if cwd is not None and project:
        with building.part():
            building.add_project(cwd, paths)
    building.layers += [environment, chosen]
    config = Config(
        layers=tuple(building.layers),
        catalog=building.catalog,
        own_catalog=building.own_catalog,
        paths=paths,
        cwd=cwd,
        profiles=building.profiles,
        notices=tuple(dict.fromkeys(building.notices)),
        files=seen,
        variables=own_variables(environ),
        environ=environ,
        project=building.beside,
        reload=partial(load, paths, cwd, environ, cell, today, profile=profile),
    )
    config = _checked(config.with_cell(cell) if cell else config, building)
    return config if project and not problems else replace(config, complete=False)


def _checked(config: Config, building: Building) -> Config:
    """What only all layers together can get wrong."""
    try:
        _require_affordable_vault(config)
    except ConfigError as error:
        building.bear(error)
        usual = {key: origin for key, origin in defaults().values.items() if key.startswith("vault.argon2")}
        config = config.with_layer(Layer("defaults", usual))
    with building.part():
        if not building.unread:
            _require_known_model(config)
    with building.part():
        _require_lower_caps(config)
    return config


def _profile_layer(name: str | None) -> Layer:
    """The profile that whoever loads asks for, over all files and variables; a layer that sets nothing when they do not."""
    source = "profile argument"
    values = {} if name is None else {"profile": Origin("cell", source, None, checked("profile", name, source))}
    return Layer("cell", values)


def _candidates(paths: Paths, cwd: Path | None) -> Iterator[Path]:
    for folder in (paths.system, paths.config):
        if folder:
            yield from (folder / "config.yaml", folder / "models.yaml")
    if cwd is not None:
        yield record(paths)
        yield from projects.candidates(cwd, paths)


@cache
def builtin(today: date) -> Catalog:
    """The catalogue that comes with the package, as it stands on a day."""
    name = "models.yaml"
    document = read_yaml(files("orchestrator_nb.config").joinpath(name).read_bytes(), name)
    return merge(Catalog(), validate(ModelsFile, document), document, today)


class Building:
    """The pieces while they are gathered; lives for one `load`. ``own_catalog`` is the catalogue as it was before any project spoke.

    Where there is a list of ``problems``, a part that is wrong goes there and is left out, instead of raising.
    """

    def __init__(self, catalog: Catalog, today: date, problems: list[ConfigError] | None = None) -> None:
        self.catalog = self.own_catalog = catalog
        self.today, self.problems = today, problems
        self.beside: Beside | None = None
        self.unread = False  # something of the user's own, where a name may stand that is then not known
        self.layers: list[Layer] = [defaults()]
        self.notices: list[str] = []
        self.profiles = {DEFAULT_PROFILE: Layer("profile")}

    def bear(self, error: ConfigError) -> None:
        """Notes the error, or raises it."""
        if self.problems is None:
            raise error
        self.problems.append(error)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Something that can be left out."""
        try:
            yield
        except ConfigError as error:
            self.bear(error)

    def environment(self, environ: Mapping[str, str]) -> Layer:
        """The variables that are settings; one that is wrong does not take the others with it."""
        left = own_variables(environ)
        while True:
            try:
                layer, ignored = environment_layer(left)
            except ConfigError as error:
                self.bear(error)
                del left[error.where]
            else:
                self.notices.extend(ignored)
                return layer

    def add_own(self, paths: Paths) -> None:
        """The administrator's files and the user's."""
        if paths.system:
            self.add_folder("system", paths.system, root_may_own=True)
        self.add_folder("user", paths.config)
        self.own_catalog, self.unread = self.catalog, bool(self.problems)

    def add_folder(self, name: str, folder: Path, *, root_may_own: bool = False) -> None:
        """A trusted folder's files."""
        models = settings = None
        with self.part():
            models = read_trusted(folder / "models.yaml", root_may_own=root_may_own)
        with self.part():
            settings = read_trusted(folder / "config.yaml", root_may_own=root_may_own)
        self.add_files(name, models, settings)

    def add_files(self, name: str, models: Document | None, settings: Document | None) -> None:
        """A models.yaml, then a config.yaml, which has the last word on what both may say."""
        if models:
            with self.part():
                self._add_models(name, models)
        if settings:
            with self.part():
                self._add_settings(name, settings)

    def _add_models(self, name: str, document: Document) -> None:
        file = validate(ModelsFile, document)
        self.catalog = merge(self.catalog, file, document, self.today)
        self._note(retired.in_models(file, self.catalog), document)
        if file.system_prompts:
            self.layers.append(file_layer(name, SettingsFile(system_prompts=file.system_prompts), document))

    def _add_settings(self, name: str, document: Document) -> None:
        shape = validate(SettingsFile, document)
        self.layers.append(file_layer(name, shape, document))
        self._note(retired.in_settings(shape, self.catalog), document)
        for profile, part in shape.profiles.items():
            below = self.profiles.get(profile, Layer("profile")).values
            over = file_layer("profile", part, document, ("profiles", profile)).values
            self.profiles[profile] = Layer("profile", {**below, **over})

    def _note(self, found: Iterable[retired.Retired], document: Document) -> None:
        self.notices += [retired.notice(place, spec, document) for place, spec in found]

    def add_profile(self, *above: Layer) -> None:
        """The chosen profile's settings. ``above`` are later layers, which may choose it."""
        layers = [*self.layers, *above]
        chosen = next(layer.values["profile"] for layer in reversed(layers) if "profile" in layer.values)
        if chosen.value not in self.profiles:
            if not self.unread:
                self.bear(unknown_profile(chosen.value, self.profiles, chosen))
            self.profiles[chosen.value] = Layer("profile")
        if self.profiles[chosen.value].values:
            self.layers.append(self.profiles[chosen.value])

    def find_project(self, cwd: Path, paths: Paths) -> projects.Project | None:
        """The nearest project, also one that cannot be used."""
        trust = trusted(paths)
        found, notices = projects.find(cwd, paths, self.catalog.vendors, trust)
        self.notices.extend([*notices, trust.notice] if found and trust.notice else notices)
        return found

    def add_project(self, cwd: Path, paths: Paths) -> None:
        """The files beside the notebook, as far as they may speak."""
        found = self.find_project(cwd, paths)
        if found is None:
            return
        self.beside = Beside(found.folder, found.trusted, found.changed, refused=True)
        if found.problem:
            raise found.problem
        catalog = projects.merge_models(found, self.catalog, self.today, paths.models)
        self.layers.append(projects.settings_layer(found, stack(self.layers), paths.settings))
        self.catalog = catalog  # all of it, or nothing
        self.beside = replace(self.beside, refused=False, chains=found.chains)
        if found.models:
            self._note(retired.in_models(found.models[0], self.catalog), found.models[1])
        if found.settings:
            self._note(retired.in_settings(found.settings[0], self.catalog), found.settings[1])


def _require_affordable_vault(config: Config) -> None:
    """Raises `ConfigError` when two layers together ask for more of Argon2id than one of them alone may."""
    passes, memory = (config.why(f"vault.{key}")[0] for key in ("argon2_passes", "argon2_memory_kib"))
    if passes.value * memory.value > MAX_WORK_KIB:
        raise ConfigError(
            f"{TOO_MUCH_WORK} (passes: {passes.place}).", where=memory.place, key="vault.argon2_memory_kib"
        )


def _require_lower_caps(config: Config) -> None:
    """Raises `ConfigError` for a variable that lets more be spent than the user's own files do: a project's .env sets variables too."""
    own = {origin.key: origin for origin in _own_caps(config)}
    variables = [layer.values for layer in config.layers if layer.name == "environment"]
    for key, origin in ((key, origin) for values in variables for key, origin in values.items()):
        if (cap := _evaded(key, origin.value, own)) is not None:
            raise ConfigError(
                f"a variable may not let more be spent than the cap in your own files allows ({cap.value}, {cap.place}), "
                "for a project's .env sets variables too; change it there.",
                where=origin.place,
                key=key,
            )


def _own_caps(config: Config) -> Iterator[_Own]:
    for key in sorted(projects.LOWERED):
        for origin in config.why(key):
            if origin.layer in {"system", "user", "profile"}:
                if origin.value is not None:
                    yield _Own(key, origin.value, origin.place)
                break


class _Own(NamedTuple):
    """A cap that the user's files set, and where."""

    key: str
    value: Decimal
    place: str


def _evaded(key: str, value: Any, own: Mapping[str, _Own]) -> _Own | None:
    """The cap that would not hold any more: it is raised, or what counts in it is called cheaper, or not written down for the other processes."""
    if key in own:
        return own[key] if value is None or value > own[key].value else None
    if key.startswith("prices."):
        return next(iter(own.values()), None)
    return own.get("limits.max_cost_day_usd") if key == "store.enabled" and not value else None


def _require_known_model(config: Config) -> None:
    """Raises `ConfigError` at the place of the ``model`` setting unless the catalogue knows it."""
    for origin in config.why("model")[:1]:
        if origin.value is not None:
            _find(origin, config.catalog)


def _find(origin: Origin, catalog: Catalog) -> None:
    try:
        catalog.find(origin.value)
    except UnknownModel as error:
        reason = str(error)
    else:
        return
    raise ConfigError(reason, where=origin.place, key="model")
