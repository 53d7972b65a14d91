"""A valid instance of a JSON Schema, made of the prompt's words. It understands what vendors let through, not the whole standard."""

# ruff: noqa: ARG002 - all makers of one kind take the same arguments

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from orchestrator_nb.simulator import prose

FORMATS = {
    "date": "2026-11-22",
    "time": "08:00:00Z",
    "date-time": "2026-11-22T08:00:00Z",
    "duration": "P3D",
    "email": "ada@example.org",
    "hostname": "example.org",
    "uri": "https://example.org/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
}
DEPTH = 12
"""Deeper than this, optional properties and items are left out: recursive schemas end."""


def instance(schema: Any, prompt: str, choose: Random) -> Any:
    """A value that is valid for the schema; the same chooser gives the same value."""
    return _Maker(schema, prompt, choose).make(schema, "value", 0)


class _Maker:
    def __init__(self, root: Any, prompt: str, choose: Random) -> None:
        self.root, self.prompt, self.choose = root, prompt, choose

    def make(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping):
            return self.string({}, name)
        schema = self.whole(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.one_of(schema["enum"])
        return (
            getattr(self, self.kind(schema))(schema, name)
            if self.kind(schema) in _FLAT
            else self.nested(schema, name, depth)
        )

    def whole(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """References followed, the first alternative taken, ``allOf`` merged."""
        for _ in range(32):
            if "$ref" in schema:
                schema = {
                    **self.at(str(schema["$ref"])),
                    **{key: value for key, value in schema.items() if key != "$ref"},
                }
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                first = next((one for one in alternatives if one.get("type") != "null"), alternatives[0])
                schema = {**{key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}, **first}
            elif parts := schema.get("allOf"):
                schema = _merged([{key: value for key, value in schema.items() if key != "allOf"}, *parts])
            else:
                break
        return schema

    def at(self, pointer: str) -> Mapping[str, Any]:
        place = self.root
        for step in pointer.lstrip("#/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            place = place.get(name, {}) if name and isinstance(place, Mapping) else place
        return place if isinstance(place, Mapping) else {}

    def kind(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        kind = (
            str(kind).lower()
            if kind
            else "object"
            if "properties" in schema
            else "array"
            if "items" in schema
            else "string"
        )
        return kind if kind in _FLAT or kind in ("object", "array") else "string"

    def nested(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        if self.kind(schema) == "array":
            return self.array(schema, name, depth)
        properties, required = schema.get("properties") or {}, schema.get("required") or ()
        wanted = [key for key in properties if key in required or depth < DEPTH]
        return {key: self.make(properties.get(key, {}), key, depth + 1) for key in dict.fromkeys([*wanted, *required])}

    def array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        fixed = [self.make(part, name, depth + 1) for part in schema.get("prefixItems") or ()]
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(least, 3)))
        count = least if depth >= DEPTH else max(least, min(most, self.choose.randint(2, 3)))
        items: list[Any] = fixed
        for _ in range(count * 20):
            if len(items) >= count:
                break
            item = self.make(schema.get("items", {}), name.removesuffix("s"), depth + 1)
            if not schema.get("uniqueItems") or item not in items:
                items.append(item)
        return items

    def boolean(self, schema: Mapping[str, Any], name: str) -> bool:
        return self.choose.random() < 0.5

    def null(self, schema: Mapping[str, Any], name: str) -> None:
        return None

    def integer(self, schema: Mapping[str, Any], name: str) -> int:
        return int(self.number({**schema, "multipleOf": schema.get("multipleOf", 1)}, name))

    def number(self, schema: Mapping[str, Any], name: str) -> float:
        step = schema.get("multipleOf") or 0.01
        low, high = schema.get("minimum"), schema.get("maximum")
        if (above := schema.get("exclusiveMinimum")) is not None:
            low = above + step
        if (below := schema.get("exclusiveMaximum")) is not None:
            high = below - step
        usual = (0, 1) if re.search("score|confid|probab|share", name) and step < 1 else (1, 10)
        low = low if low is not None else min(usual[0], high if high is not None else usual[0])
        high = high if high is not None else max(usual[1], low + usual[1])
        found = self.choose.randint(math.ceil(low / step), max(math.ceil(low / step), math.floor(high / step))) * step
        return found if isinstance(found, int) else round(found, 6)

    def string(self, schema: Mapping[str, Any], name: str) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        if pattern := schema.get("pattern"):
            return self.matching(str(pattern))
        text = self.words(f"{name} {schema.get('description', '')}".lower())
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        while len(text) < least:
            text += " " + self.one_of(prose.IDEAS)
        return text if most is None or len(text) <= most else text[: int(most)]

    def words(self, name: str) -> str:
        if "sentiment" in name or "mood" in name:
            return prose.mood(self.prompt)
        if re.search("reason|summary|explan|descri|text|answer|comment|sentence|why|detail", name):
            return prose.write(self.prompt + " in one sentence", "plain", self.choose)
        return str(self.one_of(prose.keywords(self.prompt) or prose.IDEAS))

    def matching(self, pattern: str) -> str:
        """Some string that the pattern is found in: ready examples first, then ever longer runs of one character class."""
        ready = [
            *FORMATS.values(),
            "abc",
            "ABC",
            "A1",
            "AB-123",
            "1",
            "12",
            "123",
            "1234",
            "en",
            "EN",
            "a-b",
            "1.0.0",
            "+49 30 123456",
        ]
        runs = [letter * n for letter in "aA0" for n in range(1, 41)]
        return next((text for text in ready + runs if re.search(pattern, text)), "")

    def one_of(self, options: Any) -> Any:
        """A choice that prefers what the prompt itself suggests."""
        hint = prose.mood(self.prompt)
        return hint if hint in options and hint != "neutral" else self.choose.choice(list(options))


_FLAT = ("boolean", "null", "integer", "number", "string")


def _merged(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            old = merged.get(key)
            merged[key] = (
                {**old, **value}
                if isinstance(old, dict) and isinstance(value, dict)
                else [*old, *value]
                if key == "required" and old
                else value
            )
    return merged
