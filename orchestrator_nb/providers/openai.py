"""OpenAI itself: Responses where the vendor's entry says so (``dialect: responses``), else Chat Completions in its newest form."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import Quirks
from orchestrator_nb.providers.chat import Chat
from orchestrator_nb.providers.decoding import Decoding
from orchestrator_nb.providers.responses import Responses
from orchestrator_nb.types import Wire


class OpenAIChat(Chat):
    """https://platform.openai.com/docs/api-reference/chat/create"""

    kind = "openai"
    quirks = Quirks(
        max_tokens_field="max_completion_tokens",  # max_tokens is refused by the reasoning models
        system_role="developer",
        lacks=frozenset({"top_k"}),
    )


class OpenAI(OpenAIChat):
    """Both doors of one vendor behind one `Provider`."""

    _responses = Responses()

    def encode(self, request: Request) -> Wire:
        """By the door that the vendor's entry names."""
        return self._responses.encode(request) if self._new(request) else super().encode(request)

    def decoder(self, request: Request, headers: Mapping[str, str]) -> Decoding:
        """By the same door."""
        return self._responses.decoder(request, headers) if self._new(request) else super().decoder(request, headers)

    def count(self, request: Request) -> Wire | None:
        """Only Responses counts."""
        return self._responses.count(request) if self._new(request) else None

    def read_count(self, body: bytes) -> int:
        """The answer of Responses."""
        return self._responses.read_count(body)

    def _new(self, request: Request) -> bool:
        return request.model.vendor.quirks.dialect == "responses"
