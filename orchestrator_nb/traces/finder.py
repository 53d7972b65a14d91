"""Keys in a text: stored ones by their digests, others by their looks."""

from __future__ import annotations

import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import VaultError
from orchestrator_nb.needles import SHORTEST
from orchestrator_nb.secret import Hidden, fingerprint
from orchestrator_nb.traces.patterns import PATTERNS, Pattern
from orchestrator_nb.vault.digests import Digests
from orchestrator_nb.vault.files import read
from orchestrator_nb.vault.format import read_header

STORED: Final = "stored key"


@dataclass(frozen=True, slots=True)
class Found:
    """Signs ``start`` to ``end`` are a key: `STORED`, or the name of a pattern."""

    start: int
    end: int
    kind: str
    fp: str


class Finder(ABC):
    """Something that can tell where keys are."""

    __slots__ = ()

    @abstractmethod
    def find(self, text: str) -> list[Found]:
        """The keys from left to right; none overlaps another."""

    def clean(self, text: str) -> str:
        """The text with ``[key fp:…]`` in place of each key."""
        for found in reversed(self.find(text)):
            text = f"{text[: found.start]}[key fp:{found.fp}]{text[found.end :]}"
        return text

    def only_held(self) -> Finder:
        """The same without what is in no vault now: whatever only looks like a key, or was removed or replaced."""
        return self


@dataclass(frozen=True, slots=True)
class Keys(Finder):
    """The keys of vaults, and what looks like one. A key that is stored is named so, whatever it looks like. ``held``: only those that are in a vault now."""

    digests: tuple[Digests, ...]
    patterns: tuple[Pattern, ...] = field(default=PATTERNS, repr=False)
    held: bool = False

    def find(self, text: str) -> list[Found]:
        """The keys from left to right; none overlaps another."""
        found: list[Found] = []
        for digests in self.digests:
            hits = (
                Found(hit.start, hit.end, STORED, hit.fp) for hit in digests.find(text) if hit.held or not self.held
            )
            found += [hit for hit in hits if _free(hit.start, hit.end, found)]
        for pattern in self.patterns:
            for start, end in pattern.find(text):
                if _free(start, end, found):
                    found.append(Found(start, end, pattern.name, fingerprint(text[start:end])))
        return sorted(found, key=lambda one: one.start)

    def only_held(self) -> Finder:
        """The same without the patterns and former keys."""
        return Keys(self.digests, (), held=True)


def _free(start: int, end: int, found: list[Found]) -> bool:
    return all(end <= other.start or other.end <= start for other in found)


def stored_in(state: Path, vaults: Path | None = None) -> Keys:
    """Looks for the keys of all profiles, whose marks stand in the folder ``state``, and for what looks like a key. ``vaults``: where their vaults are; without it none counts as held."""
    loaded = (Digests.load(path, _saved(path, vaults)) for path in sorted(state.glob("scan-*.json")))
    return Keys(tuple(digests for digests in loaded if digests))


def _saved(marks: Path, vaults: Path | None) -> bytes:
    """Tells this save of the vault from all others; nothing where there is no vault that could be opened."""
    if vaults is not None:
        with suppress(VaultError):
            return read_header(read(vaults / f"{marks.stem.removeprefix('scan-')}.onbv")).bound()
    return b""


class Word(Finder):
    """A text that somebody took for a key, too short or too odd to be one: looked for as a word of its own, in lines that speak of the vault."""

    __slots__ = ("__value",)

    def __init__(self, value: Hidden) -> None:
        self.__value = value

    def find(self, text: str) -> list[Found]:
        """Where it stands."""
        return self.__value.use(lambda raw: list(_words(text, raw.decode())))


def _words(text: str, word: str) -> Iterator[Found]:
    for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text) if word else ():
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "vault" in line:
            yield Found(match.start(), match.end(), STORED, _anonymous(word))


def _anonymous(text: str) -> str:
    """A fingerprint that nobody can compare: what was typed may be a password, which could be guessed word by word from one that is always the same."""
    return fingerprint(text, secrets.token_bytes(16))


def typed(value: Hidden) -> Finder:
    """Looks for one key that somebody typed, whether it is in a vault or not."""
    if len(value) < SHORTEST or not value.use(lambda raw: all(0x21 <= sign <= 0x7E for sign in raw)):
        return Word(value)
    fp = value.use(lambda raw: _anonymous(raw.decode()))
    return Keys((Digests(secrets.token_bytes(32)).adding([(fp, value)]),), ())
