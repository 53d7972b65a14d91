"""What each fault does to an answer: to its meaning, to its events, or to the bytes on the connection."""

# ruff: noqa: D103 - FAULTS says what each of them does

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Ask, Counts, Finish, tokens
from orchestrator_nb.simulator.quota import Gauge, State
from orchestrator_nb.simulator.vendor import Vendor
from orchestrator_nb.simulator.wire import (
    HANG,
    MARK,
    Arrived,
    Deed,
    End,
    Form,
    Frame,
    Headers,
    Raw,
    Reply,
    Step,
    Stream,
    chunk,
    dumps,
    head,
)

Play = Callable[["Scene"], Deed]
Change = Callable[[Answer], Answer]
MIB = 1024 * 1024
MOST = 2 * 1024 * MIB
"""No answer is really endless: it stops here."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a fault may use: who is asked, the request, how the answer would be made, and where redirects go."""

    vendor: Vendor
    call: Arrived
    ask: Ask | None
    make: Callable[[Change], Reply | Stream]
    elsewhere_url: str
    seconds: float | None = None

    @property
    def normal(self) -> Reply | Stream:
        """The answer without a fault."""
        return self.make(lambda answer: answer)

    @property
    def silence(self) -> float:
        """How long silences last, in seconds."""
        return HANG if self.seconds is None else self.seconds


# answers with a status


def status(code: int, kind: str = "") -> Play:
    """The vendor's error answer."""

    def play(scene: Scene) -> Deed:
        limit = scene.ask.model.context if scene.ask else 8192
        return scene.vendor.error(code, kind, model=scene.ask.name if scene.ask else "", used=limit + 1234, limit=limit)

    return play


def rate_limited(scene: Scene) -> Deed:
    return scene.vendor.error(429, wait_s=1.0 if scene.seconds is None else scene.seconds)


def hinted(style: str) -> Play:
    """A 429 whose only hint is of one style."""

    def play(scene: Scene) -> Deed:
        wait_s = 1.0 if scene.seconds is None else scene.seconds
        gauge = Gauge(60, 0, wait_s)
        hints: dict[str, Callable[[], Headers]] = {
            "seconds": lambda: (("retry-after", f"{wait_s:g}"),),
            "date": lambda: (
                ("retry-after", format_datetime(datetime.now(UTC) + timedelta(seconds=wait_s + 1), usegmt=True)),
            ),
            "ms": lambda: (("retry-after-ms", f"{wait_s * 1000:g}"),),
            "reset": lambda: scene.vendor.limit_headers(State(gauge, None, 1)),
            "none": lambda: (),
            "negative": lambda: (("retry-after", "-5"),),
            "garbage": lambda: (("retry-after", "soon"),),
            "decade": lambda: (("retry-after", str(10 * 365 * 86_400)),),
        }
        return scene.vendor.error(429).with_headers(hints[style]())

    return play


def html(code: int) -> Play:
    """A page of a proxy."""
    page = b"<!DOCTYPE html>\n<html><head><title>Gateway</title></head><body><h1>Something is wrong</h1><script>alert(1)</script></body></html>\n"
    return lambda _: Reply(code, page, (("content-type", "text/html; charset=utf-8"),))


def redirect(code: int) -> Play:
    """To another origin."""
    return lambda scene: Reply(code, b"", (("location", scene.elsewhere_url),))


def echo_error(scene: Scene) -> Deed:
    said = " ".join(f"{name}: {value}" for name, value in scene.call.headers.items())
    return replace(scene.vendor.error(400, message=f"Bad credentials in request with {said}"), status=401)


def echo_answer(scene: Scene) -> Deed:
    return says("You sent " + ", ".join(f"{name}: {value}" for name, value in scene.call.headers.items()))(scene)


def empty_body(scene: Scene) -> Deed:
    return Reply(200, b"", _type(scene.normal))


def no_content(_: Scene) -> Deed:
    return Reply(204, b"")


# what the answer says


def says(text: str) -> Play:
    """An answer of just this text."""
    return lambda scene: scene.make(lambda answer: _spoken(answer, text))


def _spoken(answer: Answer, text: str) -> Answer:
    counts = answer.counts and Counts(answer.counts.input, tokens(text), answer.counts.thinking)
    return replace(answer, text=text, tool_calls=(), finish="stop", stopped_at=None, counts=counts)


def separators(scene: Scene) -> Deed:
    return scene.make(lambda answer: replace(answer, text=f"{answer.text}\u2028one\u2029two\u0085three"))


def ends(finish: Finish) -> Play:
    """An answer that ends in a certain way; refusals and filters leave no text."""

    def change(answer: Answer) -> Answer:
        return replace(
            answer, text=answer.text if finish == "resources" else "", thinking="", tool_calls=(), finish=finish
        )

    return lambda scene: scene.make(change)


def length_empty(scene: Scene) -> Deed:
    limit = (scene.ask and scene.ask.max_tokens) or 64

    def change(answer: Answer) -> Answer:
        counts = Counts(answer.counts.input if answer.counts else 1, 0, limit)
        return replace(
            answer,
            text="",
            thinking=("Let me think about this once more. " * limit)[: 4 * limit],
            tool_calls=(),
            finish="length",
            counts=counts,
        )

    return scene.make(change)


def _half(finish: Finish) -> Play:
    def play(scene: Scene) -> Deed:
        if scene.ask is not None and scene.ask.given:
            return scene.normal
        return scene.make(
            lambda answer: replace(answer, text=answer.text[: len(answer.text) // 2], tool_calls=(), finish=finish)
        )

    return play


pause = _half("pause")
continuation = _half("continuation")


def usage_missing(scene: Scene) -> Deed:
    return scene.make(lambda answer: replace(answer, counts=None))


def usage_of(given: int, made: int) -> Play:
    """Counts that cannot be."""
    return lambda scene: scene.make(lambda answer: replace(answer, counts=Counts(given, made, 0)))


def cost_mismatch(scene: Scene) -> Deed:
    def change(body: Any) -> Any:
        usage = _usage_in(body)
        if usage is not None:
            usage.update({key: 424_242 for key in ("total_tokens", "totalTokenCount") if key in usage}, cost=123.45)
        return body

    return _edited(scene.normal, change)


def _usage_in(body: Any) -> dict[str, Any] | None:
    if not isinstance(body, dict):
        return None
    inner: dict[str, Any] = body["response"] if isinstance(body.get("response"), dict) else body
    found = inner.get("usage") or inner.get("usageMetadata")
    return found if isinstance(found, dict) else None


def empty_choices(scene: Scene) -> Deed:
    def change(body: Any) -> Any:
        if isinstance(body, dict):
            body.update({key: [] for key in ("choices", "candidates") if key in body})
        return body

    return _edited(scene.make(lambda answer: replace(answer, text="", thinking="", tool_calls=())), change)


def _edited(deed: Reply | Stream, change: Callable[[Any], Any]) -> Reply | Stream:
    if isinstance(deed, Reply):
        return replace(deed, body=dumps(change(json.loads(deed.body))))
    return replace(deed, frames=tuple(replace(frame, data=change(frame.data)) for frame in deed.frames))


def error_200(scene: Scene) -> Deed:
    normal = scene.normal
    if isinstance(normal, Stream):
        return replace(normal, frames=(_error(scene),))
    return replace(scene.vendor.error(500), status=200)


def _error(scene: Scene) -> Frame:
    return scene.vendor.stream_error(scene.vendor.ill, scene.ask)


# events; a plain answer stays as it is unless the function says otherwise


def _frames(scene: Scene, change: Callable[[list[Frame]], Iterable[Frame]]) -> Deed:
    normal = scene.normal
    return replace(normal, frames=tuple(change(list(normal.frames)))) if isinstance(normal, Stream) else normal


def _spoken_at(frames: list[Frame]) -> list[int]:
    return [n for n, frame in enumerate(frames) if frame.part == "text"] or [
        n for n, frame in enumerate(frames) if frame.part == "tool"
    ]


def _middle(frames: list[Frame]) -> int:
    spots = _spoken_at(frames)
    return spots[len(spots) // 2] + (len(spots) == 1) if spots else len(frames) // 2


def no_end(scene: Scene) -> Deed:
    return _frames(scene, lambda frames: [frame for frame in frames if frame.part not in ("finish", "usage", "end")])


def no_done(scene: Scene) -> Deed:
    return _frames(scene, lambda frames: [frame for frame in frames if frame.part != "end"])


def empty_stream(scene: Scene) -> Deed:
    return _frames(scene, lambda _: []) if isinstance(scene.normal, Stream) else empty_body(scene)


def error_event(scene: Scene) -> Deed:
    if isinstance(scene.normal, Reply):
        return error_200(scene)
    return _frames(scene, lambda frames: [*frames[: _middle(frames)], _error(scene)])


def error_event_first(scene: Scene) -> Deed:
    if isinstance(scene.normal, Reply):
        return error_200(scene)
    return _frames(
        scene, lambda frames: [*(frame for frame in frames[:2] if frame.part in ("open", "ping")), _error(scene)]
    )


def unknown_events(scene: Scene) -> Deed:
    strange = [Frame({"type": "sim.future", "value": [1, {"a": None}]}, "sim.future")]
    if scene.vendor.form != "sse" or (scene.ask is not None and scene.vendor.name not in ("anthropic", "openai")):
        strange = [Frame(": not yet known", part="ping")]
    return _frames(scene, lambda frames: [one for frame in frames for one in (*strange, frame)])


def comments(scene: Scene) -> Deed:
    return _frames(
        scene,
        lambda frames: [
            one for frame in frames for one in (Frame(": keep-alive", part="ping"), Frame(":", part="ping"), frame)
        ],
    )


def empty_deltas(scene: Scene) -> Deed:
    def change(frames: list[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.part == "text":
                yield replace(frame, data=_emptied(frame.data))
            yield frame

    return _frames(scene, change)


def _emptied(data: Any) -> Any:
    """The same event with every piece of text in it empty."""
    if isinstance(data, dict):
        return {
            key: "" if key in ("text", "content", "delta", "response") and isinstance(value, str) else _emptied(value)
            for key, value in data.items()
            if key != "sequence_number"  # it belongs to the event that follows
        }
    return [_emptied(value) for value in data] if isinstance(data, list) else data


def duplicate_chunks(scene: Scene) -> Deed:
    return _frames(
        scene, lambda frames: [one for frame in frames for one in [frame] * (2 if frame.part == "text" else 1)]
    )


def reordered_chunks(scene: Scene) -> Deed:
    def change(frames: list[Frame]) -> list[Frame]:
        spots = _spoken_at(frames)
        if len(spots) > 1:
            a, b = spots[0], spots[1]
            frames[a], frames[b] = frames[b], frames[a]
        return frames

    return _frames(scene, change)


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
    normal = scene.make(lambda answer: _spoken(answer, "naïve café — 𝛑 is 3.14, 日本語 ok"))
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
    return _frames(scene, change) if isinstance(normal, Stream) and normal.form.startswith("sse") else normal


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
    at = _middle(list(normal.frames))
    broken = dumps(normal.frames[at].data).decode()[:-3]
    return _frames(scene, lambda frames: [*frames[:at], replace(frames[at], data=broken), *frames[at + 1 :]])


def invalid_utf8(scene: Scene) -> Deed:
    mark = "\ue123"
    made = scene.make(lambda answer: _spoken(answer, f"before {mark} after"))
    return _raw(made, lambda pieces: [piece.replace(mark.encode(), b"\xc3\x28\xff\xf0\x9d") for piece in pieces])


def claims(coding: str) -> Play:
    """Says that the body is encoded, and it is not."""
    return lambda scene: scene.normal.with_headers((("content-encoding", coding),))


def gzip_bomb(times: int) -> Play:
    """Very little that becomes very much."""

    def play(scene: Scene) -> Deed:
        body = _bomb() if times == 1 else gzip.compress(_bomb(), 9, mtime=0)
        return Reply(200, body, (*_type(scene.normal), ("content-encoding", ", ".join(["gzip"] * times))))

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


def _type(deed: Reply | Stream) -> Headers:
    return tuple(header for header in deed.headers if header[0] == "content-type")


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
    return (
        _middle(list(deed.frames)) if isinstance(deed, Stream) and deed.pieces_of is None else len(_pieces(deed)) // 2
    )


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
    at = _spoken_at(list(normal.frames))[0]
    first = b"".join(frame.encode(normal.form) for frame in normal.frames[:at])
    return _flood(_head(normal) + (chunk(first) if first else b""), normal.frames[at].encode(normal.form), chunked=True)
