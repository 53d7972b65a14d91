"""YAML as a text to be edited: where each value stands, and one change made by touching as few lines as can be.

Nothing is written anew but what changes: comments, blank lines, quotes and the order of everything else stay as they are. Every edit is judged by its result: it is made only
when the new text reads as the old value with exactly this change (`written`). PyYAML's composer tells the places; its dumper writes only new values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from orchestrator_nb.chains.changing import Call, Change, Drop, Insert, Put, alike, applied
from orchestrator_nb.chains.write import Dumper
from orchestrator_nb.config.edit import written as in_line
from orchestrator_nb.config.yaml import Place, read
from orchestrator_nb.errors import ConfigError

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WIDE: Final = 1 << 20
_SHORT: Final = 72
_COMMENT: Final = re.compile(r"[ \t]*#[^\r\n]*")
_UPSETTING: Final = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")


class NoSuchEdit(Exception):  # never leaves this package
    """No small edit makes this change."""


def value_of(text: str, file: str = "") -> Any:
    """The value of a text. Raises `ConfigError`."""
    return read(text.encode("utf-8", "surrogatepass"), file).value


def changed(text: str, change: Change, value: Any) -> str:
    """The text with this change; ``value`` is what it reads as now. Raises `NoSuchEdit` unless the new text reads as just that."""
    try:
        page = Page(text)
        new = page.edited(change)
        good = alike(value_of(new), applied(value, change))
    except (ConfigError, yaml.YAMLError, LookupError, ValueError):
        good = False
    if not good:
        raise NoSuchEdit
    return new


@dataclass(frozen=True, slots=True)
class _Spot:
    """A node with what it stands in; ``key`` where that is a mapping."""

    node: yaml.Node
    parent: yaml.Node | None = None
    key: yaml.Node | None = None
    index: int = 0

    @property
    def in_flow(self) -> bool:
        return bool(getattr(self.parent, "flow_style", False))


class Page:
    """One text with the places of its values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Any = yaml.compose(text, Loader=_LOADER)
        self._deep = _indents_lists(text)

    def edited(self, change: Change) -> str:
        """The text with the change made, as far as that can be told; to be judged."""
        match change:
            case Put(place, value):
                parent = self.spot(place[:-1]).node
                is_new = isinstance(parent, yaml.MappingNode) and _pair(parent, place[-1]) is None
                return self._keyed(place, value) if is_new else self._put(self.spot(place), value)
            case Drop(place):
                return self._dropped(place)
            case Insert(place, at, value, raw):
                return self._inserted(self.spot(place), at, value, raw)
            case Call(place, name):
                key: Any = self.spot(place).key
                return self._replaced(key.start_mark.index, key.end_mark.index, in_line(name))

    # Where things are

    def spot(self, place: Place) -> _Spot:
        """What stands at a place. Raises `LookupError`."""
        found = _Spot(self.root)
        for part in place:
            node = found.node
            if isinstance(node, yaml.MappingNode):
                pair = _pair(node, part)
                if pair is None:
                    raise LookupError(part)
                found = _Spot(pair[1], node, pair[0], node.value.index(pair))
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                found = _Spot(node.value[part], node, None, part)
            else:
                raise LookupError(part)
        return found

    def end(self, node: yaml.Node) -> int:
        """Where a node's own text ends: without the blank lines and comments behind it."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last: Any = node.value[-1]
            return self.end(last[1] if isinstance(last, tuple) else last)
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return start + len(self._block(self.text[start:end]))
        return int(end)

    @staticmethod
    def _block(body: str) -> str:
        """A block's text without what follows it; blank lines at its end are its own where it keeps them."""
        head, _, _ = body.partition("\n")
        lines, _, rest = body.rpartition("\n")
        body = lines if not rest.strip() else body
        return body if "+" in head.split("#")[0] else body.rstrip()

    def _line(self, index: int) -> int:
        """Where the line begins."""
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Where the line ends, before its sign."""
        end = self.text.find("\n", index)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > index and self.text[end - 1] == "\r" else end

    def _after_line(self, index: int) -> int:
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1

    def _above(self, index: int, column: int) -> int:
        """Where the comments directly above a line begin, that stand in the same column."""
        start = self._line(index)
        while start > 0:
            before = self._line(start - 1)
            line = self.text[before : start - 1]
            if len(line) - len(line.lstrip(" ")) != column or not line.lstrip(" ").startswith("#"):
                break
            start = before
        return start

    def _begins_line(self, index: int) -> bool:
        return not self.text[self._line(index) : index].strip(" ")

    def _dash(self, node: yaml.Node) -> int:
        """The dash of an item."""
        found = self.text.rfind("-", 0, node.start_mark.index)
        start = node.start_mark.index
        if found < 0 and self.text[start : start + 1] != "-":
            raise NoSuchEdit
        if found >= 0 and self.text[found + 1 : start].strip():
            raise NoSuchEdit
        return found

    def _colon(self, key: yaml.Node) -> int:
        return self.text.index(":", key.end_mark.index)

    def _replaced(self, start: int, end: int, new: str) -> str:
        return f"{self.text[:start]}{new}{self.text[end:]}"

    # Writing

    def _entry(self, key: Any, value: Any, column: int) -> str:
        """``key: value`` as lines, the first without its indent."""
        if isinstance(value, list | dict) and _is_short(value):
            return f"{in_line(str(key))}: {in_line(value)}"
        return _indented(self._dump({key: value}), column)

    def _item(self, value: Any, column: int) -> str:
        return _indented(self._dump([value]), column)

    def _dump(self, value: Any) -> str:
        dumper = _Deep if self._deep else Dumper
        text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDE)
        return text.removesuffix("\n")

    def _behind_key(self, value: Any, old: yaml.Node, column: int) -> str:
        """What stands behind the colon, in the quotes that were there where they fit."""
        style = getattr(old, "style", None)
        if isinstance(value, str) and "\n" not in value and style in ("'", '"') and not _UPSETTING.search(value):
            quoted = value.replace("'", "''") if style == "'" else value.replace("\\", "\\\\").replace('"', '\\"')
            return f" {style}{quoted}{style}"
        return self._entry("k", value, column).removeprefix("k:")

    # Values

    def _put(self, spot: _Spot, value: Any) -> str:
        node, start, end = spot.node, spot.node.start_mark.index, self.end(spot.node)
        if spot.in_flow:
            gap = " " if start == end and self.text[start - 1 : start] == ":" else ""
            return self._replaced(start, end, gap + in_line(value))
        if spot.key is not None:
            return self._put_behind(spot.key, node, end, value)
        if spot.parent is None:
            raise NoSuchEdit
        dash = self._dash(node)
        column = dash - self._line(dash)
        return self._replaced(dash, max(end, dash + 1), self._item(value, column))

    def _put_behind(self, key: yaml.Node, node: yaml.Node, end: int, value: Any) -> str:
        """In the place of a key's value. Comments between the key and the value, and behind it, stay."""
        start, column = self._colon(key) + 1, key.start_mark.column
        first, line, rest = self._behind_key(value, node, column).partition("\n")
        beside, below = self._comments(start, node)
        if line and "\n" not in self.text[start:end] and (behind := _COMMENT.match(self.text, end)):
            beside, end = behind[0].strip(), behind.end()
        if not line and not beside and self.text[start:end].strip():
            gap = self.text[start : node.start_mark.index]
            first = f"{gap}{first[1:]}" if gap and not gap.strip(" ") else first
        beside = f"  {beside}" if beside else ""
        return self._replaced(start, end, f"{first}{beside}{line}{rest}{_lines(below, column)}")

    def _comments(self, start: int, node: yaml.Node) -> tuple[str, list[str]]:
        """Those between a key and its value: the one in the key's line, and those below. That of a block's first line counts as in the line."""
        between = self.text[start : node.start_mark.index]
        first, *others = (line.strip() for line in between.split("\n"))
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            header = self.text[node.start_mark.index : self._line_end(node.start_mark.index)]
            first = f"#{header.partition('#')[2]}" if "#" in header else first
        return first if first.startswith("#") else "", [line for line in others if line.startswith("#")]

    def _keyed(self, place: Place, value: Any) -> str:
        """A new key."""
        spot = self.spot(place[:-1])
        node: Any = spot.node
        if node.flow_style or spot.in_flow:
            at = self.end(node.value[-1][1]) if node.value else node.start_mark.index + 1
            return self._replaced(at, at, f"{', ' if node.value else ''}{in_line(str(place[-1]))}: {in_line(value)}")
        column = node.start_mark.column
        entry = self._entry(place[-1], value, column)
        later = _later(node, place[-1])
        if later is None:
            at = self._line_end(self.end(node.value[-1][1]))
            return self._replaced(at, at, f"\n{' ' * column}{entry}")
        if later is node.value[0][0]:
            at = later.start_mark.index
            return self._replaced(at, at, f"{entry}\n{' ' * column}")
        at = self._above(later.start_mark.index, column)
        return self._replaced(at, at, f"{' ' * column}{entry}\n")

    # Away

    def _dropped(self, place: Place) -> str:
        spot = self.spot(place)
        parent: Any = spot.parent
        start = (spot.key or spot.node).start_mark.index
        if parent.flow_style:
            return self._dropped_in_flow(parent, spot, start)
        begin = start if spot.key is not None else self._dash(spot.node)
        after = self._after_line(self.end(spot.node))
        if len(parent.value) == 1:
            return self._emptied(place[:-1], begin, after, "{}" if spot.key is not None else "[]")
        if self._begins_line(begin):
            return self._replaced(self._line(begin), after, "")
        if spot.key is None:
            raise NoSuchEdit
        following = parent.value[1][0].start_mark.index
        if self.text[after:following].strip():
            return self._replaced(begin, self._line_end(self.end(spot.node)), "")
        return self._replaced(begin, following, "")

    def _dropped_in_flow(self, parent: Any, spot: _Spot, start: int) -> str:
        end = self.end(spot.node)
        if spot.index + 1 < len(parent.value):
            following = parent.value[spot.index + 1]
            begin = (following[0] if isinstance(following, tuple) else following).start_mark.index
            until = begin if "#" not in self.text[end:begin] else self.text.index(",", end) + 1
            return self._replaced(start, until, "")
        if spot.index:
            last = parent.value[spot.index - 1]
            before = self.end(last[1] if isinstance(last, tuple) else last)
            start = before if "#" not in self.text[before:start] else start
        elif comma := re.compile(r"\s*,").match(self.text, end):
            end = comma.end()
        return self._replaced(start, end, "")

    def _emptied(self, place: Place, begin: int, after: int, nothing: str) -> str:
        """The only part of a block goes, and the comments around it stay."""
        spot = self.spot(place)
        if spot.key is None or spot.in_flow or not self._begins_line(begin):
            raise NoSuchEdit
        colon = self._colon(spot.key) + 1
        kept = self.text[colon : self._line(begin)] + self.text[after:]
        return f"{self.text[:colon]} {nothing}{kept}"

    # Items

    def _inserted(self, spot: _Spot, at: int, value: Any, raw: str) -> str:
        node: Any = spot.node
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            return self._put(spot, [value])
        if node.flow_style:
            return self._inserted_in_flow(node, at, value)
        column = node.start_mark.column
        item = _indented(raw, column) if raw else self._item(value, column)
        blank = "\n" if self._spaced(node) else ""
        if at >= len(node.value):
            end = self._line_end(self.end(node.value[-1]))
            return self._replaced(end, end, f"\n{blank}{' ' * column}{item}")
        dash = self._dash(node.value[at])
        if not self._begins_line(dash):
            return self._replaced(dash, dash, f"{item}\n{' ' * column}")
        above = self._above(dash, column)
        return self._replaced(above, above, f"{' ' * column}{item}\n{blank}")

    def _inserted_in_flow(self, node: Any, at: int, value: Any) -> str:
        if at >= len(node.value):
            end = self.end(node.value[-1])
            return self._replaced(end, end, f", {in_line(value)}")
        start = node.value[at].start_mark.index
        return self._replaced(start, start, f"{in_line(value)}, ")

    def _spaced(self, node: Any) -> bool:
        """Whether a blank line stands between the items."""
        if len(node.value) < 2:
            return False
        between = self.text[self.end(node.value[-2]) : self._dash(node.value[-1])]
        return bool(re.search(r"\n[ \t]*\r?\n", between))

    def item(self, place: Place) -> tuple[str, str]:
        """An item of a block list as it is written, as if its dash stood in column 0, with the comments directly above it; and the text without it.

        Raises `NoSuchEdit` where it stands in brackets, or alone.
        """
        spot = self.spot(place)
        parent: Any = spot.parent
        if spot.key is not None or parent.flow_style or len(parent.value) < 2:
            raise NoSuchEdit
        dash = self._dash(spot.node)
        if not self._begins_line(dash):
            raise NoSuchEdit
        column = dash - self._line(dash)
        start, end = self._above(dash, column), self._line_end(self.end(spot.node))
        raw = "\n".join(_outdented(line, column) for line in self.text[start:end].split("\n"))
        return raw, self._replaced(start, self._after_line(end), "")


def _lines(comments: list[str], column: int) -> str:
    return "".join(f"\n{' ' * column}{comment}" for comment in comments)


def _pair(node: Any, key: Any) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


_BEFORE: Final = {
    **dict.fromkeys(("version", "name"), ("*",)),
    "description": ("inputs", "defaults", "steps"),
    "inputs": ("defaults", "steps"),
    "defaults": ("steps",),
    "id": ("*",),
    **dict.fromkeys(("when", "each", "repeat", "input"), ("steps", "parallel", "switch", "plan")),
}
"""Before which keys a new one is put, where they are there: what is long stands last."""


def _later(node: Any, key: Any) -> Any:
    """The key before which a new one belongs."""
    wanted = _BEFORE.get(key, ())
    if "*" in wanted:
        return node.value[0][0] if node.value else None
    return next((pair[0] for pair in node.value if pair[0].value in wanted), None)


def _indents_lists(text: str) -> bool:
    """Whether the lists of this text stand further in than their keys."""
    found = re.search(
        r"^( *)[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*(\1 *)- ", text, re.MULTILINE
    )
    return found is not None and len(found[2]) > len(found[1])


def _is_short(value: list[Any] | dict[str, Any]) -> bool:
    if not value:
        return True
    return (
        isinstance(value, list)
        and all(not isinstance(one, list | dict) for one in value)
        and len(in_line(value)) <= _SHORT
    )


def _indented(text: str, column: int) -> str:
    """All lines but the first further in."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(f"{' ' * column}{line}" if line.strip() else line for line in rest)])


def _outdented(line: str, column: int) -> str:
    return line[min(column, len(line) - len(line.lstrip(" "))) :]


class _Deep(Dumper):
    """Lists further in than their keys."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's signature
        super().increase_indent(flow, False)
