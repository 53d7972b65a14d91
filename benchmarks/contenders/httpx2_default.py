"""httpx2 as it comes, with its own connection pool."""

from __future__ import annotations

from typing import Any

import httpx2

from benchmarks.contenders import Client, body
from benchmarks.contenders.raw_aiohttp import word


class Contender(Client):
    package = "httpx2"

    def transport(self, parallel: int) -> httpx2.AsyncBaseTransport:
        """httpx2's own pool, with room for all."""
        limits = httpx2.Limits(max_connections=parallel, max_keepalive_connections=parallel)
        return httpx2.AsyncHTTPTransport(limits=limits, trust_env=False)

    async def open(self, base: str, parallel: int) -> httpx2.AsyncClient:  # noqa: ARG002
        return httpx2.AsyncClient(transport=self.transport(parallel), timeout=None, trust_env=False)

    async def ask(self, client: Any, base: str, question: str, stream: bool) -> str:
        headers = {"authorization": "Bearer k"}
        url, asked = f"{base}/chat/completions", body(question, stream)
        if not stream:
            answer = await client.post(url, json=asked, headers=headers)
            text: str = answer.json()["choices"][0]["message"]["content"]
            return text
        async with client.stream("POST", url, json=asked, headers=headers) as answer:
            return "".join([piece async for line in answer.aiter_lines() if (piece := word(line.encode()))])
