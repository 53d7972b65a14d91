"""One model's part of a grid as figures: tokens by `sizes` and `lengths`, money by the same pricer that prices the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from orchestrator_nb.calls import Cost, Params, Request, Response, Source, Usage
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.estimates.lengths import Length, length
from orchestrator_nb.estimates.sizes import BYTES_PER_TOKEN, USUAL, Counting, Size, learned
from orchestrator_nb.results.estimate import Share, Tokens, Usd
from orchestrator_nb.store.lookback import Template, Used

Pricing = Callable[[Request, Response], Cost]
MILLION: Final = 1_000_000


@dataclass(slots=True)
class Asked:
    """What is known of one model's calls before any is made: how many there are of each kind, and the sizes of those that will be asked."""

    model: ModelSpec
    params: Params
    new: int = 0
    cached: int = 0
    replayed: int = 0
    missing: int = 0
    prompts: set[int] = field(default_factory=set)
    sizes: Counter[Size] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """All of them."""
        return self.new + self.cached + self.replayed + self.missing

    def grown(self, calls: int) -> Asked:
        """As many calls as there really are, where only some were looked at."""
        if calls == self.seen:
            return self
        new, cached, replayed, missing = shared(calls, (self.new, self.cached, self.replayed, self.missing))
        sizes = Counter(dict(zip(self.sizes, shared(new, list(self.sizes.values())), strict=True)))
        return Asked(self.model, self.params, new, cached, replayed, missing, self.prompts, sizes)


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole numbers, by weight; their sum is ``total``."""
    whole, parts, given, passed = sum(weights), [], 0, 0
    for weight in weights:
        passed += weight
        upto = total * passed // whole if whole else 0
        parts.append(upto - given)
        given = upto
    return parts


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A model's share, and what it leans on."""

    share: Share
    length: Length | None = None
    counting: Counting | None = None


def reckon(asked: Asked, earlier: Sequence[Used], template: Template | None, pricer: Pricing) -> Reckoned:
    """The share of one model. ``earlier`` calls are its own."""
    counts = {name: getattr(asked, name) for name in ("new", "cached", "replayed", "missing")}
    if not asked.new:
        return Reckoned(Share(asked.model.ref, **counts))
    counting = learned(asked.model.vendor.kind, earlier)
    answer = length(asked.model, asked.params, template, len(asked.prompts), earlier)
    sent, usd = Tokens(), _Sum()
    price = _Price(asked.model, pricer, earlier[-1].answer.model if earlier else asked.model.id)
    for size, times in asked.sizes.items():
        tokens = counting(size)
        sent = sent.plus(Tokens(*(times * number for number in tokens)))
        usd.add(price, tokens, answer, times)
    output = Tokens(*(round(asked.new * number) for number in answer.tokens))
    return Reckoned(Share(asked.model.ref, **counts, input=sent, output=output, usd=usd.total), answer, counting)


class _Sum:
    """Money of many calls; unknown as soon as one is."""

    def __init__(self) -> None:
        self.total: Usd | None = Usd()

    def add(self, price: _Price, tokens: Tokens, answer: Length, times: int) -> None:
        amounts = [price(sent, made) for sent, made in zip(tokens, answer.tokens, strict=True)]
        if self.total is None or None in amounts:
            self.total = None
            return
        self.total = self.total.plus(Usd(*(times * amount for amount in amounts if amount is not None)))


@dataclass(frozen=True, slots=True)
class _Price:
    """What one call costs, by the pricer of the calls; ``answered_by`` is the model's name in its answers."""

    model: ModelSpec
    pricer: Pricing
    answered_by: str
    known: dict[tuple[int, int], Decimal | None] = field(default_factory=dict)

    def __call__(self, sent: int, made: float) -> Decimal | None:
        key = _possible(sent, self.model.context), _possible(round(made), self.model.max_output)
        if key not in self.known:
            source: Source = "simulated" if self.model.vendor.simulated else "live"
            response = Response(self.answered_by, usage=Usage(*key), source=source)
            self.known[key] = self.pricer(Request(self.model, ()), response).usd
        return self.known[key]


def _possible(tokens: int, most: int | None) -> int:
    """A count that the pricer takes for true: what is too long for the model is refused by its vendor."""
    return min(tokens, most) if most else tokens


def usual_bytes(kinds: Mapping[str, object]) -> str:
    """``3.5 bytes a token (anthropic), 4.2 (openai)``."""
    return ", ".join(f"{BYTES_PER_TOKEN.get(kind, USUAL)} ({kind})" for kind in kinds)
