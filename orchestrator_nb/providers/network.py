"""What the user's own configuration says about the network: clocks, caps, proxy, certificates. Values only, no I/O.

Only the user's layer may set these: a project must not be able to send traffic, and with it keys, through a place of its own. Nothing here comes
from environment variables such as ``HTTPS_PROXY`` or ``SSL_CERT_FILE``, and no field turns the check of certificates off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
    max_connections: int = 1000
    header_bytes: int = 64 * 1024
    body_bytes: int = 32 * 1024 * 1024
    error_bytes: int = 64 * 1024
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """May hold a password, so it is not shown."""
    transport: Literal["thin", "httpx2"] = "thin"
