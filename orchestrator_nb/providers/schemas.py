"""JSON Schemas in the form that each vendor takes. What a vendor cannot enforce is said in words, in the ``description``, never dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_STRUCTURE: Final = frozenset(
    {"$id", "$defs", "definitions", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
     "anyOf", "properties", "additionalProperties", "required"}
)  # fmt: skip

_ANTHROPIC_KEEPS: Final = _STRUCTURE | {"const", "default", "allOf"}
_ANTHROPIC_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_GEMINI_KEEPS: Final = _STRUCTURE | {
    "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf", "propertyOrdering"
}  # fmt: skip

_MAPS: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS: Final = frozenset({"items", "additionalProperties", "not"})


def for_anthropic(schema: Schema) -> dict[str, Any]:
    """The subset that the Anthropic SDK enforces before sending: closed objects, ``anyOf`` for ``oneOf``, ten string formats.

    https://docs.claude.com/en/docs/build-with-claude/structured-outputs
    """
    return _everywhere(schema, _anthropic)


def for_gemini(schema: Schema) -> dict[str, Any]:
    """The subset of ``responseJsonSchema``. https://ai.google.dev/api/generate-content#FIELDS.response_json_schema"""
    return _everywhere(schema, lambda node: _narrow(node, _GEMINI_KEEPS))


def is_closed(schema: Schema) -> bool:
    """Whether OpenAI's strict mode takes it: each object is closed and requires all its properties.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    seen: list[bool] = []

    def look(node: dict[str, Any]) -> dict[str, Any]:
        if node.get("type") == "object" or "properties" in node:
            properties = node.get("properties") or {}
            seen.append(
                node.get("additionalProperties") is False and set(node.get("required") or ()) == set(properties)
            )
        return node

    _everywhere(schema, look)
    return all(seen)


def in_words(schema: Schema) -> str:
    """A sentence for the system prompt of a model that takes no schema."""
    return f"Answer only with JSON that fits this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"


def _everywhere(schema: Schema, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """``change`` applied to each schema inside, innermost first."""

    def inside(key: str, value: Any) -> Any:
        if key in _MAPS and isinstance(value, Mapping):
            return {name: visit(item) for name, item in value.items()}
        if key in _LISTS and isinstance(value, list | tuple):
            return [visit(item) for item in value]
        return visit(value) if key in _SCHEMAS else value

    def visit(node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        return change({key: inside(key, value) for key, value in node.items()})

    return dict(visit(schema))


def _anthropic(node: dict[str, Any]) -> dict[str, Any]:
    if "oneOf" in node:
        node["anyOf"] = [*node.get("anyOf", []), *node.pop("oneOf")]
    if node.get("type") == "object" or "properties" in node:
        node["additionalProperties"] = False
    dropped = {"format"} if node.get("format") not in _ANTHROPIC_FORMATS else set()
    return _narrow(node, _ANTHROPIC_KEEPS - dropped)


def _narrow(node: dict[str, Any], keeps: frozenset[str]) -> dict[str, Any]:
    kept = {key: value for key, value in node.items() if key in keeps}
    rest = {key: value for key, value in node.items() if key not in keeps and key != "$schema"}
    if rest:
        words = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in rest.items())
        kept["description"] = f"{kept['description']} ({words})" if kept.get("description") else words
    return kept
