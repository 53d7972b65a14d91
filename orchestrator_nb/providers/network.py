"""What the user's own configuration says about the network: clocks, caps, proxy, certificates. Values only, no I/O.

Only the user's layer may set these: a project must not be able to send traffic, and with it keys, through a place of its own. Nothing here comes
from environment variables such as ``HTTPS_PROXY`` or ``SSL_CERT_FILE``, and no field turns the check of certificates off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, Self

MAX_CONNECTIONS: Final = 1000
"""Per origin. How much really goes at once is decided above, by limits.parallel."""


class _Way(Protocol):
    @property
    def proxy(self) -> str | None: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def transport(self) -> Literal["thin", "httpx2"]: ...


class _Timeouts(Protocol):
    @property
    def connect_s(self) -> float: ...
    @property
    def first_byte_s(self) -> float: ...
    @property
    def gap_s(self) -> float: ...
    @property
    def payload_s(self) -> float: ...
    @property
    def total_s(self) -> float: ...


class _Limits(Protocol):
    @property
    def parallel(self) -> int: ...


class _Settings(Protocol):
    """The part of the settings that concerns the network."""

    @property
    def network(self) -> _Way: ...
    @property
    def timeouts(self) -> _Timeouts: ...
    @property
    def limits(self) -> _Limits: ...


@dataclass(frozen=True, slots=True)
class Network:
    """Seconds end in ``_s``, sizes in ``_bytes``.

    The four clocks of one attempt are ``connect_s``, ``first_byte_s`` (from the request's last byte to the answer's first), ``gap_s`` (between two
    pieces) and ``total_s``. ``payload_s`` limits how long a stream may live on keep-alive comments alone. ``max_connections`` counts per origin.
    ``transport`` is our own by default; ``httpx2`` takes that library's, which a ``proxy`` always does.
    """

    connect_s: float = 5.0
    first_byte_s: float = 60.0
    gap_s: float = 30.0
    payload_s: float = 300.0
    total_s: float = 600.0
    keep_alive_s: float = 15.0
    max_connections: int = MAX_CONNECTIONS
    header_bytes: int = 64 * 1024
    body_bytes: int = 32 * 1024 * 1024
    error_bytes: int = 64 * 1024
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """May hold a password, so it is not shown."""
    transport: Literal["thin", "httpx2"] = "thin"

    @classmethod
    def of(cls, settings: _Settings) -> Self:
        """What the user's settings say. There is a connection for every call that may be under way, so that none waits for one."""
        timeouts, way = settings.timeouts, settings.network
        return cls(
            connect_s=timeouts.connect_s,
            first_byte_s=timeouts.first_byte_s,
            gap_s=timeouts.gap_s,
            payload_s=timeouts.payload_s,
            total_s=timeouts.total_s,
            max_connections=max(settings.limits.parallel, MAX_CONNECTIONS),
            ca_file=way.ca_file,
            proxy=way.proxy,
            transport=way.transport,
        )
