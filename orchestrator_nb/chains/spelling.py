"""One spelling for the names of roles and personas: `TechnicalWriter`, `technical writer` and `technical-writer` are ``technical_writer``."""

from __future__ import annotations

import re
from typing import Final

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GAP: Final = re.compile(r"[\s\-_]+")


def canonical(name: str) -> str:
    """The name in small letters with ``_`` between its words."""
    return _GAP.sub("_", _HUMP.sub("_", name).strip()).strip("_").lower()
