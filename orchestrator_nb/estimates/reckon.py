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
MOVING: Final = "-latest"


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
    """A model's share, and what it leans on. ``names`` are those that it may be priced by, where there are several."""

    share: Share
    length: Length | None = None
    counting: Counting | None = None
    names: tuple[str, ...] = ()


def reckon(
    asked: Asked, earlier: Sequence[Used], template: Template | None, pricer: Pricing, siblings: Sequence[str] = ()
) -> Reckoned:
    """The share of one model. ``earlier`` calls are its own; ``siblings`` are the ids that its vendor's other models have."""
    counts = {name: getattr(asked, name) for name in ("new", "cached", "replayed", "missing")}
    if not asked.new:
        return Reckoned(Share(asked.model.ref, **counts))
    counting = learned(asked.model.vendor.kind, earlier)
    answer = length(asked.model, asked.params, template, len(asked.prompts), earlier)
    names = answering_names(asked.model.id, [call.answer.model for call in earlier], siblings)
    sent, totals = Tokens(), [_Sum(_Price(asked.model, pricer, name)) for name in names]
    for size, times in asked.sizes.items():
        tokens = counting(size)
        sent = sent.plus(Tokens(*(times * number for number in tokens)))
        for total in totals:
            total.add(tokens, answer, times)
    output = Tokens(*(round(asked.new * number) for number in answer.tokens))
    share = Share(asked.model.ref, **counts, input=sent, output=output, usd=_around(totals))
    return Reckoned(share, answer, counting, names if len(names) > 1 else ())


def answering_names(id_: str, answered: Sequence[str], siblings: Sequence[str]) -> tuple[str, ...]:
    """Under which names a model may answer and be priced: as it did before; a moving name (``…-latest``) stands for one of its numbered siblings."""
    if answered:
        return tuple(dict.fromkeys(answered))
    stem = id_.removesuffix(MOVING)
    numbered = [
        name for name in siblings if stem != id_ and name.startswith(f"{stem}-") and name[len(stem) + 1 :][:1].isdigit()
    ]
    return (id_, *numbered)


def _around(totals: Sequence[_Sum]) -> Usd | None:
    """From the lowest of what is known to the highest; likely is the first."""
    known = [total.usd for total in totals if total.usd is not None]
    if not known:
        return None
    return Usd(min(usd.low for usd in known), known[0].likely, max(usd.high for usd in known))


class _Sum:
    """Money of many calls at one price; unknown as soon as one is."""

    def __init__(self, price: _Price) -> None:
        self._price = price
        self.usd: Usd | None = Usd()

    def add(self, tokens: Tokens, answer: Length, times: int) -> None:
        amounts = [self._price(sent, made) for sent, made in zip(tokens, answer.tokens, strict=True)]
        if self.usd is None or None in amounts:
            self.usd = None
            return
        self.usd = self.usd.plus(Usd(*(times * amount for amount in amounts if amount is not None)))


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
