"""What to do about a failed call, by its kind: one short sentence each."""

from __future__ import annotations

from typing import Final

_WAIT: Final = "Run the cell again; a passing trouble of the vendor."

ADVICE: Final[dict[str, str]] = {
    "auth": "%vault set NAME replaces the vendor's key; %llm doctor shows which one is used.",
    "no_key": "Set the vendor's key, or use %llm simulate on.",
    "locked": "Unlock the vault with %vault unlock, then run the cell again.",
    "vault": "%vault shows what is wrong with the vault; %llm doctor says what to mend.",
    "permission": "Ask the vendor for access to this model, or choose another.",
    "quota": "Add credit at the vendor, or choose another model; waiting does not help.",
    "not_found": "Check the model's name with %llm models.",
    "invalid_request": "Change what the message names, or leave that option out.",
    "context_length": "Shorten the prompt, or choose a model with a longer context.",
    "content_filter": "Rephrase the prompt, or choose another model.",
    "too_large": "Send less: fewer or smaller files.",
    "rate_limit": "Lower --max-parallel, or run the cell again a little later.",
    "overloaded": _WAIT,
    "server": _WAIT,
    "transient": _WAIT,
    "timeout": "Run the cell again, or give it longer with --timeout.",
    "truncated": "Run the cell again; the text so far is in the text column.",
    "connection": "Check the network and the vendor's base_url.",
    "dns": "Check the network and the vendor's base_url.",
    "tls": "Check the certificate settings; a proxy may need its CA file.",
    "bad_response": "Check base_url: something other than the vendor answered.",
    "redirect": "Check base_url: the server sends elsewhere, which is never followed.",
    "response_too_large": "Ask for less, with a lower max_tokens.",
    "empty": _WAIT,
    "breaker_open": "Wait a minute: the model failed too often just now.",
    "invalid_json": "Ask more plainly for JSON, or use a model that supports schemas.",
    "schema": "Loosen the schema, or use a model that supports schemas.",
    "cancelled": "Run the cell again to ask what was cancelled.",
    "budget": "Raise the cap and %llm resume the run, or lower max_tokens; what was asked is kept.",
    "skipped": "An earlier failure stopped the run; --on-error continue goes on.",
}
"""By ``error_kind``. A kind that is not here is explained by its own message."""


def advice(kind: str) -> str:
    """What to do next."""
    return ADVICE.get(kind, "Read the error; %llm last --trace shows the rest.")
