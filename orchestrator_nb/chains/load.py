"""From text to a frozen chain: YAML of version 2, the predecessor's ``chains:``, or one line. Everything that is wrong is collected, with its line.

What is wrong in one place does not hide what is wrong in another: a key that cannot stay is left out, and the rest is read on.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator_nb.chains import convert, oneline
from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.complaints import place_of, sentence, step_path
from orchestrator_nb.chains.language import TITLE, ChainPiece
from orchestrator_nb.chains.problems import Origin, Problem, sorted_problems
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.config.yaml import read as read_yaml
from orchestrator_nb.errors import ChainError, ConfigError

CELL: Final = "<chain>"
_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read, and everything that is wrong with it. ``chain`` is ``None`` where there is too little left of one."""

    chain: Chain | None
    problems: tuple[Problem, ...] = ()

    @property
    def sound(self) -> Chain:
        """The chain. Raises `ChainError` with all problems if there are any."""
        if self.problems or self.chain is None:
            raise ChainError(self.problems)
        return self.chain


def load(text: str, *, file: str = CELL, name: str | None = None) -> Chain:
    """The chain in a text. ``name``: which one, where it holds several, and its name where it says none itself. Raises `ChainError` with all problems."""
    return read(text, file=file, name=name).sound


def load_all(text: str, *, file: str = CELL) -> dict[str, Chain]:
    """The chains of a settings file (``chains:``) by name, or the one chain of a text. Raises `ChainError` with the problems of all."""
    found = read_all(text, file=file)
    if problems := [problem for reading in found.values() for problem in reading.problems]:
        raise ChainError(sorted_problems(problems))
    return {name: reading.sound for name, reading in found.items()}


def read(text: str, *, file: str = CELL, name: str | None = None) -> Reading:
    """What `load` reads, with its problems as values."""
    found = read_all(text, file=file, name=name)
    if len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    what = unknown(name, found, "chain") if name else f"there are {len(found)} chains; name one: {', '.join(found)}"
    return Reading(None, (Origin(file).problem((), f"{what}."),))


def read_all(text: str, *, file: str = CELL, name: str | None = None) -> dict[str, Reading]:
    """What `load_all` reads, with its problems as values. ``name`` is that of a chain which says none itself."""
    title = name or _stem(file)
    if oneline.is_one_line(text):
        return {title: _one_line(text, file, title)}
    try:
        document = read_yaml(text.encode("utf-8", "surrogatepass"), file)
    except ConfigError as error:
        return {title: Reading(None, (yaml_problem(error, file),))}
    if "chains" in document.value and "steps" not in document.value:
        return _several(document)
    reading = read_value(document.value, title, origin=Origin.of(document))
    return {reading.chain.name if reading.chain else title: reading}


def read_value(value: Any, name: str, *, origin: Origin = Origin()) -> Reading:  # noqa: B008 - frozen
    """A chain from plain values, such as an entry of the settings' ``chains``: a mapping, or a text of one line."""
    if isinstance(value, str):
        line = _one_line(value, origin.file, name)
        return replace(line, problems=tuple(origin.problem((), problem.message) for problem in line.problems))
    if not isinstance(value, Mapping):
        return Reading(
            None,
            (origin.problem((), "a chain is 'key: value' lines with 'steps', or one line of role:persona@model."),),
        )
    return _Reader(value, name, origin).reading()


def _several(document: Document) -> dict[str, Reading]:
    chains = document.value["chains"]
    if not isinstance(chains, dict) or not chains:
        return {"chains": Reading(None, (Origin.of(document).problem(("chains",), "expected chains by name."),))}
    return {key: read_value(value, key, origin=Origin.of(document, ("chains", key))) for key, value in chains.items()}


def _one_line(text: str, file: str, name: str) -> Reading:
    value, slips = oneline.parse(text)
    if slips:
        return Reading(None, tuple(Problem(file, 1, slip.column, "", "", slip.message) for slip in slips))
    return _Reader(value, name, Origin(file)).reading()


def yaml_problem(error: ConfigError, file: str) -> Problem:
    """What the YAML reader refuses, as a problem."""
    line = error.where.removeprefix(file).lstrip(":")
    message = str(error).removeprefix(f"{error.where}: ")
    return Problem(file, int(line) if line.isdigit() else 1, 1, "", "", message)


def _stem(file: str) -> str:
    stem = PurePath(file).stem
    return stem if TITLE.fullmatch(stem) else "chain"


@dataclass
class _Reader:
    """Reads one chain, round by round: what is refused in one is left out of the next."""

    value: Mapping[str, Any]
    name: str
    origin: Origin
    found: list[tuple[Place, Problem]] = field(default_factory=list)

    def reading(self) -> Reading:
        rest: Any = copy.deepcopy(dict(self.value))
        for _ in range(_ROUNDS):
            try:
                piece = ChainPiece.model_validate(rest)
            except ValidationError as error:
                details = error.errors(include_url=False)
            else:
                return self._converted(piece)
            if not self._noted(details, rest):
                break
        return Reading(None, self._problems())

    def _noted(self, details: list[ErrorDetails], rest: Any) -> bool:
        """Keeps what is wrong and leaves it out of ``rest``; whether there is something left."""
        broken = [(place_of(error, rest), error) for error in details]
        places = {place for place, _ in broken}
        for place, error in broken:
            hidden = error["type"] in {"too_short", "missing"} and any(self._below(place, other) for other in places)
            if not hidden and not any(self._below(known, place) for known, _ in self.found):
                self._add(place, sentence(error, rest, place))
        for place in sorted(places, key=lambda place: [str(part) for part in place], reverse=True):
            if not _left_out(rest, place):
                return False
        return True

    def _add(self, place: Place, message: str) -> None:
        path = step_path(self.value, place)
        if not any(place == known for known, _ in self.found):
            self.found.append((place, self.origin.problem(place, message, step=path)))

    @staticmethod
    def _below(place: Place, other: Place) -> bool:
        return len(other) > len(place) and other[: len(place)] == place

    def _converted(self, piece: ChainPiece) -> Reading:
        chain, slips = convert.chain(piece, self.name, self.origin)
        for slip in slips:
            if not (slip.of_kind and any(known[: len(slip.step_place)] == slip.step_place for known, _ in self.found)):
                self.found.append((slip.place, self.origin.problem(slip.place, slip.message, step=slip.path)))
        return Reading(chain, self._problems())

    def _problems(self) -> tuple[Problem, ...]:
        return sorted_problems([problem for _, problem in self.found])


def _left_out(rest: Any, place: Place) -> bool:
    """Leaves the value at a place out; whether something is left without it."""
    if not place:
        return False
    parent = rest
    for part in place[:-1]:
        if not isinstance(parent, dict | list) or (isinstance(parent, dict) and part not in parent):
            return True  # it went with something around it
        parent = parent[part]  # type: ignore[index]
    last = place[-1]
    if isinstance(parent, dict):
        if last not in parent:  # it is missing: what misses it goes
            return _left_out(rest, place[:-1])
        del parent[last]
    elif isinstance(parent, list) and isinstance(last, int):
        parent[last] = {"prompt": "…"}  # the places of the others stay
    return place != ("steps",)
