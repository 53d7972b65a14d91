"""The forms in which a key's value may stand in a text: what redaction, the scan and the leak tests look for.

Found are the value itself, URL-quoted, JSON-escaped, as hex, and as base64 at each of the three alignments (which covers HTTP basic auth). A value that is
reversed or in capitals is not found; docs/vault.md says so.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import Final
from urllib.parse import quote

SHORTEST: Final = 12
"""Signs. What is shorter is no vendor's key, and may be an ordinary word."""


def needles(value: str) -> Iterator[str]:
    """Each form of ``value``, maybe more than once. Base64 comes without the signs at the ends that depend on the neighbours."""
    raw = value.encode()
    yield from (value, raw.hex())
    if not value.replace("-", "").replace("_", "").isalnum():  # else these are the same, and quote() is slow
        yield from (quote(value, safe=""), encode_basestring_ascii(value)[1:-1])
    for pad in range(3):
        encoded = b64encode(b"\0" * pad + raw).decode()
        yield encoded[-(-pad * 4 // 3) : len(encoded) // 4 * 4 - 4]
