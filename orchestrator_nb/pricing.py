"""What a call cost, in USD: by the user's own price, else by what the server says, else by genai-prices; unknown stays unknown, never 0.

genai-prices (https://github.com/pydantic/genai-prices) knows prices by day, hour, size of the input and cached tokens, by the model id in the
*answer*. Its own `calc_price` takes 0.14 ms, too much for 10,000 calls in a frame, so the price of a model is looked up there once and, where it
is made of plain token prices, multiplied here; a test holds both to the same result. Anything else goes through `calc_price`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

from orchestrator_nb.calls import Cost, Request, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Price, Vendor
from orchestrator_nb.messages import Image, Part, Text, Thinking, ToolCall, ToolResult

MILLION: Final = 1_000_000

PROVIDER_OF_KIND: Final = {
    "anthropic": "anthropic",
    "gemini": "google",
    "openai": "openai",
    "deepseek": "deepseek",
    "mistral": "mistral",
}
"""genai-prices' name of the vendor that a dialect belongs to. The other kinds are many vendors' and are found by name or address."""

BYTES_PER_TOKEN: Final = 3.6
"""A usual ratio for Latin text; only for answers whose usage is missing or cannot be true."""
IMAGE_TOKENS: Final = 1_500
ABSURD_TOKENS: Final = 20_000_000
"""More than any model's context: a count above this is a mistake."""

TOKEN_PRICES: Final = frozenset({"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"})
UNCOUNTED_PRICES: Final = frozenset({"cache_write_1h_mtok", "web_searches_kcount", "storage_searches_kcount"})
"""Prices of things that our `Usage` never counts, so they add nothing."""


class Pricer:
    """Prices answers; call it with a request and its response.

    ``overrides`` are the user's prices by model (``vendor/model``, model id, or a glob of either); an exact name wins over a glob, a longer glob over
    a shorter one. ``now`` gives the time of the call in seconds since the epoch, for prices that depend on the hour.
    """

    def __init__(self, overrides: Mapping[str, Price] | None = None, now: Callable[[], float] = time.time) -> None:
        self._overrides = dict(overrides or {})
        self._now = now
        self._own: dict[tuple[str, str], Price | None] = {}
        self._found: dict[tuple[Vendor, str], Any] = {}
        self._sheets: dict[int, tuple[Any, _Sheet | None]] = {}

    def __call__(self, request: Request, response: Response) -> Cost:
        """The cost of one answer. Never raises for a strange answer: what cannot be priced is ``Cost(None, "none")``."""
        if (own := self._own_price(request.model, response.model)) is not None:
            return _cost(_of_price(own), request, response, "user")
        reported = response.cost_reported
        if reported is not None and reported.is_finite() and reported >= 0:
            return Cost(reported, "server")
        sheet = self._listed(request.model, response)
        return _cost(sheet, request, response, self._source) if sheet else Cost()

    def hours(self) -> list[Pricer]:
        """Pricers for each hour of the day to come, which know what this one knows."""
        now = self._now()
        return [self._at(now + 3600 * hour) for hour in range(1, 25)]

    def _at(self, moment: float) -> Pricer:
        made = copy(self)
        made._now = lambda: moment
        return made

    def _own_price(self, model: ModelSpec, answered_by: str) -> Price | None:
        """The user's price, from settings or from the model's entry in models.yaml."""
        if not self._overrides:
            return model.price
        key = (model.ref, answered_by)
        if key not in self._own:
            names = (model.ref, model.id, f"{model.vendor.name}/{answered_by}", answered_by)
            self._own[key] = _best(self._overrides, names)
        return self._own[key] or model.price

    def _listed(self, model: ModelSpec, response: Response) -> _Sheet | None:
        """genai-prices' price now for the model that answered."""
        vendor, name = model.vendor, response.model or model.id
        if vendor.is_local and vendor.kind not in PROVIDER_OF_KIND and response.source != "simulated":
            return None  # a server of the user's own: only they know what it costs
        found = self._found.get((vendor, name), _UNSEEN)
        if found is _UNSEEN:
            found = self._found[vendor, name] = _look_up(vendor, name)
        if found is None:
            return None
        prices = found.get_prices(datetime.fromtimestamp(self._now(), UTC))
        return self._sheet(prices)

    def _sheet(self, prices: Any) -> _Sheet | None:
        """A price of genai-prices in our form; kept with the price itself, so that its identity stays taken."""
        known = self._sheets.get(id(prices))
        if known is None:
            known = self._sheets[id(prices)] = (prices, _sheet_of(prices))
        return known[1]

    @cached_property
    def _source(self) -> str:
        return f"genai-prices {version('genai-prices')}"


_UNSEEN: Final = object()

_Sheet = Callable[[Usage], Decimal]
"""The price of a usage whose counts are known and true."""


def _best(overrides: Mapping[str, Price], names: Iterable[str]) -> Price | None:
    """The override for a model by the most exact name."""
    names = tuple(names)
    for name in names:
        if name in overrides:
            return overrides[name]
    globs = [pattern for pattern in overrides if any(fnmatchcase(name, pattern) for name in names)]
    return overrides[max(globs, key=len)] if globs else None


def _look_up(vendor: Vendor, name: str) -> Any:
    """genai-prices' entry for a model, or ``None`` where it has none."""
    from genai_prices.data_snapshot import get_snapshot  # 1.6 MB of data: not before the first price

    snapshot = get_snapshot()
    provider = PROVIDER_OF_KIND.get(vendor.kind, vendor.name)
    exact = any(known.id == provider for known in snapshot.providers)  # theirs also matches parts of names
    try:
        return snapshot.find_provider_model(name, None, *((provider, None) if exact else (None, vendor.base_url)))[1]
    except LookupError:
        return None


def _sheet_of(prices: Any) -> _Sheet | None:
    """How to price by an entry of genai-prices: by its plain token prices, through its own arithmetic, or not at all."""
    named = {name: price for name, price in vars(prices).items() if price is not None}
    if "input_mtok" not in named or "output_mtok" not in named:
        return None  # an entry without these would read as free
    if named.keys() <= TOKEN_PRICES | UNCOUNTED_PRICES:
        return _Tiered.of(named)
    return lambda usage: _by_their_arithmetic(prices, usage)


def _by_their_arithmetic(prices: Any, usage: Usage) -> Decimal:
    from genai_prices import Usage as TheirUsage  # see _look_up

    theirs = TheirUsage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.written,
    )
    return Decimal(prices.calc_price(theirs)["total_price"])


@dataclass(frozen=True, slots=True)
class _Tiered:
    """Token prices by the size of the whole input: the last tier whose ``start`` the input passes prices all of it."""

    tiers: tuple[tuple[int, Price], ...]

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> _Tiered:
        starts = sorted({0, *(tier.start for price in named.values() for tier in getattr(price, "tiers", ()))})
        return cls(tuple((start, _price_at(named, start)) for start in reversed(starts)))

    def __call__(self, usage: Usage) -> Decimal:
        total = usage.input or 0
        price = next((price for start, price in self.tiers if total > start), self.tiers[-1][1])
        return _amount(price, usage)


def _price_at(named: Mapping[str, Any], start: int) -> Price:
    """The prices of an input just above ``start``."""

    def at(name: str) -> Any:
        price = named.get(name)
        passed = [tier.price for tier in getattr(price, "tiers", ()) if start >= tier.start > 0 and start > 0]
        return passed[-1] if passed else getattr(price, "base", price)

    return Price(at("input_mtok"), at("output_mtok"), at("cache_read_mtok"), at("cache_write_mtok"))


def _of_price(price: Price) -> _Sheet:
    return lambda usage: _amount(price, usage)


def _amount(price: Price, usage: Usage) -> Decimal:
    """Tokens times price; a cached or written token without a price of its own costs what any input does."""
    cached, written = usage.cached or 0, usage.written or 0
    total = price.input * ((usage.input or 0) - cached - written) + price.output * (usage.output or 0)
    if cached:
        total += (price.input if price.cached is None else price.cached) * cached
    if written:
        total += (price.input if price.written is None else price.written) * written
    return total / MILLION


def _cost(sheet: _Sheet, request: Request, response: Response, source: str) -> Cost:
    """The cost by the vendor's count, or by our own estimate where that is missing or cannot be true."""
    usage = response.usage
    if is_sound(usage, request.model):
        return Cost(sheet(usage), source)
    return Cost(sheet(estimated(request, response)), "estimate")


def is_sound(usage: Usage, model: ModelSpec) -> bool:
    """Whether a usage is complete and can be true: both counts, none negative, parts within their whole, not far above the model's size."""
    if usage.input is None or usage.output is None:
        return False
    cached, written, reasoning = usage.cached or 0, usage.written or 0, usage.reasoning or 0
    if min(usage.input, usage.output, cached, written, reasoning) < 0:
        return False
    if cached + written > usage.input or reasoning > usage.output:
        return False
    # twice the size: our table may be behind, a mistake is off by far more
    return usage.input <= _most(model.context) and usage.output <= _most(model.max_output)


def _most(size: int | None) -> int:
    return 2 * size if size else ABSURD_TOKENS


def estimated(request: Request, response: Response) -> Usage:
    """Tokens by the length of what was sent and received."""
    sent = [part for message in request.messages for part in message.parts]
    return Usage(
        input=_tokens([*sent, Text(request.system or "")]),
        output=_tokens(response.parts),
    )


def _tokens(parts: Iterable[Part]) -> int:
    size, images = 0, 0
    for part in parts:
        match part:
            case Image():
                images += 1
            case Text(text=text) | Thinking(text=text) | ToolResult(text=text):
                size += len(text.encode("utf-8", "replace"))
            case ToolCall(name=name, arguments=arguments):
                size += len(name) + len(json.dumps(dict(arguments), default=str))
    return images * IMAGE_TOKENS + round(size / BYTES_PER_TOKEN)
