"""The models that the simulator plays: a data file and its reader. Not the library's catalogue, on purpose."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its vendor lists it, plus how it sounds and how fast it is in a demo."""

    id: str
    context: int
    output: int
    thinking: Literal["always", "on", "off", "never"]
    style: str
    first_s: float
    gap_s: float
    name: str = ""
    aliases: tuple[str, ...] = ()
    shutdown: str | None = None
    effort: str | None = None
    """OpenAI: the reasoning effort when none is asked for; ``None`` for models that do not reason."""
    sampling: bool = False
    """Anthropic: takes temperature, top_p, top_k under version 2023-06-01."""
    prefill: bool = False
    """Anthropic: takes a last turn of the assistant."""
    budgets: bool = False
    """Gemini: thinks by budget (2.5), not by level."""
    responses_for_tools: bool = False
    """OpenAI: refuses tools together with reasoning on Chat Completions."""

    def answers_to(self, name: str) -> bool:
        """Whether the model is asked for by this name."""
        return name == self.id or name in self.aliases


STAND_IN = Model("sim", 1_000_000, 128_000, "off", "plain", 0.1, 0.02, name="Simulated", sampling=True, prefill=True)
"""Plays every name that starts with ``sim-``: such names select a fault."""


def find(models: Iterable[Model], name: str) -> Model | None:
    """The model of that name or alias; names that select a fault are always known."""
    if name.startswith("sim-"):
        return STAND_IN
    return next((model for model in models if model.answers_to(name)), None)


@cache
def of(family: str) -> tuple[Model, ...]:
    """All models of one family of the data file, e.g. ``"anthropic"`` or ``"compat"``."""
    return _all()[family]


@cache
def _all() -> dict[str, tuple[Model, ...]]:
    text = resources.files(__package__).joinpath("models.toml").read_text("utf-8")
    return {family: tuple(_model(row) for row in table["models"]) for family, table in tomllib.loads(text).items()}


def _model(row: dict[str, object]) -> Model:
    aliases = row.pop("aliases", [])
    return Model(**row, aliases=tuple(aliases))  # type: ignore[arg-type]  # the rows of our own data file, checked by a test
