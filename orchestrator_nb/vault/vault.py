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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, NoReturn

from orchestrator_nb.errors import UserError, VaultError, VaultFormatError, VaultLocked
from orchestrator_nb.forms import NOTHING, Forms, Sought
from orchestrator_nb.secret import Hidden, Secret, fingerprint
from orchestrator_nb.vault import files
from orchestrator_nb.vault.digests import Digests
from orchestrator_nb.vault.entries import Entries, Entry, read, require_name, require_value, write
from orchestrator_nb.vault.format import UPDATE, Header, read_header
from orchestrator_nb.vault.kdf import SALT_BYTES, Kdf, Keys, Pbkdf2, derive
from orchestrator_nb.vault.leases import Leases
from orchestrator_nb.vault.seal import seal, unseal
from orchestrator_nb.vault.seen import Seen
from orchestrator_nb.vault.timer import Limits, Readings, Timer, machine

State = Literal["none", "locked", "open"]

_LAST_GENERATION: Final = (1 << 64) - 1
_LONGEST_NAP_S: Final = 20.0
_SHORTEST_NAP_S: Final = 0.05
_SIDE_WAIT_S: Final = 1.0


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
    backups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """The vault's file as it was read, and the newest save that was known before."""

    data: bytes
    header: Header
    newest_seen: int


class Vault:
    """The vault at ``path``. ``kdf`` is for new vaults and new passwords, ``limits`` count from the next unlocking; in ``state`` stand side files without secrets.

    Thread-safe. What takes long, stretching a password and waiting for another process, is done without the guard that every use of a key takes.
    """

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
        self._seen = Seen(state / "vaults.json", file_lock=file_lock)
        self._marks = state / f"scan-{path.stem}.json"
        self._guard = threading.RLock()  # taken after the file's lock, never before it
        self._ended = threading.Event()
        self._keys: Keys | None = None
        self._header: Header | None = None
        self._timer: Timer | None = None
        self._held: dict[str, Entry] = {}
        self._fps: dict[str, str] = {}
        self._sought: tuple[dict[str, Entry], Forms] = {}, NOTHING
        self._known: frozenset[str] = frozenset()
        self._told_old = False
        self._leases = Leases()
        self._waiting: list[Callable[[], None]] = []
        _vaults.add(self)

    # What there is

    @property
    def exists(self) -> bool:
        """Whether there is a file. Raises `VaultError` where its folder cannot be looked at."""
        return files.exists(self.path)

    @property
    def is_open(self) -> bool:
        """Whether keys can be read now."""
        with self._guard:
            self._look_at_the_clock()
            return self._keys is not None

    def still_open(self) -> bool:
        """As `is_open`, after a look whether another process has changed the password: then it is locked. That look counts as use."""
        with self._guard:
            with contextlib.suppress(VaultError):  # what is wrong with the file is said when it is used
                self._follow(self._require_open())
            return self.is_open

    @property
    def changed(self) -> Literal["password", "vault"] | None:
        """What another process has replaced since this one had it open. Raises as `status`."""
        mine = self._header
        if mine is None or not self.exists or (now := self._read().header).salt == mine.salt:
            return None
        return "password" if now.vault_id == mine.vault_id else "vault"

    def status(self) -> Status:
        """What may be shown. Raises `VaultError` for a file that cannot be read, `VaultFormatError` for one that is no vault."""
        if not self.exists:
            return Status(self.path, "none")
        header = self._read().header
        backups = tuple(files.kept(self.path))
        with self._guard:
            told = Status(
                self.path, "locked", header.kdf, header.generation, leases=self._leases.total(), backups=backups
            )
            if not self.is_open or self._timer is None:
                return told
            idle_s, limit_s = self._timer.idle_left_s, self._timer.total_left_s
            return replace(told, state="open", keys=len(self._held), idle_left_s=idle_s, limit_left_s=limit_s)

    def facts(self) -> tuple[Fact, ...]:
        """What may be shown of each key, by name. Raises `VaultLocked`."""
        with self._guard:
            self._follow(self._require_open())
            return tuple(_fact(entry, self._fps[name]) for name, entry in sorted(self._held.items()))

    def glance(self) -> tuple[Fact, ...]:
        """`facts` as this process has seen them last; none while it is locked. A look does not count as use, so a clock on the screen may take one."""
        with self._guard:
            held = sorted(self._held.items()) if self.is_open else []
            return tuple(_fact(entry, self._fps[name]) for name, entry in held)

    def knows(self, name: str) -> bool:
        """Whether there is such a key, as far as this process has seen."""
        return name in self._known

    @property
    def forms(self) -> Forms:
        """Its keys as something to look for in a text; none while it is locked. Asked before every call, so it costs nothing until the keys change."""
        if not self._held:
            return NOTHING
        if self._sought[0] is not self._held:
            with self._guard:
                keys = [
                    (entry.value, f"[key {name}]", f"{name} (fp:{self._fps[name]})")
                    for name, entry in self._held.items()
                ]
                self._sought = self._held, Forms(Sought(*key) for key in keys)
        return self._sought[1]

    # Opening and closing

    def create(self, password: Hidden) -> None:
        """Make an empty vault and leave it open. Raises `VaultError` when there is one already, or the folder does not take it."""
        header = Header(self.kdf, 0, os.urandom(16), os.urandom(SALT_BYTES), b"", 0)
        with self._fresh(password, header) as keys, self._alone(), self._guard:
            if self.exists:
                raise VaultError(f"{self.path.name} exists already; %vault unlock opens it.")
            self._save({}, header, keys)
            self._open(keys)
        self._tell()

    def unlock(self, password: Hidden) -> None:
        """Open it; again, when it is open already. A vault whose key derivation is weaker than the settings ask for is strengthened on the way.

        Raises `VaultAuthError` for a wrong password or an altered file, `VaultFormatError` and `VaultError` for a file that is not to be trusted.
        """
        before = self._unlock(password)
        if _stronger(self.kdf, before):
            self._strengthen(password, before)
        self._tell()

    def _unlock(self, password: Hidden) -> Kdf:
        header = self._read().header
        self._told_old = False  # once for each unlocking
        with self._fresh(password, header) as keys, self._guard:
            found = self._read()  # once more: somebody may have written while the password was stretched
            entries = self._opened(found, keys)
            self._open(keys)
            self._take(entries, found.header)
            self._seen.note(found.header.vault_id, found.header.generation)
        return header.kdf

    def _strengthen(self, password: Hidden, before: Kdf) -> None:
        """Where the file cannot be written now, the next unlocking tries again."""
        try:
            self._rekey(password, keep_backups=False)
        except VaultLocked:
            raise
        except VaultError as error:
            told = f"the password is still stretched by {before}: {error}"
        else:
            told = f"the password is now stretched by {self.kdf} (before: {before})."
        self._notice(told)

    @contextlib.contextmanager
    def _fresh(self, password: Hidden, header: Header) -> Iterator[Keys]:
        """The keys for this header; wiped at the end unless the vault is open with them."""
        keys = derive(header.kdf, password, header.salt)
        try:
            yield keys
        finally:
            if self._keys is not keys:
                keys.wipe()

    def _open(self, keys: Keys) -> None:
        before, self._keys, self._timer = self._keys, keys, Timer(self.limits, self._readings)
        if before is not None:
            before.wipe()
        self._leases.grant()
        self._ended.set()
        self._ended = threading.Event()
        watched = weakref.ref(self), self._timer, self._ended
        threading.Thread(target=_watch, args=watched, name="vault-timer", daemon=True).start()

    def _tell(self) -> None:
        """The scan, and who waits for the keys; outside of the guard, as what is told is not ours."""
        self._save_marks()
        with self._guard:
            waiting, self._waiting = self._waiting, []
        for tell in waiting:
            with contextlib.suppress(RuntimeError):  # the loop in which it waited is gone
                tell()

    def lock(self) -> None:
        """Wipe keys and values now, also those that a running job has on lease."""
        with self._guard:
            self._drop(self._held)

    def _drop(self, names: Iterable[str]) -> None:
        if self._keys is not None:
            self._keys.wipe()
            self._keys = None
        for name in list(names):
            self._held.pop(name).value.wipe()
        if not self._held:
            self._timer = None
            self._ended.set()

    def when_open(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` once, on whatever thread opens the vault; at once when it is open."""
        with self._guard:
            if not self.is_open:
                self._waiting.append(tell)
                return
        tell()

    def prove(self, password: Hidden) -> None:
        """Nothing, if this is the file's password; opens and changes nothing. Raises `VaultAuthError`, `VaultFormatError`, `VaultError`."""
        found = self._read()
        with self._fresh(password, found.header) as keys:
            _wipe(self._opened(found, keys).values())

    # Changing

    def put(self, name: str, vendor: str, value: Hidden, origins: Iterable[str]) -> Fact:
        """Add a key, or replace its value (its origins too). ``value`` stays the caller's. Raises `VaultLocked`, `UserError` for what is no key or name."""
        require_name(name), require_value(value)
        bound, now = frozenset(origins), float(int(self._wall()))  # as the file has it
        with self._changing() as (header, entries):
            created = entries[name].created if name in entries else now
            entry = entries[name] = Entry(name, value.use(Hidden), vendor, bound, created, now)
            return _fact(entry, _fp(entry, header))

    def remove(self, name: str) -> None:
        """Forget a key. Raises `UserError` when there is none of that name, `VaultLocked`."""
        with self._changing() as (_, entries):
            del entries[_present(name, entries)]

    def bind(self, name: str, origins: Iterable[str], password: Hidden) -> None:
        """Let a key go to other origins; asks for proof that the owner wants it. Raises `VaultAuthError`, `UserError`, `VaultLocked`."""
        bound = frozenset(origins)
        self._require_open()
        self.prove(password)
        with self._changing() as (_, entries):
            entries[name] = replace(entries[_present(name, entries)], origins=bound)

    def change_password(self, old: Hidden, new: Hidden, *, keep_backups: bool = False) -> None:
        """Seal under another password, a new salt and the settings' key derivation; backups that the old one opens are deleted unless kept.

        Raises `VaultAuthError` when ``old`` is wrong.
        """
        self._unlock(old)
        self._rekey(new, keep_backups=keep_backups)
        if left := self._copies():
            self._notice(f"copies under an older password still stand beside {self.path.name}: {left}; delete them.")
        self._tell()

    def _copies(self) -> str:
        """The names of other files that are this vault under another salt, hence another password: what a sync or an editor left."""
        mine, names = self._header, []
        for name, data in files.others(self.path):
            with contextlib.suppress(VaultFormatError):
                found = read_header(data)
                if mine and found.vault_id == mine.vault_id and found.salt != mine.salt:
                    names.append(ascii(name)[1:-1])
        return ", ".join(names)

    def _rekey(self, password: Hidden, *, keep_backups: bool) -> None:
        sealed = Header(self.kdf, 0, b"", os.urandom(SALT_BYTES), b"", 0)
        with self._fresh(password, sealed) as keys, self._content() as (found, entries):
            header = replace(found.header, kdf=sealed.kdf, salt=sealed.salt)
            self._save(entries, header, keys, before=found.data, forget=not keep_backups)
            self._open(keys)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Header, dict[str, Entry]]]:
        """The entries as the file has them now, to be changed in place; saved at the end, unless an error came."""
        with self._content() as (found, entries):
            yield found.header, entries
            self._save(entries, found.header, self._require_open(), before=found.data)
        self._save_marks()

    @contextlib.contextmanager
    def _content(self) -> Iterator[tuple[_File, dict[str, Entry]]]:
        """What the file has now, alone with it; wiped at the end, but for what the vault holds then. Raises `VaultLocked`."""
        self._require_open()  # before waiting for another process
        with self._alone(), self._guard:
            keys = self._require_open()
            found = self._ours(self._read())
            entries = self._opened(found, keys)
            before = [*entries.values()]
            try:
                yield found, entries
            finally:
                held = {id(entry.value) for entry in self._held.values()}
                _wipe(entry for entry in (*before, *entries.values()) if id(entry.value) not in held)

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

    def _save(
        self, entries: Entries, header: Header, keys: Keys, *, before: bytes | None = None, forget: bool = False
    ) -> None:
        newest = max(header.generation, self._seen.newest(header.vault_id))
        content = write(entries)
        try:
            header, data = seal(content, replace(header, generation=min(newest + 1, _LAST_GENERATION)), keys)
        finally:
            content.wipe()
        files.save(self.path, data, before=before, forget=forget)
        self._take(entries, header)
        self._seen.note(header.vault_id, header.generation)

    # Using

    def secret(self, name: str, vendor: str) -> Secret | None:
        """A handle for one key, or ``None`` when there is none of that name. Raises `VaultLocked`."""
        with self._guard:
            self._require(name)
            if (entry := self._held.get(name)) is None:
                return None
            return Secret(
                vendor, partial(self._fetch, name), entry.origins, fp=self._fps[name], name=name, place="vault"
            )

    def _fetch(self, name: str) -> str:
        with self._guard:
            self._require(name)
            if (entry := self._held.get(name)) is None:
                raise VaultError(f"{name} was removed from the vault; set it again: %vault set {name}")
            return entry.value.use(lambda value: value.decode())

    @contextlib.contextmanager
    def lease(self, names: Iterable[str]) -> Iterator[None]:
        """For a run: it and what it starts can use these keys, where they exist, until the absolute limit, also when the idle time is over.

        Nobody else can then, and a run that begins while the vault is locked has nothing until it is opened.
        A file that is not as it should be does not end the run before it begins: it goes on with the keys at hand, or waits for the vault to be unlocked.
        """
        with self._guard:
            self._follow_if_open()
            mine = self._leases.begin(names, granted=self._keys is not None)
        try:
            yield
        finally:
            with self._guard:
                self._leases.end(mine)
                self._look_at_the_clock()

    def _follow_if_open(self) -> None:
        try:
            self._follow(self._require_open())
        except VaultLocked:
            pass  # its first call says so
        except VaultError as error:
            self._notice(str(error))

    def _require(self, name: str) -> None:
        """Open, or open for a run that has this key on lease."""
        self._look_at_the_clock()
        if self._keys is None and not (self._leases.here(name) and name in self._held):
            raise VaultLocked("the vault is locked; unlock it: %vault unlock")

    def _require_open(self) -> Keys:
        with self._guard:
            self._look_at_the_clock()
            if self._keys is None or self._timer is None:
                raise VaultLocked("the vault is locked; unlock it: %vault unlock")
            self._timer.touch()
            return self._keys

    def _look_at_the_clock(self) -> None:
        if self._timer is None:
            return
        if not self._timer.total_left_s:
            self._drop(self._held)
        elif self._keys is None or not self._timer.idle_left_s:
            self._drop(self._held.keys() - self._leases.granted)

    # What the file says

    def _read(self) -> _File:
        seen = self._seen.all()  # before the file: a save in between must not look like an old copy
        data = files.read(self.path)
        with _named(self.path, way_back=True):
            header = read_header(data)
        return _File(data, header, seen.get(header.vault_id.hex(), 0))

    def _ours(self, found: _File) -> _File:
        """``found``, if our keys open it. Raises `VaultLocked` when another password or another vault took its place, and locks."""
        mine = self._header
        if mine is not None and found.header.salt == mine.salt:
            return found
        self.lock()
        if mine is not None and found.header.vault_id == mine.vault_id:
            raise VaultLocked("the vault's password was changed elsewhere; unlock it again: %vault unlock")
        raise VaultLocked(f"another vault stands in the place of {self.path.name}; open that one: %vault unlock")

    def _opened(self, found: _File, keys: Keys) -> dict[str, Entry]:
        with _named(self.path):
            entries = _entries(found.data, found.header, keys)
        if found.newest_seen > found.header.generation and not self._told_old:
            self._told_old = True
            self._notice(
                f"{self.path.name} is older (save {found.header.generation:,}) than it was when last seen "
                f"(save {found.newest_seen:,}): somebody put an old copy back; "
                "keys that were removed or replaced since are in it again. If that was you: the next save ends this warning."
            )
        return entries

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _follow(self, keys: Keys) -> None:
        """Take over what another process wrote meanwhile. Each save has another nonce, so an equal header is the same save."""
        found = self._read()
        if found.header != self._header:
            self._take(self._opened(self._ours(found), keys), found.header)

    def _take(self, entries: Entries, header: Header) -> None:
        held = {name: self._kept(entry) for name, entry in entries.items()}
        fps = {name: _fp(entry, header) for name, entry in held.items()}
        before, self._held, self._header, self._fps = self._held, held, header, fps
        self._known = frozenset(held)
        values = {id(entry.value) for entry in held.values()}
        _wipe(entry for entry in (*before.values(), *entries.values()) if id(entry.value) not in values)

    def _kept(self, entry: Entry) -> Entry:
        """With the buffer that its value stands in already: answers under way are searched for that one."""
        mine = self._held.get(entry.name)
        return replace(entry, value=mine.value) if mine and mine.value == entry.value else entry

    def _save_marks(self) -> None:
        """So that a scan finds these keys without the password. It is a second net: the vault does not fail for it."""
        with self._guard:
            values = [(self._fps[name], entry.value.use(Hidden)) for name, entry in self._held.items()]
            now = self._header.bound() if self._header else b""
        try:
            with (
                contextlib.suppress(OSError, VaultError),
                files.locked(self._marks, file_lock=self._file_lock, wait_s=_SIDE_WAIT_S),
            ):
                marks = Digests.load(self._marks)
                if (more := marks.adding(values, now)) != marks:
                    more.save(self._marks)
        finally:
            for _, value in values:
                value.wipe()

    def __repr__(self) -> str:
        return f"<vault {self.path.stem}>"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a vault cannot be pickled; open it where it is needed")


@contextlib.contextmanager
def _named(path: Path, *, way_back: bool = False) -> Iterator[None]:
    """What reads bytes does not know whose they are, nor of the copies of a damaged file."""
    try:
        yield
    except VaultFormatError as error:
        problem = str(error)
    else:
        return
    if way_back and not problem.endswith(UPDATE):
        problem = f"{problem.rstrip('.')}; {files.way_back(path)}"
    raise VaultFormatError(f"{path.name}: {problem}")


def _entries(data: bytes, header: Header, keys: Keys) -> dict[str, Entry]:
    content = unseal(data, header, keys)
    try:
        return read(content)
    finally:
        content.wipe()


def _fact(entry: Entry, fp: str) -> Fact:
    return Fact(entry.name, entry.vendor, tuple(sorted(entry.origins)), fp, entry.created, entry.rotated)


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


def without_keys(text: str) -> str:
    """The text with a mark in place of every key that a vault of this process has open."""
    for vault in tuple(_vaults):
        text = vault.forms.without(text)
    return text


def _watch(owner: weakref.ref[Vault], timer: Timer, ended: threading.Event) -> None:
    """Locks in time while nobody uses the vault. Ends with the timer it was started for, and soon after the vault is forgotten."""
    while (nap_s := _look(owner, timer)) and not ended.wait(nap_s):
        pass


def _look(owner: weakref.ref[Vault], timer: Timer) -> float:
    """Looks at the clock; the seconds until the next look, 0 when there is nothing left to watch."""
    vault = owner()
    if vault is None:
        return 0.0
    with vault._guard:
        if vault._timer is not timer:
            return 0.0
        vault._look_at_the_clock()
        return min(_LONGEST_NAP_S, max(_SHORTEST_NAP_S, timer.idle_left_s or timer.total_left_s))


_vaults: Final[weakref.WeakSet[Vault]] = weakref.WeakSet()


def _forked() -> None:
    """A forked child has no use for our keys: it could not even be told that the parent locked them. Nor may it wake who waits in the parent."""
    for vault in list(_vaults):
        vault._guard, vault._ended = threading.RLock(), threading.Event()  # a thread of the parent may have held them
        vault._waiting.clear()
        vault._leases.clear()
        vault.lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
