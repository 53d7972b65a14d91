"""The owner's way to the vault, in words: make it, unlock it, put keys in. Passwords and values are asked for, never taken as arguments.

    session().vault.set("OPENAI_API_KEY")

Each method is one verb of ``%vault`` and of ``onb vault``; what it returns or appends to `notices` is what there is to tell. There is no way to get a value out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator_nb.binding import Binding, origin_of_text
from orchestrator_nb.catalog import Catalog, Vendor
from orchestrator_nb.config import Config
from orchestrator_nb.errors import OrchestratorError, UserError, VaultLocked
from orchestrator_nb.importing import Imported, Importing
from orchestrator_nb.literals import looks_like_a_key, refusal, refuse_password
from orchestrator_nb.providers.keys import synonyms
from orchestrator_nb.secret import Hidden
from orchestrator_nb.types import Clock
from orchestrator_nb.unlocking import Unlocking
from orchestrator_nb.vault import imports, sources, telling
from orchestrator_nb.vault.entries import require_name
from orchestrator_nb.vault.kdf import Argon2id, Kdf, Pbkdf2
from orchestrator_nb.vault.timer import Limits, since_boot
from orchestrator_nb.vault.vault import Fact, Status, Vault


def vault_for(config: Config, path: Path, clock: Clock) -> Vault:
    """The vault at ``path``, as the settings want it."""
    return Vault(
        path,
        state=config.paths.state,
        kdf=_kdf(config),
        limits=_limits(config),
        file_lock=config.settings.vault.file_lock,
        readings=lambda: (clock.monotonic(), clock.wall(), *since_boot()),
        wall=clock.wall,
    )


def follow(vault: Vault, config: Config) -> None:
    """Changed settings count from the next unlocking: more time is not given to somebody who does not know the password."""
    vault.kdf, vault.limits = _kdf(config), _limits(config)


def _kdf(config: Config) -> Kdf:
    settings = config.settings.vault
    if settings.kdf == "pbkdf2":
        return Pbkdf2(settings.iterations)
    return Argon2id(settings.argon2_passes, settings.argon2_memory_kib, settings.argon2_lanes)


def _limits(config: Config) -> Limits:
    return Limits(config.settings.vault.idle_s, config.settings.vault.limit_s)


class Keyring:
    """The vault of the session's profile. ``catalog`` gives the user's own vendors: a new key is bound to the addresses of those that use its name.

    ``folder`` is where a relative path of a file to import begins.
    """

    def __init__(
        self, vault: Vault, environ: Mapping[str, str], catalog: Callable[[], Catalog], folder: Path | None = None
    ) -> None:
        self.vault = vault
        self._environ, self._folder = environ, folder or Path()
        self._unlocking = Unlocking(vault, environ)
        self._binding = Binding(vault, catalog)
        self._importing = Importing(vault, self._binding, self.open)

    def about(self) -> list[str]:
        """The vault in lines of text: state, backups, time left and keys, while it is open. Asks nothing. Raises as `status`."""
        facts = self.vault.facts() if self.vault.still_open() else None
        lines = [*telling.about(self.status(), facts, self.vault.path.stem, datetime.now(UTC).timestamp())]
        return [*lines, *map("           {}".format, self._binding.preferred({fact.name for fact in facts or ()}))]

    def status(self) -> Status:
        """State, key derivation, and the time left. Raises `VaultError` for a file that is not to be trusted."""
        return self.vault.status()

    def list(self) -> tuple[Fact, ...]:
        """What may be shown of each key; asks for the password when it is locked. Raises `VaultLocked`."""
        self._require_vault()
        self.open()
        return self.vault.facts()

    @property
    def notices(self) -> Sequence[str]:
        """What there is to tell since the last look."""
        told, self.vault.notices[:] = tuple(self.vault.notices), ()
        return told

    def init(self, *literal: object) -> None:
        """Make an empty vault. Raises `UserError` when there is one, or for a password that is too short."""
        refuse_password(literal, "init")
        if self.vault.exists:
            raise UserError(f"there is a vault already ({telling.place(self.vault.path)}); %vault unlock opens it.")
        self._unlocking.make()

    def unlock(self, *literal: object) -> None:
        """Open it: with the password file or command where one is named, else by asking, three times at most; make it when there is none.

        Nothing happens when it is open. ``literal`` is always refused, as in `set`. Raises `VaultAuthError`, `VaultLocked`.
        """
        refuse_password(literal, "unlock")
        self.open()

    def unlock_unattended(self) -> bool:
        """Open it without a person; whether a file or command has the password. Raises `VaultAuthError` when it is the wrong one."""
        return self._unlocking.unattended()

    def open(self, prompt: str = "") -> None:
        """Unlock it unless it is open; offer to make it when there is none."""
        self._unlocking.open(prompt)

    def lock(self) -> None:
        """Wipe keys and values from this process."""
        self.vault.lock()

    def set(self, name: str, *literal: object, origins: Iterable[str] = (), piped: bool = False) -> Fact:
        """Ask for a key's value and keep it, for the addresses of the vendors that use this name, or for ``origins``; a key that is replaced keeps its own.

        With ``piped`` the value is the first line of standard input, where that is no terminal and the vault opens without a person. ``literal`` is always refused: what stands in a cell also stands in histories, files and tracebacks. Raises `UserError`
        when no vendor uses the name and no origin is given.
        """
        if literal or looks_like_a_key(name):
            raise refusal([str(one) for one in literal or (name,)], "session().vault.set(NAME) asks for the value.")
        given = frozenset(map(origin_of_text, origins))
        if not given and not self.vault.exists:
            self.origins_for(require_name(name))
        require_name(name)
        made = not self.vault.exists
        self.open()
        where = given or self._binding.until_now(name) or self.origins_for(name)
        return self._binding.put(name, self._value(name, made=made, piped=piped), where)

    def _value(self, name: str, *, made: bool, piped: bool) -> Hidden:
        if piped and sources.is_unattended(self._environ) and (line := sources.piped()):
            return line
        try:
            return sources.ask(f"Value of {name}: ", sources.VALUE_ELSE)
        except (sources.NothingEntered, sources.PromptInterrupted) as error:
            if made:
                error.args = (f"the vault is made, no key is in it yet: %vault set {name}",)
                self.vault.notices.append(error.args[0])
            raise

    def remove(self, name: str) -> None:
        """Forget a key. Raises `UserError` when there is none of that name."""
        require_name(name)
        self._require_vault()
        self.open()
        self.vault.remove(name)

    def origins(self, name: str, *origins: str) -> Fact:
        """Where a key may go. With ``origins`` it may go there from now on, and nowhere else: that asks for the password, also while the vault is open."""
        require_name(name)
        self._require_vault()
        where = frozenset(map(origin_of_text, origins))
        password = None if self.vault.still_open() else self._unlocking.unlock()
        fact = self._binding.fact(name)
        if not where:
            return fact
        if password:
            self.vault.bind(name, where, password)
        else:
            password = self._unlocking.asked(
                lambda typed: self.vault.bind(name, where, typed), "Password, to change where this key may go: "
            )
        password.wipe()
        return self._binding.fact(name)

    def passwd(self, *literal: object, keep_backups: bool = False) -> None:
        """Change the password. Backups that open with the old one are deleted unless kept."""
        refuse_password(literal, "passwd")
        self._require_vault()
        old = self._unlocking.asked(self.vault.prove, "Password until now: ")
        new = sources.ask_twice("New password: ", self._unlocking.require_good)
        self.vault.change_password(old, new, keep_backups=keep_backups)
        old.wipe()
        new.wipe()

    # Importing

    def import_env(self, *names: str, origins: Iterable[str] = (), replace: bool = False) -> Imported:
        """Take keys from the environment: those of ``names``, or all that the settings know. The environment is left as it is.

        ``origins`` is where the keys may go, if not to the vendors that use their names; with ``replace`` also those are taken that the vault has.
        """
        found = imports.from_environment(self._environ, self._wanted(names), self._folder)
        return self._importing.take(found, names, origins, replace=replace)

    def import_file(
        self, path: str | Path, *names: str, origins: Iterable[str] = (), replace: bool = False
    ) -> Imported:
        """Take keys from a ``.env`` file, which is read as it stands: nothing in it is expanded or run. The file is left as it is."""
        found = imports.from_file(self._folder / Path(path).expanduser(), self._wanted(names), self._environ)
        return self._importing.take(found, names, origins, replace=replace)

    def import_keyring(
        self, *names: str, service: str = imports.SERVICE, origins: Iterable[str] = (), replace: bool = False
    ) -> Imported:
        """Take keys from the system's keyring, where they stand under ``service`` by their names."""
        found = imports.from_keyring(self._wanted(names), service, self._environ)
        return self._importing.take(found, names, origins, replace=replace)

    def _wanted(self, names: Iterable[str]) -> Sequence[str]:
        return tuple(dict.fromkeys(map(require_name, names))) or self.known_names()

    # What a run needs

    def ready(self, vendors: Iterable[Vendor], has: Callable[[str], bool]) -> None:
        """Before a run: open the vault if one of these vendors needs a key. Asks once. Raises `VaultLocked` where no call could have its key.

        Where nobody can be asked it stays locked: keys that the environment ``has`` are used then, and a notice says so.
        """
        vendors = tuple(vendors)
        needing = [vendor for vendor in vendors if vendor.key_name]
        if not needing or not self.vault.exists or self.vault.still_open():
            return
        try:
            self._unlocking.unlock().wipe()
        except sources.NothingEntered:
            why, found = "no password was entered: the vault stays locked, and nothing was sent.", None
        except VaultLocked as error:
            why, found = str(error), self._outside(needing, has)
        else:
            return
        if found:
            self.vault.notices.append(
                f"the vault is locked; {telling.listed(sorted(found))} came from the environment."
            )
        elif found is None or len(needing) == len(vendors):
            raise VaultLocked(why)

    def _outside(self, vendors: Iterable[Vendor], has: Callable[[str], bool]) -> frozenset[str]:
        """The names by which calls find their keys in the environment: what this process has seen in the vault never comes from there."""
        every = [names for vendor in vendors if not any(map(self.vault.knows, names := synonyms(vendor.key_name)))]
        return frozenset(found for names in every if (found := next(filter(has, names), None)))

    def reopen(self) -> VaultLocked | None:
        """In the middle of a run: ask for the password. What calls that wait fail with, when it is not given."""
        try:
            self.open(f"The run waits for the vault {self.vault.path.stem!r}, which locked itself. Password: ")
        except sources.NothingEntered:
            said = "no password was entered"
        except OrchestratorError as error:
            said = str(error).rstrip(".")
        else:
            return None
        return VaultLocked(f"the vault locked itself during the run and stays locked: {said}.")

    # Small parts

    def names(self) -> Sequence[str]:
        """Names to choose from: what the settings know, and what is in the vault while it is open."""
        stored = [fact.name for fact in self.vault.facts()] if self.vault.is_open else []
        return tuple(dict.fromkeys((*self.known_names(), *stored)))

    def known_names(self) -> Sequence[str]:
        """The names of keys that the user's own vendors use."""
        return self._binding.known_names()

    def origins_for(self, name: str) -> frozenset[str]:
        """Where a key of this name may go. Raises `UserError` when no vendor uses it, `ConfigError`."""
        return self._binding.origins_for(name)

    def vendor_of(self, name: str) -> str:
        """The vendors that use a key of this name."""
        return self._binding.vendor_of(name)

    def _require_vault(self) -> None:
        if not self.vault.exists:
            raise UserError("there is no vault yet; %vault set NAME makes one.")

    def __repr__(self) -> str:
        return f"<the vault of profile {self.vault.path.stem!r}: %vault shows it>"
