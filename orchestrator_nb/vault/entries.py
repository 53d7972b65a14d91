"""What a vault holds, and how it is written inside: one JSON object, ``{"v": 1, "keys": {NAME: {"value", "vendor", "origins", "created", "rotated"}}}``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator_nb.errors import UserError, VaultFormatError
from orchestrator_nb.secret import Hidden, unseen

VERSION: Final = 1
MAX_VALUE_BYTES: Final = 8192
_OPTIONAL: Final = {"vendor": "", "created": "", "rotated": ""}
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
    if not _is_key(value):
        raise UserError("this is no key: it has blanks, line breaks or signs that no key has; copy it once more.")
    return value


def _is_key(value: Hidden) -> bool:
    return 0 < len(value) <= MAX_VALUE_BYTES and value.use(lambda signs: all(0x21 <= sign <= 0x7E for sign in signs))


def write(entries: Entries) -> Hidden:
    """The content to seal; sorted, so that equal vaults have equal content."""

    def hidden() -> Hidden:
        keys = {name: _written(entry) for name, entry in sorted(entries.items())}
        return Hidden(json.dumps({"keys": keys, "v": VERSION}, sort_keys=True, separators=(",", ":")))

    return unseen(hidden)


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


def read(content: Hidden) -> dict[str, Entry]:
    """The entries of an opened vault; an empty content is an empty vault. Raises `VaultFormatError` for content that this version does not write.

    It was sealed by somebody who knows the password, so this is no defence; it keeps a newer version's content, or another program's mistake, from being
    half understood and then written back without the rest.
    """
    found = content.use(_found) if len(content) else {}
    if found is None:
        raise VaultFormatError("its content is none that this version knows; update orchestrator-nb.")
    return found


def _found(content: bytearray) -> dict[str, Entry] | None:
    """``None`` for what cannot be understood: an error would carry the content, and so would its frames."""
    try:
        whole = json.loads(content.decode(), object_pairs_hook=_unique)
        if whole.keys() == {"keys", "v"} and type(whole["v"]) is int and whole["v"] == VERSION:
            return {_known(name): _entry(name, fields) for name, fields in whole["keys"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ on which of two equal names counts (RFC 8259 §4)."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _known(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError
    return name


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    fields = _OPTIONAL | fields
    texts = {field: _text(fields.pop(field)) for field in ("value", *_OPTIONAL)}
    origins = fields.pop("origins")
    value = Hidden(texts["value"])
    if fields or type(origins) is not list or not _is_key(value):
        raise ValueError
    times = _seconds(texts["created"]), _seconds(texts["rotated"])
    return Entry(name, value, texts["vendor"], frozenset(map(_text, origins)), *times)


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError
    return found


def _seconds(stamp: str) -> float:
    seconds = datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
    if _stamp(seconds) != stamp:
        raise ValueError
    return seconds
