"""From the predecessor's form of the settings files to version 2, by moving pieces of their text.

``main_llm: {provider, model}`` becomes ``model: provider/model``; ``system_prompts`` becomes ``roles`` and ``personas`` of config.yaml, from models.yaml
too; what names a retired model says so in a comment, and stays. Every comment goes where its subject goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import yaml

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.config import retired
from orchestrator_nb.config.edit import reads_as, written
from orchestrator_nb.config.pieces import (
    Comment,
    Entry,
    alone,
    child,
    comments,
    entries,
    last,
    line_end,
    root,
    shifted,
)
from orchestrator_nb.config.schema import SettingsFile
from orchestrator_nb.config.shapes import validate
from orchestrator_nb.config.texts import Texts, stamped, version
from orchestrator_nb.config.vendors import ModelsFile
from orchestrator_nb.config.yaml import Document, Place, read, scalar
from orchestrator_nb.errors import ConfigError

KINDS = ("roles", "personas")


def to_2(texts: Texts, catalog: Catalog) -> Texts:
    """Both files as version 2 has them; one that has it already only takes what comes from the other.

    Raises `ConfigError` for a file that is written in braces as a whole.
    """
    settings, models = texts.settings, texts.models
    prompts: list[Part] = []
    if settings is not None and version(settings) < 2:
        settings, prompts = _without_prompts(_with_model(settings))
    if models is not None and version(models) < 2:
        models, more = _without_prompts(models)
        prompts += more
        models = stamped(_noted(models, _retired_in_models(models, catalog)), 2)
    for part in prompts:
        if part.items or part.lead:
            settings = _with_part(settings or "", part)
    if settings is not None and version(settings) < 2:
        settings = stamped(_noted(settings, _retired_in_settings(settings, catalog)), 2)
    return Texts(settings, models)


# The default model


def _with_model(text: str) -> str:
    """``model: provider/model`` in the place of ``main_llm``."""
    if (entry := _entry(text, "main_llm")) is None:
        return text
    (_, provider), (_, model) = (_required(entry.value, name) for name in ("provider", "model"))
    above, beside = _around(text, entry, model)
    name = written(f"{provider.value}/{model.value}")
    style = model.style if isinstance(model, yaml.ScalarNode) else None
    quote = style if style in ("'", '"') and not name.startswith('"') else ""
    line = "  ".join([f"model: {quote}{name}{quote}", *beside])
    return text[: entry.lead] + _lines([*above, line]) + text[entry.end :]


def _around(text: str, entry: Entry, node: yaml.Node) -> tuple[list[str], list[str]]:
    """The comments of an entry: those to stand above its new line, and the one beside the value that it is about."""
    stop = line_end(text, node.end_mark.index)
    found = [comment for comment in comments(text) if entry.lead <= comment.start < entry.end]
    beside = [comment for comment in found if node.end_mark.index <= comment.start < stop]
    return [comment.text for comment in found if comment not in beside], [comment.text for comment in beside]


# Roles and personas


@dataclass(frozen=True, slots=True)
class Item:
    """One role or persona: its text (``None``: the built-in one), and its piece with its comments, not indented."""

    name: str
    text: str | None
    piece: str

    @property
    def comments(self) -> list[str]:
        """The comments in its piece."""
        return [comment.text for comment in comments(self.piece)]

    @property
    def line(self) -> str:
        """It on one line, without comments."""
        return f"{written(self.name)}: {written(self.text)}"


@dataclass(frozen=True, slots=True)
class Part:
    """All roles or all personas of one file, and the comments about them as a whole."""

    kind: str
    lead: tuple[str, ...]
    items: tuple[Item, ...]


def _without_prompts(text: str) -> tuple[str, list[Part]]:
    """The text without ``system_prompts``, and what stood there."""
    if (entry := _entry(text, "system_prompts")) is None:
        return text, []
    own = [comment for comment in comments(text) if entry.lead <= comment.start < entry.end]
    found = [(kind, pair[1]) for kind in KINDS if (pair := child(entry.value, kind))]
    found.sort(key=lambda pair: pair[1].start_mark.index)
    items = [_items(text, value, own) for _, value in found]
    said = {comment for part in items for item in part for comment in item.comments}
    rest = [comment for comment in own if comment.text not in said]
    lead = _shared(rest, [line_end(text, last(value, value)) for _, value in found])
    parts = [Part(kind, tuple(lead[place]), tuple(items[place])) for place, (kind, _) in enumerate(found)]
    if not found:
        return text[: entry.lead] + _lines(comment.text for comment in rest) + text[entry.end :], []
    head = text[
        : entry.start if not text[: entry.lead].strip() else entry.lead
    ]  # the first comment of a file is about the file, too
    return _joined(head, text[entry.end :]), parts


def _joined(head: str, tail: str) -> str:
    """Two pieces, with one empty line between them where each brings one."""
    return head + (tail.lstrip("\n") if head.endswith("\n\n") else tail)


def _shared(rest: Iterable[Comment], ends: list[int]) -> list[list[str]]:
    """Each comment with the first value that ends below or beside it; the last value takes what is left."""
    shares: list[list[str]] = [[] for _ in ends]
    for comment in rest:
        if ends:
            shares[next((place for place, end in enumerate(ends) if comment.start <= end), -1)].append(comment.text)
    return shares


def _items(text: str, value: yaml.Node, own: list[Comment]) -> list[Item]:
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
        return [
            Item(
                entry.key.value,
                _text(entry.value),
                shifted(_ended(text[entry.lead : entry.end]), -entry.key.start_mark.column),
            )
            for entry in entries(text, value)
        ]
    if not isinstance(value, yaml.CollectionNode):
        return []
    pairs = value.value if isinstance(value, yaml.MappingNode) else [(node, None) for node in value.value]
    return [_made(text, place, pairs, own) for place in range(len(pairs))]


def _made(text: str, place: int, pairs: list[Any], own: list[Comment]) -> Item:
    """An item of a list or of a mapping in braces, as a line of its own. The comments above the first are about the whole."""
    name, value = pairs[place]
    before = _end(pairs[place - 1]) if place else len(text)
    end = _end(pairs[place])
    after = pairs[place + 1][0].start_mark.index if place + 1 < len(pairs) else len(text)
    above = [c.text for c in own if before < c.start < name.start_mark.index and alone(text, c.start)]
    beside = [c.text for c in own if end <= c.start < min(line_end(text, end), after)]
    item = Item(name.value, _text(value) if value is not None else None, "")
    return replace(item, piece=_lines([*above, "  ".join([item.line, *beside])]))


def _end(pair: Any) -> int:
    return last(pair[1] or pair[0], pair[0])


def _text(node: yaml.Node) -> str | None:
    plain = isinstance(node, yaml.ScalarNode) and not node.style
    return None if plain and scalar(node.value) is None else str(node.value)


def _with_part(text: str, part: Part) -> str:
    """The text with these roles or personas as well. What it says itself stays in force; another text of the same name is kept as a comment."""
    text = _ended(text)
    known = {comment.text for comment in comments(text)}
    pair = child(_root(text), part.kind)
    there = {key.value: _text(value) for key, value in pair[1].value} if pair and pair[1].value else {}
    for item in part.items:
        if item.name in there:
            other = [f"# not in force: {item.line}"] if there[item.name] != item.text else []
            text = _commented(text, part.kind, item.name, [c for c in [*item.comments, *other] if c not in known])
    lead = [comment for comment in part.lead if comment not in known]
    return _inserted(text, part.kind, _lines(lead), [item for item in part.items if item.name not in there])


def _commented(text: str, kind: str, name: str, said: list[str]) -> str:
    """The text with comments above one role or persona, or above all of them where they stand in braces."""
    entry = _required_entry(text, kind)
    if isinstance(entry.value, yaml.MappingNode) and not entry.value.flow_style:
        entry = next(inner for inner in entries(text, entry.value) if inner.key.value == name)
    return text[: entry.start] + shifted(_lines(said), entry.key.start_mark.column) + text[entry.start :]


def _inserted(text: str, kind: str, lead: str, items: list[Item]) -> str:
    pieces = "".join(item.piece for item in items)
    if (entry := _entry(text, kind)) is None:
        return text + lead + (f"{kind}:\n{shifted(pieces, 2)}" if items else "")
    value = entry.value
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
        inner = entries(text, value)[-1]
        at, column = inner.end, inner.key.start_mark.column
        return text[: entry.start] + lead + text[entry.start : at] + shifted(pieces, column) + text[at:]
    if isinstance(value, yaml.MappingNode):
        at = value.start_mark.index + 1
        said = _lines(comment for item in items for comment in item.comments)
        inside = ", ".join(item.line for item in items) + (", " if items and value.value else "")
        return text[: entry.start] + lead + said + text[entry.start : at] + inside + text[at:]
    at = line_end(text, entry.key.end_mark.index) + 1
    return text[: entry.start] + lead + text[entry.start : at] + shifted(pieces, 2) + text[at:]


def _lines(said: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in said)


# Retired models


def _retired_in_settings(text: str, catalog: Catalog) -> list[retired.Retired]:
    document = read(text.encode(), "config.yaml")
    return list(retired.in_settings(validate(SettingsFile, document), catalog))


def _retired_in_models(text: str, catalog: Catalog) -> list[retired.Retired]:
    document = read(text.encode(), "models.yaml")
    return list(retired.in_models(validate(ModelsFile, document), catalog))


def _noted(text: str, found: list[retired.Retired]) -> str:
    """The text with a comment at the end of each line that names a retired model."""
    document = read(text.encode(), "")
    lines: dict[int, list[str]] = {}
    for place, spec in found:
        at = line_end(text, _at(root(text), place).end_mark.index)
        lines.setdefault(at, []).append(f"{spec.id} was {retired.sentence(spec)}")
    for at in sorted(lines, reverse=True):
        text = _with_note(text, at, "; ".join(dict.fromkeys(lines[at])), document)
    return text


def _with_note(text: str, at: int, note: str, document: Document) -> str:
    beside = any(comment.start < at <= comment.start + len(comment.text) for comment in comments(text))
    new = f"{text[:at].rstrip()}{';' if beside else '  #'} {note}{text[at:]}"
    if reads_as(new, document.value, ""):
        return new
    mapping = _root(text)  # inside a text of several lines: above the whole entry it is no part of it
    entry = next(entry for entry in reversed(entries(text, mapping)) if entry.start < at)
    return f"{text[: entry.start]}# {note}\n{text[entry.start :]}"


def _at(node: yaml.Node | None, place: Place) -> yaml.Node:
    for key in place:
        node = node.value[key] if isinstance(key, int) and node is not None else _required(node, str(key))[1]
    assert node is not None  # noqa: S101  # the place was found in this very text
    return node


# The text as a whole


def _root(text: str) -> yaml.MappingNode:
    if mapping := root(text):
        return mapping
    raise ConfigError("a file that is written in braces as a whole is not rewritten; it goes on loading as it is.")


def _entry(text: str, name: str) -> Entry | None:
    mapping = _root(text)
    return next((entry for entry in entries(text, mapping) if entry.key.value == name), None)


def _required_entry(text: str, name: str) -> Entry:
    entry = _entry(text, name)
    assert entry is not None  # noqa: S101  # the file was read with this key
    return entry


def _required(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node]:
    pair = child(node, name)
    assert pair is not None  # noqa: S101  # the file was read with this key
    return pair


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
