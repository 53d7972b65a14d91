"""The menu of what can go wrong, and the board on which faults are ordered.

A fault is chosen by :meth:`Simulator.fail`, by a model named ``sim-<fault>``, or by the request header ``x-sim-fault``. :data:`FAULTS` is
the table; ``rows`` are the rows of the fault matrix that the library has to meet. What each does to the bytes stands in ``mischief.py``.
Faults before a connection (refused, no such name, bad certificates) are helpers in ``elsewhere.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator_nb.simulator import mischief as m
from orchestrator_nb.simulator.asking import Ask
from orchestrator_nb.simulator.mischief import Scene
from orchestrator_nb.simulator.wire import Deed

__all__ = ["FAULTS", "Board", "Fault", "Order", "Scene", "known", "named"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its name, the rows of the fault matrix it is for, what happens, and how."""

    name: str
    rows: tuple[int, ...]
    about: str
    play: Callable[[Scene], Deed]


def _table(*rows: tuple[str, tuple[int, ...], str, Callable[[Scene], Deed]]) -> dict[str, Fault]:
    return {name: Fault(name, numbers, about, play) for name, numbers, about, play in rows}


FAULTS = _table(
    # answers with a status: the vendor's own body
    ("400", (4,), "the request is not valid", m.status(400)),
    ("401", (5,), "the key is refused, in the vendor's own form (Gemini: 400)", m.status(401, "bad_key")),
    ("402", (6,), "no money left", m.status(402)),
    (
        "quota",
        (6,),
        "429 that waiting does not cure (insufficient_quota, spend limit, per day)",
        m.status(429, "quota"),
    ),
    ("403", (7,), "not permitted", m.status(403)),
    ("404", (8,), "the model does not exist", m.status(404, "model")),
    ("408", (9,), "request time-out", m.status(408)),
    ("409", (9,), "conflict", m.status(409)),
    ("425", (9,), "too early", m.status(425)),
    ("413", (10,), "the request is too large", m.status(413)),
    ("context", (10,), "the prompt is longer than the context", m.status(400, "context")),
    ("422", (11,), "the request cannot be processed", m.status(422)),
    ("500", (14,), "server error", m.status(500)),
    ("502", (14,), "bad gateway, with the vendor's body", m.status(502)),
    ("503", (14,), "unavailable", m.status(503)),
    ("504", (14,), "gateway time-out", m.status(504)),
    ("529", (14,), "overloaded", m.status(529)),
    ("498", (14,), "flex capacity exceeded (Groq)", m.status(498)),
    # when to come back; `seconds` sets the wait, else 1
    ("429", (12,), "rate limit, with the vendor's own hint", m.rate_limited),
    ("429-seconds", (12,), "rate limit, Retry-After in seconds", m.hinted("seconds")),
    ("429-date", (13,), "rate limit, Retry-After as an HTTP date", m.hinted("date")),
    ("429-ms", (13,), "rate limit, retry-after-ms", m.hinted("ms")),
    ("429-reset", (13,), "rate limit, no Retry-After, but the vendor's reset headers", m.hinted("reset")),
    ("429-none", (13,), "rate limit without a hint", m.hinted("none")),
    ("429-negative", (13,), "rate limit, Retry-After: -5", m.hinted("negative")),
    ("429-garbage", (13,), "rate limit, Retry-After: soon", m.hinted("garbage")),
    ("429-decade", (13,), "rate limit, Retry-After of ten years", m.hinted("decade")),
    # silence; with `seconds` the answer goes on afterwards
    ("slow-headers", (15,), "nothing at all", m.slow_headers),
    ("slow-first-byte", (15, 16), "headers, then silence", m.slow_first_byte),
    ("stall", (16,), "half of the answer, then silence", m.stall),
    ("comments-only", (16,), "headers, then only keep-alives", m.comments_only),
    ("trickle", (16,), "a byte every `seconds` (0.05)", m.trickle),
    # lost connections
    ("disconnect-before-headers", (17,), "the connection closes without an answer", m.close_at_once),
    ("reset-before-headers", (17,), "the connection is reset without an answer", m.reset_at_once),
    ("disconnect-before-body", (17,), "headers, then the connection closes", m.close_before_body),
    ("disconnect", (18,), "half of the answer, then the connection closes", m.close_midway),
    ("reset", (18,), "half of the answer, then the connection is reset", m.reset_midway),
    ("no-end", (19,), "the stream ends in order, but without finish reason and terminal event", m.no_end),
    ("no-done", (19, 22), "only the very last event is missing ([DONE], message_stop)", m.no_done),
    ("empty-stream", (19, 25), "200 and a stream without any event", m.empty_stream),
    # errors inside a 200
    ("error-event", (20,), "an error event after half of the text", m.error_event),
    ("error-event-first", (20,), "an error event before the first text", m.error_event_first),
    ("error-200", (20,), "200 whose body, or only event, is an error", m.error_200),
    # broken syntax
    ("malformed-json", (21, 22), "the JSON is cut off; in streams one data line is", m.malformed_json),
    ("malformed-sse", (22,), "lines that are no fields, among the events", m.malformed_sse),
    ("unknown-events", (22,), "events of unknown types, and empty ones", m.unknown_events),
    ("comments", (22,), "comments and blank lines between the events", m.comments),
    ("crlf", (22,), "lines end with CRLF", m.form("sse-crlf")),
    ("lone-cr", (22,), "lines end with a lone CR", m.form("sse-cr")),
    ("no-blank-line", (22,), "the last event is not closed by a blank line", m.no_blank_line),
    ("split-data", (22,), "the data of each event in several data lines", m.split_data),
    ("byte-by-byte", (22, 28), "one byte at a time", m.byte_by_byte),
    ("bom", (22,), "a byte order mark first", m.bom),
    ("empty-deltas", (22,), "events whose text is empty", m.empty_deltas),
    ("separators", (22, 28), "U+2028, U+2029 and U+0085 raw in the text", m.separators),
    ("html-502", (14, 23), "a proxy's HTML page with 502", m.html(502)),
    ("html-200", (23,), "a proxy's HTML page with 200", m.html(200)),
    # encodings
    ("gzip-bomb", (24,), "256 MiB in 256 KiB of gzip", m.gzip_bomb(1)),
    ("double-gzip-bomb", (24,), "the same, gzipped twice", m.gzip_bomb(2)),
    ("gzip-broken", (24,), "claims gzip, is not", m.claims("gzip")),
    ("br-claimed", (24,), "claims br although nobody asked for it", m.claims("br")),
    ("zstd-claimed", (24,), "claims zstd although nobody asked for it", m.claims("zstd")),
    # nothing
    ("empty-body", (25,), "200 with an empty body", m.empty_body),
    ("204", (25,), "204", m.no_content),
    ("empty-choices", (25,), "no choices, candidates, content or output", m.empty_choices),
    # too much; all bounded at 2 GiB
    ("huge-body", (26,), "a body of 2 GiB, announced", m.huge_body),
    ("endless-line", (26,), "one line without end", m.endless_line),
    ("endless-headers", (26,), "headers without end", m.endless_headers),
    ("endless-events", (26,), "events without end", m.endless_events),
    ("duplicate-chunks", (27,), "each piece of text comes twice", m.duplicate_chunks),
    ("reordered-chunks", (27,), "two pieces of text change places", m.reordered_chunks),
    # characters
    ("invalid-utf8", (28,), "bytes that are not UTF-8 in the text", m.invalid_utf8),
    ("split-utf8", (28,), "letters of several bytes, cut", m.split_utf8),
    ("lone-surrogate", (28,), "an escaped lone surrogate in the text", m.says("before \ud800 after")),
    ("nul", (28,), "NUL and other controls in the text", m.says("before \x00\x1b[31m after")),
    ("redirect", (29,), "307 to another origin (`Simulator.elsewhere` sees who follows)", m.redirect(307)),
    ("redirect-301", (29,), "301 to another origin", m.redirect(301)),
    ("redirect-302", (29,), "302 to another origin", m.redirect(302)),
    ("redirect-308", (29,), "308 to another origin", m.redirect(308)),
    # counts
    ("usage-missing", (30,), "no token counts", m.usage_missing),
    ("usage-negative", (30,), "negative token counts", m.usage_of(-5, -7)),
    ("usage-absurd", (30,), "10^15 tokens", m.usage_of(10**15, 10**15)),
    (
        "cost-mismatch",
        (30,),
        "totals, and a cost where the vendor tells one, that do not fit the counts",
        m.cost_mismatch,
    ),
    # ways to end
    ("refusal", (), "the model refuses", m.ends("refusal")),
    ("safety", (), "the answer is filtered", m.ends("content_filter")),
    ("blocked-prompt", (), "the prompt is blocked (Gemini: 200 without candidates)", m.ends("blocked")),
    ("length-empty", (), "the limit is used up by thinking: no text", m.length_empty),
    ("pause-turn", (), "half of the answer, then a pause to go on from (Anthropic)", m.pause),
    ("continuation", (), "half of the answer, then a token to go on with (Gemini)", m.continuation),
    (
        "insufficient-resource",
        (),
        "the model's side gives up (DeepSeek's reason; others: their own)",
        m.ends("resources"),
    ),
    ("echo-headers", (5,), "401 that repeats the request's headers, key included", m.echo_error),
    ("echo-answer", (), "an answer that repeats the request's headers, key included", m.echo_answer),
)
"""Name -> fault."""


def known(name: str) -> Fault:
    """The fault of that name. Raises ``ValueError`` with the nearest name."""
    if name in FAULTS:
        return FAULTS[name]
    near = difflib.get_close_matches(name, FAULTS, 1)
    hint = f"did you mean {near[0]!r}?" if near else "FAULTS lists all of them."
    raise ValueError(f"unknown fault {name!r}; {hint}")


def named(name: str | None) -> Fault | None:
    """The fault of that name, if there is one."""
    return FAULTS.get(name or "")


@dataclass(slots=True)
class Order:
    """A fault ordered for the next ``times`` calls that match; ``None``: for all."""

    fault: Fault
    times: int | None = None
    match: str | None = None
    seconds: float | None = None

    def fits(self, ask: Ask) -> bool:
        """Whether the order is for this request."""
        if self.match is None:
            return True
        return any(
            self.match in text or re.search(self.match, text) for text in (f"{ask.vendor}/{ask.name}", ask.prompt)
        )


class Board:
    """The faults ordered, oldest first. Orders are added by any thread and used up by the simulator's."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def add(self, order: Order) -> None:
        """One more fault. Raises ``ValueError`` when its ``match`` is not a regular expression."""
        try:
            re.compile(order.match or "")
        except re.error as error:
            raise ValueError(
                f"match {order.match!r} is not a regular expression ({error}); escape it with re.escape."
            ) from None
        self._orders = [*self._orders, order]

    def clear(self) -> None:
        """No faults any more."""
        self._orders = []

    def pick(self, ask: Ask) -> Order | None:
        """The first order for this request; one of its times is used up."""
        order = next((order for order in self._orders if order.times != 0 and order.fits(ask)), None)
        if order is not None and order.times is not None:
            order.times -= 1
        return order
