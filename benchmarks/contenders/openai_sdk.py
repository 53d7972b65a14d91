"""OpenAI's own Python SDK with its default transport."""

from __future__ import annotations

from typing import Any

import openai

from benchmarks.contenders import Client, body


class Contender(Client):
    package = "openai"

    async def open(self, base: str, parallel: int) -> openai.AsyncOpenAI:  # noqa: ARG002
        return openai.AsyncOpenAI(api_key="k", base_url=base, timeout=120)

    async def ask(self, client: Any, base: str, question: str, stream: bool) -> str:  # noqa: ARG002
        asked = body(question, stream)
        answer = await client.chat.completions.create(**asked)
        if not stream:
            return answer.choices[0].message.content or ""
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])
