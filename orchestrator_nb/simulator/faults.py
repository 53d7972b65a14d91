"""The menu of what can go wrong, and the board on which faults are ordered.

A fault is chosen by :meth:`Simulator.fail`, by a model named ``sim-<fault>``, or by the request header ``x-sim-fault``. :data:`FAULTS` is
the table; ``rows`` are the rows of the fault matrix that the library has to meet. What each does stands in ``upsets.py`` (meaning) and ``wrecks.py`` (bytes).
Faults before a connection (refused, no such name, bad certificates) are helpers in ``elsewhere.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator_nb.simulator import upsets as u
from orchestrator_nb.simulator import wrecks as w
from orchestrator_nb.simulator.asking import Ask
from orchestrator_nb.simulator.scene import Scene
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
    ("400", (4,), "the request is not valid", u.status(400)),
    ("401", (5,), "the key is refused, in the vendor's own form (Gemini: 400)", u.status(401, "bad_key")),
    ("402", (6,), "no money left", u.status(402)),
    (
        "quota",
        (6,),
        "429 that waiting does not cure (insufficient_quota, spend limit, per day)",
        u.status(429, "quota"),
    ),
    ("403", (7,), "not permitted", u.status(403)),
    ("404", (8,), "the model does not exist", u.status(404, "model")),
    ("408", (9,), "request time-out", u.status(408)),
    ("409", (9,), "conflict", u.status(409)),
    ("425", (9,), "too early", u.status(425)),
    ("413", (10,), "the request is too large", u.status(413)),
    ("context", (10,), "the prompt is longer than the context", u.status(400, "context")),
    ("422", (11,), "the request cannot be processed", u.status(422)),
    ("500", (14,), "server error", u.status(500)),
    ("502", (14,), "bad gateway, with the vendor's body", u.status(502)),
    ("503", (14,), "unavailable", u.status(503)),
    ("504", (14,), "gateway time-out", u.status(504)),
    ("529", (14,), "overloaded", u.status(529)),
    ("498", (14,), "flex capacity exceeded (Groq)", u.status(498)),
    # when to come back; `seconds` sets the wait, else 1
    ("429", (12,), "rate limit, with the vendor's own hint", u.rate_limited),
    ("429-seconds", (12,), "rate limit, Retry-After in seconds", u.hinted("seconds")),
    ("429-date", (13,), "rate limit, Retry-After as an HTTP date", u.hinted("date")),
    ("429-ms", (13,), "rate limit, retry-after-ms", u.hinted("ms")),
    ("429-reset", (13,), "rate limit, no Retry-After, but the vendor's reset headers", u.hinted("reset")),
    ("429-none", (13,), "rate limit without a hint", u.hinted("none")),
    ("429-negative", (13,), "rate limit, Retry-After: -5", u.hinted("negative")),
    ("429-garbage", (13,), "rate limit, Retry-After: soon", u.hinted("garbage")),
    ("429-decade", (13,), "rate limit, Retry-After of ten years", u.hinted("decade")),
    # silence; with `seconds` the answer goes on afterwards
    ("slow-headers", (15,), "nothing at all", w.slow_headers),
    ("slow-first-byte", (15, 16), "headers, then silence", w.slow_first_byte),
    ("stall", (16,), "half of the answer, then silence", w.stall),
    ("comments-only", (16,), "headers, then only keep-alives", w.comments_only),
    ("trickle", (16,), "a byte every `seconds` (0.05)", w.trickle),
    # lost connections
    ("disconnect-before-headers", (17,), "the connection closes without an answer", w.close_at_once),
    ("reset-before-headers", (17,), "the connection is reset without an answer", w.reset_at_once),
    ("disconnect-before-body", (17,), "headers, then the connection closes", w.close_before_body),
    ("disconnect", (18,), "half of the answer, then the connection closes", w.close_midway),
    ("reset", (18,), "half of the answer, then the connection is reset", w.reset_midway),
    ("no-end", (19,), "the stream ends in order, but without finish reason and terminal event", u.no_end),
    ("no-done", (19, 22), "only the very last event is missing ([DONE], message_stop)", u.no_done),
    ("empty-stream", (19, 25), "200 and a stream without any event", u.empty_stream),
    # errors inside a 200
    ("error-event", (20,), "an error event after half of the text", u.error_event),
    ("error-event-first", (20,), "an error event before the first text", u.error_event_first),
    ("error-200", (20,), "200 whose body, or only event, is an error", u.error_200),
    # broken syntax
    ("malformed-json", (21, 22), "the JSON is cut off; in streams one data line is", w.malformed_json),
    ("malformed-sse", (22,), "lines that are no fields, among the events", w.malformed_sse),
    ("unknown-events", (22,), "events of unknown types, and empty ones", u.unknown_events),
    ("comments", (22,), "comments and blank lines between the events", u.comments),
    ("crlf", (22,), "lines end with CRLF", w.form("sse-crlf")),
    ("lone-cr", (22,), "lines end with a lone CR", w.form("sse-cr")),
    ("no-blank-line", (22,), "the last event is not closed by a blank line", w.no_blank_line),
    ("split-data", (22,), "the data of each event in several data lines", w.split_data),
    ("byte-by-byte", (22, 28), "one byte at a time", w.byte_by_byte),
    ("bom", (22,), "a byte order mark first", w.bom),
    ("empty-deltas", (22,), "events whose text is empty", u.empty_deltas),
    ("separators", (22, 28), "U+2028, U+2029 and U+0085 raw in the text", u.separators),
    ("html-502", (14, 23), "a proxy's HTML page with 502", u.html(502)),
    ("html-200", (23,), "a proxy's HTML page with 200", u.html(200)),
    # encodings
    ("gzip-bomb", (24,), "256 MiB in 256 KiB of gzip", w.gzip_bomb(1)),
    ("double-gzip-bomb", (24,), "the same, gzipped twice", w.gzip_bomb(2)),
    ("gzip-broken", (24,), "claims gzip, is not", w.claims("gzip")),
    ("br-claimed", (24,), "claims br although nobody asked for it", w.claims("br")),
    ("zstd-claimed", (24,), "claims zstd although nobody asked for it", w.claims("zstd")),
    # nothing
    ("empty-body", (25,), "200 with an empty body", u.empty_body),
    ("204", (25,), "204", u.no_content),
    ("empty-choices", (25,), "no choices, candidates, content or output", u.empty_choices),
    # too much; all bounded at 2 GiB
    ("huge-body", (26,), "a body of 2 GiB, announced", w.huge_body),
    ("endless-line", (26,), "one line without end", w.endless_line),
    ("endless-headers", (26,), "headers without end", w.endless_headers),
    ("endless-events", (26,), "events without end", w.endless_events),
    ("duplicate-chunks", (27,), "each piece of text comes twice", u.duplicate_chunks),
    ("reordered-chunks", (27,), "two pieces of text change places", u.reordered_chunks),
    # characters
    ("invalid-utf8", (28,), "bytes that are not UTF-8 in the text", w.invalid_utf8),
    ("split-utf8", (28,), "letters of several bytes, cut", w.split_utf8),
    ("lone-surrogate", (28,), "an escaped lone surrogate in the text", u.says("before \ud800 after")),
    ("nul", (28,), "NUL and other controls in the text", u.says("before \x00\x1b[31m after")),
    ("redirect", (29,), "307 to another origin (`Simulator.elsewhere` sees who follows)", u.redirect(307)),
    ("redirect-301", (29,), "301 to another origin", u.redirect(301)),
    ("redirect-302", (29,), "302 to another origin", u.redirect(302)),
    ("redirect-308", (29,), "308 to another origin", u.redirect(308)),
    # counts
    ("usage-missing", (30,), "no token counts", u.usage_missing),
    ("usage-negative", (30,), "negative token counts", u.usage_of(-5, -7)),
    ("usage-absurd", (30,), "10^15 tokens", u.usage_of(10**15, 10**15)),
    (
        "cost-mismatch",
        (30,),
        "totals, and a cost where the vendor tells one, that do not fit the counts",
        u.cost_mismatch,
    ),
    # ways to end
    ("refusal", (), "the model refuses", u.ends("refusal")),
    ("safety", (), "the answer is filtered", u.ends("content_filter")),
    ("blocked-prompt", (), "the prompt is blocked (Gemini: 200 without candidates)", u.ends("blocked")),
    ("length-empty", (), "the limit is used up by thinking: no text", u.length_empty),
    ("pause-turn", (), "half of the answer, then a pause to go on from (Anthropic)", u.pause),
    ("continuation", (), "half of the answer, then a token to go on with (Gemini)", u.continuation),
    (
        "insufficient-resource",
        (),
        "the model's side gives up (DeepSeek's reason; others: their own)",
        u.ends("resources"),
    ),
    ("echo-headers", (5,), "401 that repeats the request's headers, key included", u.echo_error),
    ("echo-answer", (), "an answer that repeats the request's headers, key included", u.echo_answer),
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
