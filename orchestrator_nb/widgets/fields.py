"""The options form of a model: which options it takes, and what each of them takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator_nb.catalog import ModelSpec


@dataclass(frozen=True, slots=True)
class Field:
    """One option. ``takes`` says it to people; `orchestrator_nb.prompts.options` decides."""

    kind: Literal["number", "whole", "text", "effort", "thinking"]
    takes: str
    low: float | None = None
    high: float | None = None


FIELDS: Final[Mapping[str, Field]] = {
    "temperature": Field("number", "0 to 2", 0, 2),
    "top_p": Field("number", "0 to 1", 0, 1),
    "top_k": Field("whole", "from 1", 1),
    "max_tokens": Field("whole", "from 1", 1),
    "stop": Field("text", "a text"),
    "seed": Field("whole", "from 0", 0),
    "effort": Field("effort", ""),
    "thinking": Field("thinking", "on, off, or a budget in tokens"),
    "presence_penalty": Field("number", "-2 to 2", -2, 2),
    "frequency_penalty": Field("number", "-2 to 2", -2, 2),
}


def options_of(model: ModelSpec) -> Sequence[str]:
    """The options that this model takes, as far as the catalogue knows."""
    refused = model.refuses | model.vendor.quirks.lacks
    return [name for name in FIELDS if name not in refused and _fits(name, model)]


def _fits(name: str, model: ModelSpec) -> bool:
    match name:
        case "effort":
            return bool(model.efforts)
        case "thinking":
            return model.thinking != "none"
        case "seed":
            return model.vendor.quirks.seed_field is not None
        case _:
            return True
