"""The one place where a key's value meets a request."""

from __future__ import annotations

from collections.abc import Generator

import httpx2

from orchestrator_nb.errors import AuthFailed, ConfigError
from orchestrator_nb.providers.keys import is_loopback, origin
from orchestrator_nb.secret import Secret
from orchestrator_nb.types import AuthStyle


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
        bare = request.headers
        request.headers = httpx2.Headers(bare)
        fits = _put(request, self._style, self._secret)
        if not fits:
            raise AuthFailed(
                f"{self._secret!r} holds a line break or another sign that no key has; set it again, without quotes and blanks.",
                kind="auth",
            )
        try:
            yield request
        finally:
            request.headers = bare


def _put(request: httpx2.Request, style: AuthStyle, secret: Secret) -> bool:
    """The value lives in this frame only, which is gone before anything can fail."""
    value = secret.release(origin(request.url))
    if fits := bool(value) and value.isascii() and value.isprintable() and " " not in value:
        request.headers[style.header] = style.prefix + value
    return fits
