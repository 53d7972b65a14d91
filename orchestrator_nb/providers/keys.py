"""Keys for now: the vendors' environment variables, given out as handles. The value is read when a request leaves, and kept nowhere.

A handle is bound to the origins of the vendors that the user's own catalogue gives its key to, judged by the library that sends the request. So it cannot
be taken elsewhere, also not by a project that the user trusts: only a key that no vendor of the user's own uses goes to the address that a project names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Final

import httpx2

from orchestrator_nb.catalog import Catalog, Vendor
from orchestrator_nb.errors import ConfigError, KeyMissing
from orchestrator_nb.secret import Secret, Veiled

VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "ANTHROPIC_API_KEY": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "GEMINI_API_KEY": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "GOOGLE_API_KEY": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
}
"""Where the vendors' own SDKs look, in their order (anthropic 2.12.0, google-genai 3.4.0); any other key has one name."""


@lru_cache(maxsize=256)
def address(vendor: str, base_url: str) -> httpx2.URL:
    """A vendor's base URL as the sending library reads it. Raises `ConfigError` for what is no address, or holds a password."""
    url, key = _parsed(base_url), f"{vendor}.base_url"
    if url is None or url.scheme not in {"http", "https"} or not url.host or not 0 < (url.port or 1) < 65536:
        raise ConfigError("this is no address; write one such as 'https://api.example.com/v1'.", key=key)
    if url.userinfo or url.fragment or url.query:
        raise ConfigError(
            "write the address without user name, password, '?' and '#'; keys have a place of their own.", key=key
        )
    return url


def _parsed(base_url: str) -> httpx2.URL | None:
    try:
        return httpx2.URL(base_url)
    except (httpx2.InvalidURL, ValueError):  # ValueError: some bad IPv6 literals and ports
        return None


def origin(url: httpx2.URL) -> str:
    """``scheme://host:port``, the form that keys are bound to."""
    host = url.raw_host.decode("ascii")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://[{host}]:{port}" if ":" in host else f"{url.scheme}://{host}:{port}"


def is_loopback(url: httpx2.URL) -> bool:
    """Whether the address is this machine by its very form; nothing is looked up."""
    return _is_loopback(url.raw_host.decode("ascii"))


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origins_of(names: Iterable[str], vendors: Iterable[Vendor]) -> frozenset[str]:
    """Where keys of these names may go: to the addresses of the ``vendors`` that would take one of them, also by another name for the same variable."""
    wanted = set(names)
    return frozenset(_origin(vendor) for vendor in vendors if wanted & set(synonyms(vendor.key_name)))


def _origin(vendor: Vendor) -> str:
    return _origin_of(vendor.name, vendor.base_url)


@lru_cache(maxsize=256)
def _origin_of(vendor: str, base_url: str) -> str:
    return origin(address(vendor, base_url))


def synonyms(key_name: str | None) -> tuple[str, ...]:
    """The names under which a key may be found, the first first; none for a vendor that needs none."""
    return () if key_name is None else VARIABLES.get(key_name, (key_name,))


class EnvironmentKeys:
    """Keys from the environment of this process, by the names that the catalogue gives. ``own`` is the catalogue without any project's word."""

    def __init__(self, environ: Mapping[str, str], own: Catalog | None = None) -> None:
        self._environ, self._own = Veiled(environ), own or Catalog()
        self._origins: dict[str, frozenset[str]] = {}

    def has(self, name: str) -> bool:
        """Whether the variable is set."""
        return bool(self._environ.get(name))

    def key_for(self, vendor: Vendor) -> Secret | None:
        """The vendor's key, or ``None`` when it needs none. Raises `KeyMissing`, which names the ways out."""
        if vendor.key_name is None:
            return None
        names = synonyms(vendor.key_name)
        for name in filter(self.has, names):
            value, bound = partial(self._environ.__getitem__, name), self._bound(names, vendor)
            return Secret(vendor.name, value, bound, name=name, place="environment")
        raise KeyMissing(
            f"no key for {vendor.name!r}: put it into the vault with %vault set {vendor.key_name} (or set that variable in the environment), "
            "or try it without keys after %llm simulate on; a local Ollama needs none."
        )

    def _bound(self, names: tuple[str, ...], vendor: Vendor) -> frozenset[str]:
        """To the user's own addresses for this name; a name that they do not use goes where the one who uses it says."""
        if (bound := self._origins.get(names[0])) is None:
            bound = self._origins[names[0]] = origins_of(names, self._own.vendors.values())
        return bound or frozenset({_origin(vendor)})

    def __repr__(self) -> str:
        return "EnvironmentKeys()"


class StaticKeys:
    """One made-up key for every vendor that wants one: for the simulator, which accepts it, and for tests."""

    __slots__ = ("__value",)

    def __init__(self, value: str = "simulator") -> None:
        self.__value = value

    def key_for(self, vendor: Vendor) -> Secret | None:
        """A handle bound to the vendor's address, or ``None`` when it needs none."""
        if vendor.key_name is None:
            return None
        return Secret(vendor.name, self.__value, frozenset({_origin(vendor)}))

    def __repr__(self) -> str:
        return "StaticKeys()"
