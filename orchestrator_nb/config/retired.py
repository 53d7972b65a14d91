"""Which names in a file mean a model that its vendor has retired, and what to say of it. An unknown name is somebody else's error."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_nb.catalog import Catalog, ModelSpec
from orchestrator_nb.config.schema import SettingsFile
from orchestrator_nb.config.shapes import dotted
from orchestrator_nb.config.steps import named_models
from orchestrator_nb.config.vendors import ModelsFile
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import UnknownModel

Retired = tuple[Place, ModelSpec]
"""Where a retired model is named, and which it is."""


def in_models(file: ModelsFile, catalog: Catalog) -> Iterator[Retired]:
    """In a models.yaml: its models and default models."""
    for vendor, entry in file.vendors.items():
        for index, model in enumerate(entry.models):
            yield from _find(f"{vendor}/{model.name}", (vendor, "models", index, "name"), catalog)
        if entry.default_model:
            yield from _find(f"{vendor}/{entry.default_model}", (vendor, "default_model"), catalog)


def in_settings(shape: SettingsFile, catalog: Catalog) -> Iterator[Retired]:
    """In a config.yaml: the default model and the steps of chains."""
    if shape.main_llm:
        yield from _find(f"{shape.main_llm.provider}/{shape.main_llm.model}", ("main_llm", "model"), catalog)
    if shape.model:
        yield from _find(shape.model, ("model",), catalog)
    for name, chain in shape.chains.items():
        for place, model in named_models(chain):
            yield from _find(model, ("chains", name, *place), catalog)


def _find(name: str, place: Place, catalog: Catalog) -> Iterator[Retired]:
    try:
        spec = catalog.find(name)
    except UnknownModel:
        return
    if spec.retired:
        yield place, spec


def notice(place: Place, spec: ModelSpec, document: Document) -> str:
    """One sentence with file, line and key."""
    return f"{document.where(place)}: {dotted(place)}: {spec.ref} was {sentence(spec)}."


def sentence(spec: ModelSpec) -> str:
    """Since when, and what to use then."""
    instead = f"; use {spec.successor!r} instead" if spec.successor else ""
    return f"retired on {spec.retired}{instead}"
