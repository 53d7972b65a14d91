"""What the decoders of all dialects share: framing, caps, ends, and errors that keep the text so far.

A dialect says how one payload changes the `Draft` (`on_event`), how a plain body does (`on_body`), and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from orchestrator_nb.calls import Event, Request, Response
from orchestrator_nb.errors import Kind, ProviderError
from orchestrator_nb.providers.draft import Block, Draft
from orchestrator_nb.providers.faults import SHAPE, fault_of, plain, request_id_of, trouble
from orchestrator_nb.providers.jsontext import Malformed, parse
from orchestrator_nb.providers.shortcut import Shortcut
from orchestrator_nb.providers.sse import BodyReader, EventReader, LineReader, Oversize, Reader

MAX_BYTES: Final = 32 << 20
"""Bytes of one answer."""

MAX_EVENTS: Final = 200_000
"""Payloads of one answer."""


class VendorFault(Exception):
    """The vendor reports an error inside its answer; ``body`` is the JSON that says so."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body


class Empty(Exception):
    """The answer holds nothing at all, which is not the same as an empty text."""


class Decoding:
    """A `Decoder`. ``payloads`` counts the payloads so far (comments and blank lines are none): a transport's watchdog watches it.

    ``hide`` takes keys out of what the vendor says in an error, before anything else is done with it. ``headers`` are the answer's, with lower-case names. How the body is framed follows from its content type, else from ``request.stream``.
    """

    stream_reader: type[EventReader] | type[LineReader] = EventReader
    end_marker: bytes | None = None
    """The payload that closes a stream and is no JSON."""

    def __init__(self, request: Request, headers: Mapping[str, str]) -> None:
        self.request, self.headers = request, headers
        self.hide: Callable[[str], str] = str
        self.payloads = 0
        self.draft = Draft()
        self.draft.id = request_id_of(headers)
        self.ended = False
        self._bytes = 0
        self._shortcut = Shortcut()
        self._speaking = Block("text")
        self._plain = not _streamed(headers.get("content-type", ""), request.stream)
        self._reader: Reader = BodyReader() if self._plain else self.stream_reader()

    # What a dialect states.

    def on_event(self, payload: Any, events: list[Event]) -> None:
        """One payload of a stream. Sets ``ended`` at the last."""
        raise NotImplementedError

    def on_body(self, body: Any, events: list[Event]) -> None:
        """A plain body."""
        raise NotImplementedError

    def is_whole(self) -> bool:
        """Whether an answer that ended holds an answer."""
        return True

    def piece(self, payload: Any) -> tuple[str, Block] | None:  # noqa: ARG002  for dialects to say
        """The text and its block, if ``payload`` said a piece of text and nothing else; such payloads need not be parsed again."""
        return None

    def settle(self) -> None:
        """Called before the draft is read: for what is dear to keep up to date."""

    # What a transport calls.

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events for this piece. Must be iterated: an error comes after the events that came before it."""
        events: list[Event] = []
        try:
            self._bytes += len(chunk)
            if self._bytes > MAX_BYTES:
                raise Oversize(f"the answer is longer than {MAX_BYTES:,} bytes")
            for data in self._reader.feed(chunk):
                self._take(data, events)
        except _TROUBLE as caught:
            problem = caught
        else:
            return events
        return self._then(events, problem)

    def finish(self) -> Response:
        """The whole answer. Events of an unfinished last line are part of it."""
        try:
            return self._finish()
        except _TROUBLE as caught:
            problem = caught
        raise self._error(problem)

    def partial(self) -> Response:
        """What has arrived so far; an answer that did not say why it ends has ``finish == "error"``."""
        with suppress(*SHAPE):  # what cannot be read is left out
            self.settle()
        response = self.draft.response(self.request.model.id, complete=False, strict=False)
        return response if self.draft.finish else replace(response, finish="error")

    def _then(self, events: list[Event], problem: Exception) -> Iterator[Event]:
        error = self._error(problem)
        yield from events
        raise error

    def _take(self, data: bytes, events: list[Event]) -> None:
        if self.ended:
            return
        self.payloads += 1
        if self.payloads > MAX_EVENTS:
            raise Oversize(f"the answer has more than {MAX_EVENTS:,} events")
        if self._shortcut.ready and (text := self._shortcut.text(data)) is not None:
            self.draft.add(self._speaking, text, events)
        elif data == self.end_marker:
            self.ended = True
        else:
            payload = parse(data, self.draft)
            self.on_event(payload, events)
            if (piece := self.piece(payload)) is not None:
                text, self._speaking = piece
                self._shortcut.learn(data, text)

    def _finish(self) -> Response:
        events: list[Event] = []
        rest = self._reader.close()
        if self._plain:
            self._body(rest[0] if rest else b"", events)
        else:
            for data in rest:
                self._take(data, events)
            self._stray(events)
        if not self.ended and self.draft.finish is None:
            raise Empty if not self._bytes else _Truncated
        if not self.is_whole():
            raise Empty
        self.settle()
        self.draft.close()
        return self.draft.response(self.request.model.id, complete=True)

    def _stray(self, events: list[Event]) -> None:
        """Bare JSON in a stream is an error, or a server that does not stream; a web page is neither."""
        stray = self._reader.stray.strip()
        if stray.startswith((b"{", b"[")):
            body = parse(stray)
            if self.payloads and not (isinstance(body, dict) and body.get("error")):
                raise Malformed("JSON between the events of a stream")
            self._body(stray, events)
        elif stray.startswith(b"<"):
            raise Malformed("a web page, not an answer of the API")

    def _body(self, data: bytes, events: list[Event]) -> None:
        if not data:
            raise Empty
        if data.startswith(b"<"):
            raise Malformed("a web page, not an answer of the API")
        self.payloads += 1
        self.on_body(parse(data, self.draft), events)
        self.ended = True

    def _error(self, problem: Exception) -> ProviderError:
        response = self.partial()
        model = self.request.model
        vendor = model.vendor.name
        if isinstance(problem, VendorFault):
            return fault_of(
                problem.body,
                status=200,
                headers=self.headers,
                vendor=vendor,
                model=model.id,
                response=response,
                hide=self.hide,
            )
        if type(problem) not in _WHAT:  # a dialect met another type than the format has at this place
            problem = Malformed(f"a value of an unknown shape ({type(problem).__name__})")
        kind, what = _WHAT[type(problem)]
        words = plain(self.hide(str(problem)))
        return trouble(kind, what, words, headers=self.headers, vendor=vendor, model=model.id, response=response)


class _Truncated(Malformed):
    """The stream ended without saying so."""


_WHAT: Final[Mapping[type[Exception], tuple[Kind, str]]] = {
    _Truncated: ("truncated", "stopped in the middle of its answer"),
    Malformed: ("bad_response", "answered in an unknown format"),
    Oversize: ("response_too_large", "sent too much"),
    Empty: ("empty", "answered with nothing at all"),
}


_TROUBLE: Final = (Malformed, Oversize, VendorFault, Empty, *SHAPE)


def _streamed(content_type: str, asked: bool) -> bool:
    """The content type decides where it is plain; some servers label streams loosely, then what was asked for counts."""
    if "event-stream" in content_type or "ndjson" in content_type:
        return True
    return asked and "application/json" not in content_type and "html" not in content_type
