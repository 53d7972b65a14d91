"""What the tests of the vault on disk and in time share: vaults with few iterations, a look into a file from outside, a disk that fails, a clock to turn."""

import errno
import fcntl
import functools
import os
from contextlib import contextmanager

from orchestrator_nb.errors import VaultError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import entries
from orchestrator_nb.vault.format import read_header
from orchestrator_nb.vault.kdf import Pbkdf2, derive
from orchestrator_nb.vault.seal import unseal
from orchestrator_nb.vault.timer import Limits
from orchestrator_nb.vault.vault import Vault

QUICK = Pbkdf2(100_000)
OLD, NEW = "correct horse battery", "another horse battery"
ORIGIN = "https://api.example.com:443"


def vault_in(folder, **how):
    """Another object each time: what another process has, too."""
    return Vault(folder / "vaults/default.onbv", state=folder / "state", **{"kdf": QUICK, **how})


def made_in(folder, values=(), password=OLD, **how):
    """A new vault, open, with these values by name."""
    vault = vault_in(folder, **how)
    vault.create(Hidden(password))
    for name, value in dict(values).items():
        put(vault, name, value)
    return vault


def put(vault, name, value):
    return vault.put(name, "example", Hidden(value), [ORIGIN])


def value_of(vault, name):
    return vault.secret(name, "example").release(ORIGIN)


@functools.cache
def _keys(kdf, password, salt):
    return derive(kdf, Hidden(password), salt)


def content(path, password=OLD):
    """The values in a file, by name, as nothing but the format tells; ``None`` when the password does not open it."""
    data = path.read_bytes()
    try:
        header = read_header(data)
        found = entries.read(unseal(data, header, _keys(header.kdf, password, header.salt)))
    except VaultError:
        return None
    return {name: entry.value.use(bytes).decode() for name, entry in found.items()}


def strays(path):
    """What a writer left aside."""
    return [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")]


ERRNOS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EMFILE)
_CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir", "listdir", "stat", "fstat")


class Disk:
    """Counts the calls that go to a disk, lets the n-th fail, and may take only half of what is written at a time."""

    def __init__(self, monkeypatch):
        self._patch = monkeypatch
        self.calls = 0

    @contextmanager
    def failing(self, number=0, code=errno.EIO, *, short=False, only=(), for_good=False):
        """``only`` these calls fail, and count; with ``for_good`` all of them from the n-th on."""
        self.calls = 0

        def wrapped(name, real):
            def call(*args, **named):
                self.calls += not only or name in only
                fails = (not only or name in only) and (self.calls >= number if for_good else self.calls == number)
                if fails and number:
                    if name == "close":
                        real(*args)  # Linux gives the handle back whatever close says
                    raise OSError(code, os.strerror(code))
                if name == "write" and short:
                    handle, data = args
                    return real(handle, data[: max(1, len(data) // 2)])
                return real(*args, **named)

            return call

        with self._patch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, wrapped(name, getattr(os, name)))
            patch.setattr(fcntl, "flock", wrapped("flock", fcntl.flock))
            yield self


class Clock:
    """The readings of a machine's three clocks, to be moved."""

    def __init__(self):
        self.monotonic, self.wall, self.boot = 1_000.0, 1.8e9, 5_000.0

    def __call__(self):
        return self.monotonic, self.wall, self.boot

    def pass_s(self, seconds):
        self.monotonic += seconds
        self.wall += seconds
        self.boot += seconds


LIMITS = Limits(900.0, 28_800.0)
