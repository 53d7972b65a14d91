"""What went wrong on the way, without an answer to read: one table from exceptions to our errors.

Nothing of the exception is kept: neither its words, which may quote a header, nor its frames, which may hold one.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import httpx2

from orchestrator_nb.calls import Response
from orchestrator_nb.errors import CLASS_OF, Kind, Partial, ProviderError, Verdict
from orchestrator_nb.providers.clocks import Clocks
from orchestrator_nb.providers.connection import NotHttp, TooMuch


@dataclass(frozen=True, slots=True)
class Mishap:
    """``words`` follow the model's name; ``billed`` says who may have to pay; ``most`` bounds the tries again."""

    kind: Kind
    words: str
    billed: Literal["no", "maybe"] = "maybe"
    most: int | None = None
    midway: str = ""
    """The words once text has arrived, where ``words`` would be untrue then."""


_TLS = Mishap("tls", "shows a certificate that is not trusted for it; set network.ca_file if it is your own.", "no")
_DNS = Mishap("dns", "has an address whose name is not found; check the network and base_url.", "no", most=1)
_UNREACHABLE = Mishap("connection", "cannot be reached; check that the server runs, the network and base_url.", "no")
_PROXY = Mishap("connection", "cannot be reached through the proxy; check network.proxy.", "no")
_LOST = Mishap("transient", "closed the connection before it answered.", midway="closed the connection.")
_GARBAGE = Mishap("bad_response", "answered with what is not HTTP; check base_url.", most=1)
PACKED = Mishap("response_too_large", "answered in a compressed form that was not asked for.")
LARGE = Mishap("response_too_large", "sent more than an answer may hold.")
PAGE = Mishap(
    "bad_response", "answered with a web page or a picture, not with an answer of the API; check base_url.", most=1
)
ENDLESS = Mishap("response_too_large", "lists its models on more pages than are read.", "no")
NO_TOKEN = Mishap("bad_response", "lists its models on pages whose name cannot be read.", "no", most=1)
_URL = Mishap("invalid_request", "has an address that cannot be asked; correct base_url.", "no")
_UNSENDABLE = Mishap("invalid_request", "cannot be sent this request: a header is not valid.", "no")
_CLIENT = Mishap("bad_response", "could not be read.", most=1)

TABLE: Final[tuple[tuple[type[BaseException], Mishap], ...]] = (
    (ssl.SSLError, _TLS),
    (socket.gaierror, _DNS),
    (UnicodeError, _DNS),  # a host name that IDNA refuses
    (TooMuch, LARGE),
    (NotHttp, _GARBAGE),
    (httpx2.ConnectTimeout, Mishap("timeout", "did not accept a connection in time (timeouts.connect_s).", "no")),
    (httpx2.PoolTimeout, Mishap("timeout", "was not asked: no connection became free in time.", "no")),
    (httpx2.WriteTimeout, Mishap("timeout", "did not take the request in time.")),
    (httpx2.ReadTimeout, Mishap("timeout", "did not answer in time.")),
    (httpx2.TimeoutException, Mishap("timeout", "did not answer in time.")),
    (httpx2.ProxyError, _PROXY),
    (httpx2.ConnectError, _UNREACHABLE),
    (httpx2.ReadError, _LOST),
    (httpx2.WriteError, _LOST),
    (httpx2.CloseError, _LOST),
    (httpx2.NetworkError, _LOST),
    (httpx2.RemoteProtocolError, _LOST),
    (httpx2.LocalProtocolError, _UNSENDABLE),
    (httpx2.ProtocolError, _LOST),
    (httpx2.UnsupportedProtocol, _URL),
    (httpx2.InvalidURL, _URL),
    (httpx2.SSEError, _CLIENT),
    (httpx2.TransportError, _LOST),
    (httpx2.DecodingError, PACKED),
    (httpx2.TooManyRedirects, Mishap("redirect", "redirects; correct base_url.", "no")),
    (httpx2.HTTPStatusError, _CLIENT),
    (httpx2.RequestError, _LOST),
    (httpx2.HTTPError, _LOST),
    (httpx2.CookieConflict, _CLIENT),
    (httpx2.RequestNotRead, _CLIENT),
    (httpx2.ResponseNotRead, _CLIENT),
    (httpx2.StreamClosed, _CLIENT),
    (httpx2.StreamConsumed, _CLIENT),
    (httpx2.StreamError, _CLIENT),
    (OSError, _UNREACHABLE),
)
"""First match wins, over an exception and then its causes: what lies below (a certificate, a name) says more than what was raised."""

CAUGHT: Final = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.CookieConflict, httpx2.StreamError, OSError, UnicodeError)
"""The roots of the table: what a transport may raise."""


def mishap(error: BaseException) -> Mishap:
    """The row for an exception."""
    chain = tuple(_chain(error))
    return next(row for kind, row in TABLE if any(isinstance(link, kind) for link in chain))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def broken(name: str, row: Mishap, so_far: Response | None, vendor: str, model: str) -> ProviderError:
    """The error of a row: `Partial` with the text so far when there is any, which is never tried again."""
    begun = so_far is not None and bool(so_far.parts)
    if not begun:
        error = CLASS_OF[row.kind]
        verdict = Verdict(error.retries, row.kind, most=row.most)
        return error(
            f"{name} {row.words}", kind=row.kind, vendor=vendor, model=model, verdict=verdict, billed=row.billed
        )
    kind: Kind = row.kind if row.kind in {"timeout", "response_too_large"} else "truncated"
    error = CLASS_OF[kind] if kind == "response_too_large" else Partial
    return error(
        f"{name} broke off: it {row.midway or row.words} The text so far is kept.",
        kind=kind,
        vendor=vendor,
        model=model,
        verdict=Verdict(False, kind),
        response=so_far,
        billed="yes",
    )


def late(clocks: Clocks) -> Mishap:
    """The row for a clock that ran out."""
    what = {
        "first_byte_s": "did not begin to answer within",
        "gap_s": "was silent for",
        "payload_s": "sent nothing but signs of life for",
        "total_s": "did not finish within",
    }[clocks.expired or "total_s"]
    return Mishap("timeout", f"{what} {clocks.limit():g} s (timeouts.{clocks.expired or 'total_s'}).")
