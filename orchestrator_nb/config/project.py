"""The project layer: the files beside the notebook, which came with it. Until the user trusts them they may set only harmless things.

A forbidden field is an error, not a notice: results under settings that the notebook's author did not write would be wrong results.
``config.yaml`` and ``models.yaml`` are names of many tools: here they count as ours only when they have the predecessor's marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config.chainfiles import ChainFile, chain_files, looked_at
from orchestrator_nb.config.files import Foreign, Held, Reading, held, printable
from orchestrator_nb.config.layers import Layer, file_layer
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.config.schema import SettingsFile, flatten
from orchestrator_nb.config.shapes import dotted, validate
from orchestrator_nb.config.steps import beyond
from orchestrator_nb.config.trust import NAMES, Seal, Trusted, seal_of
from orchestrator_nb.config.vendors import ModelEntry, ModelsFile, VendorEntry, merge
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import ConfigError, UnknownModel

OWN_NAME: Final = NAMES[0]

# What it may set, as data. Anything that is not here is refused.
ALLOWED_SETTINGS: Final = frozenset({"model", "params.temperature", "params.max_tokens"})
LOWERED: Final = frozenset({"limits.max_cost_usd", "limits.max_cost_call_usd", "limits.max_cost_day_usd"})
"""What it may set lower than the user did: to spend less harms nobody."""
ALLOWED_MAPS: Final = frozenset({"roles", "personas", "chains"})
ALLOWED_VENDOR_KEYS: Final = frozenset({"default_model", "models"})
ALLOWED_MODEL_KEYS: Final = frozenset({"name", "max_tokens"})

# What a trusted one may set: sections, and anything in models.yaml.
TRUSTED_SECTIONS: Final = frozenset(
    {"model", "params", "limits", "timeouts", "display", "prices", "roles", "personas", "chains"}
)
NEVER: Final[Mapping[str, str]] = {
    "profile": "it chooses the vault",
    "profiles": "it could stand in for a profile of yours, and a profile has a vault",
    "vault": "it decides how well the vault is sealed and how long it stays open",
    "source": "it decides whether calls are paid for, and whose answers you see",
    "store": "it decides what is kept of what you ask and what it cost",
    "network": "it decides who is on the way between you and the vendors",
}
"""What no project may set, trusted or not, and why. Where the files and the store are is no setting at all."""

MAX_TOKENS_WITHOUT_USER: Final = 16_384
"""The most a project may ask for where the user set no ``max_tokens``: what Anthropic's models are asked for anyway."""


@dataclass(frozen=True, slots=True)
class Project:
    """The files of the nearest project, checked in shape; not yet judged.

    ``seal`` is what was read, ``None`` where it cannot be sealed; ``trusted`` whether the user trusts exactly that, ``changed`` whether
    they trusted something else in this place. ``problem``: the files are ours and cannot be used.
    """

    folder: Path
    settings: tuple[SettingsFile, Document] | None = None
    chains: tuple[ChainFile, ...] = ()
    models: tuple[ModelsFile, Document] | None = None
    seal: Seal | None = None
    trusted: bool = False
    changed: bool = False
    problem: ConfigError | None = None


def find(
    start: Path, paths: Paths, known_vendors: Mapping[str, Any], trust: Trusted
) -> tuple[Project | None, tuple[str, ...]]:
    """The project of a notebook in ``start``: this folder, or the nearest parent below the user's home that has our files.

    Also returns a notice for each file on the way that bears a name of ours but is not ours, or is somebody else's.
    """
    notices: list[str] = []
    for path in _folders(start.resolve(), paths.home.resolve()):
        if path.resolve() == paths.config.resolve():
            continue  # the user's own files, read as such already
        with held(path) as folder:
            if folder and (project := _project(folder, known_vendors, notices, trust)):
                return project, tuple(notices)
    return None, tuple(notices)


def candidates(start: Path, paths: Paths) -> Iterator[Path]:
    """Every file that `find` may look at."""
    for folder in _folders(start.resolve(), paths.home.resolve()):
        files = [folder / name for name in NAMES]
        yield from files
        if any(file.exists() for file in files):
            yield from looked_at(folder)


def _folders(start: Path, home: Path) -> Iterator[Path]:
    yield start
    if start == home:
        return
    for parent in start.parents:
        if parent == home:
            return
        yield parent


def _project(folder: Held, vendors: Mapping[str, Any], notices: list[str], trust: Trusted) -> Project | None:
    try:
        readings = _readings(folder, vendors, notices)
        shapes = {name: _shaped(name, reading.document) for name, reading in readings.items()}
    except ConfigError as error:
        return Project(folder.path, problem=error)
    if not readings:
        return None
    chains = chain_files(folder)
    found = seal_of(folder, readings, chains)
    is_trusted = trust.has(found)
    return Project(
        folder.path,
        shapes.get(OWN_NAME) or shapes.get("config.yaml"),
        chains,
        shapes.get("models.yaml"),
        found,
        trusted=is_trusted,
        changed=not is_trusted and str(folder.path) in trust.seals,
    )


def _shaped(name: str, document: Document) -> Any:
    return validate(ModelsFile if name == "models.yaml" else SettingsFile, document), document


def _readings(folder: Held, vendors: Mapping[str, Any], notices: list[str]) -> dict[str, Reading]:
    """The files that speak, by name. Raises `ConfigError` when our own one cannot be read."""
    try:
        if reading := folder.read(OWN_NAME):
            return {OWN_NAME: reading}
    except Foreign as error:
        notices.append(printable(error))
    marks = {"config.yaml": {"main_llm", "chains"}, "models.yaml": {"system_prompts", *vendors}}
    found = {name: _ours(folder, name, known, notices) for name, known in marks.items()}
    return {name: reading for name, reading in found.items() if reading}


def _ours(folder: Held, name: str, marks: set[str], notices: list[str]) -> Reading | None:
    """The file if it has one of the predecessor's keys; else nothing, and a notice."""
    try:
        reading = folder.read(name)
    except Foreign as error:
        notices.append(printable(error))
        return None
    except ConfigError as error:
        notices.append(f"{printable(error)} The file is left alone; for our settings use {OWN_NAME}.")
        return None
    if reading is None or marks & reading.document.value.keys():
        return reading
    notices.append(
        f"{printable(folder.path / name)} has none of our keys and is left alone; for our settings use {OWN_NAME}."
    )
    return None


def settings_layer(project: Project, user: Mapping[str, Any], own: Path) -> Layer:
    """The project's settings. ``user`` are the values below it, ``own`` the file to name as the place for what is refused here.

    Raises `ConfigError` with file, line and field for anything that is not allowed.
    """
    layers: list[Layer] = []
    if project.settings:
        shape, document = project.settings
        for name in shape.profiles:
            judge(project, f"profiles.{name}", None, ("profiles",), document, user, own)
        for key, value, place in flatten(shape):
            judge(project, key, value, place, document, user, own)
        layers.append(file_layer("project", shape, document))
    if project.models and (prompts := project.models[0].system_prompts):
        layers.append(file_layer("project", SettingsFile(system_prompts=prompts), project.models[1]))
    return Layer("project", {key: origin for layer in reversed(layers) for key, origin in layer.values.items()})


def judge(
    project: Project, key: str, value: Any, place: Place, document: Document, user: Mapping[str, Any], own: Path
) -> None:
    """Raises `ConfigError` unless this project may set ``key``."""
    section = key.partition(".")[0]
    if project.trusted or section in NEVER:
        if section not in TRUSTED_SECTIONS:
            raise _never(document, place, own)
        return
    if key in LOWERED:
        if user.get(key) is not None or value is None:
            _only_lower(value, user.get(key), place, document)
        return
    if key not in ALLOWED_SETTINGS and section not in ALLOWED_MAPS:
        raise _refused(project, document, place, own)
    if key == "params.max_tokens":
        _only_lower(value, user.get(key) or MAX_TOKENS_WITHOUT_USER, place, document)
    if section == "chains":
        for inner, _ in beyond(value, most_tokens(user)):
            raise _refused(project, document, (*place, *inner), own)


def most_tokens(user: Mapping[str, Any]) -> int:
    """The most that a chain of a project that is not trusted may ask for."""
    return int(user.get("params.max_tokens") or MAX_TOKENS_WITHOUT_USER)


def _only_lower(value: float | Decimal | None, most: float | Decimal | None, place: Place, document: Document) -> None:
    if value is None or (most is not None and value > most):
        found, here = "null" if value is None else value, "" if most is None else f", here to {most:,} or less"
        raise ConfigError(
            f"found {found}; a project may only lower it{here}, until you trust it: %llm trust.",
            where=document.where(place),
            key=dotted(place),
        )


def merge_models(project: Project, catalog: Catalog, today: date, own: Path) -> Catalog:
    """The catalogue with what a project says of vendors and models: until it is trusted, default models among known ones and lower ``max_tokens``."""
    if not project.models:
        return catalog
    file, document = project.models
    for name, entry in file.vendors.items():
        judge_vendor(project, name, entry, catalog, own)
    return merge(catalog, file, document, today)


def judge_vendor(project: Project, name: str, entry: VendorEntry, catalog: Catalog, own: Path) -> None:
    """Raises `ConfigError` unless this project may say this of a vendor. Where keys may go is not judged here: they are bound to your own catalogue."""
    if project.trusted or not project.models:
        return
    document = project.models[1]
    if (vendor := catalog.vendors.get(name)) is None:
        raise _refused(project, document, (name,), own)
    same = {"kind": vendor.kind, "base_url": vendor.base_url, "api_key_name": vendor.key_name}
    for key in entry.model_fields_set - ALLOWED_VENDOR_KEYS:
        # the predecessor's file repeats what is known anyway: saying it again changes nothing
        if key not in same or getattr(entry, key) != same[key]:
            raise _refused(project, document, (name, key), own)
    if entry.default_model:
        _require_known_model(name, entry.default_model, catalog, document, (name, "default_model"))
    for index, model in enumerate(entry.models):
        _judge_model(project, name, model, catalog, document, (name, "models", index), own)


def _judge_model(
    project: Project, vendor: str, model: ModelEntry, catalog: Catalog, document: Document, place: Place, own: Path
) -> None:
    for key in model.model_fields_set - ALLOWED_MODEL_KEYS:
        raise _refused(project, document, (*place, key), own)
    _require_known_model(vendor, model.name, catalog, document, (*place, "name"))
    if "max_tokens" in model.model_fields_set:
        most = catalog.find(f"{vendor}/{model.name}").max_tokens or MAX_TOKENS_WITHOUT_USER
        _only_lower(model.max_tokens, most, (*place, "max_tokens"), document)


def _require_known_model(vendor: str, name: str, catalog: Catalog, document: Document, place: Place) -> None:
    spec = catalog.find(f"{vendor}/{name}")
    if not any(model.ref == spec.ref for model in catalog.models):
        reason = str(UnknownModel(name, catalog.nearest(name)))
        raise ConfigError(reason, where=document.where(place), key=dotted(place))


def _refused(project: Project, document: Document, place: Place, own: Path) -> ConfigError:
    since = " and changed since you trusted it" if project.changed else ""
    return ConfigError(
        f"a project's file may not set this, for it came with the notebook{since}; %llm trust shows what it would change. "
        f"{_otherwise(place, own)}",
        where=document.where(place),
        key=dotted(place),
    )


def _otherwise(place: Place, own: Path) -> str:
    """Without trust. Nobody is told to copy a stranger's address, or the name of the key that would be sent, unread."""
    field = place[-1]
    if own.name == "models.yaml" and field == "api_key_name":
        return f"Else delete it; which keys your vendors use stands in your own {own}."
    if own.name == "models.yaml" and (len(place) == 1 or field in {"base_url", "kind"}):  # a vendor, or where it is
        return f"Else delete it, or if you know this server, write it into your own {own}."
    return f"Else move it to your own {own}, or delete it."


def _never(document: Document, place: Place, own: Path) -> ConfigError:
    why = NEVER.get(str(place[0]), "it is not among what a project may set")
    wanted = "if you know this server" if place[-1] == "proxy" else "if you want it"
    return ConfigError(
        f"no file that came with the notebook may set this, trusted or not: {why}; {wanted}, write it into your own {own}, else delete it.",
        where=document.where(place),
        key=dotted(place),
    )
