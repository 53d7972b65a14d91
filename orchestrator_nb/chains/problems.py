"""What is wrong with a chain, as a value: in which file and line, in which step, under which key, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator_nb.config.yaml import Document, Place


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. ``line`` and ``column`` count from 1, and are 0 where there is no file; ``step`` is its path, such as ``polish.critique``."""

    file: str
    line: int
    column: int
    step: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = ", ".join(
            part
            for part in (f"step {self.step!r}" if self.step else "", f"key {self.key!r}" if self.key else "")
            if part
        )
        return ": ".join(part for part in (where, what, self.message) if part)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a chain came from: its file, and the line and column of each of its places. A chain from Python has none."""

    file: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)
    columns: Mapping[Place, int] = field(default_factory=dict)
    blocks: Mapping[Place, int] = field(default_factory=dict)
    root: Place = ()

    @classmethod
    def of(cls, document: Document, root: Place = ()) -> Origin:
        """That of the part of a document that begins at ``root``."""
        return cls(document.file, document.lines, document.columns, document.blocks, root)

    def items(self, place: Place) -> Place:
        """Where the steps of a block stand: under ``steps``, or right there, where a branch is a list."""
        return place if (*self.root, *place, 0) in self.lines else (*place, "steps")

    def problem(self, place: Place, message: str, *, step: str = "", text_line: int = 1) -> Problem:
        """A problem at a place; ``text_line`` is the line within a text of several lines."""
        whole = (*self.root, *place)
        known = whole
        while known and known not in self.lines:
            known = known[:-1]
        line, column = self.lines.get(known, 1 if self.file else 0), self.columns.get(known, 1 if self.file else 0)
        if text_line > 1 and (first := self.blocks.get(whole)):
            line, column = first + text_line - 1, 1
        return Problem(self.file, line, column, step, key_of(place), message)


def key_of(place: Place) -> str:
    """The key within its step: ``repeat.until`` of ``("steps", 2, "repeat", "until")``."""
    steps = steps_along(place)
    return ".".join(str(part) for part in place[len(steps[-1]) if steps else 0 :])


def steps_along(place: Place) -> tuple[Place, ...]:
    """The places of the steps that a place is in, outermost first."""
    found, start = list[Place](), 0
    while start < len(place):
        length = _step_here(place[start:])
        start += length or 1
        if length:
            found.append(place[:start])
    return tuple(found)


def _step_here(rest: Place) -> int:
    match rest:
        case ("steps", int(), *_):
            return 2
        case ("parallel", str(), int(), *_) | ("switch", "default", int(), *_):
            return 3
        case ("parallel", str(), *_) | ("switch", "default", *_):
            return 2
        case ("switch", "cases", str(), int(), *_):
            return 4
        case ("switch", "cases", str(), *_):
            return 3
    return 0


def sorted_problems(found: list[Problem]) -> tuple[Problem, ...]:
    """In the order of the file, each once."""
    return tuple(sorted(dict.fromkeys(found), key=lambda problem: (problem.line, problem.column)))


_MOST_LISTED: Final = 20


def listed(problems: tuple[Problem, ...]) -> str:
    """The problems, a line for each; of very many the first."""
    rest = len(problems) - _MOST_LISTED
    more = [f"- and {rest} more"] if rest > 0 else []
    return "\n".join([*(f"- {problem}" for problem in problems[:_MOST_LISTED]), *more])


def at(value: Any, place: Place) -> Any:
    """What stands at a place of a JSON value, or ``None``."""
    for part in place:
        inside = (isinstance(value, Mapping) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if not inside:
            return None
        value = value[part]
    return value
