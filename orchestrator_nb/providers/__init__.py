"""Vendors: pure translation between our values and each vendor's wire format, and the one place that speaks HTTP.

`PROVIDERS` maps a vendor's ``kind`` to its translation. Nothing here holds a key or a client but `http` and `transport`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from orchestrator_nb.providers.anthropic import Anthropic
from orchestrator_nb.providers.compatible import Compatible
from orchestrator_nb.providers.deepseek import DeepSeek
from orchestrator_nb.providers.gemini import Gemini
from orchestrator_nb.providers.mistral import Mistral
from orchestrator_nb.providers.ollama import Ollama
from orchestrator_nb.providers.openai import OpenAI
from orchestrator_nb.types import Provider

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({
    provider.kind: provider
    for provider in (Anthropic(), Gemini(), OpenAI(), DeepSeek(), Mistral(), Ollama(), Compatible())
})  # fmt: skip

__all__ = ["PROVIDERS"]
