"""The forms in which a key's value may stand in a text: what redaction, the scan and the leak tests look for.

Found are the value itself, URL-quoted and as hex in small and capital letters, JSON-escaped, and as base64 at each of the three alignments (which covers HTTP basic
auth). A value that is reversed, in capitals, in HTML's entities or cut by signs without width is not found; docs/vault.md says so.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import Final
from urllib.parse import quote

SHORTEST: Final = 12
"""Signs. What is shorter is no vendor's key, and may be an ordinary word."""

_CODES: Final = re.compile("%[0-9A-F]{2}")


def needles(value: str) -> Iterator[str]:
    """Each form of ``value``, maybe more than once. Base64 comes without the signs at the ends that depend on the neighbours."""
    raw = value.encode()
    yield from (value, raw.hex(), raw.hex().upper())
    if not value.replace("-", "").replace("_", "").isalnum():  # else these are the same, and quote() is slow
        quoted = quote(value, safe="")
        yield from (quoted, _CODES.sub(lambda code: code[0].lower(), quoted), encode_basestring_ascii(value)[1:-1])
    for pad in range(3):
        encoded = b64encode(b"\0" * pad + raw).decode()
        yield encoded[-(-pad * 4 // 3) : len(encoded) // 4 * 4 - 4]
