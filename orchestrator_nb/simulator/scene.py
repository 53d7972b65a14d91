"""What a fault may use, and the ways to take hold of an answer: its text, its events, its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from orchestrator_nb.simulator.asking import Answer, Ask, Counts, tokens
from orchestrator_nb.simulator.vendor import Vendor
from orchestrator_nb.simulator.wire import HANG, Arrived, Deed, Frame, Headers, Reply, Stream

Change = Callable[[Answer], Answer]


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


Play = Callable[[Scene], Deed]
"""What a fault does."""


def changed(scene: Scene, change: Callable[[list[Frame]], Iterable[Frame]]) -> Deed:
    """The answer with its events changed; a plain answer stays as it is."""
    normal = scene.normal
    return replace(normal, frames=tuple(change(list(normal.frames)))) if isinstance(normal, Stream) else normal


def spoken_at(frames: list[Frame]) -> list[int]:
    """Which events carry text, or else a tool call."""
    return [n for n, frame in enumerate(frames) if frame.part == "text"] or [
        n for n, frame in enumerate(frames) if frame.part == "tool"
    ]


def middle(frames: list[Frame]) -> int:
    """Where the second half of the text begins."""
    spots = spoken_at(frames)
    return spots[len(spots) // 2] + (len(spots) == 1) if spots else len(frames) // 2


def saying(answer: Answer, text: str) -> Answer:
    """The same answer, but it says just this."""
    counts = answer.counts and Counts(answer.counts.input, tokens(text), answer.counts.thinking)
    return replace(answer, text=text, tool_calls=(), finish="stop", stopped_at=None, counts=counts)


def error_frame(scene: Scene) -> Frame:
    """The event of an error inside this stream."""
    return scene.vendor.stream_error(scene.vendor.ill, scene.ask)


def content_type(deed: Reply | Stream) -> Headers:
    """The content type of an answer."""
    return tuple(header for header in deed.headers if header[0] == "content-type")
