"""Which vendor is played under which path."""

from __future__ import annotations

from orchestrator_nb.simulator.anthropic import Anthropic
from orchestrator_nb.simulator.openai import OpenAI
from orchestrator_nb.simulator.vendor import Vendor

MOUNTS: tuple[tuple[str, Vendor], ...] = (
    ("/anthropic", Anthropic()),
    ("/openai", OpenAI()),
)
"""Path prefix -> vendor."""

URLS = {"anthropic": "/anthropic", "openai": "/openai/v1"}
"""Name -> path of the base URL."""
