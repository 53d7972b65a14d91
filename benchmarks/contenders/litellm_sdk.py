"""LiteLLM's `acompletion`, quiet and without telemetry. It runs in an environment of its own (see requirements-litellm.txt)."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices from the package, not from the web

import litellm

from benchmarks.contenders import Client, body

litellm.telemetry = False
litellm.suppress_debug_info = True


class Contender(Client):
    package = "litellm"

    async def open(self, base: str, parallel: int) -> None:  # noqa: ARG002 litellm keeps its own clients
        return None

    async def ask(self, client: Any, base: str, question: str, stream: bool) -> str:  # noqa: ARG002
        asked = body(question, stream)
        asked["model"] = f"openai/{asked['model']}"
        answer = await litellm.acompletion(**asked, api_base=base, api_key="k", timeout=120)
        if not stream:
            text: str = answer.choices[0].message.content
            return text
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])

    async def close(self) -> None:
        return None
