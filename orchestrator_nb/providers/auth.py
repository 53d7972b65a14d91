"""The one place where a key's value meets a request, and where it is taken out of what others say."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator, Iterator
from typing import Final
from urllib.parse import quote

import httpx2

from orchestrator_nb.errors import AuthFailed, ConfigError
from orchestrator_nb.providers.keys import is_loopback, origin
from orchestrator_nb.secret import Secret
from orchestrator_nb.types import AuthStyle

SHORTEST: Final = 12
"""Signs. What is shorter is no vendor's key, and may be an ordinary word."""


class KeyAuth(httpx2.Auth):
    """Puts the key into its header while the request is written, and takes it out again as soon as the answer, or a failure, is here."""

    def __init__(self, secret: Secret, style: AuthStyle) -> None:
        self._secret, self._style = secret, style

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Raises `VaultError` when the key is bound to another origin, `ConfigError` for plain HTTP to another machine, `AuthFailed`
        for a value that can not stand in a header.
        """
        if request.url.scheme != "https" and not is_loopback(request.url):
            raise ConfigError(
                f"{self._secret!r} is not sent over plain HTTP to another machine; use https, or leave api_key_name out."
            )
        fits = _put(request, self._style, self._secret)
        if not fits:
            raise AuthFailed(
                f"{self._secret!r} holds a line break or another sign that no key has; set it again, without quotes and blanks.",
                kind="auth",
            )
        try:
            yield request
        finally:
            del request.headers[self._style.header]


def _put(request: httpx2.Request, style: AuthStyle, secret: Secret) -> bool:
    """The value lives in this frame only, which is gone before anything can fail."""
    value = secret.release(origin(request.url))
    if fits := bool(value) and value.isascii() and value.isprintable() and " " not in value:
        request.headers[style.header] = style.prefix + value
    return fits


def redacted(text: str, secret: Secret | None, url: httpx2.URL) -> str:
    """``text`` without the key, in any of the forms in which a server might echo it: plain, quoted, JSON, hex, base64."""
    if secret is None:
        return text
    for needle in _needles(secret.release(origin(url))):
        if len(needle) >= SHORTEST:
            text = text.replace(needle, "[key]")
    return text


def _needles(value: str) -> Iterator[str]:
    """Base64 at its three alignments, without the signs at the ends that depend on the neighbours."""
    raw = value.encode()
    yield from (value, quote(value, safe=""), json.dumps(value)[1:-1], raw.hex())
    for pad in range(3):
        encoded = b64encode(b"\0" * pad + raw).decode()
        yield encoded[-(-pad * 4 // 3) : len(encoded) // 4 * 4 - 4]
