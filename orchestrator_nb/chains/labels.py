"""What a step says about itself in a picture: in a few words, each harmless wherever it is shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from orchestrator_nb.chains.chain import REQUIRED, Ask, Chain, Input, Parallel, Propose, Python, Step, Switch, Use
from orchestrator_nb.figures import count, cut, money, seconds

Shown = Literal["done", "failed", "skipped", "stopped", "running"]


@dataclass(frozen=True, slots=True)
class State:
    """What became of a step in a run, all its items and turns together. ``None`` is "not known". ``critical``: it is on the critical path."""

    outcome: Shown
    calls: int = 0
    cost_usd: float | None = None
    seconds: float | None = None
    why: str = ""
    critical: bool = False

    @property
    def words(self) -> str:
        """``done · 3 calls · $0.0012 · 4.1 s``."""
        asked = count(self.calls, "call") if self.calls else ""
        spent = money(self.cost_usd) if self.cost_usd is not None and self.calls else ""
        took = seconds(self.seconds) if self.seconds is not None and self.outcome != "skipped" else ""
        return " · ".join(part for part in (self.outcome, asked, spent, took) if part)


def kind(step: Step) -> str:
    """What it does: ``critique · tester @ sonnet``, ``parallel``, ``use review``."""
    match step.do:
        case Ask() as ask:
            who = " · ".join(clean(name) for name in (ask.role, ask.persona) if name) or "ask"
            return f"{who}{_models(ask)}{f' × {ask.samples}' if ask.samples else ''}"
        case Propose(ask):
            return f"plan: a model proposes steps{_models(ask)}"
        case Switch(on=None, ask=Ask() as ask):
            return f"switch: a model chooses{_models(ask)}"
        case Switch(on=words):
            return f"switch on {clean(words or '')}"
        case Use(name) | Python(name):
            return f"{'use' if isinstance(step.do, Use) else 'python'} {clean(name)}"
    return "parallel" if isinstance(step.do, Parallel) else "block"


def _models(ask: Ask) -> str:
    return f" @ {', '.join(map(clean, ask.model))}" if ask.model else ""


def gist(step: Step) -> str:
    """The question that it asks, on one line; "" where it asks none of its own."""
    ask = step.do.ask if isinstance(step.do, Switch | Propose) else step.do
    return clean(ask.prompt or "") if isinstance(ask, Ask) else ""


def marks(step: Step) -> tuple[tuple[str, str], ...]:
    """When and how often it runs, and what else holds for it: pairs of ``when``, ``each``, ``repeat`` or ``rest`` and the words."""
    found = [
        ("when", f"when {clean(step.when)}" if step.when else ""),
        ("each", _each(step)),
        ("repeat", _repeat(step)),
    ]
    return tuple((name, words) for name, words in (*found, ("rest", _rest(step))) if words)


def _each(step: Step) -> str:
    if (each := step.each) is None:
        return ""
    many = f", {each.parallel} at a time" if each.parallel else ""
    return f"for each {clean(each.name)} in {value(each.over)}{many}"


def _repeat(step: Step) -> str:
    if (repeat := step.repeat) is None:
        return ""
    return (
        f"up to {count(repeat.max, 'turn')}, until {clean(repeat.until)}"
        if repeat.until
        else f"{count(repeat.max, 'turn')}"
    )


def _rest(step: Step) -> str:
    parts = [
        _limits(step.do) if isinstance(step.do, Propose) else "",
        f"else {', '.join(map(clean, step.do.fallback))}" if isinstance(step.do, Ask) and step.do.fallback else "",
        f"tried {step.retry.times} times more" if step.retry and step.retry.times else "",
        _on_error(step),
        f"≤ {step.timeout_s:g} s" if step.timeout_s is not None else "",
        f"≤ ${step.budget_usd}" if step.budget_usd is not None else "",
        f"saved as {clean(step.save)}" if step.save else "",
    ]
    return " · ".join(filter(None, parts))


def _limits(deed: Propose) -> str:
    return f"≤ {count(deed.max_steps, 'step')} · ≤ {count(deed.max_calls, 'call')}"


def _on_error(step: Step) -> str:
    if step.on_error is None or step.on_error.act == "fail":
        return ""
    after = {
        "skip": "skip",
        "default": f"take {value(step.on_error.value)}",
        "goto": f"go to {clean(step.on_error.step)}",
    }
    return f"on error {after[step.on_error.act]}"


def given(chain: Chain) -> str:
    """What the chain is given: ``topic, words = 200``."""
    return ", ".join(map(_input, chain.inputs))


def _input(item: Input) -> str:
    return clean(item.name) if item.default is REQUIRED else f"{clean(item.name)} = {_json(item.default)}"


def value(of: Any) -> str:
    """An expression as it is, another value as short JSON."""
    return clean(of) if isinstance(of, str) else _json(of)


def _json(of: Any) -> str:
    return cut(clean(json.dumps(of, ensure_ascii=False, default=str)), 80)


def clean(text: str) -> str:
    """One line without anything that a terminal or an XML reader would take for more than text."""
    return " ".join(_HARMFUL.sub("", _UNFIT.sub("\ufffd", _BREAK.sub(" ", str(text)[:_MOST]))).split())


_MOST: Final = 2_000
_BREAK: Final = re.compile(r"[\t-\r\x85\u2028\u2029]")
_UNFIT: Final = re.compile(r"[\ud800-\udfff\ufffe\uffff\U0001fffe\U0001ffff]")  # no XML may hold them
_HARMFUL: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # control, and https://trojansource.codes
