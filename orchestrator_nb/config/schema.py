"""What may stand in config.yaml: `Settings` is what the program reads, `SettingsFile` adds what only a file may say.

Every key has a default, is documented in docs/configuration.md, and is at most ``section.name``. The predecessor's ``main_llm`` and
``system_prompts`` are other ways to write ``model``, ``roles`` and ``personas``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from orchestrator_nb.catalog import Price
from orchestrator_nb.config.paths import DEFAULT_PROFILE, PROFILE, PROFILE_NAME
from orchestrator_nb.config.shapes import Count, Flag, Money, Number, Seconds, Shape, Whole
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.source import AnswersFrom

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class PriceEntry(Shape):
    """USD per million tokens."""

    input: Money
    output: Money
    cached: Money | None = None
    written: Money | None = None

    @property
    def price(self) -> Price:
        """The same as the value that the kernel uses."""
        return Price(self.input, self.output, self.cached, self.written)


class ParamSettings(Shape):
    """What to ask every model for; a parameter without a value is not sent."""

    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    stop: tuple[str, ...] = ()
    seed: Whole | None = None
    effort: Effort | None = None
    thinking: Flag | Count | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that have a value, by name."""
        return {name: value for name, value in self if value is not None and value != ()}


class LimitSettings(Shape):
    """How much at once, how often, how long, and for how much money."""

    parallel: Annotated[Count, Field(le=10_000)] = 64
    attempts: Annotated[Count, Field(le=20)] = 3
    run_timeout_s: Seconds | None = None
    confirm_calls: Count = 1_000
    max_cost_usd: Money | None = None
    max_cost_call_usd: Money | None = None
    max_cost_day_usd: Money | None = None


class TimeoutSettings(Shape):
    """The clocks of one attempt, in seconds; ``payload_s`` is for a stream that sends keep-alives and nothing else."""

    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 60.0
    gap_s: Seconds = 30.0
    payload_s: Seconds = 300.0
    total_s: Seconds = 600.0


def _proxy(value: str) -> str:
    """A proxy's address. Never shown in an error, for it may hold a password."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PydanticCustomError("secret", "expected a proxy's address such as http://proxy:3128")
    if parts.username or parts.password:
        raise PydanticCustomError("secret", "a password must not stand in this file; use a local proxy that knows it")
    return value


class NetworkSettings(Shape):
    """The way out. The environment's proxy variables are not read."""

    proxy: Annotated[str, AfterValidator(_proxy)] | None = None
    ca_file: str | None = None
    transport: Literal["thin", "httpx2"] = "thin"


class DisplaySettings(Shape):
    """What a cell shows while it runs."""

    rate_hz: Annotated[Number, Field(ge=0.5, le=30)] = 8.0
    large_grid: Count = 60
    grid: Literal["auto", "off"] = "auto"


MAX_WORK_KIB = 4 * 1024 * 1024
"""Memory times passes of one Argon2id derivation: more would hang a notebook for minutes, and a file could ask for it."""
TOO_MUCH_WORK = f"argon2_passes times argon2_memory_kib may be {MAX_WORK_KIB:,} at most; lower one of them"


class VaultSettings(Shape):
    """How a vault's password is stretched into its key, and how long an unlocked vault stays open."""

    kdf: Literal["pbkdf2", "argon2id"] = "pbkdf2"
    iterations: Annotated[Whole, Field(ge=100_000, le=10_000_000)] = 600_000
    argon2_passes: Annotated[Whole, Field(ge=2, le=20)] = 3
    argon2_memory_kib: Annotated[Whole, Field(ge=19_456, le=1_048_576)] = 65_536
    argon2_lanes: Annotated[Whole, Field(ge=1, le=16)] = 4
    idle_s: Annotated[Number, Field(ge=60, le=86_400)] = 900.0
    limit_s: Annotated[Number, Field(ge=60, le=86_400)] = 28_800.0
    file_lock: Flag = True

    @property
    def work_kib(self) -> int:
        """What one Argon2id derivation moves: passes times memory."""
        return self.argon2_passes * self.argon2_memory_kib

    @model_validator(mode="after")
    def _affordable(self) -> VaultSettings:
        if self.work_kib > MAX_WORK_KIB:
            raise PydanticCustomError("unknown_key", TOO_MUCH_WORK, {"key": "argon2_memory_kib"})
        return self


class StoreSettings(Shape):
    """Whether runs and answers are kept, and whether what was asked is kept with them."""

    enabled: Flag = True
    keep_prompts: Literal["full", "digest"] = "full"


def _chain(value: Any) -> Any:
    """Whether it is meant as a chain. What is wrong inside one does not keep the settings from loading: who uses it is told."""
    if (isinstance(value, str) and value.strip()) or isinstance(value, Mapping):
        return value
    raise PydanticCustomError("chain", "expected a chain: 'steps', or one line of role:persona@model")


ChainText = Annotated[
    Any,
    AfterValidator(_chain),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["steps"]}]}),
]
"""A chain as it is written (docs/chain-format.md)."""


def _source(value: str) -> str:
    try:
        AnswersFrom.read(value)
    except ValueError as error:
        raise PydanticCustomError("source", str(error)) from None
    return value


class Overrides(Shape):
    """The settings that every layer can set."""

    model: str | None = None
    source: Annotated[str, AfterValidator(_source)] = "auto"
    params: ParamSettings = ParamSettings()
    limits: LimitSettings = LimitSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    network: NetworkSettings = NetworkSettings()
    display: DisplaySettings = DisplaySettings()
    vault: VaultSettings = VaultSettings()
    store: StoreSettings = StoreSettings()
    prices: Mapping[str, PriceEntry] = {}
    roles: Mapping[str, str | None] = {}
    personas: Mapping[str, str | None] = {}
    chains: Mapping[str, ChainText] = {}


def _profile(value: str) -> str:
    if not PROFILE.fullmatch(value):
        raise PydanticCustomError("profile", PROFILE_NAME)
    return value


Profile = Annotated[
    str, AfterValidator(_profile), WithJsonSchema({"type": "string", "pattern": f"^{PROFILE.pattern}$"})
]


class Settings(Overrides):
    """All settings, resolved."""

    profile: Profile = DEFAULT_PROFILE

    @property
    def price_overrides(self) -> dict[str, Price]:
        """The user's prices by model pattern, as `orchestrator_nb.pricing.Pricer` takes them."""
        return {pattern: entry.price for pattern, entry in self.prices.items()}


class MainModel(Shape):
    """The predecessor's way to name the default model."""

    provider: str
    model: str


class SystemPrompts(Shape):
    """The predecessor's names of roles and personas: a list of names, or texts by name."""

    roles: tuple[str, ...] | Mapping[str, str | None] = ()
    personas: tuple[str, ...] | Mapping[str, str | None] = ()


VERSION = 2
"""Of the form of config.yaml and models.yaml; a file without one has the predecessor's, 1. `orchestrator_nb.config.migrations` leads from one to the next."""
Version = Annotated[Whole, Field(ge=1)]


def not_newer(given: Any) -> Any:
    """A file as it is, unless a later package wrote it: then its other keys would only be misunderstood."""
    version = given.get("version") if isinstance(given, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise PydanticCustomError(
            "unknown_key",
            f"version {version} is newer than this package, which reads up to {VERSION}; update it: pip install -U orchestrator-nb",
            {"key": "version"},
        )
    return given


class SettingsFile(Settings):
    """config.yaml or orchestrator-nb.yaml."""

    version: Version | None = None
    main_llm: MainModel | None = None
    system_prompts: SystemPrompts | None = None
    profiles: Mapping[Profile, Overrides] = {}

    _not_newer = model_validator(mode="before")(not_newer)

    @model_validator(mode="after")
    def _one_default_model(self) -> SettingsFile:
        if self.main_llm and self.model:
            raise PydanticCustomError("unknown_key", "says the same as 'model'; keep one of them", {"key": "main_llm"})
        return self


SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
MAPS = ("prices", "roles", "personas", "chains")


def keys() -> dict[str, Any]:
    """Every setting with its default, by dotted key; of the maps only the name (``prices``)."""
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        section = SECTIONS.get(name)
        if section is None:
            found[name] = field.default
        else:
            found |= {f"{name}.{key}": inner.default for key, inner in section.model_fields.items()}
    return found


def flatten(shape: Overrides) -> Iterator[tuple[str, Any, Place]]:
    """What a file sets, and only that: dotted key, value, and the place in the file. Where it says a thing twice, today's way to say it comes last."""
    for name in sorted(type(shape).model_fields, key=lambda name: name not in {"main_llm", "system_prompts"}):
        value = getattr(shape, name)
        if name not in shape.model_fields_set or name in {"profiles", "version"}:
            continue
        if isinstance(value, MainModel):
            yield "model", f"{value.provider}/{value.model}", (name, "model")
        elif isinstance(value, SystemPrompts):
            yield from flatten_prompts(value)
        elif name in SECTIONS:
            yield from ((f"{name}.{key}", getattr(value, key), (name, key)) for key in value.model_fields_set)
        elif name in MAPS:
            yield from ((f"{name}.{key}", item, (name, key)) for key, item in value.items())
        else:
            yield name, value, (name,)


def flatten_prompts(prompts: SystemPrompts) -> Iterator[tuple[str, Any, Place]]:
    """Roles and personas by name; a name without a text (``None``) means the built-in text."""
    for kind in ("roles", "personas"):
        given = getattr(prompts, kind)
        texts = given if isinstance(given, Mapping) else dict.fromkeys(given)
        yield from ((f"{kind}.{name}", text, ("system_prompts", kind)) for name, text in texts.items())
