"""A YAML file as pieces of text: its comments, and the entries of its mappings with the comments that belong to them.

An entry owns the comment lines directly above its key, what follows its value on the same line, and the comment lines below it that are indented more
than its key. Places are character offsets into a text whose lines end with a plain newline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Comment:
    """From its ``#`` to the end of its line."""

    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: its nodes, and where its piece of the text begins (``lead``), its key's line, and its end (after a newline)."""

    key: yaml.Node
    value: yaml.Node
    lead: int
    start: int
    end: int


def root(text: str) -> yaml.MappingNode | None:
    """The top-level mapping, written in lines; ``None`` where it is in braces. An empty file is an empty mapping."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        mark = yaml.Mark("", len(text), 0, 0, None, 0)
        return yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)
    return node if isinstance(node, yaml.MappingNode) and not node.flow_style else None


def comments(text: str) -> tuple[Comment, ...]:
    """Every comment of the text. A ``#`` inside a value is none."""
    words = [token for token in yaml.scan(text, Loader=yaml.SafeLoader) if isinstance(token, yaml.ScalarToken)]
    edges = [0, *(at for word in words for at in (word.start_mark.index, word.end_mark.index)), len(text)]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return tuple(comment for start, end in gaps for comment in _in_gap(text, start, end))


def _in_gap(text: str, start: int, end: int) -> Iterator[Comment]:
    while (at := text.find("#", start, end)) >= 0:
        stop = line_end(text, at)
        yield Comment(at, text[at:stop].rstrip())
        start = stop


def child(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The key and value called ``name`` of a mapping."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((pair for pair in pairs if pair[0].value == name), None)


def entries(text: str, mapping: yaml.MappingNode) -> tuple[Entry, ...]:
    """The entries of a mapping that is written in lines."""
    own_lines = {line_start(text, c.start): column(text, c.start) for c in comments(text) if alone(text, c.start)}
    starts = [line_start(text, key.start_mark.index) for key, _ in mapping.value]
    ends = [_end(text, key, value, own_lines) for key, value in mapping.value]
    leads = [_lead(text, start, own_lines) for start in starts]
    after = [max(lead, end) for lead, end in zip(leads[1:], ends, strict=False)]  # what one has, the next has not
    return tuple(
        Entry(key, value, lead, start, end)
        for (key, value), lead, start, end in zip(mapping.value, [*leads[:1], *after], starts, ends, strict=True)
    )


def _end(text: str, key: yaml.Node, value: yaml.Node, own_lines: dict[int, int]) -> int:
    at = last(value, key)
    end = at if text[at - 1 : at] == "\n" else _next_line(text, at)  # a block text ends where the next line begins
    while own_lines.get(end, -1) > key.start_mark.column:
        end = _next_line(text, end)
    return end


def _lead(text: str, start: int, own_lines: dict[int, int]) -> int:
    while start and (above := line_start(text, start - 1)) in own_lines:
        start = above
    return start


def last(value: yaml.Node, key: yaml.Node) -> int:
    """Where a value's text ends; the end of the key where there is no value."""
    if isinstance(value, yaml.CollectionNode) and not value.flow_style:
        inner = value.value[-1]
        return last(inner[1], inner[0]) if isinstance(inner, tuple) else last(inner, inner)
    return int(max(key.end_mark.index, value.end_mark.index))


def _next_line(text: str, at: int) -> int:
    return min(line_end(text, at) + 1, len(text))


def line_start(text: str, at: int) -> int:
    """Where the line of ``at`` begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of ``at`` ends, before its newline."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def column(text: str, at: int) -> int:
    """How far ``at`` is from the start of its line."""
    return at - line_start(text, at)


def alone(text: str, at: int) -> bool:
    """Whether nothing stands before ``at`` on its line."""
    return not text[line_start(text, at) : at].strip()


def shifted(piece: str, by: int) -> str:
    """The piece's lines moved right by so many columns, or left."""
    return "".join(_shift(line, by) for line in piece.splitlines(keepends=True))


def _shift(line: str, by: int) -> str:
    if not line.strip():
        return line
    indent = len(line) - len(line.lstrip(" "))
    return " " * max(indent + by, 0) + line[indent:]
