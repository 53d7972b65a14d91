"""YAML as configuration needs it: text to plain values, with the line of every key; everything surprising is refused.

Values are built from the parser's events, not by PyYAML's constructors: an alias, an anchor, a tag, a merge key, a duplicate key or a key that is no
text is refused where it stands, before anything is expanded. Only ``true false null``, whole numbers and decimal numbers are more than text, as in
YAML 1.2's JSON schema (https://yaml.org/spec/1.2.2/#102-json-schema): ``yes``, ``22:30``, ``2026-11-22``, ``0x1f`` and ``007`` stay text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Final

import yaml

from orchestrator_nb.errors import ConfigError

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 400  # more digits than any float has, and far from the cost of huge integers

# libyaml's parser where PyYAML was built with it: ten times faster, the same events
_PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+([eE][-+]?[0-9]+)?")

Place = tuple[str | int, ...]
"""Where a value stands: the keys and list indices that lead to it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file's value (always a mapping, maybe empty), the line (from 1) of every key and list item, and the SHA-256 of the very bytes that were parsed.

    ``columns`` (from 1) go with ``lines``; ``blocks`` has the line where the text of a ``|`` begins.
    """

    value: dict[str, Any]
    file: str
    lines: dict[Place, int] = field(default_factory=dict)
    digest: str = ""
    columns: dict[Place, int] = field(default_factory=dict)
    blocks: dict[Place, int] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """``file:line`` of the innermost known part of ``place``."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.file}:{self.lines.get(place, 1)}"


def read(data: bytes, file: str) -> Document:
    """The document in ``data``. Raises `ConfigError` with ``file:line`` for anything it refuses; an empty file is an empty mapping."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{len(data):,} bytes; a configuration file may have {MAX_BYTES:,}.", where=file)
    return replace(_Builder(_text(data, file), file).document(), digest=hashlib.sha256(data).hexdigest())


def scalar(text: str) -> str | int | float | bool | None:
    """What a plain word means: true, false, null, a number, or itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8.", where=f"{file}:{line}"
        ) from None


class _Builder:
    """Builds one document from events, counting nodes and depth on the way."""

    def __init__(self, text: str, file: str) -> None:
        self.file, self.lines, self.nodes = file, dict[Place, int](), 0
        self.columns, self.blocks = dict[Place, int](), dict[Place, int]()
        self.events = self._events(text)

    def _events(self, text: str) -> Iterator[yaml.Event]:
        """The parser's events; its errors become ours, and its references are refused."""
        try:
            for event in yaml.parse(text, Loader=_PARSER):
                self._check(event)
                yield event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise self._error(_reason(error.problem, text, line), line) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._error("a control character; remove it", line) from None

    def _check(self, event: yaml.Event) -> None:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            raise self._error(f"alias *{event.anchor}; write the value out", line)
        if anchor := getattr(event, "anchor", None):
            raise self._error(f"anchor &{anchor}; remove it", line)
        if tag := getattr(event, "tag", None):
            raise self._error(f"tag {tag!r}; only plain values are read", line)

    def _error(self, problem: str, line: int) -> ConfigError:
        return ConfigError(f"{problem}.", where=f"{self.file}:{line}")

    def document(self) -> Document:
        """The only document of the stream."""
        value: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error("a second document; keep one per file", _line(event))
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, ())
        if value is not None and not isinstance(value, dict):
            raise self._error(f"found {_kind(value)}, expected 'key: value' lines", 1)
        return Document(value or {}, self.file, self.lines, columns=self.columns, blocks=self.blocks)

    def _value(self, event: yaml.Event, place: Place) -> Any:
        line = _line(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._error(f"more than {MAX_NODES:,} values", line)
        if isinstance(event, yaml.ScalarEvent):
            if event.style == "|":
                self.blocks[place] = line + 1
            return scalar(event.value) if event.implicit[0] else event.value
        if len(place) >= MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep", line)
        return self._mapping(place) if isinstance(event, yaml.MappingStartEvent) else self._sequence(place)

    def _mapping(self, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            line = _line(event)
            if key in found:
                raise self._error(f"{key!r} stands here again; it is first on line {self.lines[*place, key]}", line)
            self.lines[*place, key], self.columns[*place, key] = line, _column(event)
            found[key] = self._value(next(self.events), (*place, key))
        return found

    def _key(self, event: yaml.Event) -> str:
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error("a key must be text, not a list or mapping", line)
        plain = event.implicit[0]
        if plain and event.value == "<<":
            raise self._error("merge key '<<'; write the values out", line)
        if plain and not isinstance(scalar(event.value), str):
            raise self._error(f"key {event.value!r} is not text; put it in quotes", line)
        return str(event.value)

    def _sequence(self, place: Place) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*place, len(found))
            self.lines[here], self.columns[here] = _line(event), _column(event)
            found.append(self._value(event, here))
        return found


def _reason(problem: str | None, text: str, line: int) -> str:
    """The parser's complaint, or the plain word for the commonest cause."""
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    indent = here[: len(here) - len(here.lstrip())]
    return "indented by a tab; use spaces" if "\t" in indent else problem or "not YAML"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _column(event: yaml.Event) -> int:
    return event.start_mark.column + 1 if event.start_mark else 1


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"only {value!r}"
