"""A chain on one line: ``analyze:researcher@sonnet | summarize:technical_writer@flash`` as the YAML value that it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

_PART: Final = re.compile(r"\s*(?P<role>[^:@|]*?)\s*(?::(?P<persona>[^@|]*?))?\s*(?:@(?P<model>[^|]*?))?\s*")
_WORDS: Final = re.compile(r"[A-Za-z][\w \-]*")


@dataclass(frozen=True, slots=True)
class Slip:
    """What is wrong, and in which column (from 1)."""

    column: int
    message: str


def is_one_line(text: str) -> bool:
    """Whether a text is meant as a chain on one line, and not as YAML."""
    line = text.strip()
    return bool(line) and "\n" not in line and line[0] not in "{[#-" and ": " not in line and not line.endswith(":")


def parse(text: str) -> tuple[dict[str, Any], list[Slip]]:
    """The value of the long form, and everything that is wrong with the short one."""
    steps, slips, column = [], [], 1
    for part in text.rstrip("\n").split("|"):
        step, slip = _step(part, column)
        steps.append(step)
        slips += slip
        column += len(part) + 1
    return {"steps": steps}, slips


def _step(part: str, column: int) -> tuple[dict[str, Any], list[Slip]]:
    found = _PART.fullmatch(part)
    words: dict[str, Any] = found.groupdict() if found else {"role": part.strip(), "persona": None, "model": None}
    slips = [Slip(column + len(part) - len(part.lstrip()), message) for message in _slips(words)]
    models = [model.strip() for model in (words["model"] or "").split(",") if model.strip()]
    named = {key: words[key].strip() for key in ("role", "persona") if words[key]}
    return {**named, **({"model": models} if models else {})}, slips


def _slips(words: dict[str, Any]) -> list[str]:
    if not words["role"]:
        return ["a step is empty; write role:persona@model, with | between the steps."]
    found = [
        f"{words[key]!r} is no {key}; write role:persona@model, with | between the steps."
        for key in ("role", "persona")
        if words[key] is not None and not _WORDS.fullmatch(words[key].strip())
    ]
    return [*found, *_no_model(words["model"])]


def _no_model(model: str | None) -> list[str]:
    return [] if model is None or model.strip() else ["no model after '@'."]
