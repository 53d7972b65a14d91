"""Finds stored keys in a text without a password and without a plain value: keyed digests of the values, in a file beside the vault.

How it works. Each value leaves three marks: digests of it as it is, URL-quoted and JSON-escaped. A text is cut into runs of signs that a key can have, every
window of a run that is as long as some value is digested and looked up, and so is every window of what its base64 runs (at each alignment) and hex runs spell.
Hence no digest of a piece of a value is needed, and a guess must be right as a whole. There is no rolling pre-filter for the same reason: each bit that it could
tell a window by is a bit of the value, in each of its forms.

What the file gives away: the lengths of keys, which their vendors publish, and that a guess of a whole value is right: of a vendor's key nobody guesses one; a short
word of one's own can be tried from a dictionary. Not how many there are: `ROOM` values stand in it from the beginning, and those that are none look like the
others. A removed or rotated value stays, as it is still a leak in a notebook. The values stand in the order of their coming, in batches filled up with random ones, and
each new batch pushes out the oldest; of these the values at hand come again. So nothing is forgotten before `ROOM` // `BATCH` additions.

Whether a value is in the vault now, nobody can tell who does not have the value: beside each mark stands a tag, which is a digest of the value and of the vault's file as it
was saved last. It says "held" only as long as that very file is there; a vault that was deleted, or put back from a copy, holds nothing until it is opened.
"""

from __future__ import annotations

import re
import secrets
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from functools import cached_property, partial
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from orchestrator_nb.needles import SHORTEST
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.files import replace

ROOM: Final = 2048
"""Values."""
BATCH: Final = 4
"""New values come in multiples of it, so that the place of one does not tell how many came after it."""

_MAGIC: Final = b"onb digests 2\n"
_KEY_BYTES: Final = 32
_MARK_BYTES: Final = 16
_FP_BYTES: Final = 4
_TAG_BYTES: Final = 8
_FORMS: Final = 3
_TOLD_BYTES: Final = _FP_BYTES + _MARK_BYTES
"""They tell a value; of one without odd signs, which has one form, the marks after them are random."""
_MARKED_BYTES: Final = _FP_BYTES + _FORMS * _MARK_BYTES
_TAGS_BYTES: Final = _FORMS * _TAG_BYTES
_GROUP_BYTES: Final = _MARKED_BYTES + _TAGS_BYTES
_HEAD_BYTES: Final = len(_MAGIC) + _KEY_BYTES + 2
_MOST_SHAPES: Final = 1024
_SHAPE_BYTES: Final = 3
_ALPHABETS: Final = (rb"A-Za-z0-9_-", rb"A-Za-z0-9_+/=-", rb"A-Za-z0-9_.-", rb"A-Za-z0-9_.~%-", rb"!-~")
"""The signs of a value's form: of words, with those of base64, with dots, URL-quoted, all. A run of few signs is short, and has few windows to look at."""

_URLSAFE: Final = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Hit:
    """Signs ``start`` to ``end`` of the text spell the stored key with this fingerprint; whether the vault holds it now."""

    start: int
    end: int
    fp: str
    held: bool


@dataclass(frozen=True)
class Digests:
    """The marks of all values of a vault, now and before. ``groups`` are one value each, the oldest first: its fingerprint, its marks and their tags.

    ``now`` tells the vault's file as it is now from any other; without it no value counts as held.
    """

    key: bytes = field(repr=False)
    groups: tuple[bytes, ...] = field(default=(), repr=False)
    shapes: frozenset[tuple[int, int]] = field(default=frozenset(), repr=False)
    """Which of `_ALPHABETS`, and the length."""
    now: bytes = field(default=b"", repr=False, compare=False)

    @classmethod
    def load(cls, path: Path, now: bytes = b"") -> Self:
        """What ``path`` holds; nothing when there is no such file, or a damaged one."""
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        return cls._read(data, now) or cls(secrets.token_bytes(_KEY_BYTES), now=now)

    @classmethod
    def _read(cls, data: bytes, now: bytes) -> Self | None:
        count = int.from_bytes(data[_HEAD_BYTES - 2 : _HEAD_BYTES])
        body = _HEAD_BYTES + _SHAPE_BYTES * count
        if not data.startswith(_MAGIC) or count > _MOST_SHAPES or len(data) != body + ROOM * _GROUP_BYTES:
            return None
        starts = range(_HEAD_BYTES, body, _SHAPE_BYTES)
        shapes = {(data[at] % len(_ALPHABETS), int.from_bytes(data[at + 1 : at + _SHAPE_BYTES])) for at in starts}
        if any(length < SHORTEST for _, length in shapes):
            return None
        groups = tuple(data[at : at + _GROUP_BYTES] for at in range(body, len(data), _GROUP_BYTES))
        return cls(data[len(_MAGIC) : len(_MAGIC) + _KEY_BYTES], groups, frozenset(shapes), now)

    def adding(self, values: Iterable[tuple[str, Hidden]], now: bytes = b"") -> Digests:
        """With the marks of these ``(fingerprint, value)`` too. Give all values at hand: they are those that the vault holds, and none of them is forgotten.

        What is shorter than `SHORTEST` signs is left out: it may be an ordinary word.
        """
        as_of = replaced(self, now=now)
        made = [value.use(partial(as_of._made, fp)) for fp, value in values if len(value) >= SHORTEST]
        known = {group[:_TOLD_BYTES]: group for group in self.groups}
        mine = {group[:_TOLD_BYTES]: _settled(group, known.get(group[:_TOLD_BYTES])) for group, _ in made}
        if self.groups and all(known.get(told) == group for told, group in mine.items()):
            return as_of
        # the tags of all others change too, or who has two versions of the file would see by the changes which are held
        queue = [
            mine.get(group[:_TOLD_BYTES]) or group[:_MARKED_BYTES] + secrets.token_bytes(_TAGS_BYTES)
            for group in self._filled()
        ]
        groups = _queued(queue, [group for told, group in mine.items() if told not in known], frozenset(mine.values()))
        return replaced(as_of, groups=groups, shapes=self.shapes.union(*(shapes for _, shapes in made)))

    def _made(self, fp: str, value: bytearray) -> tuple[bytes, set[tuple[int, int]]]:
        return self._group(fp, value), _shapes(value)

    def _group(self, fp: str, value: bytearray) -> bytes:
        forms = _forms(value)
        missing = _FORMS - len(forms)
        marks = [*map(self._mark, forms), secrets.token_bytes(missing * _MARK_BYTES)]
        tags = [*map(self._tag, forms), secrets.token_bytes(missing * _TAG_BYTES)]
        return b"".join((bytes.fromhex(fp), *marks, *tags))

    def _filled(self) -> tuple[bytes, ...]:
        return self.groups or tuple(_none() for _ in range(ROOM))

    def _tag(self, form: bytes) -> bytes:
        return blake2b(self.now + form, digest_size=_TAG_BYTES, key=self.key, person=b"held now").digest()

    def _mark(self, form: bytes) -> bytes:
        return blake2b(form, digest_size=_MARK_BYTES, key=self.key).digest()

    def save(self, path: Path) -> None:
        """Write the file, for its owner alone, in one step. Raises `OSError`."""
        shapes = [bytes((alphabet,)) + length.to_bytes(2) for alphabet, length in sorted(self.shapes)[:_MOST_SHAPES]]
        replace(path, b"".join((_MAGIC, self.key, len(shapes).to_bytes(2), *shapes, *self._filled())))

    def __bool__(self) -> bool:
        return bool(self.shapes)

    def find(self, text: str) -> Iterator[Hit]:
        """Where stored keys stand in ``text``, from left to right: as they are, URL-quoted, JSON-escaped, in base64 or in hex."""
        if not self.shapes:
            return
        data = text.encode("utf-8", "surrogatepass")
        seen = 0
        for hit in sorted(self._everywhere(data), key=lambda found: (found.start, -found.end)):
            if hit.start >= seen:
                seen = hit.end
                yield replaced(hit, start=_signs(data, hit.start), end=_signs(data, hit.end))

    def _everywhere(self, data: bytes) -> Iterator[Hit]:
        shortest = min(length for _, length in self.shapes)
        yield from self._plain(data)
        for code in (_BASE64, _HEX):
            for run in code.runs(shortest).finditer(data):
                for shift in range(code.signs):
                    spelled = code.decode(run[0][shift:])
                    for hit in self._plain(spelled):
                        first = run.start() + shift
                        start, end = first + code.sign(hit.start), min(first - code.sign(-hit.end), run.end())
                        yield replaced(hit, start=start, end=end)

    def _plain(self, data: bytes) -> Iterator[Hit]:
        for alphabet, length in self.shapes:
            for run in re.finditer(_run(alphabet, length), data):
                for at in self._hits(run[0], length):
                    start = run.start() + at
                    fp, tag = self._known[self._mark(form := data[start : start + length])]
                    yield Hit(start, start + length, fp, held=bool(self.now) and tag == self._tag(form))

    def _hits(self, run: bytes, length: int) -> list[int]:
        """Offsets of the windows that are marked: the inner loop, one digest for each sign of the run."""
        key, known = self.key, self._known
        return [
            at
            for at in range(len(run) - length + 1)
            if blake2b(run[at : at + length], digest_size=_MARK_BYTES, key=key).digest() in known
        ]

    @cached_property
    def _known(self) -> Mapping[bytes, tuple[str, bytes]]:
        """The fingerprint and the tag for each mark."""
        return {
            group[(at := _FP_BYTES + form * _MARK_BYTES) : at + _MARK_BYTES]: (
                group[:_FP_BYTES].hex(),
                group[(tag := _MARKED_BYTES + form * _TAG_BYTES) : tag + _TAG_BYTES],
            )
            for group in self.groups
            for form in range(_FORMS)
        }


def _none() -> bytes:
    """Stands for no value, and looks like one."""
    return secrets.token_bytes(_GROUP_BYTES)


def _settled(group: bytes, known: bytes | None) -> bytes:
    """What was made anew, with the random bytes that it had before; nothing changes when the first tag is right."""
    if known is None:
        return group
    first = slice(_MARKED_BYTES, _MARKED_BYTES + _TAG_BYTES)
    return known if known[first] == group[first] else known[:_MARKED_BYTES] + group[_MARKED_BYTES:]


def _queued(queue: Sequence[bytes], new: Iterable[bytes], mine: Collection[bytes]) -> tuple[bytes, ...]:
    """The oldest are pushed out by the new ones; those of them that are ``mine`` come again."""
    coming, gone = [*new], 0
    while gone < min(ROOM, -(-len(coming) // BATCH) * BATCH):
        if queue[gone] in mine:
            coming.append(queue[gone])
        gone += 1
    coming = coming[-ROOM:] + [_none() for _ in range(gone - len(coming))]
    secrets.SystemRandom().shuffle(coming)
    return (*queue[gone:], *coming)


@dataclass(frozen=True, slots=True)
class _Code:
    """A way to spell bytes: a group of ``signs`` stands for ``spelled`` bytes."""

    alphabet: bytes
    signs: int
    spelled: int
    decode: Callable[[bytes], bytes]

    def runs(self, length: int) -> re.Pattern[bytes]:
        """Runs that are long enough to spell so many bytes."""
        return re.compile(rb"[%b]{%d,}" % (self.alphabet, length * self.signs // self.spelled))

    def sign(self, at: int) -> int:
        """The sign in which byte ``at`` begins."""
        return at * self.signs // self.spelled


def _from_base64(run: bytes) -> bytes:
    return b64decode(run.translate(_URLSAFE) + b"A" * (-len(run) % 4))  # an end without its padding counts too


def _from_hex(run: bytes) -> bytes:
    return bytes.fromhex(run[: len(run) // 2 * 2].decode())


_BASE64: Final = _Code(rb"A-Za-z0-9+/_-", 4, 3, _from_base64)
_HEX: Final = _Code(rb"0-9A-Fa-f", 2, 1, _from_hex)


def _forms(value: bytearray) -> list[bytes]:
    """The ways in which a text may spell the value, sign by sign."""
    plain = value.decode()
    forms = (plain, quote(plain, safe=""), encode_basestring_ascii(plain)[1:-1])
    return [form.encode() for form in dict.fromkeys(forms)]


def _shapes(value: bytearray) -> set[tuple[int, int]]:
    return {(_alphabet(form), len(form)) for form in _forms(value)}


def _alphabet(form: bytes) -> int:
    """The first that has all signs of the form."""
    return next(number for number in range(len(_ALPHABETS)) if re.fullmatch(_run(number, 1), form))


def _run(alphabet: int, length: int) -> bytes:
    """Matches runs of the alphabet that are long enough."""
    return rb"[%b]{%d,}" % (_ALPHABETS[alphabet], length)


def _signs(data: bytes, at: int) -> int:
    """The place in the text of a place in its UTF-8."""
    return at if data.isascii() else len(data[:at].decode("utf-8", "surrogatepass"))
