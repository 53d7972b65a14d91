"""What the run panel tells of the store: runs that fit, a page at a time; one run's answers; what the days cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.marks import Mark
from orchestrator_nb.results.page import cut
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.runs import Call, Run
from orchestrator_nb.store.told import RunTold, Spent

PAGE: Final = 50
"""Runs on a page."""
DAYS: Final = 91
"""Days that the chart can show, and one for the hours by which days begin earlier elsewhere."""
CALLS: Final = 50
"""Calls of an opened run that are shown; its own display shows the others."""
OPENED: Final = 10_000
"""Calls of a run that can be opened here."""
TEXT: Final = 1_500
"""Signs of an answer that are shown."""
STATES: Final = ("running", "broken off", "failed", "answered")
_NAME: Final = 300
_HAY: Final = 5_000
_BRACES: Final = re.compile(r"\{\{-?\s*(\w+)\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to show; what is empty or ``None`` leaves out none. ``days`` counts back from now."""

    text: str = ""
    notebook: str = ""
    model: str = ""
    state: str = ""
    days: float | None = None


def wanted_of(given: Mapping[str, Any]) -> Wanted:
    """As the browser says it. Raises `UserError`."""
    texts = {name: given.get(name, "") for name in ("text", "notebook", "model", "state")}
    days = given.get("days")
    if not all(isinstance(text, str) and len(text) <= 1_000 for text in texts.values()):
        raise UserError("the filter takes short texts; write less.")
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days < 100_000):
        raise UserError("the days are a number above 0.")
    return Wanted(**texts, days=days)


@dataclass(frozen=True, slots=True)
class Shown:
    """One run as a line. ``at`` is seconds since the epoch; amounts are USD; ``chain`` is the name of the chain that asked, if one did."""

    id: str
    at: float
    state: str
    notebook: str
    chain: str
    models: tuple[str, ...]
    calls: int
    done: int
    failed: int
    billed: float
    possibly: float
    saved: float
    simulated: bool
    prompt: str = ""
    notices: tuple[str, ...] = ()
    hay: str = field(default="", repr=False)

    def message(self) -> dict[str, Any]:
        """As the browser gets it."""
        return {name: value for name, value in asdict(self).items() if name != "hay"}


def shown_of(told: RunTold, spent: Spent, first: Mapping[str, Any], *, at_work: bool) -> Shown:
    """The line of a run, whose first place had the variables ``first``. Names are without what would steer a screen; the browser writes them as text."""
    about = told.about
    chain, template = about.get("chain"), about.get("template")
    name = str((chain.get("definition") or chain).get("name") or "chain") if isinstance(chain, Mapping) else ""
    prompt = _filled(str(template.get("prompt", "")) if isinstance(template, Mapping) else "", first)
    models = tuple(_short(model) for model in about.get("models", ()))
    notebook = _short(about.get("notebook") or "")
    return Shown(
        told.id,
        told.started_at,
        _state(told, at_work),
        notebook,
        _short(name),
        models,
        told.items,
        told.done,
        told.failed,
        float(spent.billed),
        float(spent.possibly),
        float(spent.saved),
        bool(about.get("simulated")),
        plain(cut(prompt, _NAME)),
        tuple(plain(str(notice)) for notice in told.told.get("notices", ()))[:5],
        "\n".join((told.id, notebook, name, prompt[:_HAY], *models)).casefold(),
    )


def _filled(template: str, first: Mapping[str, Any]) -> str:
    """The first prompt, as far as its variables stand in it by their names."""
    return _BRACES.sub(lambda found: str(first[found[1]])[:_NAME] if found[1] in first else found[0], template)


def _short(name: object) -> str:
    return plain(cut(str(name), _NAME))


def _state(told: RunTold, at_work: bool) -> str:
    if at_work:
        return "running"
    ended: Mapping[str, Any] = told.told.get("chain") or {}
    if told.ended_at is None or told.missing:
        return "broken off"
    return "failed" if told.failed or any(ended.get("errors", ())) else "answered"


def fitting(runs: Iterable[Shown], wanted: Wanted, now: float) -> list[Shown]:
    """Those that fit, in their order."""
    words = wanted.text.casefold().split()
    since = 0.0 if wanted.days is None else now - wanted.days * 86_400
    return [
        run
        for run in runs
        if run.at >= since
        and (not wanted.notebook or run.notebook == wanted.notebook)
        and (not wanted.model or wanted.model in run.models)
        and (not wanted.state or run.state == wanted.state)
        and all(word in run.hay for word in words)
    ]


def days_of(real: Iterable[Spent], simulated: Iterable[Spent]) -> list[dict[str, Any]]:
    """What each day cost, the oldest first, as JSON; ``simulated`` is what the simulator's answers would have cost, and is in no other figure."""
    paid, played = ({spent.name: spent for spent in some} for some in (real, simulated))
    return [_day(name, paid.get(name, Spent(name)), played.get(name, Spent(name))) for name in sorted({*paid, *played})]


def _day(name: str, real: Spent, simulated: Spent) -> dict[str, Any]:
    amounts = {"billed": real.billed, "possibly": real.possibly, "saved": real.saved}
    told = {name: float(amount) for name, amount in amounts.items()}
    return {"day": name, **told, "simulated": float(simulated.billed + simulated.possibly), "unpriced": real.unpriced}


def opened_of(run: Run, marks: Mapping[str, Mark]) -> dict[str, Any]:
    """A run's first answers, as JSON; texts are cut."""
    rows = [_call(call, marks.get(call.id, Mark())) for call in run.calls[:CALLS]]
    return {"kind": "opened", "run": run.id, "rows": rows, "more": max(0, len(run.calls) - CALLS)}


def _call(call: Call, mark: Mark) -> dict[str, Any]:
    answer = call.answer
    usd = answer.cost.usd if answer else None
    return {
        "row": call.item.row,
        "step": str(call.item.at.get("step", "")),
        "model": _short(call.item.request.model.ref),
        "prompt": plain(cut(call.item.request.prompt, _NAME)),
        "text": plain(cut(answer.text, TEXT)) if answer else "",
        "error": "" if call.error is None else plain(cut(str(call.error), TEXT)),
        "source": call.source,
        "usd": None if usd is None else float(usd),
        "latency_s": call.latency_s,
        "mark": " ".join(_said(mark)),
    }


def _said(mark: Mark) -> Iterator[str]:
    if mark.best:
        yield "best"
    if mark.rating:
        yield f"{mark.rating}/5"
    if mark.thumbs:
        yield f"thumbs {mark.thumbs}"
    if mark.note:
        yield plain(cut(mark.note, _NAME))
