"""The one HTTP exchange, innermost of all layers: encode, put the key in, send, watch the clocks, decode, and say what failed in our own errors.

httpx2 is used at the level of its transports: no client, hence no redirects, no cookies, no environment, no log lines with addresses.
Errors are raised outside the `except` blocks in which they were caught: no frame of the HTTP library hangs on them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from traceback import clear_frames
from typing import Final, Generic, Protocol, TypeVar, cast

import httpx2

from orchestrator_nb import __version__
from orchestrator_nb.calls import Request, Response, Started
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import ConfigError, ProviderError, UserError
from orchestrator_nb.forms import NOTHING, Forms
from orchestrator_nb.providers.auth import KeyAuth
from orchestrator_nb.providers.clocks import Clocks
from orchestrator_nb.providers.connection import TooMuch
from orchestrator_nb.providers.faults import SHAPE, fault, trouble, unreadable
from orchestrator_nb.providers.hints import RateHint, rate_hint
from orchestrator_nb.providers.keys import address, is_loopback, origin
from orchestrator_nb.providers.mishaps import (
    CAUGHT,
    ENDLESS,
    LARGE,
    NO_TOKEN,
    PACKED,
    PAGE,
    Mishap,
    broken,
    late,
    mishap,
)
from orchestrator_nb.providers.network import Network
from orchestrator_nb.providers.redaction import Pieces, Redaction
from orchestrator_nb.providers.transport import SENT, transport
from orchestrator_nb.secret import Secret
from orchestrator_nb.types import Clock, Decoder, Emit, Keys, Provider, Wire

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Observe = Callable[[Request, RateHint], None]
Headers = Mapping[str, str]
_Page = tuple[Sequence[ModelSpec], str | None]

_PAGES: Final = 100
_TOKEN: Final = 4096
"""Signs of what a vendor calls the next page."""
_ON_THE_WAY: Final = frozenset({"connection", "dns", "tls"})
"""Kinds for which the address matters to whoever mends it."""
_NOT_JSON: Final = re.compile(r"text/html|application/xhtml|application/pdf|(?:image|audio|video|font)/")
_ORIGIN: Final = re.compile(r"https?://(?:[\w.-]{1,253}|\[[\da-f:.]+\]):\d{1,5}")
_SIGNS_OF_LIFE: Final = re.compile(rb"(?>\s++|:[^\r\n]*+|event: ?ping\r?\ndata:[^\r\n]*+)++")
"""Possessive, so that no server can make it try twice. SSE comments, blank lines and Anthropic's ping: they show that somebody is there, not that there is an answer."""


class Exchange:
    """The innermost `Handler`. Lives on one loop; `aclose` closes its connections.

    ``known`` gives the keys, besides a call's own, that may not go out in a question and are not shown in an answer.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        keys: Keys,
        network: Network,
        clock: Clock,
        observe: Observe = lambda _request, _hint: None,
        known: Callable[[], Forms] = lambda: NOTHING,
    ) -> None:
        self._providers, self._keys, self._known, self._network = providers, keys, known, network
        self._clock, self._observe = clock, observe
        self._transport = transport(network)

    async def __call__(self, request: Request, emit: Emit) -> Response:
        """One attempt. Raises `ProviderError`, `KeyMissing`, `UserError`, `VaultError`."""
        provider = self._provider(request.model.vendor)
        wire = provider.encode(request)
        reading = _Decoding(provider, request, emit, lambda headers: self._hint(request, headers))
        outcome = await self._exchange(_Call(request.model.vendor, request.model.id, wire), reading)
        if isinstance(outcome, ProviderError):
            if wire.notices and outcome.response is not None:
                outcome.response = replace(outcome.response, notices=(*wire.notices, *outcome.response.notices))
            raise outcome
        return replace(outcome, notices=(*wire.notices, *outcome.notices)) if wire.notices else outcome

    async def list_models(self, vendor: Vendor) -> Sequence[ModelSpec]:
        """The models that the vendor lists for this key, page by page."""
        provider = self._provider(vendor)
        models: list[ModelSpec] = []
        page: str | None = None
        for _ in range(_PAGES):
            reading = _Collecting(partial(provider.read_models, vendor), _without_keys)
            outcome = await self._exchange(_Call(vendor, "model list", provider.models(page)), reading)
            if isinstance(outcome, ProviderError):
                raise outcome
            more, page = outcome
            models.extend(more)
            if page is None:
                return models
            if not isinstance(page, str) or not page.isascii() or len(page) > _TOKEN:  # it goes into an address
                raise broken(f"{vendor.name}/model list", NO_TOKEN, None, vendor.name, "model list")
        raise broken(f"{vendor.name}/model list", ENDLESS, None, vendor.name, "model list")

    async def count_tokens(self, request: Request) -> int | None:
        """The vendor's own count of the request's input tokens; ``None`` where it has none."""
        vendor = request.model.vendor
        provider = self._provider(vendor)
        if (wire := provider.count(request)) is None:
            return None
        outcome = await self._exchange(
            _Call(vendor, request.model.id, wire), _Collecting(provider.read_count, lambda _redaction, count: count)
        )
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _provider(self, vendor: Vendor) -> Provider:
        if (provider := self._providers.get(vendor.kind)) is None:
            known = ", ".join(sorted(self._providers))
            raise ConfigError(f"unknown kind {vendor.kind!r}; one of {known}.", key=f"{vendor.name}.kind")
        return provider

    def _hint(self, request: Request, headers: Headers) -> None:
        if "ratelimit" in " ".join(headers):
            self._observe(request, rate_hint(headers, self._clock.wall()))

    async def _exchange(self, call: _Call, reading: _Reading[T]) -> T | ProviderError:
        """What was read, or the error to raise: the caller raises it, free of our frames and of the HTTP library's."""
        secret = self._keys.key_for(call.vendor)
        redaction = Redaction(secret, call.target.url, self._known())
        if held := redaction.held_by(call.wire.body):
            raise _holds_key(call.name, held)
        reading.start(redaction)
        try:
            outcome = await self._outcome(call, secret, redaction, reading)
            if isinstance(outcome, ProviderError):
                outcome.simulated = reading.simulated
                return _presentable(outcome, call, redaction)
            return outcome
        finally:
            reading.end()
            redaction.forget()

    async def _outcome(
        self, call: _Call, secret: Secret | None, redaction: Redaction, reading: _Reading[T]
    ) -> T | ProviderError:
        clocks = Clocks(self._network)
        try:
            async with clocks:
                return await self._converse(call, secret, redaction, reading, clocks)
        except CAUGHT as caught:
            row = late(clocks) if clocks.expired else mishap(caught)
            return _after(row, call, reading)
        except ProviderError as caught:
            caught.response = caught.response and reading.marked(caught.response)
            return caught
        except asyncio.CancelledError as caught:
            caught.__context__ = None
            raise caught.with_traceback(None)  # noqa: B904 - the frames below hold the request
        except Exception as bug:  # it shows its frames, but not what stood in them: the request, for one
            clear_frames(bug.__traceback__)
            raise

    async def _converse(
        self, call: _Call, secret: Secret | None, redaction: Redaction, reading: _Reading[T], clocks: Clocks
    ) -> T | ProviderError:
        auth = KeyAuth(secret, self._provider(call.vendor).auth) if secret else httpx2.Auth()
        with closing(auth.auth_flow(call.request(self._network, clocks))) as flow:
            answer = await self._transport.handle_async_request(next(flow))
        body = cast("httpx2.AsyncByteStream", answer.stream)
        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers.raw}
            reading.begin(headers, simulated=headers.get("x-simulated") == "1" and is_loopback(call.target.url))
            if not 200 <= answer.status_code < 300:
                return await self._refusal(call, answer.status_code, headers, body, redaction, secret)
            if problem := _unacceptable(headers, self._network.body_bytes):
                return broken(call.name, problem, None, *call.names)
            await self._read(body, reading, clocks)
        finally:
            await body.aclose()
        return reading.finish()

    async def _read(self, body: httpx2.AsyncByteStream, reading: _Reading[T], clocks: Clocks) -> None:
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > self._network.body_bytes:
                raise TooMuch("the answer is too long")
            clocks.piece(payload=reading.feed(chunk) or not _SIGNS_OF_LIFE.fullmatch(chunk))

    async def _refusal(
        self,
        call: _Call,
        status: int,
        headers: Headers,
        body: httpx2.AsyncByteStream,
        redaction: Redaction,
        secret: Secret | None,
    ) -> ProviderError:
        """The error for a status that is not 2xx; of its body only the beginning is read, and only if it is plain."""
        vendor, model = call.names
        if 300 <= status < 400:
            words = f"it points to {_points_to(headers, call.target.url, redaction)}"
            what = f"answered {status} (redirect)"
            return trouble("redirect", what, words, status=status, headers=headers, vendor=vendor, model=model)
        said = b""
        if not _compressed(headers):
            said = await _beginning(body, self._network.error_bytes)
        advice = self._provider(call.vendor).advice
        if secret and (about_key := secret.refused()):
            advice = {**advice, "auth": about_key}
        return fault(status, headers, said, vendor=vendor, model=model, advice=advice, hide=redaction.text)


@dataclass(frozen=True, slots=True)
class _Target:
    """What does not change from call to call of one address."""

    url: httpx2.URL
    headers: httpx2.Headers


@lru_cache(maxsize=1024)
def _target(vendor: str, base_url: str, path: str) -> _Target:
    """Cached by texts: hashing a URL of httpx2 costs as much as joining one."""
    url = httpx2.URL(str(address(vendor, base_url)).rstrip("/") + path)
    about = {"User-Agent": f"orchestrator-nb/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    return _Target(
        url, httpx2.Headers({"Host": url.netloc.decode("ascii"), **about, "Content-Type": "application/json"})
    )


class _Call:
    """Whom to ask for what, and by which names to speak of it."""

    def __init__(self, vendor: Vendor, model: str, wire: Wire) -> None:
        self.vendor, self.wire = vendor, wire
        self.names = vendor.name, model
        self.name = f"{vendor.name}/{model}"
        self.target = _target(vendor.name, vendor.base_url, wire.path)

    def request(self, network: Network, clocks: Clocks) -> httpx2.Request:
        """The request without its key."""
        body = self.wire.body or b""
        limits = {"connect": network.connect_s, "read": None, "write": None, "pool": None}
        request = httpx2.Request(
            self.wire.method,
            self.target.url,
            headers=self.target.headers,
            stream=httpx2.ByteStream(body),
            extensions={"timeout": limits, SENT: clocks.sent},
        )
        request.headers.encoding = "utf-8"  # told, httpx2 need not decode every header to find out
        if self.wire.headers:
            request.headers.update(self.wire.headers)
        request.headers["Content-Length"] = str(len(body))
        return request


class _Reading(Protocol[T_co]):
    """What becomes of an answer's bytes. ``simulated`` says that they come from the simulator."""

    simulated: bool

    def start(self, redaction: Redaction) -> None: ...

    def begin(self, headers: Headers, *, simulated: bool) -> None: ...

    def feed(self, chunk: bytes) -> bool:
        """Take a piece; whether it held something to show."""
        ...

    def finish(self) -> T_co: ...

    def so_far(self) -> Response | None: ...

    def marked(self, response: Response) -> Response:
        """The response with its source, and without the key."""
        ...

    def end(self) -> None:
        """The exchange is over, however it went."""
        ...


class _Decoding:
    """An answer to a question: events while it arrives, a `Response` at the end."""

    def __init__(self, provider: Provider, request: Request, emit: Emit, hint: Callable[[Headers], None]) -> None:
        self._provider, self._request, self._emit, self._hint = provider, request, emit, hint
        self._decoder: Decoder | None = None
        self._redaction: Redaction | None = None
        self._pieces: Pieces | None = None
        self.simulated = False

    def start(self, redaction: Redaction) -> None:
        self._emit(Started())
        self._redaction, self._pieces = redaction, redaction.pieces(self._emit)

    def begin(self, headers: Headers, *, simulated: bool) -> None:
        self.simulated = simulated
        self._hint(headers)
        self._decoder = self._provider.decoder(self._request, headers)
        if self._redaction:
            self._decoder.hide = self._redaction.text

    def feed(self, chunk: bytes) -> bool:
        shown, emit = False, self._pieces or self._emit
        for event in cast("Decoder", self._decoder).feed(chunk):
            shown = True
            emit(event)
        return shown

    def finish(self) -> Response:
        return self.marked(cast("Decoder", self._decoder).finish())

    def so_far(self) -> Response | None:
        return self.marked(self._decoder.partial()) if self._decoder else None

    def marked(self, response: Response) -> Response:
        response = self._redaction.response(response) if self._redaction else response
        return replace(response, source="simulated") if self.simulated else response

    def end(self) -> None:
        if pieces := self._pieces:
            self._pieces = None
            pieces.flush()


class _Collecting(Generic[T]):
    """A short JSON answer, read at its end. Keys are taken out of what was read: JSON can write any sign in another way."""

    def __init__(self, read: Callable[[bytes], T], clean: Callable[[Redaction, T], T]) -> None:
        self._read, self._clean = read, clean
        self._pieces: list[bytes] = []
        self._redaction: Redaction | None = None
        self.simulated = False

    def start(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def begin(self, headers: Headers, *, simulated: bool) -> None:  # noqa: ARG002  a list has no limits to learn
        self.simulated = simulated

    def feed(self, chunk: bytes) -> bool:
        self._pieces.append(chunk)
        return True

    def finish(self) -> T:
        try:
            found = self._read(b"".join(self._pieces))
        except SHAPE as caught:
            problem = type(caught).__name__
        else:
            return self._clean(self._redaction, found) if self._redaction else found
        raise unreadable(f"a value of an unknown shape ({problem})")

    def so_far(self) -> Response | None:
        return None

    def marked(self, response: Response) -> Response:
        return response

    def end(self) -> None:
        pass


def _without_keys(redaction: Redaction, page: _Page) -> _Page:
    return [redaction.model(model) for model in page[0]], page[1]


def _holds_key(name: str, key: str) -> UserError:
    return UserError(
        f"{name} was not asked: the question holds {key}; take it out of the prompt, the system text or the file. Keys go into no prompt."
    )


def _after(row: Mishap, call: _Call, reading: _Reading[T]) -> T | ProviderError:
    """An answer whose end had arrived is whole, whatever became of the connection; any other is broken."""
    so_far = reading.so_far()
    if so_far is not None and row.kind in {"transient", "timeout"}:
        with suppress(ProviderError):
            return reading.finish()
    where = f" at {origin(call.target.url)}" if row.kind in _ON_THE_WAY else ""
    return broken(f"{call.name}{where}", row, so_far, *call.names)


def _presentable(error: ProviderError, call: _Call, redaction: Redaction) -> ProviderError:
    """The error without frames, causes and keys."""
    error.__context__ = error.__cause__ = error.__traceback__ = None
    error.args = (redaction.text(str(error)),)
    error.request_id = error.request_id and redaction.text(error.request_id)
    error.vendor, error.model = error.vendor or call.names[0], error.model or call.names[1]
    return error


def _unacceptable(headers: Headers, body_bytes: int) -> Mishap | None:
    """Why the body of a 200 is not even read."""
    if _compressed(headers):
        return PACKED
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > body_bytes:
        return LARGE
    return PAGE if _NOT_JSON.match(headers.get("content-type", "")) else None


def _compressed(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}


async def _beginning(body: httpx2.AsyncByteStream, limit: int) -> bytes:
    """The first bytes of an error; a body that breaks off is still an error with its status."""
    said = bytearray()
    with suppress(*CAUGHT):
        async for chunk in body:
            said += chunk
            if len(said) >= limit:
                break
    return bytes(said[:limit])


def _points_to(headers: Headers, asked: httpx2.URL, redaction: Redaction) -> str:
    """Where a redirect leads: the origin only, for the rest may hold anything; and no host that is made of a key, which addresses write in small letters."""
    try:
        found = origin(asked.join(headers["location"]))
    except (KeyError, ValueError, httpx2.InvalidURL):
        return "nowhere"
    return found if _ORIGIN.fullmatch(found) and not redaction.resembled_by(found) else "another place"
