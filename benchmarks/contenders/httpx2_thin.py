"""httpx2's client on our own thin transport: what the transport alone is worth."""

from __future__ import annotations

import httpx2

from benchmarks.contenders import httpx2_default
from orchestrator_nb.providers.network import Network
from orchestrator_nb.providers.transport import ThinTransport


class Contender(httpx2_default.Contender):
    def transport(self, parallel: int) -> httpx2.AsyncBaseTransport:
        """Ours, with room for all."""
        return ThinTransport(Network(max_connections=parallel))
