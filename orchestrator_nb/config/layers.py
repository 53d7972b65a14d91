"""Layers of settings, lowest first: ``defaults → system → user → profile → project → environment → cell``. Each value remembers who set it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config.chainfiles import ChainFile
from orchestrator_nb.config.paths import DEFAULT_PROFILE, Paths
from orchestrator_nb.config.schema import MAPS, SECTIONS, Overrides, Settings, SettingsFile, flatten, keys
from orchestrator_nb.config.shapes import unknown, validate
from orchestrator_nb.config.yaml import Document, Place, scalar
from orchestrator_nb.config.yaml import read as read_yaml
from orchestrator_nb.errors import ConfigError

PREFIX: Final = "ORCHESTRATOR_NB_"
NOT_SETTINGS: Final = frozenset(
    PREFIX + name
    for name in ("HOME", "PASSWORD_FILE", "PASSWORD_COMMAND")  # read where they are used
)

OWN_FILES_ONLY: Final[Mapping[str, str]] = {
    "network": "it decides who is on the way between you and the vendors",
    "vault": "it decides how well the vault is sealed and how long it stays open",
}
"""Sections that no variable sets, and why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who set a value: the layer, the file (or variable, or ``cell``), the line where there is one, and the value itself.

    Of a chain, whose parts have lines too, also the ``document`` and the place ``at`` which it stands there.
    """

    layer: str
    source: str
    line: int | None
    value: Any
    document: Document | None = field(default=None, compare=False, repr=False)
    at: Place = field(default=(), compare=False, repr=False)

    @property
    def place(self) -> str:
        """``file:line``, or the source alone."""
        return f"{self.source}:{self.line}" if self.line else self.source

    def __str__(self) -> str:
        return f"{self.value!r} ({self.layer}: {self.place})"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source sets, by dotted key."""

    name: str
    values: Mapping[str, Origin] = field(default_factory=dict)


def defaults() -> Layer:
    """The lowest layer: every key with its built-in value."""
    return Layer(
        "defaults",
        {key: Origin("defaults", "built-in", None, value) for key, value in keys().items() if key not in MAPS},
    )


def file_layer(name: str, shape: Overrides, document: Document, base: Place = ()) -> Layer:
    """What a checked file sets; ``base`` is where ``shape`` stands in it (a profile stands inside the user's file)."""

    def origin(key: str, value: Any, place: Place) -> Origin:
        file, _, line = document.where((*base, *place)).rpartition(":")
        found = Origin(name, file, int(line), value)
        return replace(found, document=document, at=(*base, *place)) if key.startswith("chains.") else found

    return Layer(name, {key: origin(key, value, place) for key, value, place in flatten(shape)})


def environment_layer(environ: Mapping[str, str]) -> tuple[Layer, tuple[str, ...]]:
    """``ORCHESTRATOR_NB_SECTION__KEY`` variables, and a notice for each of our prefix that is no setting.

    Values are read as in YAML; a list is written ``[a, b]``. Raises `ConfigError` for an unknown ``SECTION__KEY`` or a wrong value.
    """
    values: dict[str, Origin] = {}
    notices: list[str] = []
    for variable in sorted(own_variables(environ)):
        key = variable.removeprefix(PREFIX).lower().replace("__", ".", 1)
        if "." not in key and key not in keys():
            notices.append(f"{variable} is not a setting and is ignored.")
            continue
        if (section := key.partition(".")[0]) in OWN_FILES_ONLY:
            raise ConfigError(
                f"a variable may not set this, for {OWN_FILES_ONLY[section]}, and a project's .env sets variables too; take it away and set it in your config.yaml.",
                where=variable,
                key=key,
            )
        value = _from_variable(key, environ[variable], variable)
        values[key] = Origin("environment", variable, None, value)
    return Layer("environment", values), tuple(notices)


def own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings, or are meant to be."""
    return {name: environ[name] for name in environ if name.startswith(PREFIX) and name not in NOT_SETTINGS}


def _from_variable(key: str, text: str, variable: str) -> Any:
    try:
        return checked(key, _typed(key, text, variable), variable)
    except ConfigError as error:
        reason, key = str(error).removeprefix(f"{error.where}: {error.key}: "), error.key
    raise ConfigError(f"{reason} Change the variable (in a notebook with %env).", where=variable, key=key)


def _typed(key: str, text: str, source: str) -> Any:
    if key == "profile":
        return text  # a name, also where it looks like a number
    if text[:1] in "[{" and text:
        return read_yaml(f"value: {text}".encode(), source).value["value"]
    return scalar(text)


def checked(key: str, value: Any, source: str) -> Any:
    """``value`` as the schema takes it for ``key``. Raises `ConfigError` that names ``source``."""
    require_known(key, source)
    section, _, name = key.partition(".")
    nested = {section: {name: value}} if name else {section: value}
    lines: dict[Place, int] = {(section,): 1, (section, name): 1}
    document = Document(nested, source, lines)
    try:
        shape = validate(SettingsFile, document)
    except ConfigError as error:  # the place is the key itself, not a line
        reason = str(error).removeprefix(f"{error.where}: {error.key}: ")
        failure = ConfigError(reason, where=source, key=key)
    else:
        return next(value for found, value, _ in flatten(shape) if found == key)
    raise failure


def require_known(key: str, where: str = "") -> None:
    """Raises `ConfigError`, with the nearest key, unless ``key`` is a setting or names an entry of a map."""
    section, _, name = key.partition(".")
    if key not in MAPS and (key in keys() or (section in MAPS and name)):
        return
    if section in SECTIONS and name:
        raise ConfigError(f"{unknown(name, SECTIONS[section].model_fields)}.", where=where, key=key)
    raise ConfigError(f"{unknown(key, keys(), 'setting')}.", where=where, key=key)


def unknown_profile(name: str, known: Iterable[str], origin: Origin | None = None) -> ConfigError:
    """The error for a profile that does not exist: the nearest, all there are, and the ways out."""
    out = "switch to another: %llm config profile default"
    if origin and origin.layer == "environment":
        out = f"change the variable: %env {origin.source}=default"
    reason = unknown(name, known, f"profile {name!r}")
    where = origin.place if origin and origin.layer != "cell" else ""  # what was just typed needs no place
    return ConfigError(f"{reason}. Make it: %llm config profile {name} --new; or {out}.", where=where, key="profile")


@dataclass(frozen=True, slots=True)
class Beside:
    """The project's folder: whether the user trusts it, or did before it changed; ``refused`` when it says what it may not, and nothing of it counts.

    ``chains`` are its chain files, sealed with the others.
    """

    folder: Path
    trusted: bool
    changed: bool
    refused: bool
    chains: tuple[ChainFile, ...] = field(default=(), repr=False)


Stamps = tuple[tuple[Path, tuple[int, ...] | None], ...]
"""Files that were looked for, each with its times, size and inode then, or ``None`` where there was none."""


def stamps(paths: Iterable[Path]) -> Stamps:
    """The state of some files now."""
    return tuple((path, _stamp(path)) for path in paths)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # a copied or linked file can have the old time and size; the time of its last change of any kind cannot be set
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


@dataclass(frozen=True)
class Config:
    """All settings with their origins, the catalogue, and what the user should be told. Immutable; `with_cell` and `set_user` return a new one.

    ``own_catalog`` is the catalogue without the project's word: keys go only to its addresses. ``cwd`` is the folder whose project was looked for.
    ``complete`` is false where the project, or what was wrong, was left out: good for a look and for the vault, not for calls.
    """

    layers: tuple[Layer, ...]
    catalog: Catalog
    own_catalog: Catalog
    paths: Paths
    cwd: Path | None = None
    profiles: Mapping[str, Layer] = field(default_factory=lambda: {DEFAULT_PROFILE: Layer("profile")})
    notices: tuple[str, ...] = ()
    project: Beside | None = None
    complete: bool = True
    files: Stamps = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    reload: Callable[..., Config] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def settings(self) -> Settings:
        """The winners, as one frozen value."""
        nested: dict[str, Any] = {}
        for key, origin in self._winners.items():
            section, _, name = key.partition(".")
            if name:
                nested.setdefault(section, {})[name] = origin.value
            else:
                nested[section] = origin.value
        return Settings.model_validate(nested)

    @cached_property
    def _winners(self) -> dict[str, Origin]:
        return {key: origin for layer in self.layers for key, origin in layer.values.items()}

    def value(self, key: str) -> Any:
        """The value of ``section.key``, or a map's entries by name. Raises `ConfigError` for an unknown key."""
        if key in MAPS:
            return {k.partition(".")[2]: origin.value for k, origin in self._winners.items() if k.startswith(f"{key}.")}
        origins = self.why(key)
        return origins[0].value if origins else None

    def keys(self) -> tuple[str, ...]:
        """Every setting, and every entry of a map that somebody set, sorted."""
        return tuple(sorted({key for key in keys() if key not in MAPS} | self._winners.keys()))

    def refreshed(self, **how: Any) -> Config:
        """The same, or what files and environment say now if one of them changed, appeared or went, or something was left out. ``how`` as for `load`."""
        same = stamps(path for path, _ in self.files) == self.files and own_variables(self.environ) == self.variables
        return self if (same and self.complete) or self.reload is None else self.reload(**how)

    def own(self) -> Config:
        """What the user's own settings say now, without any project's. Raises `ConfigError`."""
        return self if self.reload is None else self.reload(project=False)

    def why(self, key: str) -> tuple[Origin, ...]:
        """Every layer that sets ``key``, the winner first. Raises `ConfigError`, with the nearest key, for an unknown one."""
        require_known(key)
        return tuple(layer.values[key] for layer in reversed(self.layers) if key in layer.values)

    def with_layer(self, layer: Layer) -> Config:
        """The same with one more layer on top."""
        return replace(self, layers=(*self.layers, layer))

    def with_cell(self, overrides: Mapping[str, Any]) -> Config:
        """The same with a cell's own options, by dotted key. Raises `ConfigError` for an unknown key or a wrong value."""
        checked_values = {
            key: Origin("cell", "cell", None, checked(key, value, "cell")) for key, value in overrides.items()
        }
        return self.with_layer(Layer("cell", checked_values))

    def require_profile(self, name: str) -> None:
        """Raises `ConfigError`, with the nearest name and how to make one, unless there is a profile ``name``."""
        if name not in self.profiles:
            raise unknown_profile(name, self.profiles)

    def set_user(self, key: str, value: Any, profile: str | None = None) -> Config:
        """Write one setting, for one profile or for all, into the user's config.yaml, comments kept, and return the configuration as it is then.

        Text is read as in YAML (``"8"`` becomes 8). Raises `ConfigError` before anything is written when the value is wrong or the file
        cannot be edited safely, and with the file as it was when nothing could be loaded with it (a model that nobody knows): the next cell must
        not fail for it. A notice says so when a higher layer still hides the new value.
        """
        from orchestrator_nb.config.edit import unchanged_unless, write_setting  # the only writer; not needed to read

        typed = _typed(key, value, key) if isinstance(value, str) else value
        checked(key, typed, "config")
        if profile is not None:
            self.require_profile(profile)
        try:
            with unchanged_unless(self.paths.settings):
                write_setting(self.paths.settings, key, typed, ("profiles", profile) if profile is not None else ())
                fresh = self._reloaded(profile)
        except ConfigError as error:
            if error.key not in {key, "main_llm"}:
                raise
            reason = str(error).removeprefix(f"{error.where}: {error.key}: ")
            if error.key == "main_llm":
                reason = (
                    f"{self.paths.settings} has it in an older form; first bring that up to date: %llm config migrate."
                )
        else:
            notice = fresh.hiding(key, profile)
            return replace(fresh, notices=(*fresh.notices, notice)) if notice else fresh
        raise ConfigError(reason, where="config", key=key)

    def _reloaded(self, profile: str | None) -> Config:
        """What the files say now, which must also load with the profile that was written to."""
        if self.reload is None:
            return self
        if profile is not None:
            self.reload(profile=profile)
        return self.reload()

    def hiding(self, key: str, profile: str | None = None) -> str:
        """The sentence that a value which was just written has no effect yet, and why; empty when it has."""
        winner = next(iter(self.why(key)), None)
        other = profile not in {None, self.settings.profile}  # its values wait for their turn
        if winner is None or other or winner.layer == ("profile" if profile else "user"):
            return ""
        return f"{key} is saved, but {winner.place} ({winner.layer}) still wins."


def stack(layers: Iterable[Layer]) -> dict[str, Any]:
    """The winning values of some layers, by dotted key."""
    return {key: origin.value for layer in layers for key, origin in layer.values.items()}
