"""The cells that ask what was chosen: ``%%llm`` with models and options. Models with the same options share a cell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import value_of
from orchestrator_nb.magics.words import split
from orchestrator_nb.prompts.options import params_of

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
        words += ["-o", name, _value(name, value)]
    return f"%%llm {' '.join(words)}\n"


def _name(ref: str) -> str:
    if ref.isprintable() and _PLAIN.fullmatch(ref) and not set("*?") & set(ref):  # which would mean many models
        return ref
    raise UserError(
        f"the name {ref!r} cannot stand in a cell's first line; write it to a variable and use session().compare()."
    )


def _value(name: str, value: str) -> str:
    """As one word that is read as what was meant: a text that looks like JSON or a template, or has blanks in it, goes into a JSON list."""
    written = value if _PLAIN.fullmatch(value) and value_of(value) == value else json.dumps([value])
    written = written if name == "stop" else value
    if written.isprintable() and split(written) == [written] and _means(name, value_of(written), value):
        return written
    raise UserError(f"{value!r} cannot stand in a cell's first line; write the choice to a variable instead.")


def _means(name: str, read: object, value: str) -> bool:
    return params_of({name: read}) == params_of({name: value})
