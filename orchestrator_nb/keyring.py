"""The owner's way to the vault, in words: make it, unlock it, put keys in. Passwords and values are asked for, never taken as arguments.

    session().vault.set("OPENAI_API_KEY")

Each method is one verb of ``%vault`` and of ``onb vault``; what it returns or appends to `notices` is what there is to tell. There is no way to get a value out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import httpx2

from orchestrator_nb.catalog import Catalog, Vendor
from orchestrator_nb.config import Config
from orchestrator_nb.errors import ConfigError, UserError, VaultAuthError, VaultLocked
from orchestrator_nb.providers.keys import address, is_loopback, origin, origins_of, synonyms
from orchestrator_nb.secret import Hidden
from orchestrator_nb.types import Clock
from orchestrator_nb.vault import sources
from orchestrator_nb.vault.entries import require_name, require_value
from orchestrator_nb.vault.kdf import Argon2id, Pbkdf2
from orchestrator_nb.vault.password import require_good
from orchestrator_nb.vault.timer import Limits, since_boot
from orchestrator_nb.vault.vault import Fact, Status, Vault

TRIES = 3


def vault_for(config: Config, path: Path, clock: Clock) -> Vault:
    """The vault at ``path``, as the settings want it."""
    settings = config.settings.vault
    argon = Argon2id(settings.argon2_passes, settings.argon2_memory_kib, settings.argon2_lanes)
    return Vault(
        path,
        state=config.paths.state,
        kdf=Pbkdf2(settings.iterations) if settings.kdf == "pbkdf2" else argon,
        limits=Limits(settings.idle_s, settings.limit_s),
        file_lock=settings.file_lock,
        readings=lambda: (clock.monotonic(), clock.wall(), *since_boot()),
        wall=clock.wall,
    )


class Keyring:
    """The vault of the session's profile. ``catalog`` gives the user's own vendors: a new key is bound to the addresses of those that use its name."""

    def __init__(self, vault: Vault, environ: Mapping[str, str], catalog: Callable[[], Catalog]) -> None:
        self.vault = vault
        self._environ, self._catalog = environ, catalog

    def status(self) -> Status:
        """State, key derivation, and the time left. Raises `VaultError` for a file that is not to be trusted."""
        return self.vault.status()

    def list(self) -> tuple[Fact, ...]:
        """What may be shown of each key; asks for the password when it is locked. Raises `VaultLocked`."""
        self.open()
        return self.vault.facts()

    @property
    def notices(self) -> Sequence[str]:
        """What there is to tell since the last look."""
        told, self.vault.notices[:] = tuple(self.vault.notices), ()
        return told

    def init(self) -> None:
        """Make an empty vault. Raises `VaultError` when there is one, `UserError` for a password that is too short."""
        if self.vault.exists:
            raise UserError(f"there is a vault already ({self.vault.path.stem}); %vault unlock opens it.")
        self.vault.create(self._new_password(f"New password for the vault {self.vault.path.stem!r}: "))

    def unlock(self) -> None:
        """Open it: with the password file or command where one is named, else by asking, three times at most. Raises `VaultAuthError`, `VaultLocked`."""
        if not self.vault.exists:
            raise UserError("there is no vault yet; %vault init makes one.")
        if not self.unlock_unattended():
            self._asked(self.vault.unlock, f"Password of the vault {self.vault.path.stem!r}: ")

    def unlock_unattended(self) -> bool:
        """Open it without a person; whether a file or command has the password. Raises `VaultAuthError` when it is the wrong one."""
        password = sources.without_a_person(self._environ)
        if password is not None:
            self.vault.unlock(password)
        return password is not None

    def open(self) -> None:
        """Unlock it unless it is open; make it when there is none."""
        if not self.vault.exists:
            self.vault.notices.append(f"there was no vault yet: {self.vault.path} is new.")
            self.init()
        elif not self.vault.is_open:
            self.unlock()

    def lock(self) -> None:
        """Wipe keys and values from this process."""
        self.vault.lock()

    def set(self, name: str, origins: Iterable[str] = ()) -> Fact:
        """Ask for a key's value and keep it, for the addresses of the vendors that use this name, or for ``origins``.

        Raises `UserError` when no vendor uses the name and no origin is given.
        """
        self.open()
        where = self.origins_for(require_name(name), origins)
        return self.vault.put(name, self.vendor_of(name), require_value(sources.ask(f"Value of {name}: ")), where)

    def remove(self, name: str) -> None:
        """Forget a key. Raises `UserError` when there is none of that name."""
        self.open()
        self.vault.remove(name)

    def origins(self, name: str, origins: Iterable[str]) -> None:
        """Let a key go to other addresses; asks for the password, also while the vault is open."""
        self.open()
        where = frozenset(map(_origin, origins))
        self._asked(
            lambda password: self.vault.bind(name, where, password), "Password, to change where this key may go: "
        )

    def passwd(self, *, keep_backups: bool = False) -> None:
        """Change the password. Backups that open with the old one are deleted unless kept."""
        if not self.vault.exists:
            raise UserError("there is no vault yet; %vault init makes one.")
        old = self._asked(self.vault.unlock, "Password until now: ")
        self.vault.change_password(old, self._new_password("New password: "), keep_backups=keep_backups)

    # What a run needs

    def ready(self, vendors: Iterable[Vendor], has: Callable[[str], bool]) -> None:
        """Before a run: open the vault if one of these vendors needs a key and nobody has locked us out. Asks once.

        Where nobody can be asked it stays locked: keys that the environment ``has`` are used then, and a notice says so.
        """
        needing = [vendor for vendor in vendors if vendor.key_name]
        if not needing or not self.vault.exists or self.vault.is_open:
            return
        try:
            self.unlock()
        except VaultLocked:
            found = sorted({name for vendor in needing for name in synonyms(vendor.key_name) if has(name)})
            if found:
                self.vault.notices.append(f"the vault is locked; {', '.join(found)} came from the environment.")

    # Small parts

    def origins_for(self, name: str, given: Iterable[str] = ()) -> frozenset[str]:
        """Where a key of this name may go. Raises `UserError`, `ConfigError`."""
        where = frozenset(map(_origin, given)) or origins_of(synonyms(name), self._catalog().vendors.values())
        if not where:
            raise UserError(
                f"no vendor uses a key called {name}; say where it may go: %vault set {name} --origin https://api.example.com"
            )
        return where

    def vendor_of(self, name: str) -> str:
        """The vendors that use a key of this name."""
        names = synonyms(name)
        return ", ".join(vendor.name for vendor in self._catalog().vendors.values() if vendor.key_name in names)

    def _new_password(self, prompt: str) -> Hidden:
        password = sources.without_a_person(self._environ) or sources.ask_twice(prompt)
        if warning := require_good(password):
            self.vault.notices.append(warning)
        return password

    def _asked(self, act: Callable[[Hidden], None], prompt: str) -> Hidden:
        """``act`` with a password from the person, who may mistype it twice."""
        for left in range(TRIES - 1, -1, -1):
            password = sources.ask(prompt)
            try:
                act(password)
            except VaultAuthError:
                if not left:
                    raise
            else:
                return password
            prompt = f"That did not open it. Once more ({left} left): "
        raise VaultAuthError


def _origin(text: str) -> str:
    """``scheme://host:port`` of an address. Plain HTTP is for this machine only."""
    url: httpx2.URL = address("vault", text)
    if url.scheme != "https" and not is_loopback(url):
        raise ConfigError("a key would travel unencrypted; use https.", key="origin")
    return origin(url)
