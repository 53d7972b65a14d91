"""What to answer: a small script of patterns, from Python or from a YAML or JSON file.

Each entry is a mapping::

    - match: capital of (France|Germany)   # a regular expression or plain text, sought in the prompt; ".*" is always found
      answer: It is a large city.           # or a list, said in turn when the prompt comes again
      model: claude                         # optional: sought in the model's name
      thinking: Cities, then.               # optional: for models that think
      finish: length                        # optional: how it ends
      tool_calls: [{name: look, arguments: {city: Oslo}}]
      delay: 0.5                            # optional: seconds before the answer
      cut_after: 5                          # optional: drop the connection after so many characters
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from orchestrator_nb.simulator.asking import Finish, ToolCall


class ScriptError(ValueError):
    """The script cannot be used; the message names the file, the entry and what to write instead."""


@dataclass(frozen=True, slots=True)
class Say:
    """One entry of a script."""

    match: str
    answer: str | tuple[str, ...] = ""
    model: str = ""
    thinking: str = ""
    finish: Finish | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    delay: float = 0.0
    cut_after: int | None = None

    def fits(self, name: str, prompt: str) -> bool:
        """Whether the entry is for this model and prompt."""
        return _found(self.model, name) and _found(self.match, prompt)

    def text(self, turn: int) -> str:
        """The answer when the prompt came ``turn`` times before."""
        return self.answer if isinstance(self.answer, str) else self.answer[turn % len(self.answer)]


@dataclass(frozen=True, slots=True)
class Script:
    """Entries in order; the first that fits answers."""

    entries: tuple[Say, ...] = ()

    def find(self, name: str, prompt: str) -> Say | None:
        """The entry for a model and a prompt."""
        return next((entry for entry in self.entries if entry.fits(name, prompt)), None)

    def before(self, entry: Say) -> Script:
        """The script with one more entry, which is tried first."""
        return Script((entry, *self.entries))


def load(source: str | Path | Iterable[Mapping[str, Any]] | Script | None) -> Script:
    """A script from a file or a list of entries. Raises :class:`ScriptError`."""
    if source is None or isinstance(source, Script):
        return source or Script()
    if isinstance(source, str | Path):
        return _entries(_read(Path(source)), str(source))
    return _entries(list(source), "script")


def entry(where: str, row: Any) -> Say:
    """One checked entry; ``where`` begins the message of a :class:`ScriptError`."""
    if not isinstance(row, Mapping):
        raise ScriptError(f"{where}: expected a mapping with 'match' and 'answer', found {_kind(row)}.")
    known = {field.name for field in fields(Say)}
    for key in row:
        if key not in known:
            raise ScriptError(f"{where}: unknown key {key!r}; use one of {', '.join(sorted(known))}.")
    if "match" not in row or not ({"answer", "tool_calls", "finish"} & row.keys()):
        raise ScriptError(f"{where}: needs 'match' and 'answer'; write match: \".*\" to answer everything.")
    checked = {key: _CHECKS[key](where, key, value) for key, value in row.items() if value is not None}
    return Say(**checked)


def _read(path: Path) -> Any:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read ({error.strerror}); check the path of the script.") from None
    except UnicodeDecodeError:
        raise ScriptError(f"{path}: is not UTF-8 text; save it as UTF-8.") from None
    return _json(path, text) if path.suffix == ".json" else _yaml(path, text)


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ScriptError(f"{path}: is not JSON ({error}); fix that place.") from None


def _yaml(path: Path, text: str) -> Any:
    import yaml  # only for scripts in YAML: the simulator starts without it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise ScriptError(f"{path}{line}: is not YAML ({getattr(error, 'problem', error)}); fix that place.") from None


def _entries(rows: Any, name: str) -> Script:
    if not isinstance(rows, list):
        raise ScriptError(f"{name}: expected a list of entries, found {_kind(rows)}; begin each entry with '- match:'.")
    return Script(
        tuple(row if isinstance(row, Say) else entry(f"{name}, entry {n}", row) for n, row in enumerate(rows, 1))
    )


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ScriptError(f"{where}: {key!r} has to be text, found {_kind(value)}; put it in quotes.")
    return value


def _texts(where: str, key: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, list | tuple) and value:
        return tuple(_text(where, key, text) for text in value)
    return _text(where, key, value)


def _seconds(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 3600:
        raise ScriptError(f"{where}: {key!r} has to be seconds from 0 to 3600, found {_kind(value)}.")
    return float(value)


def _count(where: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ScriptError(f"{where}: {key!r} has to be a whole number from 0, found {_kind(value)}.")
    return value


def _finish(where: str, key: str, value: Any) -> str:
    if value not in get_args(Finish):
        raise ScriptError(f"{where}: unknown {key} {value!r}; use one of {', '.join(get_args(Finish))}.")
    return str(value)


def _tools(where: str, key: str, value: Any) -> tuple[ToolCall, ...]:
    fits = isinstance(value, list | tuple) and all(
        isinstance(call, ToolCall) or (isinstance(call, Mapping) and isinstance(call.get("name"), str))
        for call in value
    )
    if not fits:
        raise ScriptError(f"{where}: {key!r} has to be a list of {{name, arguments}}, found {_kind(value)}.")
    return tuple(
        call if isinstance(call, ToolCall) else ToolCall(call["name"], call.get("arguments") or {}) for call in value
    )


_CHECKS: dict[str, Any] = {
    "match": _text,
    "answer": _texts,
    "model": _text,
    "thinking": _text,
    "finish": _finish,
    "tool_calls": _tools,
    "delay": _seconds,
    "cut_after": _count,
}


def _found(pattern: str, text: str) -> bool:
    if not pattern or pattern in text:
        return True
    try:
        return re.search(pattern, text, re.DOTALL) is not None
    except re.error:
        return False
