"""Model text for a front end that makes elements itself: the sanitised HTML of `results.safe_text` as nested lists, ``[tag, attributes, children]`` and texts.

So there is one place that decides what of a model's Markdown is kept, and the browser never parses HTML.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Final

from orchestrator_nb.results.safe_text import TAGS, safe_html

Node = str | list[Any]

_KEPT: Final = frozenset({"href", "title", "start"})
_EMPTY: Final = frozenset({"br", "hr"})
_DEEP: Final = 60
"""Elements inside elements: what lies deeper keeps its text alone, for JSON has bounds of its own."""


def nodes_of(text: str) -> list[Node]:
    """The Markdown as nodes. Elements that are not allowed are left out, their texts stay."""
    tree = _Tree()
    tree.feed(safe_html(text))
    tree.close()
    return tree.children


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.children: list[Node] = []
        self._open: list[tuple[str, list[Node]]] = [("", self.children)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            return
        if len(self._open) > _DEEP:
            if tag not in _EMPTY:
                self._open.append((tag, self._open[-1][1]))
            return
        inside: list[Node] = []
        kept = {name: value for name, value in attrs if name in _KEPT and value is not None}
        self._open[-1][1].append([tag, kept, inside])
        if tag not in _EMPTY:
            self._open.append((tag, inside))

    def handle_endtag(self, tag: str) -> None:
        if any(tag == opened for opened, _ in self._open[1:]):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1][1].append(data)
