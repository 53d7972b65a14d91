"""What to look for in a text so that no key leaves with it, and how to take it out.

Of each key only the first four signs of its forms (`orchestrator_nb.needles`) stand here as text; they tell in one pass whether a closer look is worth its time. The forms
themselves are made for that look from a buffer that its owner can wipe, and are gone after it: a vault that locks is forgotten here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator_nb.needles import SHORTEST, needles
from orchestrator_nb.secret import Hidden

CUT: Final = 8
"""Signs of a beginning that count as the key where a text is cut off; fewer may be an ordinary word."""

_HEAD: Final = 4
_LARGE: Final = 8192
"""Signs. Above, long needles are found faster than many short heads."""
_NEVER: Final = re.compile("(?!)")


@dataclass(frozen=True, slots=True)
class Sought:
    """A key to look for: ``mark`` stands in its place, ``label`` tells the owner which one it is."""

    value: Hidden = field(repr=False)
    mark: str = "[key]"
    label: str = "the key"


class Forms:
    """Several keys, to be found in texts. What is shorter than `SHORTEST` signs, or wiped, is not looked for. Cheap to ask, also for every piece of an answer."""

    __slots__ = ("__beginnings", "__besides", "__edges", "__heads", "__hint", "__keys", "__search", "__weakref__")

    def __init__(self, keys: Iterable[Sought] = (), besides: Forms | None = None) -> None:
        """``besides`` are found too, after ``keys``; what was made for them is not made again."""
        new = tuple(key for key in keys if len(key.value) >= SHORTEST)
        heads = {needle[:_HEAD]: None for key in new for needle in _needles(key)}
        self.__keys: tuple[Sought, ...] = new
        self.__besides = besides  # kept alive with what was made of it, so that its identity stands for it
        if besides is not None:
            heads |= dict.fromkeys(besides.__heads)
            self.__keys += besides.__keys
        self.__heads: tuple[str, ...] = tuple(heads)
        self.__edges = frozenset("".join(head[: _HEAD - 1] for head in heads))
        self.__beginnings = frozenset(head[:length] for head in heads for length in range(1, _HEAD))
        self.__hint = (re.compile(_any_of(_rare(heads))) if heads else _NEVER).search
        self.__search = (re.compile("|".join(map(re.escape, heads))) if heads else _NEVER).search

    def __bool__(self) -> bool:
        return bool(self.__keys)

    def suspects(self, text: str) -> bool:
        """Whether a key, or four signs of one, may stand in the text."""
        return self.__hint(text) is not None and self.__search(text) is not None

    def without(self, text: str) -> str:
        """The text with each key's mark in place of the key."""
        if not self.suspects(text):
            return text
        for key in self.__keys:
            for needle in _needles(key):
                text = text.replace(needle, key.mark)
        return text

    def uncut(self, text: str) -> str:
        """`without`, and without a beginning of a key that an ellipsis or the end cuts off."""
        return "…".join(map(self._whole, self.without(text).split("…"))) if self.suspects(text) else text

    def begun(self, text: str) -> int:
        """How many signs at the end of the text may be the beginning of a key."""
        if not self.suspects(text):
            ends = (text[-length:] for length in range(_HEAD - 1, 0, -1))
            return next((len(end) for end in ends if end in self.__beginnings), 0)
        return max((_overlap(text, needle) for key in self.__keys for needle in _needles(key)), default=0)

    def passes(self, text: str) -> bool:
        """Whether a piece of a text can go on as it is: it holds nothing of a key, and none begins at its end."""
        if self.__hint(text) is not None and self.__search(text) is not None:
            return False
        return text[-1:] not in self.__edges or not self.begun(text)

    def mark_of(self, text: str) -> str:
        """The mark of the key that the whole of ``text`` begins."""
        found = (key.mark for key in self.__keys for needle in _needles(key) if needle.startswith(text))
        return next(found, "[key]")

    def held_by(self, text: str) -> str | None:
        """The label of a key that stands in the text."""
        if len(text) < _LARGE and not self.suspects(text):
            return None
        return next((key.label for key in self.__keys if any(needle in text for needle in _needles(key))), None)

    def resembles(self, text: str) -> bool:
        """Whether a key stands in the text when neither case nor full stops count, as in a host's name."""
        folded = _folded(text)
        return any(_folded(needle) in folded for key in self.__keys for needle in _needles(key))

    def buffer_of(self, value: str) -> Hidden | None:
        """Where this key's value stands already, to be wiped by its owner."""
        raw = value.encode()
        return next((key.value for key in self.__keys if key.value.use(lambda buffer: buffer == raw)), None)

    def guessed(self, text: str) -> str:
        """The text without all that begins as a key does: for what is wiped, of which only this is known."""
        return (
            re.sub(rf"(?:{'|'.join(map(re.escape, self.__heads))})\S{{{CUT},}}", "[key]", text)
            if self.__heads
            else text
        )

    def _whole(self, text: str) -> str:
        begun = self.begun(text)
        return text[:-begun] + self.mark_of(text[-begun:]) if begun >= CUT else text

    def __repr__(self) -> str:
        return f"<forms of {len(self.__keys)} keys>"


NOTHING: Final = Forms()


def _rare(heads: Iterable[str]) -> set[str]:
    """A few signs of which each head has one, such as are rare in prose: most texts need no search for the heads."""
    chosen: set[str] = set()
    for head in heads:
        if chosen.isdisjoint(head):
            chosen.add(max(head, key=lambda sign: (sign.isdigit(), not sign.isalpha(), sign.isupper())))
    return chosen


def _folded(text: str) -> str:
    return text.casefold().replace(".", "")


def _any_of(signs: Iterable[str]) -> str:
    return f"[{''.join(map(re.escape, signs))}]"


def _needles(key: Sought) -> Iterator[str]:
    """Nothing once the value is wiped, which another thread may do at any time."""
    value = key.value.use(lambda value: value.decode())
    return needles(value) if len(value) >= SHORTEST else iter(())


def _overlap(text: str, needle: str) -> int:
    """How many signs at the end of the text begin the needle, but not all of it."""
    start = text.find(needle[0], max(0, len(text) - len(needle) + 1))
    while start >= 0:
        if needle.startswith(text[start:]):
            return len(text) - start
        start = text.find(needle[0], start + 1)
    return 0
