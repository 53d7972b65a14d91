"""Writes one setting into the user's config.yaml by editing its text, so that comments and order stay.

The edit is small and then judged by its result: the new text must read as the old one with this value changed and nothing else. Where no such edit
is found (a block list, an unusual layout) the user is told the line to write by hand, and the file stays as it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator_nb.config.files import read_trusted
from orchestrator_nb.config.schema import SettingsFile
from orchestrator_nb.config.shapes import validate
from orchestrator_nb.config.yaml import read, scalar
from orchestrator_nb.errors import ConfigError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./*+ -]*(?<! )")
"""Text that needs no quotes in any position of a mapping."""
_UNSAFE: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON allows in a string and YAML reads as a line end, or not at all."""


def write_setting(path: Path, key: str, value: Any, within: tuple[str, ...] = ()) -> None:
    """Set ``section.name`` (or ``name``) in the file, or in the mapping that stands ``within`` it (``("profiles", "work")``).

    The file is made if there is none, readable by its owner alone. Raises `ConfigError`, with the file untouched, when the result would not be
    exactly this change or not be a valid file.
    """
    section, _, name = key.partition(".")
    write(path, (*within, section, name) if name else (*within, section), value)


def write(path: Path, place: tuple[str, ...], value: Any) -> None:
    """`write_setting` for a value at any depth."""
    old = read_trusted(path)
    text = path.read_bytes().decode("utf-8-sig") if old else ""
    new = _like(text, _edited(text, place, written(value)))
    if new is None or not reads_as(new, _with(old.value if old else {}, place, value), str(path)):
        raise ConfigError(
            f"cannot be edited safely here; write {': '.join(place)}: {written(value)} by hand.", where=str(path)
        )
    validate(SettingsFile, read(new.encode(), str(path)))
    replace_file(path, new)


def _like(old: str, new: str | None) -> str | None:
    """The new text with the old one's line ends."""
    return re.sub(r"(?<!\r)\n", "\r\n", new) if new and "\r\n" in old else new


@contextlib.contextmanager
def unchanged_unless(path: Path) -> Iterator[None]:
    """The file comes back as it was, or goes again, unless everything inside succeeds."""
    before = _bytes(path)
    try:
        yield
    except BaseException:
        if before is None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        elif _bytes(path) != before:
            replace_file(path, before.decode("utf-8"))
        raise


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def written(value: Any) -> str:
    """``value`` as YAML on one line."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and isinstance(scalar(value), str)
        return (
            value
            if plain
            else _UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(value, ensure_ascii=False))
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{written(key)}: {written(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


def _edited(text: str, place: tuple[str, ...], value: str) -> str | None:
    """The text with one value changed or added, or ``None`` where that takes more than a few words at one place."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return text + _ended(text) + _block(place, value)
    above, node, rest = _deepest(root, place)
    if not rest:
        return _put(text, node, value)
    if node is not root:
        return _into(text, above, node, rest, value)
    return None if getattr(root, "flow_style", False) else text + _ended(text) + _block(place, value)


def _deepest(root: yaml.Node, place: tuple[str, ...]) -> tuple[int, yaml.Node, tuple[str, ...]]:
    """The innermost part of ``place`` that is there: the column of its key, its value, and the keys that are missing below it."""
    column, node = 0, root
    for depth, key in enumerate(place):
        if (found := _child(node, key)) is None:
            return column, node, place[depth:]
        column, node = found[0].start_mark.column, found[1]
    return column, node, ()


def _into(text: str, column: int, node: yaml.Node, rest: tuple[str, ...], value: str) -> str | None:
    """``rest`` and its value put into a mapping, or beneath a key (in ``column``) that has no value yet."""
    if isinstance(node, yaml.MappingNode):
        if node.flow_style:
            at = node.start_mark.index + 1
            comma = ", " if node.value else ""
            return f"{text[:at]}{_flow(rest, value)}{comma}{text[at:]}"
        at = node.start_mark.index - node.start_mark.column
        return f"{text[:at]}{_block(rest, value, node.start_mark.column)}{text[at:]}"
    if node.start_mark.index == node.end_mark.index:  # 'limits:' with nothing after it
        end = text.find("\n", node.start_mark.index)
        head, tail = (text + "\n", "") if end < 0 else (text[: end + 1], text[end + 1 :])
        return f"{head}{_block(rest, value, column + 2)}{tail}"
    return None


def _child(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((pair for pair in pairs if pair[0].value == key), None)


def _put(text: str, node: yaml.Node, value: str) -> str | None:
    """``value`` in the place of a node that is one word or in brackets."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return None
    start, end = node.start_mark.index, node.end_mark.index
    gap = " " if start == end and text[start - 1 : start] == ":" else ""
    return f"{text[:start]}{gap}{value}{text[end:]}"


def _ended(text: str) -> str:
    return "\n" if text and not text.endswith("\n") else ""


def _block(place: tuple[str, ...], value: str, column: int = 0) -> str:
    """``value`` under its keys, one line each."""
    *outer, last = (f"{' ' * (column + 2 * depth)}{written(key)}:" for depth, key in enumerate(place))
    return "".join(f"{line}\n" for line in [*outer, f"{last} {value}"])


def _flow(place: tuple[str, ...], value: str) -> str:
    """`_block` inside braces."""
    for key in reversed(place[1:]):
        value = f"{{{written(key)}: {value}}}"
    return f"{written(place[0])}: {value}"


def _with(old: Any, place: tuple[str, ...], value: Any) -> Any:
    if not place:
        return list(value) if isinstance(value, tuple) else value
    return {**(old or {}), place[0]: _with((old or {}).get(place[0]), place[1:], value)}


def reads_as(text: str, expected: dict[str, Any], file: str) -> bool:
    """Whether this is a file with just these values."""
    try:
        return read(text.encode(), file).value == expected
    except ConfigError:
        return False


def replace_file(path: Path, text: str) -> None:
    """Write ``text`` aside and rename it into place, mode 0600; a link stays a link. A crash leaves the old file or the new one, never half.

    Raises `ConfigError`, with the old file untouched, when the folder or the disk does not take it.
    """
    try:
        _replace_file(path, text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise ConfigError(f"cannot be written: {reason}; nothing was changed.", where=str(path))


def _replace_file(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(aside).unlink()
        raise
