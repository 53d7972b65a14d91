"""What a vault holds, and how it is written inside: one JSON object, ``{"v": 1, "keys": {NAME: {"value", "vendor", "origins", "created", "rotated"}}}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator_nb.errors import UserError, VaultFormatError
from orchestrator_nb.secret import Hidden

VERSION: Final = 1
MAX_VALUE_BYTES: Final = 8192
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One key. ``origins`` (``scheme://host:port``) are where it may be sent, ``created`` and ``rotated`` seconds since the epoch; 0 is unknown."""

    name: str
    value: Hidden
    vendor: str = ""
    origins: frozenset[str] = field(default_factory=frozenset)
    created: float = 0.0
    rotated: float = 0.0


Entries = Mapping[str, Entry]
"""By name."""


def require_name(name: str) -> str:
    """``name`` if a key may be called so: like an environment variable. Raises `UserError`."""
    if not _NAME.fullmatch(name):
        raise UserError("a key is called like an environment variable: letters, digits and _, such as OPENAI_API_KEY.")
    return name


def require_value(value: Hidden) -> Hidden:
    """``value`` if it can be a key: printable ASCII without blanks, at most 8 KiB. Raises `UserError` that shows none of it."""
    if not len(value):
        raise UserError("nothing was entered; the vault is as it was.")
    if len(value) > MAX_VALUE_BYTES or not value.use(_fits):
        raise UserError("this is no key: it has blanks, line breaks or signs that no key has; copy it once more.")
    return value


def _fits(value: bytearray) -> bool:
    return all(0x21 <= sign <= 0x7E for sign in value)


def write(entries: Entries) -> bytearray:
    """The content to seal; sorted, so that equal vaults have equal content."""
    keys = {name: _written(entry) for name, entry in sorted(entries.items())}
    return bytearray(json.dumps({"keys": keys, "v": VERSION}, sort_keys=True, separators=(",", ":")).encode())


def _written(entry: Entry) -> dict[str, Any]:
    return {
        "value": entry.value.use(lambda value: value.decode()),
        "vendor": entry.vendor,
        "origins": sorted(entry.origins),
        "created": _stamp(entry.created),
        "rotated": _stamp(entry.rotated),
    }


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""


def read(content: bytearray) -> dict[str, Entry]:
    """The entries of an opened vault; an empty content is an empty vault. Raises `VaultFormatError` for content of a newer version."""
    if not content:
        return {}
    try:
        whole = json.loads(content)
        if whole["v"] == VERSION:
            return {name: _entry(name, fields) for name, fields in whole["keys"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # raised below, where nothing of the content hangs on the error
    raise VaultFormatError("its content was written by a newer version; update orchestrator-nb.")


def _entry(name: str, fields: Mapping[str, Any]) -> Entry:
    return Entry(
        name,
        Hidden(fields["value"]),
        str(fields.get("vendor", "")),
        frozenset(map(str, fields["origins"])),
        _seconds(fields.get("created", "")),
        _seconds(fields.get("rotated", "")),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
