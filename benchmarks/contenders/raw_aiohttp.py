"""The yardstick: aiohttp and the json module, nothing else. A stream is read line by line, as its users do."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from benchmarks.contenders import Client, body


class Contender(Client):
    package = "aiohttp"

    async def open(self, base: str, parallel: int) -> aiohttp.ClientSession:  # noqa: ARG002
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=parallel))

    async def ask(self, client: Any, base: str, question: str, stream: bool) -> str:
        headers = {"authorization": "Bearer k"}
        async with client.post(f"{base}/chat/completions", json=body(question, stream), headers=headers) as answer:
            if not stream:
                text: str = (await answer.json())["choices"][0]["message"]["content"]
                return text
            return "".join([piece async for line in answer.content if (piece := word(line))])


def word(line: bytes) -> str:
    """The text in one line of a stream."""
    if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
        return ""
    choices = json.loads(line[6:])["choices"]
    return choices[0]["delta"].get("content") or "" if choices else ""
