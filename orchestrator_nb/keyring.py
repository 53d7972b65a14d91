"""The owner's way to the vault, in words: make it, unlock it, put keys in. Passwords and values are asked for, never taken as arguments.

    session().vault.set("OPENAI_API_KEY")

Each method is one verb of ``%vault`` and of ``onb vault``; what it returns or appends to `notices` is what there is to tell. There is no way to get a value out.
"""

from __future__ import annotations

import difflib
import re
import shlex
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from orchestrator_nb.catalog import Catalog, Vendor
from orchestrator_nb.config import Config
from orchestrator_nb.errors import ConfigError, OrchestratorError, UserError, VaultAuthError, VaultLocked
from orchestrator_nb.providers.keys import address, is_loopback, origin, origins_of, synonyms
from orchestrator_nb.secret import Hidden
from orchestrator_nb.traces.patterns import PATTERNS
from orchestrator_nb.types import Clock
from orchestrator_nb.vault import files, imports, sources, telling
from orchestrator_nb.vault.entries import require_name, require_value
from orchestrator_nb.vault.kdf import Argon2id, Kdf, Pbkdf2
from orchestrator_nb.vault.password import require_good
from orchestrator_nb.vault.timer import Limits, since_boot
from orchestrator_nb.vault.vault import Fact, Status, Vault

TRIES = 3
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


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import: the keys that were stored, those that were not and why, and where keys still stand in plain text."""

    source: str
    stored: tuple[Fact, ...]
    refused: Mapping[str, str]
    left: tuple[str, ...]
    others: int
    likely: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    file: Path | None = None

    def lines(self) -> list[str]:
        """The same, to be told."""
        said = [*map(telling.stored, self.stored)]
        said += [f"{name} was not taken: {why}" for name, why in self.refused.items()]
        said += self.odd
        if self.others:
            keys = f"; like a key: {', '.join(self.likely)}; name those that you want, with --origin" * bool(
                self.likely
            )
            said.append(f"{self.others:,} other variable{'s' * (self.others > 1)} in {self.source}: ignored{keys}.")
        if self.left:
            how = f": onb scrub {shlex.quote(str(self.file))}" if self.file else "."
            said.append(
                f"still in plain text: {'; '.join(self.left)}. Nothing was deleted there; do so once all works with the vault{how}"
            )
        return said


class Keyring:
    """The vault of the session's profile. ``catalog`` gives the user's own vendors: a new key is bound to the addresses of those that use its name.

    ``folder`` is where a relative path of a file to import begins.
    """

    def __init__(
        self, vault: Vault, environ: Mapping[str, str], catalog: Callable[[], Catalog], folder: Path | None = None
    ) -> None:
        self.vault = vault
        self._environ, self._catalog, self._folder = environ, catalog, folder or Path()
        self._one_at_a_time = threading.Lock()

    def about(self) -> list[str]:
        """The vault in lines of text: state, backups, time left and keys, while it is open. Asks nothing. Raises as `status`."""
        facts = self.vault.facts() if self.vault.still_open() else None
        lines = [*telling.about(self.status(), facts, self.vault.path.stem, datetime.now(UTC).timestamp())]
        return [*lines, *map("           {}".format, self._hidden_by_others({fact.name for fact in facts or ()}))]

    def _hidden_by_others(self, held: Collection[str]) -> Sequence[str]:
        """Which of several names for the same key is used."""
        rows = [
            [name for name in synonyms(vendor.key_name) if name in held] for vendor in self._catalog().vendors.values()
        ]
        return [*dict.fromkeys(f"{row[0]} is used before {telling.listed(row[1:])}" for row in rows if len(row) > 1)]

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
        _refuse_password(literal, "init")
        if self.vault.exists:
            raise UserError(f"there is a vault already ({telling.place(self.vault.path)}); %vault unlock opens it.")
        self._make()

    def unlock(self, *literal: object) -> None:
        """Open it: with the password file or command where one is named, else by asking, three times at most; make it when there is none.

        Nothing happens when it is open. ``literal`` is always refused, as in `set`. Raises `VaultAuthError`, `VaultLocked`.
        """
        _refuse_password(literal, "unlock")
        self.open()

    def unlock_unattended(self) -> bool:
        """Open it without a person; whether a file or command has the password. Raises `VaultAuthError` when it is the wrong one."""
        with self._one_at_a_time:  # every call of a run may come here at once
            if self.vault.is_open:
                return True
            password = sources.without_a_person(self._environ)
            if password is not None:
                self._attempted(self.vault.unlock, password).wipe()
            return password is not None

    def open(self, prompt: str = "") -> None:
        """Unlock it unless it is open; offer to make it when there is none."""
        if not self.vault.exists:
            self._make()
        elif not self.vault.still_open():
            self._unlock(prompt)

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
        given = frozenset(map(_origin, origins))
        if not given and not self.vault.exists:
            self.origins_for(require_name(name))
        require_name(name)
        made = not self.vault.exists
        self.open()
        where = given or self._origins_until_now(name) or self.origins_for(name)
        return self._put(name, self._value(name, made=made, piped=piped), where)

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
        where = frozenset(map(_origin, origins))
        password = None if self.vault.still_open() else self._unlock()
        fact = self._fact(name)
        if not where:
            return fact
        if password:
            self.vault.bind(name, where, password)
        else:
            password = self._asked(
                lambda typed: self.vault.bind(name, where, typed), "Password, to change where this key may go: "
            )
        password.wipe()
        return self._fact(name)

    def passwd(self, *literal: object, keep_backups: bool = False) -> None:
        """Change the password. Backups that open with the old one are deleted unless kept."""
        _refuse_password(literal, "passwd")
        self._require_vault()
        old = self._asked(self.vault.prove, "Password until now: ")
        new = sources.ask_twice("New password: ", self._require_good)
        self.vault.change_password(old, new, keep_backups=keep_backups)
        old.wipe()
        new.wipe()

    # Importing

    def import_env(self, *names: str, origins: Iterable[str] = (), replace: bool = False) -> Imported:
        """Take keys from the environment: those of ``names``, or all that the settings know. The environment is left as it is.

        ``origins`` is where the keys may go, if not to the vendors that use their names; with ``replace`` also those are taken that the vault has.
        """
        found = imports.from_environment(self._environ, self._wanted(names), self._folder)
        return self._import(found, names, origins, replace=replace)

    def import_file(
        self, path: str | Path, *names: str, origins: Iterable[str] = (), replace: bool = False
    ) -> Imported:
        """Take keys from a ``.env`` file, which is read as it stands: nothing in it is expanded or run. The file is left as it is."""
        found = imports.from_file(self._folder / Path(path).expanduser(), self._wanted(names), self._environ)
        return self._import(found, names, origins, replace=replace)

    def import_keyring(
        self, *names: str, service: str = imports.SERVICE, origins: Iterable[str] = (), replace: bool = False
    ) -> Imported:
        """Take keys from the system's keyring, where they stand under ``service`` by their names."""
        found = imports.from_keyring(self._wanted(names), service, self._environ)
        return self._import(found, names, origins, replace=replace)

    def _wanted(self, names: Iterable[str]) -> Sequence[str]:
        return tuple(dict.fromkeys(map(require_name, names))) or self.known_names()

    def _import(
        self, offers: imports.Offers, listed: Sequence[str], origins: Iterable[str], *, replace: bool
    ) -> Imported:
        given = frozenset(map(_origin, origins))
        if given and not listed:
            raise UserError("name the keys that may go to --origin.")
        found = {offer.name: offer for offer in offers.found}
        refused = {name: f"it is not in {offers.source}." for name in listed if name not in found}
        if not found and not refused:
            odd = "".join(f" {said}" for said in offers.odd)
            raise UserError(
                f"none of the keys that the settings know is in {offers.source}; name the ones you mean.{odd}"
            )
        stored = []
        if any(offer.value is not None for offer in found.values()):
            self.open()
        for name, offer in found.items():
            outcome = self._taken(offer, given, replace=replace)
            if isinstance(outcome, Fact):
                stored.append(outcome)
            else:
                refused[name] = outcome
        left = tuple(f"{offer.name} {telling.listed(offer.places)}" for offer in found.values())
        return Imported(
            offers.source, tuple(stored), refused, left, offers.others, offers.likely, offers.odd, offers.file
        )

    def _taken(self, offer: imports.Offer, given: frozenset[str], *, replace: bool) -> Fact | str:
        """The key as it is stored now, or why it is not."""
        if offer.value is None:
            return f"{offer.why}; set it by hand: %vault set {offer.name}"
        if self.vault.knows(offer.name) and not replace:
            return f"the vault has one (fp:{self._fact(offer.name).fp}), which stays; --replace replaces it."
        try:
            where = given or self._origins_until_now(offer.name) or self.origins_for(offer.name)
            return self._put(offer.name, offer.value, where)
        except UserError as error:
            return str(error)

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
            self._unlock().wipe()
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

    def _origins_of_vendors(self, name: str) -> frozenset[str]:
        return origins_of(synonyms(name), self._catalog().vendors.values())

    def vendor_of(self, name: str) -> str:
        """The vendors that use a key of this name."""
        vendors = self._catalog().vendors.values()
        return ", ".join(vendor.name for vendor in vendors if name in synonyms(vendor.key_name))

    def _put(self, name: str, typed: Hidden, where: frozenset[str]) -> Fact:
        value = self._cleaned(typed)
        before, other = self._found(name), value.use(lambda raw: _others(raw.decode(errors="replace"), name))
        try:
            fact = self.vault.put(name, self.vendor_of(name), require_value(value), where)
        finally:
            value.wipe()
        if other:
            self.vault.notices.append(f"the value looks like an {other}: is {name} the right name for it?")
        if before:
            same = ", by the same value" if before.fp == fact.fp else f": it was fp:{before.fp}"
            self.vault.notices.append(f"{name} is replaced{same}.")
        if beyond := sorted(self._origins_of_vendors(name) - where):
            self.vault.notices.append(
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
            self.vault.notices.append("the quotes around the value were left out.")
        return value

    def _found(self, name: str) -> Fact | None:
        return next((fact for fact in self.vault.facts() if fact.name == name), None)

    def _fact(self, name: str) -> Fact:
        if (fact := self._found(name)) is None:
            known = ", ".join(fact.name for fact in self.vault.facts()) or "none yet"
            raise UserError(f"the vault has no key {name!r}; it has: {known}.")
        return fact

    def _origins_until_now(self, name: str) -> frozenset[str]:
        fact = self._found(name)
        return frozenset(fact.origins) if fact else frozenset()

    def _require_vault(self) -> None:
        if not self.vault.exists:
            raise UserError("there is no vault yet; %vault set NAME makes one.")

    def _make(self) -> None:
        password = sources.without_a_person(self._environ)
        where, unattended = telling.place(self.vault.path), password is not None
        if password is None:
            sources.tell(f"There is no vault yet: it will be {where}. {telling.ADVICE}. An empty answer cancels.")
            password = sources.ask_twice(f"New password for the vault {self.vault.path.stem!r}: ", self._require_good)
        else:
            self._require_good(password)
        self.vault.create(password)
        password.wipe()
        if unattended:
            self.vault.notices.append(f"made a new vault: {where}")

    def _require_good(self, password: Hidden) -> None:
        if warning := require_good(password):
            self.vault.notices.append(warning)

    def _unlock(self, prompt: str = "") -> Hidden:
        """The password that opened it."""
        profile = repr(self.vault.path.stem)
        prompts = {
            None: prompt or f"Password of the vault {profile}: ",
            "password": f"The password of the vault {profile} was changed elsewhere. New password: ",
            "vault": f"Another vault stands in the place of {profile}. Its password: ",
        }
        self.vault.status()
        with self._one_at_a_time:
            password = sources.without_a_person(self._environ)
            if password is not None:
                return self._attempted(self.vault.unlock, password)
        return self._prompted(self.vault.unlock, prompts[self.vault.changed])

    def _asked(self, act: Callable[[Hidden], None], prompt: str) -> Hidden:
        """``act`` with the password of the file or command, or of the person, who is asked only for a file that could be opened."""
        self.vault.status()
        password = sources.without_a_person(self._environ)
        return self._prompted(act, prompt) if password is None else self._attempted(act, password)

    def _attempted(self, act: Callable[[Hidden], None], password: Hidden) -> Hidden:
        """``act`` with a password that nobody typed. Raises `VaultAuthError` that says where it came from."""
        try:
            act(password)
        except VaultAuthError:
            pass
        else:
            return password
        error = VaultAuthError()
        error.args = (f"{error.args[0]} The password came from {sources.named(self._environ)}.",)
        raise error

    def _prompted(self, act: Callable[[Hidden], None], prompt: str) -> Hidden:
        """``act`` with a password from the person, who may mistype it twice."""
        for left in range(TRIES - 1, -1, -1):
            password = sources.ask(prompt)
            try:
                act(password)
            except VaultAuthError:
                if not left:
                    self._forgotten()
                    raise
            else:
                return password
            prompt = f"That did not open it. Once more ({left} left): "
        raise VaultAuthError

    def _forgotten(self) -> None:
        path = self.vault.path
        self.vault.notices.append(
            f"Forgotten? It cannot be reset: move {path.name} away, then %vault set makes a new vault; make new keys at the vendors. "
            f"If the file may have been altered: {files.way_back(path)}"
        )

    def __repr__(self) -> str:
        return f"<the vault of profile {self.vault.path.stem!r}: %vault shows it>"


def _others(value: str, name: str) -> str:
    """Whose key the value looks like, if ``name`` tells of another vendor."""
    wanted = {vendor for vendor in _VENDORS if vendor in name.lower()}
    wanted |= {"google"} if "gemini" in wanted else set()
    looks = next((pattern.name for pattern in PATTERNS if any(True for _ in pattern.find(value))), "")
    vendors = _VENDORS & {*looks.lower().split()}
    return looks if wanted and vendors and not wanted & vendors else ""


def looks_like_a_key(word: object) -> bool:
    """Whether a word that should be a name is rather a key: it must not be repeated in a message, and be taken out of the cell."""
    if not isinstance(word, str):
        return True
    long = len(word) >= 20 and not {"_", "."} & {*word} and "://" not in word and sum(map(str.isdigit, word)) > 1
    return long or any(True for pattern in PATTERNS for _ in pattern.find(word))


def _refuse_password(literal: tuple[object, ...], verb: str) -> None:
    if literal:
        raise refusal(map(str, literal), f"session().vault.{verb}() asks for the password.", verb)


def refusal(literals: Iterable[str], advice: str, verb: str = "set") -> UserError:
    """The error to raise for keys or passwords that were written down, after they were taken out of the cell and its histories."""
    from orchestrator_nb import refused  # the front door knows which face this is

    return refused(literals, advice, verb)


def _origin(text: str) -> str:
    """``scheme://host:port`` of an address. Plain HTTP is for this machine only."""
    if "://" not in text and _HOST.fullmatch(text) and not looks_like_a_key(text):
        raise UserError(f"--origin: {text!r} lacks https://")
    url: httpx2.URL = address("vault", text)
    if url.scheme != "https" and not is_loopback(url):
        raise ConfigError("a key would travel unencrypted; use https.", key="origin")
    return origin(url)
