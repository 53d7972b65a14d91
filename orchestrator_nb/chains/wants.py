"""Which names a step's texts use, and whether it takes an input that it does not say itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator_nb.chains.chain import Ask, Propose, Python, Step, Switch, Use, inner
from orchestrator_nb.chains.expressions import Expression, Template, templates
from orchestrator_nb.chains.work import ExpressionError
from orchestrator_nb.config.yaml import Place


@dataclass(frozen=True, slots=True)
class Words:
    """One text of a step: where it stands below the step, whether it is an expression, and when it is evaluated.

    ``early``: before the items and turns of the step begin, so that its ``input`` is the one from outside.
    """

    place: Place
    text: str
    expression: bool = False
    early: bool = False
    late: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names that it needs; none where it cannot be read, which is told elsewhere."""
        try:
            return (Expression.of(self.text) if self.expression else Template.of(self.text)).names
        except (ExpressionError, RecursionError):
            return frozenset()


def words_of(step: Step) -> Iterator[Words]:
    """The texts of a step itself, without those of the steps in it."""
    if step.when is not None:
        yield Words(("when",), step.when, expression=True, early=True)
    if step.each and isinstance(step.each.over, str):
        yield Words(("each",), step.each.over, expression=True, early=True)
    yield from _templates(("input",), step.input, early=step.each is None)
    if step.repeat and step.repeat.until is not None:
        yield Words(("repeat", "until"), step.repeat.until, expression=True, late=True)
    yield from _deed(step)


def _deed(step: Step) -> Iterator[Words]:
    match step.do:
        case Ask() as ask:
            yield from _ask(ask, ())
        case Switch(on=on, ask=ask):
            if on is not None:
                yield Words(("switch", "on"), on, expression=True)
            if ask is not None and ask.prompt is not None:
                yield Words(("switch", "ask"), ask.prompt)
        case Propose(ask=ask):
            yield Words(("plan", "task"), ask.prompt or "")
        case Use(given=given) | Python(given=given):
            yield from _templates(("with",), given)


def _ask(ask: Ask, place: Place) -> Iterator[Words]:
    for key, text in (("prompt", ask.prompt), ("system", ask.system)):
        if text is not None:
            yield Words((*place, key), text)


def _templates(place: Place, value: Any, *, early: bool = False) -> Iterator[Words]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _templates((*place, key), inside, early=early)
    else:
        yield from (Words(place, text, early=early) for text in templates(value))


def wants_input(steps: tuple[Step, ...], *, surely: bool = False) -> bool:
    """Whether a list of steps takes an input from where it stands: its first step does, or (not ``surely``) one behind nothing but steps that may be skipped."""
    for step in steps:
        if takes_before(step, surely=surely):
            return True
        if surely or not may_be_skipped(step):
            return False
    return False


def takes_before(step: Step, *, surely: bool = False) -> bool:
    """Whether a step takes its input from the step before it."""
    early = {name for words in words_of(step) if words.early for name in words.names}
    if "input" in early:
        return True
    if step.input is not None or step.each is not None:
        return False
    return takes_input(step, surely=surely)


def takes_input(step: Step, *, surely: bool = False) -> bool:
    """Whether what the step does needs its input."""
    if any("input" in words.names for words in words_of(step) if not words.early):
        return True
    if isinstance(step.do, Ask):
        return step.do.prompt is None
    if isinstance(step.do, Propose):
        return not surely  # what is proposed may
    return any(wants_input(steps, surely=surely) for _, steps in inner(step))


def saves_in(step: Step) -> tuple[str, ...]:
    """The names that a step and those in it save; once, where only one of several cases can."""
    own = (step.save,) if step.save else ()
    rooms = [tuple(name for part in steps for name in saves_in(part)) for _, steps in inner(step)]
    if isinstance(step.do, Switch):
        return (*own, *dict.fromkeys(name for room in rooms for name in room))
    return (*own, *(name for room in rooms for name in room))


def may_be_skipped(step: Step) -> bool:
    """Whether later steps may have to look further back for a value."""
    return step.when is not None or (step.on_error is not None and step.on_error.act == "skip")
