"""The user's two settings files as texts, and the version that each says it has."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from orchestrator_nb.config.pieces import child, line_end, root
from orchestrator_nb.config.yaml import read


@dataclass(frozen=True, slots=True)
class Texts:
    """config.yaml and models.yaml, with plain newlines; ``None`` for a file that is not there."""

    settings: str | None
    models: str | None


def version(text: str) -> int:
    """The number under ``version``; 1, the predecessor's form, where there is none."""
    return int(read(text.encode(), "").value.get("version") or 1)


def stamped(text: str, number: int) -> str:
    """The text with this version, at the top where it had none."""
    if pair := child(root(text), "version"):
        start, end = pair[1].start_mark.index, pair[1].end_mark.index
        return f"{text[:start]}{number}{text[end:]}"
    at = _top(text)
    return f"{text[:at]}version: {number}\n{text[at:]}"


def _top(text: str) -> int:
    """The start of the text, or of the line after ``---``."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentStartEvent) and event.explicit and event.end_mark:
            return min(line_end(text, event.end_mark.index) + 1, len(text))
    return 0
