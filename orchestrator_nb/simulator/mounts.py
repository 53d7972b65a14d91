"""Which vendor is played under which path."""

from __future__ import annotations

from orchestrator_nb.simulator.anthropic import Anthropic
from orchestrator_nb.simulator.compatible import VLLM, Compatible, Groq, LlamaCpp, LMStudio, OpenRouter
from orchestrator_nb.simulator.deepseek import DeepSeek
from orchestrator_nb.simulator.gemini import Gemini
from orchestrator_nb.simulator.mistral import Mistral
from orchestrator_nb.simulator.ollama import Door, Ollama
from orchestrator_nb.simulator.openai import OpenAI
from orchestrator_nb.simulator.vendor import Vendor

MOUNTS: tuple[tuple[str, Vendor], ...] = (
    ("/anthropic", Anthropic()),
    ("/gemini", Gemini()),
    ("/openai", OpenAI()),
    ("/deepseek", DeepSeek()),
    ("/mistral", Mistral()),
    ("/ollama", Ollama()),
    ("/ollama/v1", Door()),
    ("/compat", Compatible()),
    ("/vllm", VLLM()),
    ("/llamacpp", LlamaCpp()),
    ("/lmstudio", LMStudio()),
    ("/openrouter/api", OpenRouter()),
    ("/groq/openai", Groq()),
)
"""Path prefix -> vendor; the longest prefix wins."""

URLS = {
    "anthropic": "/anthropic",
    "gemini": "/gemini",
    "openai": "/openai/v1",
    "deepseek": "/deepseek",
    "mistral": "/mistral",
    "ollama": "/ollama",
    "compat": "/compat/v1",
    "openai-compatible": "/compat/v1",
    "ollama-v1": "/ollama/v1",
    "vllm": "/vllm/v1",
    "llamacpp": "/llamacpp/v1",
    "lmstudio": "/lmstudio/v1",
    "openrouter": "/openrouter/api/v1",
    "groq": "/groq/openai/v1",
}
"""Name -> path of the base URL, in the form that the vendor's own client wants it."""
