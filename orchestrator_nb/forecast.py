"""What a plan will take, before anything is sent: counts what the store or a tape has an answer to, and leaves the rest to `orchestrator_nb.estimates`.

Nothing is asked of a vendor, and no key and no vault is needed. What cannot be looked up is left out and said; an estimate never keeps a run from beginning.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Final

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import Catalog
from orchestrator_nb.errors import StoreError
from orchestrator_nb.estimates.reckon import Asked, Pricing, Reckoned, reckon, usual_bytes
from orchestrator_nb.estimates.sizes import Size, size_of
from orchestrator_nb.history import Rest
from orchestrator_nb.job import Plan
from orchestrator_nb.pricing import is_sound
from orchestrator_nb.prompts.grid import Items
from orchestrator_nb.results.estimate import Estimate
from orchestrator_nb.runs import Item
from orchestrator_nb.source import AnswersFrom
from orchestrator_nb.store.lookback import Template, Used, answered, used
from orchestrator_nb.store.store import Store
from orchestrator_nb.store.tape import Tape

LOOK: Final = 20_000
"""Calls that are looked at one by one; of a larger grid, as many taken at random."""
GLANCE: Final = 10_000
"""The same for a line above a grid that is about to be asked: it is there in a moment."""
CAPPED: Final = "The run may cost less than the range says, for a cap holds: what does not fit is not asked."
_MODELS_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where the answers come from, and what there is to look at."""

    source: AnswersFrom
    simulated: bool
    store: Store | None
    tape: Tape | None
    """The one that is replayed."""
    catalog: Catalog
    cap: Decimal | None = None
    """The most that the run may cost, in USD."""


def forecast(plan: Plan, lookup: Lookup, pricer: Pricing, *, look: int = LOOK) -> Estimate:
    """The estimate. At most ``look`` calls are looked at one by one."""
    items = _looked_at(plan.items, look)
    told = [_source_told(lookup)] if lookup.tape or lookup.simulated else []
    try:
        if lookup.store and lookup.store.database.problem is None:
            lookup.store.database.flush()
        asked = _asked(items, lookup)
        template = _template(plan, lookup.store)
        earlier = _earlier(asked, template, lookup)
    except StoreError as error:  # a damaged store: the run will say so too
        told.append(f"The store cannot be read, so earlier calls are left out: {error}")
        asked, template, earlier = _asked(items, replace(lookup, store=None)), None, {}
    if len(items) < plan.size:
        totals = _totals(plan.items)
        asked = {ref: part.grown(totals[ref]) for ref, part in asked.items()}
        told.append(f"Reckoned from {len(items):,} of the {plan.size:,} calls, taken at random.")
    reckoned = [
        reckon(part, earlier.get(ref, []), template, pricer, _siblings(part, lookup.catalog))
        for ref, part in asked.items()
    ]
    shares = tuple(part.share for part in reckoned)
    told += _assumptions(reckoned, asked)
    sampled = len(items) < plan.size
    estimate = Estimate(shares, str(lookup.source), lookup.simulated, sampled, lookup.cap, tuple(told))
    return replace(estimate, assumptions=(*told, CAPPED)) if estimate.is_capped else estimate


def _looked_at(items: Sequence[Item], look: int) -> Sequence[Item]:
    if len(items) <= look:
        return items
    places = sorted(Random(0).sample(range(len(items)), look))  # noqa: S311  # the same each time: nothing here is secret
    return [items[place] for place in places]


def _siblings(asked: Asked, catalog: Catalog) -> list[str]:
    """The ids of the vendor's other models."""
    mine = asked.model
    return [model.id for model in catalog.models if model.vendor.name == mine.vendor.name and model.id != mine.id]


def _totals(items: Items | Rest) -> Mapping[str, int]:
    return items.totals if isinstance(items, Items) else Counter(item.request.model.ref for item in items)


def _asked(items: Sequence[Item], lookup: Lookup) -> dict[str, Asked]:
    """What becomes of each call, by model."""
    known, parts = _known(items, lookup), dict[str, Asked]()
    sizes, once = _Sizes(), set[str]()
    for item in items:
        request = item.request
        part = parts.setdefault(request.model.ref, Asked(request.model, request.params))
        if known is None:
            _count_new(part, item, sizes)
        elif lookup.tape:
            _count_replayed(part, replayed=request.key in known)
        elif request.key in known or request.key in once:
            part.cached += 1
        else:
            once.add(request.key)
            _count_new(part, item, sizes)
    return parts


def _count_new(part: Asked, item: Item, sizes: _Sizes) -> None:
    part.new += 1
    part.prompts.add(item.row)
    part.sizes[sizes(item.request)] += 1


def _count_replayed(part: Asked, *, replayed: bool) -> None:
    part.replayed += replayed
    part.missing += not replayed


class _Sizes:
    """Sizes of requests; all models and repeats of a row share their messages, and stand side by side."""

    def __init__(self) -> None:
        self._last: tuple[object, Size] | None = None

    def __call__(self, request: Request) -> Size:
        if self._last is None or self._last[0] is not request.messages:
            self._last = request.messages, size_of(request)
        return self._last[1]


def _known(items: Sequence[Item], lookup: Lookup) -> Collection[str] | None:
    """The questions that have an answer; ``None`` where nobody looks for one."""
    if lookup.tape:
        return lookup.tape.lines.keys()
    if lookup.source.mode != "auto" or lookup.simulated or lookup.store is None:
        return None
    return answered(lookup.store.database, {item.request.key: None for item in items})


def _template(plan: Plan, store: Store | None) -> Template | None:
    """What the prompts are made from; of a run that is resumed, as it stands with it."""
    if isinstance(plan.items, Items):
        return Template(plan.items.template.prompt, plan.items.template.system)
    if store is None or not isinstance(plan.items, Rest):
        return None
    told = store.ledger.run(plan.items.run_id)[0].about.get("template")
    return Template(told["prompt"], told["system"]) if told else None


def _earlier(asked: Mapping[str, Asked], template: Template | None, lookup: Lookup) -> dict[str, list[Used]]:
    """Earlier calls of each model that will be asked. The simulator's are no model's, and the other way round."""
    models = [ref for ref, part in asked.items() if part.new]
    found: dict[str, list[Used]] = defaultdict(list)
    if models and lookup.store:
        for call in used(lookup.store.database, models, "simulated" if lookup.simulated else "live", template):
            if is_sound(call.answer.usage, asked[call.model].model):
                found[call.model].append(call)
    return found


def _source_told(lookup: Lookup) -> str:
    if lookup.tape:
        return f"Replayed from {lookup.source.tape}: nobody is asked and nothing is paid."
    return "The simulator answers, so nothing is paid; the amounts are what the models would cost."


def _assumptions(reckoned: Sequence[Reckoned], asked: Mapping[str, Asked]) -> Iterator[str]:
    """What the figures lean on, each once, with the models it holds for."""
    new = [part for part in reckoned if part.length]
    if not new:
        return
    for why, models in _grouped(new, lambda part: part.length.why if part.length else "").items():
        yield f"Length of answers{models}: {why}."
    counted = [part for part in new if part.counting and part.counting.calls]
    if counted:
        models = "" if len(counted) == len(new) else f" ({_names(counted)})"
        yield f"Tokens of input{models}: by how earlier calls of the model were counted."
    if len(counted) < len(new):
        kinds = {asked[part.share.model].model.vendor.kind: None for part in new if part not in counted}
        yield f"Tokens of input: no earlier call to go by, so usual bytes per token: {usual_bytes(kinds)}."
    if unknown := [part for part in new if part.share.usd is None]:
        yield f"No price is known for {_names(unknown)}, so no amount holds them; set one under prices in config.yaml."
    if moving := [part for part in new if part.names]:
        yield f"{_names(moving)} may answer under several names, each with its own price: the range holds all of them."
    yield "Without retries, failed calls, and discounts for input that the vendor has cached."


def _grouped(reckoned: Sequence[Reckoned], why: Callable[[Reckoned], str]) -> dict[str, str]:
    groups: dict[str, list[Reckoned]] = defaultdict(list)
    for part in reckoned:
        groups[why(part)].append(part)
    return {reason: "" if len(groups) == 1 else f" ({_names(parts)})" for reason, parts in groups.items()}


def _names(parts: Sequence[Reckoned]) -> str:
    names = [part.share.model for part in parts]
    more = f" and {len(names) - _MODELS_NAMED} more" if len(names) > _MODELS_NAMED else ""
    return f"{', '.join(names[:_MODELS_NAMED])}{more}"
