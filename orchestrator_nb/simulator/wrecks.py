"""Faults of bytes: other forms, broken syntax, silences, lost connections, and too much of everything."""

# ruff: noqa: D103 - FAULTS says what each of them does

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache

from orchestrator_nb.simulator.scene import Play, Scene, changed, content_type, middle, saying, spoken_at
from orchestrator_nb.simulator.wire import MARK, Deed, End, Form, Frame, Raw, Reply, Step, Stream, chunk, dumps, head

MIB = 1024 * 1024
MOST = 2 * 1024 * MIB
"""No answer is really endless: it stops here."""

# forms and bytes


def form(wanted: Form) -> Play:
    """Server-sent events with other line ends; other answers stay as they are."""

    def play(scene: Scene) -> Deed:
        normal = scene.normal
        return replace(normal, form=wanted) if isinstance(normal, Stream) and normal.form.startswith("sse") else normal

    return play


def byte_by_byte(scene: Scene) -> Deed:
    normal = scene.normal
    if isinstance(normal, Stream):
        return replace(normal, pieces_of=1)
    return _raw(normal, lambda pieces: [bytes([letter]) for letter in b"".join(pieces)])


def split_utf8(scene: Scene) -> Deed:
    normal = scene.make(lambda answer: saying(answer, "naïve café — 𝛑 is 3.14, 日本語 ok"))
    return byte_by_byte(replace(scene, make=lambda _: normal))


def no_blank_line(scene: Scene) -> Deed:
    return _raw(scene.normal, lambda pieces: [*pieces[:-1], pieces[-1].rstrip(b"\r\n")])


def split_data(scene: Scene) -> Deed:
    def change(frames: list[Frame]) -> list[Frame]:
        return [
            frame
            if isinstance(frame.data, str)
            else replace(frame, data=json.dumps(frame.data, indent=1).replace("\n", "\ndata: "))
            for frame in frames
        ]

    normal = scene.normal
    return changed(scene, change) if isinstance(normal, Stream) and normal.form.startswith("sse") else normal


def bom(scene: Scene) -> Deed:
    return _raw(scene.normal, lambda pieces: [b"\xef\xbb\xbf", *pieces])


def malformed_sse(scene: Scene) -> Deed:
    junk = b"this line is no field\nretry: soon\nid\n: \n\n"
    return _raw(
        scene.normal,
        lambda pieces: (
            [one for piece in pieces for one in (junk, piece)] if isinstance(scene.normal, Stream) else pieces
        ),
    )


def malformed_json(scene: Scene) -> Deed:
    normal = scene.normal
    if isinstance(normal, Reply):
        return replace(normal, body=normal.body[: len(normal.body) // 2])
    at = middle(list(normal.frames))
    broken = dumps(normal.frames[at].data).decode()[:-3]
    return changed(scene, lambda frames: [*frames[:at], replace(frames[at], data=broken), *frames[at + 1 :]])


def invalid_utf8(scene: Scene) -> Deed:
    mark = "\ue123"
    made = scene.make(lambda answer: saying(answer, f"before {mark} after"))
    return _raw(made, lambda pieces: [piece.replace(mark.encode(), b"\xc3\x28\xff\xf0\x9d") for piece in pieces])


def claims(coding: str) -> Play:
    """Says that the body is encoded, and it is not."""
    return lambda scene: scene.normal.with_headers((("content-encoding", coding),))


def gzip_bomb(times: int) -> Play:
    """Very little that becomes very much."""

    def play(scene: Scene) -> Deed:
        body = _bomb() if times == 1 else gzip.compress(_bomb(), 9, mtime=0)
        return Reply(200, body, (*content_type(scene.normal), ("content-encoding", ", ".join(["gzip"] * times))))

    return play


@cache
def _bomb(size_mib: int = 256) -> bytes:
    """Zeros in gzip: the same flushed block again and again, so that it is made in no time."""
    zeros = bytes(MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(size_mib):
        crc = zlib.crc32(zeros, crc)
    tail = (
        zlib.compressobj(9, zlib.DEFLATED, -15).flush()
        + crc.to_bytes(4, "little")
        + (size_mib * MIB).to_bytes(4, "little")
    )
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + block * size_mib + tail


# the connection


def _head(deed: Reply | Stream, size: int | None = None) -> bytes:
    """The head of an answer: of a known size, or in chunks."""
    framing = ("transfer-encoding", "chunked") if size is None else ("content-length", str(size))
    return head(deed.status, (*deed.headers, *MARK, framing))


def _pieces(deed: Reply | Stream) -> list[bytes]:
    if isinstance(deed, Stream):
        return deed.pieces()
    third = len(deed.body) // 3 + 1
    return [deed.body[n : n + third] for n in range(0, len(deed.body), third)]


def _raw(deed: Reply | Stream, change: Callable[[list[bytes]], Iterable[bytes]]) -> Raw:
    """The answer with its bytes changed, well framed."""
    return Raw([_head(deed), *(chunk(piece) for piece in change(_pieces(deed)) if piece), chunk(b"")])


def _staged(scene: Scene, share: Callable[[Reply | Stream], int], then: Callable[[list[bytes]], list[Step]]) -> Raw:
    """The head, a share of the pieces, and then something else; the rest is handed over in chunks."""
    normal = scene.normal
    parts, n = [chunk(piece) for piece in _pieces(normal)], share(normal)
    return Raw([_head(normal), *parts[:n], *then([*parts[n:], chunk(b"")])])


def _none(_: Reply | Stream) -> int:
    return 0


def _some(deed: Reply | Stream) -> int:
    """Pieces up to the middle of the text."""
    return middle(list(deed.frames)) if isinstance(deed, Stream) and deed.pieces_of is None else len(_pieces(deed)) // 2


def slow_headers(scene: Scene) -> Deed:
    return Raw([scene.silence, *_raw(scene.normal, lambda pieces: pieces).steps])


def slow_first_byte(scene: Scene) -> Deed:
    return _staged(scene, _none, lambda rest: [scene.silence, *rest])


def stall(scene: Scene) -> Deed:
    return _staged(scene, _some, lambda rest: [scene.silence, *rest])


def comments_only(scene: Scene) -> Deed:
    sign = b": keep-alive\n\n" if isinstance(scene.normal, Stream) and scene.normal.form.startswith("sse") else b"\n"

    def steps() -> Iterator[Step]:
        yield _head(scene.normal)
        for _ in range(1_000_000):
            yield chunk(sign)
            yield 0.05

    return Raw(steps())


def trickle(scene: Scene) -> Deed:
    letters = b"".join(_pieces(scene.normal))
    gap = 0.05 if scene.seconds is None else scene.seconds
    return Raw(
        [_head(scene.normal), *(step for letter in letters for step in (chunk(bytes([letter])), gap)), chunk(b"")]
    )


def close_at_once(_: Scene) -> Deed:
    return Raw([End.CLOSE])


def reset_at_once(_: Scene) -> Deed:
    return Raw([End.RESET])


def close_before_body(scene: Scene) -> Deed:
    return _staged(scene, _none, lambda _: [End.CLOSE])


def close_midway(scene: Scene) -> Deed:
    return _staged(scene, _some, lambda _: [End.CLOSE])


def reset_midway(scene: Scene) -> Deed:
    return _staged(scene, _some, lambda _: [0.05, End.RESET])


def unfinished(deed: Reply | Stream) -> Raw:
    """All the text of an answer, and then the connection closes before its end."""
    if isinstance(deed, Stream):
        deed = replace(
            deed, frames=tuple(frame for frame in deed.frames if frame.part not in ("finish", "usage", "end"))
        )
        return Raw([_head(deed), *map(chunk, deed.pieces()), End.CLOSE])
    return Raw([_head(deed), *map(chunk, _pieces(deed)[:-1]), End.CLOSE])


# too much


def _flood(first: bytes, more: bytes, *, chunked: bool) -> Raw:
    """A beginning, and then the same bytes again and again, up to the bound."""
    block = more * max(1, 65_536 // len(more))
    piece = chunk(block) if chunked else block

    def steps() -> Iterator[Step]:
        yield first
        for _ in range(MOST // len(block)):
            yield piece

    return Raw(steps())


def huge_body(scene: Scene) -> Deed:
    return _flood(_head(scene.normal, MOST) + b'{"text":"', b"a", chunked=False)


def endless_line(scene: Scene) -> Deed:
    first = (
        b'data: {"text":"' if isinstance(scene.normal, Stream) and scene.normal.form.startswith("sse") else b'{"text":"'
    )
    return _flood(_head(scene.normal) + chunk(first), b"a", chunked=True)


def endless_headers(_: Scene) -> Deed:
    return _flood(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", b"x-more: " + b"a" * 56 + b"\r\n", chunked=False
    )


def endless_events(scene: Scene) -> Deed:
    normal = scene.normal
    if isinstance(normal, Reply):
        return _flood(_head(normal) + chunk(b"["), b'{"more":true},', chunked=True)
    at = spoken_at(list(normal.frames))[0]
    first = b"".join(frame.encode(normal.form) for frame in normal.frames[:at])
    return _flood(_head(normal) + (chunk(first) if first else b""), normal.frames[at].encode(normal.form), chunked=True)
