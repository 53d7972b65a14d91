"""Which models can be asked now, with what is known of each: size, price, abilities, and how the user's own calls went."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import OrchestratorError, ProviderUnreachable
from orchestrator_nb.sessions import Session
from orchestrator_nb.store.measured import Measured
from orchestrator_nb.widgets.fields import FIELDS, options_of


@dataclass(frozen=True, slots=True)
class Choice:
    """One model to choose. ``price`` is USD per million input and output tokens; ``latency_s`` and ``usd`` are medians over the user's own ``calls``."""

    ref: str
    id: str
    aliases: tuple[str, ...] = ()
    context: int | None = None
    price: tuple[float, float] | None = None
    can: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    calls: int = 0
    latency_s: float | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A vendor's models. ``note`` says what is special about them."""

    vendor: str
    models: tuple[Choice, ...]
    note: str = ""


@dataclass(frozen=True)
class Offer:
    """What there is to choose; ``absent`` are vendors that cannot be asked now, each with why."""

    groups: tuple[Group, ...]
    absent: Mapping[str, str]

    @property
    def choices(self) -> Mapping[str, Choice]:
        """All models by ``provider/model``."""
        return {choice.ref: choice for group in self.groups for choice in group.models}

    def message(self) -> dict[str, Any]:
        """As the browser gets it."""
        absent = [{"vendor": vendor, "why": why} for vendor, why in self.absent.items()]
        fields = {name: asdict(field) for name, field in FIELDS.items()}
        return {"groups": [asdict(group) for group in self.groups], "absent": absent, "fields": fields}


def offer_of(session: Session, pattern: str = "*") -> Offer:
    """The models that can be asked now and fit ``pattern`` (a glob, or a part of a name). Servers on this machine are asked what they have; nobody else is asked anything.

    Raises `UnknownModel` when no model that is known fits.
    """
    absent = dict(session.missing_keys())
    measured, groups = session.measured(), []
    for vendor in session.catalog.vendors.values():
        if vendor.name in absent:
            continue
        try:
            models = _models(session, vendor)
        except ProviderUnreachable:
            absent[vendor.name] = f"no server answers at {vendor.base_url}"
        except OrchestratorError as error:
            absent[vendor.name] = str(error)
        else:
            fitting = tuple(_choice(model, session, measured) for model in models if _fits(model, pattern))
            groups += [Group(vendor.name, fitting, _note(session, vendor))] if fitting else []
    if not groups and pattern != "*":
        session.catalog.search(pattern)
    return Offer(tuple(groups), absent)


def _models(session: Session, vendor: Vendor) -> Sequence[ModelSpec]:
    """What is in the catalogue; of a server on this machine, what it has now."""
    listed = {model.id: model for model in session.catalog.models if model.vendor.name == vendor.name}
    if vendor.is_local and not session.simulating:
        return [listed.get(model.id, model) for model in session.list_models(vendor.name)]
    today = datetime.now(UTC).date().isoformat()
    return [model for model in listed.values() if not model.retired or model.retired > today]


def _note(session: Session, vendor: Vendor) -> str:
    if session.simulating:
        return "simulated"
    return "on this machine" if vendor.is_local else ""


def _fits(model: ModelSpec, pattern: str) -> bool:
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return any(fnmatch.fnmatchcase(name, glob) for name in (model.ref, *model.aliases))


def _choice(model: ModelSpec, session: Session, measured: Mapping[str, Measured]) -> Choice:
    past, rate = measured.get(model.ref), session.rate(model)
    return Choice(
        ref=model.ref,
        id=model.id,
        aliases=model.aliases,
        context=model.context,
        price=(float(rate[0]), float(rate[1])) if rate else None,
        can=tuple(_abilities(model)),
        options=tuple(options_of(model)),
        efforts=model.efforts,
        calls=past.calls if past else 0,
        latency_s=past.latency_s if past else None,
        usd=past.usd if past else None,
    )


def _abilities(model: ModelSpec) -> Iterator[str]:
    """What sets models apart: that they take text does not."""
    said = {"json_schema": "schema"}
    yield from (said.get(name, name) for name in sorted(model.features - {"text", "system", "unlisted", "json"}))
