"""One profile's vault as this process sees it: locked, open for a while, or kept open for a run.

While it is open the derived keys and the values stand in buffers of ours; locking zeroes them. A run that has begun keeps a *lease* on the keys it may need:
when the idle time is over everything else is wiped, and the run goes on until the absolute limit. After that its next use raises `VaultLocked`, and it
can go on when the vault is open again. Every use of a key looks at the clocks first; a watcher thread does so in between, for a kernel that is busy or idle.

Every change is made on the file as it is now, under its lock: two kernels that add keys lose none.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, NoReturn

from orchestrator_nb.errors import UserError, VaultError, VaultLocked
from orchestrator_nb.secret import Hidden, Secret, fingerprint
from orchestrator_nb.vault import files
from orchestrator_nb.vault.digests import Digests
from orchestrator_nb.vault.entries import Entries, Entry, read, require_name, require_value, write
from orchestrator_nb.vault.format import Header, read_header
from orchestrator_nb.vault.kdf import SALT_BYTES, Kdf, Keys, Pbkdf2, derive
from orchestrator_nb.vault.seal import seal, unseal
from orchestrator_nb.vault.seen import Seen
from orchestrator_nb.vault.timer import Limits, Readings, Timer, machine

State = Literal["none", "locked", "open"]

_LAST_GENERATION: Final = (1 << 64) - 1
_LONGEST_NAP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Fact:
    """What may be shown of a key."""

    name: str
    vendor: str
    origins: tuple[str, ...]
    fp: str
    created: float
    rotated: float


@dataclass(frozen=True, slots=True)
class Status:
    """What may be shown of a vault, locked or not. ``idle_left_s`` and ``limit_left_s`` are 0 unless it is open; ``keys`` is None while locked."""

    path: Path
    state: State
    kdf: Kdf | None = None
    generation: int = 0
    keys: int | None = None
    idle_left_s: float = 0.0
    limit_left_s: float = 0.0
    leases: int = 0


class Vault:
    """The vault at ``path``. ``kdf`` is for new vaults and new passwords; ``marks`` and ``seen`` are side files without secrets. Thread-safe."""

    def __init__(
        self,
        path: Path,
        *,
        state: Path,
        kdf: Kdf | None = None,
        limits: Limits | None = None,
        file_lock: bool = True,
        readings: Readings = machine,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path, self.kdf, self.limits = path, kdf or Pbkdf2(), limits or Limits()
        self.notices: list[str] = []
        self._file_lock, self._readings, self._wall = file_lock, readings, wall
        self._seen = Seen(state / "vaults.json")
        self._marks = state / f"scan-{path.stem}.json"
        self._guard = threading.RLock()
        self._keys: Keys | None = None
        self._header: Header | None = None
        self._stamp: files.Stamp | None = None
        self._timer: Timer | None = None
        self._held: dict[str, Entry] = {}
        self._fps: dict[str, str] = {}
        self._known: frozenset[str] = frozenset()
        self._leases: Counter[str] = Counter()
        self._waiting: list[Callable[[], None]] = []
        _wipe_after_fork(self)

    # What there is

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return files.stamp(self.path) is not None

    @property
    def is_open(self) -> bool:
        """Whether keys can be read now."""
        with self._guard:
            self._look_at_the_clock()
            return self._keys is not None

    def status(self) -> Status:
        """What may be shown. Raises `VaultError` for a file that cannot be read, `VaultFormatError` for one that is no vault."""
        with self._guard:
            if not self.exists:
                return Status(self.path, "none")
            header = read_header(files.read(self.path))
            if not self.is_open or self._timer is None:
                return Status(self.path, "locked", header.kdf, header.generation, leases=self._leases.total())
            left = self._timer.idle_left_s, self._timer.total_left_s
            return Status(
                self.path, "open", header.kdf, header.generation, len(self._held), *left, leases=self._leases.total()
            )

    def facts(self) -> tuple[Fact, ...]:
        """What may be shown of each key, by name. Raises `VaultLocked`."""
        with self._guard:
            keys = self._require_open()
            self._reread(keys)
            return tuple(self._fact(entry) for _, entry in sorted(self._held.items()))

    def _fact(self, entry: Entry) -> Fact:
        origins = tuple(sorted(entry.origins))
        return Fact(entry.name, entry.vendor, origins, self._fps[entry.name], entry.created, entry.rotated)

    def knows(self, name: str) -> bool:
        """Whether there is such a key, as far as this process has seen."""
        return name in self._known

    # Opening and closing

    def create(self, password: Hidden) -> None:
        """Make an empty vault and leave it open. Raises `VaultError` when there is one already, or the folder does not take it."""
        with self._guard, self._alone():
            if self.exists:
                raise VaultError(f"{self.path.name} exists already; %vault unlock opens it.")
            header = Header(self.kdf, 0, os.urandom(16), os.urandom(SALT_BYTES), b"", 0)
            keys = derive(self.kdf, password, header.salt)
            self._write({}, header, keys)
            self._open(keys)

    def unlock(self, password: Hidden) -> None:
        """Open it; again, when it is open already. A vault whose key derivation is weaker than the settings ask for is strengthened on the way.

        Raises `VaultAuthError` for a wrong password or an altered file, `VaultFormatError` and `VaultError` for a file that is not to be trusted.
        """
        with self._guard:
            data = files.read(self.path)
            header = read_header(data)
            keys = derive(header.kdf, password, header.salt)
            self._take(_entries(data, header, keys), header)
            self._open(keys)
            self._warn_of_rollback(header)
            if _stronger(self.kdf, header.kdf):
                self._strengthen(password, header.kdf)

    def _strengthen(self, password: Hidden, before: Kdf) -> None:
        self._rekey(password, keep_backups=False)
        self.notices.append(f"the password is now stretched by {self.kdf} (before: {before}).")

    def _warn_of_rollback(self, header: Header) -> None:
        if (newest := self._seen.newest(header.vault_id)) > header.generation:
            self.notices.append(
                f"{self.path.name} is older (save {header.generation:,}) than it was when last seen (save {newest:,}): "
                "somebody put an old copy back; keys that were removed or replaced since are in it again."
            )
        self._seen.note(header.vault_id, header.generation)

    def _open(self, keys: Keys) -> None:
        if self._keys is not None:
            self._keys.wipe()
        self._keys, self._timer = keys, Timer(self.limits, self._readings)
        self._save_marks()
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()
        threading.Thread(target=_watch, args=(weakref.ref(self), self._timer), name="vault-timer", daemon=True).start()

    def lock(self) -> None:
        """Wipe keys and values now, also those that a running job has on lease."""
        with self._guard:
            self._wipe(self._held)
            self._timer = None

    def _wipe(self, names: Iterable[str]) -> None:
        if self._keys is not None:
            self._keys.wipe()
            self._keys = None
        for name in list(names):
            self._held.pop(name).value.wipe()

    def when_open(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once, on whatever thread opens the vault; at once when it is open."""
        with self._guard:
            if not self.is_open:
                self._waiting.append(tell)
                return
        tell()

    # Changing

    def put(self, name: str, vendor: str, value: Hidden, origins: Iterable[str]) -> Fact:
        """Add a key, or replace its value (its origins too). Raises `VaultLocked`, `UserError` for what is no key or name."""
        entry = Entry(require_name(name), require_value(value), vendor, frozenset(origins), now := self._wall(), now)

        def put(entries: Entries) -> Entries:
            before = entries.get(name)
            return {**entries, name: replace(entry, created=before.created) if before else entry}

        with self._guard:
            self._change(put)
            return self._fact(self._held[name])

    def remove(self, name: str) -> None:
        """Forget a key. Raises `UserError` when there is none of that name, `VaultLocked`."""
        self._change(lambda entries: {key: entry for key, entry in entries.items() if key != _present(name, entries)})

    def bind(self, name: str, origins: Iterable[str], password: Hidden) -> None:
        """Let a key go to other origins; asks for proof that the owner wants it. Raises `VaultAuthError`, `UserError`, `VaultLocked`."""
        bound = frozenset(origins)
        with self._guard:
            self._require_open()
            self._require_password(password)
            self._change(lambda entries: {**entries, name: replace(entries[_present(name, entries)], origins=bound)})

    def change_password(self, old: Hidden, new: Hidden, *, keep_backups: bool = False) -> None:
        """Seal under another password, a new salt and the settings' key derivation; backups that the old one opens are deleted unless kept.

        Raises `VaultAuthError` when ``old`` is wrong.
        """
        with self._guard:
            self.unlock(old)
            self._rekey(new, keep_backups=keep_backups)

    def _rekey(self, password: Hidden, *, keep_backups: bool) -> None:
        salt = os.urandom(SALT_BYTES)
        keys = derive(self.kdf, password, salt)
        with self._alone():
            header, entries = self._current(self._require_open())
            if not keep_backups:
                files.discard_backups(
                    self.path
                )  # first: if the power fails between the two, the old password opens no more than it did
            self._write(entries, replace(header, kdf=self.kdf, salt=salt), keys)
            self._open(keys)

    def _require_password(self, password: Hidden) -> None:
        data = files.read(self.path)
        header = read_header(data)
        keys = derive(header.kdf, password, header.salt)
        try:
            _wipe(_entries(data, header, keys).values())
        finally:
            keys.wipe()

    def _change(self, change: Callable[[Entries], Entries]) -> None:
        """Apply ``change`` to the file as it is now, under its lock."""
        with self._guard:
            keys = self._require_open()
            with self._alone():
                header, before = self._current(keys)
                after = change(before)
                self._write(after, header, keys)
            _wipe(entry for name, entry in before.items() if name not in after or after[name].value is not entry.value)
            self._save_marks()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Alone with the file; what the disk or the folder refuses becomes one sentence, with the file as it was."""
        try:
            with files.locked(self.path, file_lock=self._file_lock):
                yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            return
        raise VaultError(f"{self.path.name} could not be written: {reason}; it is as it was.")

    def _current(self, keys: Keys) -> tuple[Header, Entries]:
        data = files.read(self.path)
        header = read_header(data)
        if self._header is None or header.salt != self._header.salt:
            self._locked_elsewhere()
        return header, _entries(data, header, keys)

    def _locked_elsewhere(self) -> NoReturn:
        self.lock()
        raise VaultLocked("the vault's password was changed elsewhere; unlock it again: %vault unlock")

    def _write(self, entries: Entries, header: Header, keys: Keys) -> None:
        after = replace(header, generation=min(header.generation + 1, _LAST_GENERATION))
        header, data = seal(write(entries), after, keys)
        if self.exists:
            files.keep(self.path, files.read(self.path))
        files.replace(self.path, data)
        self._take(entries, header)
        self._seen.note(header.vault_id, header.generation)

    # Using

    def secret(self, name: str, vendor: str) -> Secret | None:
        """A handle for one key, or ``None`` when there is none of that name. Raises `VaultLocked`."""
        with self._guard:
            self._require(name)
            if (entry := self._held.get(name)) is None:
                return None
            return Secret(vendor, partial(self._fetch, name), entry.origins, fp=self._fps[name])

    def _fetch(self, name: str) -> str:
        with self._guard:
            self._require(name)
            if (entry := self._held.get(name)) is None:
                raise VaultError(f"{name} was removed from the vault; set it again: %vault set {name}")
            return entry.value.use(lambda value: value.decode())

    @contextlib.contextmanager
    def lease(self, names: Iterable[str]) -> Iterator[None]:
        """For a run: these keys, where they exist, can be used until the absolute limit, also when the idle time is over."""
        wanted = tuple(names)
        with self._guard:
            if self.is_open and self._keys and self._timer:
                self._timer.touch()
                self._reread(self._keys)
            self._leases.update(wanted)
        try:
            yield
        finally:
            with self._guard:
                self._leases.subtract(wanted)
                self._leases = +self._leases
                self._look_at_the_clock()

    def _require(self, name: str) -> None:
        """Open, or open for a run that has this key on lease."""
        self._look_at_the_clock()
        if self._keys is None and not (self._leases[name] and name in self._held):
            raise VaultLocked("the vault is locked; unlock it: %vault unlock")

    def _require_open(self) -> Keys:
        self._look_at_the_clock()
        if self._keys is None:
            raise VaultLocked("the vault is locked; unlock it: %vault unlock")
        if self._timer:
            self._timer.touch()
        return self._keys

    def _look_at_the_clock(self) -> None:
        if self._timer is None:
            return
        if not self._timer.total_left_s:
            self.lock()
        elif not self._timer.idle_left_s or self._keys is None:
            self._wipe([name for name in self._held if not self._leases[name]])

    # What the file says

    def _reread(self, keys: Keys) -> None:
        """Follow what another process wrote meanwhile."""
        if files.stamp(self.path) == self._stamp:
            return
        header, entries = self._current(keys)
        self._take(entries, header)

    def _take(self, entries: Entries, header: Header) -> None:
        kept = {id(entry.value) for entry in entries.values()}
        _wipe(entry for entry in self._held.values() if id(entry.value) not in kept)
        self._held, self._header = dict(entries), header
        self._known = frozenset(entries)
        self._fps = {name: _fp(entry, header) for name, entry in entries.items()}
        self._stamp = files.stamp(self.path)

    def _save_marks(self) -> None:
        """So that a scan finds these keys without the password."""
        values = [(self._fps[name], entry.value.use(bytearray)) for name, entry in self._held.items()]
        marks = Digests.load(self._marks)
        if (more := marks.adding(values)) != marks:
            with contextlib.suppress(OSError):  # the scan is a second net; the vault must not fail for it
                more.save(self._marks)
        for _, value in values:
            value[:] = bytes(len(value))

    def __repr__(self) -> str:
        return f"<vault {self.path.stem}>"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a vault cannot be pickled; open it where it is needed")


def _entries(data: bytes, header: Header, keys: Keys) -> dict[str, Entry]:
    content = unseal(data, header, keys)
    try:
        return read(content)
    finally:
        content.wipe()


def _wipe(entries: Iterable[Entry]) -> None:
    for entry in entries:
        entry.value.wipe()


def _fp(entry: Entry, header: Header) -> str:
    """Keyed by the vault: the same value has another fingerprint in another one."""
    return entry.value.use(lambda value: fingerprint(value.decode(), header.vault_id))


def _stronger(wanted: Kdf, found: Kdf) -> bool:
    """Whether the settings ask for more work than the file has: more of the same kind, or Argon2id instead of PBKDF2. Never the other way."""
    (kind, *sizes), (found_kind, *found_sizes) = wanted.fields, found.fields
    if kind != found_kind:
        return kind > found_kind
    return wanted != found and all(a >= b for a, b in zip(sizes[:2], found_sizes[:2], strict=True))


def _present(name: str, entries: Entries) -> str:
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none yet"
        raise UserError(f"the vault has no key {name!r}; it has: {known}.")
    return name


def _watch(owner: weakref.ref[Vault], timer: Timer) -> None:
    """Locks in time while nobody uses the vault. Ends with the timer it was started for."""
    while (nap_s := _look(owner, timer)) > 0:
        time.sleep(nap_s)


def _look(owner: weakref.ref[Vault], timer: Timer) -> float:
    """Looks at the clock; the seconds until the next look, 0 when there is nothing left to watch."""
    vault = owner()
    if vault is None:
        return 0.0
    with vault._guard:
        vault._look_at_the_clock()
        if vault._timer is not timer:
            return 0.0
        return min(_LONGEST_NAP_S, max(0.05, timer.idle_left_s or timer.total_left_s))


_vaults: Final[weakref.WeakSet[Vault]] = weakref.WeakSet()


def _wipe_after_fork(vault: Vault) -> None:
    """A forked child has no use for our keys: it could not even be told that the parent locked them."""
    _vaults.add(vault)


def _forked() -> None:
    for vault in _vaults:
        vault._guard = threading.RLock()  # another thread of the parent may have held it
        vault.lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
