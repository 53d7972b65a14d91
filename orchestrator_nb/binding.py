"""Which key belongs to whom: the vendors that use its name, the addresses where it may go, and what is told when it is stored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence

import httpx2

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.errors import ConfigError, UserError
from orchestrator_nb.literals import looks_like_a_key
from orchestrator_nb.providers.keys import address, is_loopback, origin, origins_of, synonyms
from orchestrator_nb.secret import Hidden
from orchestrator_nb.traces.patterns import PATTERNS
from orchestrator_nb.vault import telling
from orchestrator_nb.vault.entries import require_value
from orchestrator_nb.vault.vault import Fact, Vault

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?(?:/[a-z0-9./-]*)?")
_VENDORS = {
    "anthropic",
    "openai",
    "deepseek",
    "openrouter",
    "google",
    "gemini",
    "groq",
    "mistral",
    "xai",
    "together",
    "perplexity",
}
"""Whose keys are told by their names."""
_QUOTES = (b'"', b"'")
_BLANKS = " \t\r\n\xa0\u200b\u2060\ufeff"
"""At the ends of what is copied from a web page."""


class Binding:
    """The keys in ``vault`` and the user's own vendors, as ``catalog`` gives them."""

    def __init__(self, vault: Vault, catalog: Callable[[], Catalog]) -> None:
        self._vault, self._catalog = vault, catalog

    def known_names(self) -> Sequence[str]:
        """The names of keys that the user's own vendors use."""
        vendors = self._catalog().vendors.values()
        return tuple(dict.fromkeys(name for vendor in vendors for name in synonyms(vendor.key_name)))

    def origins_for(self, name: str) -> frozenset[str]:
        """Where a key of this name may go. Raises `UserError` when no vendor uses it, `ConfigError`."""
        if where := self._origins_of_vendors(name):
            return where
        meant = difflib.get_close_matches(name.upper(), self.known_names(), n=1, cutoff=0.75)
        first = f"did you mean {meant[0]}? Else say" if meant else "say"
        raise UserError(
            f"no vendor uses a key called {name}; {first} where it may go: %vault set {name} --origin https://api.example.com"
        )

    def until_now(self, name: str) -> frozenset[str]:
        """Where the key of this name in the open vault may go."""
        fact = self.found(name)
        return frozenset(fact.origins) if fact else frozenset()

    def vendor_of(self, name: str) -> str:
        """The vendors that use a key of this name."""
        vendors = self._catalog().vendors.values()
        return ", ".join(vendor.name for vendor in vendors if name in synonyms(vendor.key_name))

    def preferred(self, held: Collection[str]) -> Sequence[str]:
        """Which of several names for the same key is used."""
        rows = [
            [name for name in synonyms(vendor.key_name) if name in held] for vendor in self._catalog().vendors.values()
        ]
        return [*dict.fromkeys(f"{row[0]} is used before {telling.listed(row[1:])}" for row in rows if len(row) > 1)]

    def found(self, name: str) -> Fact | None:
        """What may be shown of the key of this name, if there is one."""
        return next((fact for fact in self._vault.facts() if fact.name == name), None)

    def fact(self, name: str) -> Fact:
        """The same. Raises `UserError` when there is none."""
        if (fact := self.found(name)) is None:
            known = ", ".join(fact.name for fact in self._vault.facts()) or "none yet"
            raise UserError(f"the vault has no key {name!r}; it has: {known}.")
        return fact

    def put(self, name: str, typed: Hidden, where: frozenset[str]) -> Fact:
        """Store what was typed, or replace with it, to go to ``where``. ``typed`` is wiped."""
        value = self._cleaned(typed)
        before, other = self.found(name), value.use(lambda raw: _others(raw.decode(errors="replace"), name))
        try:
            fact = self._vault.put(name, self.vendor_of(name), require_value(value), where)
        finally:
            value.wipe()
        if other:
            self._vault.notices.append(f"the value looks like an {other}: is {name} the right name for it?")
        if before:
            same = ", by the same value" if before.fp == fact.fp else f": it was fp:{before.fp}"
            self._vault.notices.append(f"{name} is replaced{same}.")
        if beyond := sorted(self._origins_of_vendors(name) - where):
            self._vault.notices.append(
                f"{name} does not go to {telling.listed(beyond)}, where a vendor uses it now; %vault origins {name} {' '.join(beyond)} lets it."
            )
        return fact

    def _cleaned(self, typed: Hidden) -> Hidden:
        """Without what was copied along: blanks and line breaks at the ends, and quotes around it. ``typed`` is wiped."""
        value = typed.use(lambda raw: Hidden(raw.decode(errors="surrogatepass").strip(_BLANKS)))
        typed.wipe()
        if len(value) > 2 and value.use(lambda raw: raw[:1] == raw[-1:] and raw[:1] in _QUOTES):
            value, quoted = value.use(lambda raw: Hidden(raw[1:-1])), value
            quoted.wipe()
            self._vault.notices.append("the quotes around the value were left out.")
        return value

    def _origins_of_vendors(self, name: str) -> frozenset[str]:
        return origins_of(synonyms(name), self._catalog().vendors.values())


def _others(value: str, name: str) -> str:
    """Whose key the value looks like, if ``name`` tells of another vendor."""
    wanted = {vendor for vendor in _VENDORS if vendor in name.lower()}
    wanted |= {"google"} if "gemini" in wanted else set()
    looks = next((pattern.name for pattern in PATTERNS if any(True for _ in pattern.find(value))), "")
    vendors = _VENDORS & {*looks.lower().split()}
    return looks if wanted and vendors and not wanted & vendors else ""


def origin_of_text(text: str) -> str:
    """``scheme://host:port`` of an address. Plain HTTP is for this machine only."""
    if "://" not in text and _HOST.fullmatch(text) and not looks_like_a_key(text):
        raise UserError(f"--origin: {text!r} lacks https://")
    url: httpx2.URL = address("vault", text)
    if url.scheme != "https" and not is_loopback(url):
        raise ConfigError("a key would travel unencrypted; use https.", key="origin")
    return origin(url)
