"""models.yaml: vendors and their models as they stand in a file, and how one file's entries go over a catalogue.

The predecessor's form (``api_key_name``, ``default_model``, ``models: [{name, max_tokens}]``, ``system_prompts``) is a part of today's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import date
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from orchestrator_nb.catalog import Catalog, Limits, ModelSpec, Quirks, Vendor
from orchestrator_nb.config.schema import Effort, PriceEntry, SystemPrompts, Version, not_newer
from orchestrator_nb.config.shapes import Count, Flag, Shape, Whole, dotted, unknown
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import ConfigError

Kind = Literal["anthropic", "gemini", "openai", "deepseek", "mistral", "ollama", "openai-compatible"]
Feature = Literal["text", "vision", "tools", "json_schema", "json", "thinking", "system"]
Refusable = Literal[
    "temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty", "tool_choice", "tools", "effort", "thinking", "thinking_off",
]  # fmt: skip

UNKNOWN_ABILITIES = frozenset({"text", "unlisted"})
"""The features of a model whose abilities nobody stated: nothing is refused in advance."""


def _url(value: str) -> str:
    """A base URL: http or https, a host, nothing else. Never shown in an error, for it may hold a password."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PydanticCustomError("secret", "expected an address such as https://host/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise PydanticCustomError(
            "secret", "an address has no user name, password, '?' or '#'; keys are named by 'api_key_name'"
        )
    return value.rstrip("/")


def _key_name(value: str) -> str:
    """The name of a key. What is no name may be the key itself, so it is never shown."""
    if not (value.isascii() and value.isidentifier() and value.isupper()):
        raise PydanticCustomError(
            "secret", "expected the name of a key in capitals, such as ANTHROPIC_API_KEY, never the key itself"
        )
    return value


def _iso_date(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise PydanticCustomError("date", "expected a date such as 2026-11-30") from None


def _fields(kind: type, types: dict[Any, Any]) -> dict[str, Any]:
    """A dataclass's fields as pydantic fields: one truth for their names and defaults."""
    hints = get_type_hints(kind)
    return {f.name: (types.get(hints[f.name], hints[f.name]), f.default) for f in fields(kind)}


QuirksEntry: Any = create_model(
    "QuirksEntry", __base__=Shape, **_fields(Quirks, {bool: Flag, int | None: Whole | None})
)
LimitsEntry: Any = create_model(
    "LimitsEntry",
    __base__=Shape,
    **_fields(Limits, {float | None: Annotated[float, Field(gt=0, strict=True)] | None, int | None: Count | None}),
)


class ModelEntry(Shape):
    """One model of a vendor. ``name`` is what the vendor's API takes; sizes are tokens."""

    name: Annotated[str, Field(min_length=1)]
    aliases: tuple[Annotated[str, Field(pattern=r"^[^\s/*?\[\]]+$")], ...] = ()
    context: Count | None = None
    max_output: Count | None = None
    max_tokens: Count | None = None
    price: PriceEntry | None = None
    capabilities: tuple[Feature, ...] | None = None
    efforts: tuple[Effort, ...] = ()
    thinking: Literal["none", "adaptive", "budget", "level", "effort", "toggle"] = "none"
    refuses: tuple[Refusable, ...] = ()
    retired: Annotated[str, AfterValidator(_iso_date)] | None = None
    successor: str | None = None


class VendorEntry(Shape):
    """One server. For a vendor that is known already, only what is given changes."""

    kind: Kind | None = None
    base_url: Annotated[str, AfterValidator(_url)] | None = None
    api_key_name: Annotated[str, AfterValidator(_key_name)] | None = None
    default_model: str | None = None
    quirks: QuirksEntry | None = None
    limits: LimitsEntry | None = None
    models: tuple[ModelEntry, ...] = ()


class ModelsFile(Shape):
    """models.yaml: vendors by name, and the predecessor's ``system_prompts``."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, VendorEntry]

    version: Version | None = None
    system_prompts: SystemPrompts | None = None

    _not_newer = model_validator(mode="before")(not_newer)

    @property
    def vendors(self) -> dict[str, VendorEntry]:
        """The vendors, by name."""
        return self.__pydantic_extra__


def merge(catalog: Catalog, file: ModelsFile, document: Document, today: date) -> Catalog:
    """``catalog`` with this file's vendors and models over it. Raises `ConfigError` with ``file:line``."""
    _refuse_shared_aliases(file, document)
    for name, entry in file.vendors.items():
        vendor = _vendor(name, entry, catalog, document)
        catalog = catalog.with_vendor(vendor)
        known = {model.id: model for model in catalog.models if model.vendor.name == name}
        specs = [_spec(known.get(model.name), vendor, model, today) for model in entry.models]
        catalog = _take_aliases(catalog, specs).with_models(specs)
        if entry.default_model:
            catalog = _with_default(catalog, vendor, entry.default_model)
    return catalog


def _vendor(name: str, entry: VendorEntry, catalog: Catalog, document: Document) -> Vendor:
    known = catalog.vendors.get(name)
    if known is None and not (entry.kind and entry.base_url):
        lack = "kind" if not entry.kind else "base_url"
        reason = unknown(name, catalog.vendors, "vendor")
        raise _error(f"{reason}; a new vendor needs {lack!r}", document, (name,))
    kind = entry.kind or (known.kind if known else "")
    # a second server of a kind behaves like the first until its own quirks say otherwise
    like = known if known and known.kind == kind else catalog.vendors.get(kind)
    said_key = "api_key_name" in entry.model_fields_set
    vendor = Vendor(
        name=name,
        kind=kind,
        base_url=entry.base_url or (known.base_url if known else ""),
        key_name=entry.api_key_name if said_key or not known else known.key_name,
        quirks=_over(like.quirks if like else Quirks(), entry.quirks),
        limits=_over(known.limits if known else Limits(), entry.limits),
    )
    if vendor.key_name and vendor.base_url.startswith("http:") and not vendor.is_local:
        raise _error(
            "a key would travel unencrypted; use https, or leave 'api_key_name' out (null)",
            document,
            (name, "base_url"),
        )
    return vendor


def _over(base: Any, entry: Any) -> Any:
    """``base`` with the fields that ``entry`` sets."""
    return replace(base, **{name: getattr(entry, name) for name in entry.model_fields_set}) if entry else base


def _spec(known: ModelSpec | None, vendor: Vendor, entry: ModelEntry, today: date) -> ModelSpec:
    given = {name: getattr(entry, name) for name in entry.model_fields_set - {"name", "capabilities", "price"}}
    if entry.capabilities is not None:
        given["features"] = frozenset(entry.capabilities)
    if entry.price:
        given["price"] = entry.price.price
    if "refuses" in given:
        given["refuses"] = frozenset(given["refuses"])
    if entry.retired and date.fromisoformat(entry.retired) > today:
        given["retired"] = None  # announced, but it still answers
    return replace(known or ModelSpec(vendor, entry.name, features=UNKNOWN_ABILITIES), **given)


def _refuse_shared_aliases(file: ModelsFile, document: Document) -> None:
    owner: dict[str, str] = {}
    for name, entry in file.vendors.items():
        for index, model in enumerate(entry.models):
            for alias in model.aliases:
                if alias in owner:
                    place = (name, "models", index, "aliases")
                    raise _error(f"alias {alias!r} is {owner[alias]!r} already; choose another", document, place)
                owner[alias] = f"{name}/{model.name}"


def _take_aliases(catalog: Catalog, specs: Iterable[ModelSpec]) -> Catalog:
    """The catalogue without the aliases that ``specs`` claim: the later file's word counts."""
    claimed = {alias: spec.ref for spec in specs for alias in spec.aliases}
    return Catalog(catalog.vendors, tuple(_without(model, claimed) for model in catalog.models))


def _without(model: ModelSpec, claimed: dict[str, str]) -> ModelSpec:
    kept = tuple(alias for alias in model.aliases if claimed.get(alias, model.ref) == model.ref)
    return model if kept == model.aliases else replace(model, aliases=kept)


def _with_default(catalog: Catalog, vendor: Vendor, name: str) -> Catalog:
    """The vendor's own name becomes an alias of its default model: ``%%llm anthropic``."""
    spec = catalog.find(f"{vendor.name}/{name}")
    if vendor.name in spec.aliases:
        return catalog
    spec = replace(spec, aliases=(*spec.aliases, vendor.name))
    return _take_aliases(catalog, [spec]).with_models([spec])


def _error(message: str, document: Document, place: Place) -> ConfigError:
    return ConfigError(f"{message}.", where=document.where(place), key=dotted(place))
