"""Which models there are: vendors, models, prices, and finding one by id, alias, provider/model or glob.

Facts about models are data (``config/models.yaml`` and the user's own file); nothing here or below asks for a name in code.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from orchestrator_nb.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may do. ``None`` means not known; headers of the vendor refine it while running."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one server's dialect differs from its kind's plain form. Each field is documented in docs/vendors.md."""

    dialect: Literal["chat", "responses"] = "chat"
    api_version: str | None = None
    max_tokens_field: str = "max_tokens"
    max_tokens_default: int | None = None
    seed_field: str | None = "seed"
    system_role: str = "system"
    usage_option: bool = True
    json_schema: Literal["schema", "object", "none"] = "schema"
    image_form: Literal["object", "string"] = "object"
    effort_field: str | None = "reasoning_effort"
    thinking_field: bool = False
    tool_choice_any: str = "required"
    cost_in_usage: bool = False
    echo_field: str | None = None
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vendor:
    """A server that answers for models: its dialect (``kind``), its address, and the name (never the value) of its key.

    ``simulated``: the address is the simulator's, so that also calls which were stopped before their answer's header are not taken for live ones.
    ``own_url`` is then the address that it stands for: the simulator has another port each time, but the question is the same.
    """

    name: str
    kind: str
    base_url: str
    key_name: str | None = None
    quirks: Quirks = Quirks()
    limits: Limits = Limits()
    simulated: bool = False
    own_url: str | None = None

    @property
    def origin(self) -> str:
        """The vendor's own address, by which a question is known."""
        return self.own_url or self.base_url

    @property
    def is_local(self) -> bool:
        """Whether the server is this machine (a loopback address)."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, as the user wrote it; it wins over every other source."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    written: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of one vendor.

    ``id`` is the name the vendor's API takes. ``context`` and ``max_output`` are tokens. ``max_tokens`` is what to ask for when
    the user sets none. ``features`` names what it can do (text vision tools json_schema json thinking system). ``refuses`` are parameters that
    the vendor rejects or ignores for this model. ``retired`` is an ISO date, ``successor`` the id to use instead.
    """

    vendor: Vendor
    id: str
    aliases: tuple[str, ...] = ()
    context: int | None = None
    max_output: int | None = None
    max_tokens: int | None = None
    price: Price | None = None
    features: frozenset[str] = frozenset()
    efforts: tuple[str, ...] = ()
    thinking: Literal["none", "adaptive", "budget", "level", "effort", "toggle"] = "none"
    refuses: frozenset[str] = frozenset()
    retired: str | None = None
    successor: str | None = None

    @property
    def ref(self) -> str:
        """``vendor/id``: the name that is never ambiguous."""
        return f"{self.vendor.name}/{self.id}"


@dataclass(frozen=True)
class Catalog:
    """All vendors and models that a session knows. Immutable; `with_vendor` and `with_models` return a new one."""

    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    models: tuple[ModelSpec, ...] = ()

    def find(self, name: str) -> ModelSpec:
        """The one model called ``name``: an alias, an id, or ``provider/model``.

        A ``provider/model`` whose provider is known but whose model is not listed is taken as it stands: vendors add models daily.
        Raises `UnknownModel`, with the nearest names, for anything else.
        """
        if (spec := self._by_name.get(name)) is not None:
            return spec
        vendor_name, slash, model_id = name.partition("/")
        if slash and model_id and (vendor := self.vendors.get(vendor_name)):
            return ModelSpec(vendor, model_id, features=frozenset({"text", "unlisted"}))
        raise UnknownModel(name, self.nearest(name))

    def match(self, pattern: str) -> tuple[ModelSpec, ...]:
        """The models a pattern means: a glob over ``provider/model`` (``anthropic/*``), or exactly one by name.

        Raises `UnknownModel` when nothing matches. Retired models never match a glob.
        """
        if not any(sign in pattern for sign in "*?["):
            return (self.find(pattern),)
        found = tuple(m for m in self.models if not m.retired and fnmatch.fnmatchcase(m.ref, pattern))
        if not found:
            raise UnknownModel(pattern, self.nearest(pattern.strip("*/")))
        return found

    def search(self, pattern: str) -> tuple[ModelSpec, ...]:
        """The models to show for a glob, or for a part of a name or alias, retired ones included. Raises `UnknownModel` when there are none."""
        glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
        found = tuple(m for m in self.models if any(fnmatch.fnmatchcase(name, glob) for name in (m.ref, *m.aliases)))
        if not found:
            raise UnknownModel(pattern, self.nearest(pattern.strip("*/")))
        return found

    def nearest(self, name: str) -> list[str]:
        """Up to three known names that look like ``name``."""
        return difflib.get_close_matches(name, self._by_name, n=3, cutoff=0.6)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name a user may type: aliases first, then ``provider/model``."""
        aliases = (alias for model in self.models for alias in model.aliases)
        return tuple(dict.fromkeys([*aliases, *(model.ref for model in self.models)]))

    def with_vendor(self, vendor: Vendor) -> Catalog:
        """A catalogue in which ``vendor`` replaces the one of the same name, in its models too."""
        models = tuple(replace(m, vendor=vendor) if m.vendor.name == vendor.name else m for m in self.models)
        return Catalog({**self.vendors, vendor.name: vendor}, models)

    def with_models(self, models: Iterable[ModelSpec]) -> Catalog:
        """A catalogue with these models added; one with the same ``ref`` is replaced."""
        by_ref = {model.ref: model for model in (*self.models, *models)}
        return Catalog(self.vendors, tuple(by_ref.values()))

    @cached_property
    def _by_name(self) -> dict[str, ModelSpec]:
        """Later entries win within a kind of name; a full ref wins over an id, an id over an alias."""
        names: dict[str, ModelSpec] = {alias: model for model in self.models for alias in model.aliases}
        names.update({model.id: model for model in reversed(self.models)})
        names.update({f"{model.vendor.name}/{alias}": model for model in self.models for alias in model.aliases})
        names.update({model.ref: model for model in self.models})
        return names
