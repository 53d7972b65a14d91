"""The cells that ask what was chosen: ``%%llm`` with models and options. Models with the same options share a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.words import split

Options = Mapping[str, Mapping[str, str]]

_PLAIN: Final = re.compile(r"[^\s\"'\[\](){}-][^\s\"'\[\](){}]*")
"""What the first line takes as one word as it stands; not the beginning of an option, nor anything that a template or literal begins with."""


def cells_of(chosen: Sequence[str], options: Options) -> list[str]:
    """One cell for each set of options, its prompt still to be written. Raises `UserError` for a name that cannot stand in a line."""
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for ref in chosen:
        alike.setdefault(tuple(options.get(ref, {}).items()), []).append(ref)
    return [_cell(refs, dict(given)) for given, refs in alike.items()]


def _cell(refs: Sequence[str], given: Mapping[str, str]) -> str:
    words = [*map(_name, refs)]
    for name, value in given.items():
        words += ["-o", name, _quoted(value)]
    return f"%%llm {' '.join(words)}\n"


def _name(ref: str) -> str:
    if ref.isprintable() and _PLAIN.fullmatch(ref):
        return ref
    raise UserError(
        f"the name {ref!r} cannot stand in a cell's first line; write it to a variable and use session().compare()."
    )


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    text = '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
    if value.isprintable() and split(text) == [value]:
        return text
    raise UserError(f"{value!r} cannot stand in a cell's first line; write the choice to a variable instead.")
