"""The vocabulary of signatures: `Handler` is the hinge of the whole, `Layer` wraps one, the rest are what they are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator_nb.calls import Event, Request, Response
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import Kind
from orchestrator_nb.secret import Secret

Emit = Callable[[Event], None]
Handler = Callable[[Request, Emit], Awaitable[Response]]
Layer = Callable[[Handler], Handler]


class Clock(Protocol):
    """Time as an argument, so that a test can move it."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Keys(Protocol):
    """Where keys come from: today the environment, later the vault."""

    def key_for(self, vendor: Vendor) -> Secret | None:
        """The vendor's key; ``None`` when the vendor needs none. Raises `KeyMissing`."""
        ...


@dataclass(frozen=True, slots=True)
class AuthStyle:
    """Where a vendor looks for the key: header name and what stands before the value."""

    header: str = "authorization"
    prefix: str = "Bearer "


@dataclass(frozen=True, slots=True)
class Wire:
    """An HTTP request without its key. ``path`` (with query) is appended to the vendor's base URL. ``notices`` tell the user what was dropped."""

    path: str
    body: bytes | None = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Decoder(Protocol):
    """Turns the bytes of one answer into events and a `Response`; pure, fed in pieces of any size."""

    hide: Callable[[str], str]
    """Takes keys out of the vendor's words in an error; whoever feeds it may set one."""

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events for this piece. Raises `ProviderError` for an error inside the stream, with the text so far."""
        ...

    def finish(self) -> Response:
        """The whole answer. Raises `ProviderError` (truncated, empty, bad_response) when it is not whole."""
        ...

    def partial(self) -> Response:
        """What has arrived so far, with ``complete`` False."""
        ...


class Provider(Protocol):
    """Pure translation for one dialect (``kind``): no client, no key, no sleep."""

    kind: str
    auth: AuthStyle
    advice: Mapping[Kind, str]
    """For kinds of error, the sentence that tells the user of this vendor what to do next."""

    def encode(self, request: Request) -> Wire:
        """The vendor's request. Raises `UserError` for what this model cannot do and may not be dropped."""
        ...

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoder:
        """A decoder for the answer to ``request`` (streamed or plain), given the answer's headers (lower-case names)."""
        ...

    def models(self, page: str | None = None) -> Wire:
        """The request that lists the vendor's models; ``page`` is a token from `read_models`."""
        ...

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """The models of one page, and the token of the next page or ``None``."""
        ...

    def count(self, request: Request) -> Wire | None:
        """The request that counts input tokens, or ``None`` where the vendor has none."""
        ...

    def read_count(self, body: bytes) -> int:
        """The number of input tokens."""
        ...
