"""Any server that copies the chat dialect: vLLM, llama.cpp, LM Studio, OpenRouter, Groq and the rest. Their differences are `Quirks`.

`KNOWN` has the quirks of servers whose pages say how they differ, for the vendors' entries in ``models.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator_nb.catalog import Quirks
from orchestrator_nb.providers.chat import Chat


class Compatible(Chat):
    """The chat dialect as it is; ``max_tokens`` is the name that every copy understands."""

    kind = "openai-compatible"


KNOWN: Final[Mapping[str, Quirks]] = {
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    "vllm": Quirks(),
    # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    "llamacpp": Quirks(effort_field=None),
    # https://lmstudio.ai/docs/app/api/endpoints/openai
    "lmstudio": Quirks(),
    # https://openrouter.ai/docs/api-reference/overview: the cost of each answer is in its usage
    "openrouter": Quirks(cost_in_usage=True),
    # https://console.groq.com/docs/openai: max_completion_tokens, usage also in x_groq
    "groq": Quirks(max_tokens_field="max_completion_tokens"),
}
