"""The project layer: the files beside the notebook, which came with it and are not trusted. It may set only harmless things.

A forbidden field is an error, not a notice: results under settings that the notebook's author did not write would be wrong results.
``config.yaml`` and ``models.yaml`` are names of many tools: here they count as ours only when they have the predecessor's marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config.files import read_untrusted
from orchestrator_nb.config.layers import Layer, file_layer
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.config.schema import Chain, SettingsFile, flatten
from orchestrator_nb.config.shapes import dotted, validate
from orchestrator_nb.config.vendors import ModelEntry, ModelsFile, VendorEntry, merge
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import ConfigError, UnknownModel

OWN_NAME: Final = "orchestrator-nb.yaml"

# What it may set, as data. Anything that is not here is refused.
ALLOWED_SETTINGS: Final = frozenset({"model", "params.temperature", "params.max_tokens"})
ALLOWED_MAPS: Final = frozenset({"roles", "personas", "chains"})
ALLOWED_STEP_KEYS: Final = frozenset({"id", "name", "role", "persona", "model", "prompt"})
ALLOWED_CHAIN_KEYS: Final = frozenset({"steps"})
ALLOWED_VENDOR_KEYS: Final = frozenset({"default_model", "models"})
ALLOWED_MODEL_KEYS: Final = frozenset({"name", "max_tokens"})

MAX_TOKENS_WITHOUT_USER: Final = 16_384
"""The most a project may ask for where the user set no ``max_tokens``: what Anthropic's models are asked for anyway."""


@dataclass(frozen=True, slots=True)
class Project:
    """The files of the nearest project, checked in shape; not yet judged."""

    folder: Path
    settings: tuple[SettingsFile, Document] | None = None
    models: tuple[ModelsFile, Document] | None = None


def find(start: Path, paths: Paths, known_vendors: Mapping[str, Any]) -> tuple[Project | None, tuple[str, ...]]:
    """The project of a notebook in ``start``: this folder, or the nearest parent below the user's home that has our files.

    Also returns a notice for each file on the way that bears a name of ours but is not ours. Raises `ConfigError` for a file that is ours and wrong.
    """
    notices: list[str] = []
    for folder in _folders(start.resolve(), paths.home.resolve()):
        if folder.resolve() == paths.config.resolve():
            continue  # the user's own files, read as such already
        if project := _project(folder, known_vendors, notices):
            return project, tuple(notices)
    return None, tuple(notices)


def candidates(start: Path, paths: Paths) -> Iterator[Path]:
    """Every file that `find` may look at."""
    for folder in _folders(start.resolve(), paths.home.resolve()):
        yield from (folder / name for name in (OWN_NAME, "config.yaml", "models.yaml"))


def _folders(start: Path, home: Path) -> Iterator[Path]:
    yield start
    if start == home:
        return
    for parent in start.parents:
        if parent == home:
            return
        yield parent


def _project(folder: Path, vendors: Mapping[str, Any], notices: list[str]) -> Project | None:
    if document := read_untrusted(folder / OWN_NAME):
        return Project(folder, (validate(SettingsFile, document), document))
    settings = _ours(folder / "config.yaml", {"main_llm", "chains"}, notices)
    models = _ours(folder / "models.yaml", {"system_prompts", *vendors}, notices)
    if settings is None and models is None:
        return None
    return Project(
        folder,
        (validate(SettingsFile, settings), settings) if settings else None,
        (validate(ModelsFile, models), models) if models else None,
    )


def _ours(path: Path, marks: set[str], notices: list[str]) -> Document | None:
    """The file if it has one of the predecessor's keys; else nothing, and a notice."""
    try:
        document = read_untrusted(path)
    except ConfigError as error:
        notices.append(f"{error} The file is left alone; for our settings use {OWN_NAME}.")
        return None
    if document is None or marks & document.value.keys():
        return document
    notices.append(f"{path} has none of our keys and is left alone; for our settings use {OWN_NAME}.")
    return None


def settings_layer(project: Project, user: Mapping[str, Any], own: Path) -> Layer:
    """The project's settings. ``user`` are the values below it, ``own`` the file to name as the place for what is refused here.

    Raises `ConfigError` with file, line and field for anything that is not allowed.
    """
    layers: list[Layer] = []
    if project.settings:
        shape, document = project.settings
        if shape.profiles:
            raise _refused(document, ("profiles",), own)
        for key, value, place in flatten(shape):
            _judge(key, value, place, document, user, own)
        layers.append(file_layer("project", shape, document))
    if project.models and (prompts := project.models[0].system_prompts):
        layers.append(file_layer("project", SettingsFile(system_prompts=prompts), project.models[1]))
    return Layer("project", {key: origin for layer in reversed(layers) for key, origin in layer.values.items()})


def _judge(key: str, value: Any, place: Place, document: Document, user: Mapping[str, Any], own: Path) -> None:
    section = key.partition(".")[0]
    if key not in ALLOWED_SETTINGS and section not in ALLOWED_MAPS:
        raise _refused(document, place, own)
    if key == "params.max_tokens":
        _only_lower(value, user.get(key) or MAX_TOKENS_WITHOUT_USER, place, document)
    if isinstance(value, Chain):
        _judge_chain(value, place, document, own)


def _judge_chain(chain: Chain, place: Place, document: Document, own: Path) -> None:
    for key in (chain.model_extra or {}).keys() - ALLOWED_CHAIN_KEYS:
        raise _refused(document, (*place, key), own)
    for index, step in enumerate(chain.steps):
        for key in (step.model_extra or {}).keys() - ALLOWED_STEP_KEYS:
            raise _refused(document, (*place, "steps", index, key), own)


def _only_lower(value: int | None, most: int, place: Place, document: Document) -> None:
    if value is None or value > most:
        raise ConfigError(
            f"found {value}; a project may only lower it, here to {most:,} or less.",
            where=document.where(place),
            key=dotted(place),
        )


def merge_models(project: Project, catalog: Catalog, today: date, own: Path) -> Catalog:
    """The catalogue with what a project may say of models: default models among known ones, and lower ``max_tokens``."""
    if not project.models:
        return catalog
    file, document = project.models
    for name, entry in file.vendors.items():
        if name not in catalog.vendors:
            raise _refused(document, (name,), own)
        _judge_vendor(name, entry, catalog, document, own)
    return merge(catalog, file, document, today)


def _judge_vendor(name: str, entry: VendorEntry, catalog: Catalog, document: Document, own: Path) -> None:
    vendor = catalog.vendors[name]
    same = {"kind": vendor.kind, "base_url": vendor.base_url, "api_key_name": vendor.key_name}
    for key in entry.model_fields_set - ALLOWED_VENDOR_KEYS:
        # the predecessor's file repeats what is known anyway: saying it again changes nothing
        if key not in same or getattr(entry, key) != same[key]:
            raise _refused(document, (name, key), own)
    if entry.default_model:
        _require_known_model(name, entry.default_model, catalog, document, (name, "default_model"))
    for index, model in enumerate(entry.models):
        _judge_model(name, model, catalog, document, (name, "models", index), own)


def _judge_model(vendor: str, model: ModelEntry, catalog: Catalog, document: Document, place: Place, own: Path) -> None:
    for key in model.model_fields_set - ALLOWED_MODEL_KEYS:
        raise _refused(document, (*place, key), own)
    _require_known_model(vendor, model.name, catalog, document, (*place, "name"))
    if "max_tokens" in model.model_fields_set:
        most = catalog.find(f"{vendor}/{model.name}").max_tokens or MAX_TOKENS_WITHOUT_USER
        _only_lower(model.max_tokens, most, (*place, "max_tokens"), document)


def _require_known_model(vendor: str, name: str, catalog: Catalog, document: Document, place: Place) -> None:
    spec = catalog.find(f"{vendor}/{name}")
    if not any(model.ref == spec.ref for model in catalog.models):
        reason = str(UnknownModel(name, catalog.nearest(name)))
        raise ConfigError(reason, where=document.where(place), key=dotted(place))


def _refused(document: Document, place: Place, own: Path) -> ConfigError:
    return ConfigError(
        f"a project's file may not set this, for it came with the notebook; if you want it, move it to your own {own}, else delete it.",
        where=document.where(place),
        key=dotted(place),
    )
