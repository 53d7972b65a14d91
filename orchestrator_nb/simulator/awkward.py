"""Awkward but lawful bytes on purpose: what the vendors' documents allow and quick readers get wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator_nb.simulator.asking import Answer
from orchestrator_nb.simulator.wire import Frame, Stream

SEPARATOR = "\u2028"
"""Stands raw inside JSON strings; ``str.splitlines`` would break the line there."""
SIZE = 7
"""Bytes per piece: cuts lines, CRLF pairs and UTF-8 sequences."""
COMMENTS = {"deepseek": ": keep-alive", "openrouter": ": OPENROUTER PROCESSING"}


def text(answer: Answer) -> Answer:
    """The same answer with a line separator and letters of two to four bytes in its text."""
    if not answer.text or answer.text.lstrip().startswith(("{", "[")):
        return answer
    return replace(answer, text=answer.text + SEPARATOR + "– naïve 𝛑.")


def stream(made: Stream, vendor: str) -> Stream:
    """The same stream with pings or comments between the events, cut into small pieces, its last blank line missing."""
    frames = made.frames if made.form in ("ndjson", "array") else tuple(_between(made.frames, vendor))
    return replace(made, frames=frames, pieces_of=SIZE)


def _between(frames: Iterable[Frame], vendor: str) -> Iterator[Frame]:
    for frame in frames:
        if frame.part in ("thinking", "text") and vendor == "anthropic":
            yield Frame({"type": "ping"}, "ping", "ping")
        elif frame.part in ("thinking", "text") and vendor != "gemini":
            yield Frame(COMMENTS.get(vendor, ": "), part="ping")
        yield frame
