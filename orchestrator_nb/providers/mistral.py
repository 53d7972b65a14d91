"""Mistral: the chat dialect with a strict reader (an unknown field is a 422), its own name for the seed, and short ids for tool calls."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.catalog import ModelSpec, Quirks, Vendor
from orchestrator_nb.messages import ToolResult
from orchestrator_nb.providers.chat import Chat
from orchestrator_nb.providers.draft import count, inner, mend, said
from orchestrator_nb.providers.faults import name_in, read_json, rows

_OWN_ID: Final = re.compile(r"[A-Za-z0-9]{9}")

_FEATURE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "completion_chat": ("text", "system", "json", "json_schema"),
    "function_calling": ("tools",),
    "vision": ("vision",),
    "reasoning": ("thinking",),
}


class Mistral(Chat):
    """https://docs.mistral.ai/api/#tag/chat"""

    kind = "mistral"
    prefix = "/v1"
    quirks = Quirks(
        seed_field="random_seed",
        usage_option=False,  # usage comes by itself; stream_options is not in the reference
        image_form="string",  # https://docs.mistral.ai/capabilities/vision/
        tool_choice_any="any",  # https://docs.mistral.ai/capabilities/function_calling/
    )

    def read_models(self, vendor: Vendor, body: bytes) -> tuple[Sequence[ModelSpec], str | None]:
        """Those that chat, each once: an alias has a row of its own, with the same list of aliases."""
        found = (
            row
            for row in rows(read_json(body), "data")
            if row.get("id") and inner(row.get("capabilities"), "completion_chat")
        )
        return [self._model(vendor, row) for row in found], None

    def _result(self, part: ToolResult) -> dict[str, Any]:
        return super()._result(part) | {"name": part.name}

    def _call_id(self, call_id: str) -> str:
        """Nine letters or digits, made from an id of another vendor. https://docs.mistral.ai/capabilities/function_calling/"""
        return call_id if _OWN_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]

    def _model(self, vendor: Vendor, row: Mapping[str, Any]) -> ModelSpec:
        can = row.get("capabilities") or {}
        features = frozenset(feature for key, names in _FEATURE_OF.items() if can.get(key) for feature in names)
        return ModelSpec(
            vendor,
            name_in(row, "id"),
            aliases=tuple(mend(alias) for alias in row.get("aliases") or () if isinstance(alias, str)),
            context=count(row.get("max_context_length")),
            features=features,
            successor=said(row.get("deprecation_replacement_model")) or None,
            efforts=("none", "high") if "thinking" in features else (),
            thinking="effort" if "thinking" in features else "none",
        )
