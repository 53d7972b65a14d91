"""DeepSeek: the chat dialect with its own switch for thinking, JSON without a schema, and thoughts that go back after a tool call."""

from __future__ import annotations

from orchestrator_nb.catalog import Quirks
from orchestrator_nb.providers.chat import Chat


class DeepSeek(Chat):
    """https://api-docs.deepseek.com/api/create-chat-completion"""

    kind = "deepseek"
    quirks = Quirks(
        seed_field=None,  # not in the reference above
        lacks=frozenset({"top_k"}),  # nor is this
        json_schema="object",  # https://api-docs.deepseek.com/guides/json_mode
        thinking_field=True,  # https://api-docs.deepseek.com/guides/thinking_mode
        echo_field="reasoning_content",  # same page: "must be passed back" after a turn with tool calls, else 400
    )
