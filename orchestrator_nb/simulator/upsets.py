"""Faults of meaning: answers with a status, what an answer says, and which events a stream has."""

# ruff: noqa: D103 - FAULTS says what each of them does

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from orchestrator_nb.simulator.asking import Answer, Counts, Finish
from orchestrator_nb.simulator.quota import Gauge, State
from orchestrator_nb.simulator.scene import Play, Scene, changed, content_type, error_frame, middle, saying, spoken_at
from orchestrator_nb.simulator.wire import Deed, Frame, Headers, Reply, Stream, dumps

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
    return Reply(200, b"", content_type(scene.normal))


def no_content(_: Scene) -> Deed:
    return Reply(204, b"")


# what the answer says


def says(text: str) -> Play:
    """An answer of just this text."""
    return lambda scene: scene.make(lambda answer: saying(answer, text))


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
        return replace(normal, frames=(error_frame(scene),))
    return replace(scene.vendor.error(500), status=200)


# events; a plain answer stays as it is unless the function says otherwise


def no_end(scene: Scene) -> Deed:
    return changed(scene, lambda frames: [frame for frame in frames if frame.part not in ("finish", "usage", "end")])


def no_done(scene: Scene) -> Deed:
    return changed(scene, lambda frames: [frame for frame in frames if frame.part != "end"])


def empty_stream(scene: Scene) -> Deed:
    return changed(scene, lambda _: []) if isinstance(scene.normal, Stream) else empty_body(scene)


def error_event(scene: Scene) -> Deed:
    if isinstance(scene.normal, Reply):
        return error_200(scene)
    return changed(scene, lambda frames: [*frames[: middle(frames)], error_frame(scene)])


def error_event_first(scene: Scene) -> Deed:
    if isinstance(scene.normal, Reply):
        return error_200(scene)
    return changed(
        scene, lambda frames: [*(frame for frame in frames[:2] if frame.part in ("open", "ping")), error_frame(scene)]
    )


def unknown_events(scene: Scene) -> Deed:
    strange = [Frame({"type": "sim.future", "value": [1, {"a": None}]}, "sim.future")]
    if scene.vendor.form != "sse" or (scene.ask is not None and scene.vendor.name not in ("anthropic", "openai")):
        strange = [Frame(": not yet known", part="ping")]
    return changed(scene, lambda frames: [one for frame in frames for one in (*strange, frame)])


def comments(scene: Scene) -> Deed:
    return changed(
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

    return changed(scene, change)


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
    return changed(
        scene, lambda frames: [one for frame in frames for one in [frame] * (2 if frame.part == "text" else 1)]
    )


def reordered_chunks(scene: Scene) -> Deed:
    def change(frames: list[Frame]) -> list[Frame]:
        spots = spoken_at(frames)
        if len(spots) > 1:
            a, b = spots[0], spots[1]
            frames[a], frames[b] = frames[b], frames[a]
        return frames

    return changed(scene, change)
