"""From password to keys: PBKDF2-HMAC-SHA256 or Argon2id, then one HKDF step for each purpose. Parameters outside the bounds are refused before any work.

The bounds hold for what a file asks for as well as for what a user sets: a file must not be able to take this machine's time or memory.
No frame of ours holds the password while it is stretched: an interrupt, or too little memory, would show it in a traceback.
PBKDF2's default is OWASP's (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html); Argon2id is RFC 9106's second choice.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, Protocol

from orchestrator_nb.errors import UserError, VaultError, VaultFormatError
from orchestrator_nb.secret import Hidden

SALT_BYTES: Final = 32
KEY_BYTES: Final = 32
MAX_PASSWORD_BYTES: Final = 1024
RECOMMENDED_ITERATIONS: Final = 600_000

_GIB_IN_KIB: Final = 1 << 20
_ENCRYPT, _COMMIT = b"onb-vault/1 enc", b"onb-vault/1 commit"


class Kdf(Protocol):
    """How a password is stretched. ``fields`` are the header's: id, p1, p2, p3. Two are equal when they do the same work."""

    @property
    def fields(self) -> tuple[int, int, int, int]:
        """The KDF's id and its three parameters, as the header has them."""
        ...

    @property
    def weak(self) -> bool:
        """Whether this is less work than recommended today."""
        ...

    def stretch(self, password: Hidden, salt: bytes) -> Hidden:
        """32 bytes; this is what takes the time. Raises `VaultError` where this machine cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    """PBKDF2-HMAC-SHA256; ``iterations`` from 100,000 to 10,000,000."""

    ID: ClassVar = 1
    iterations: int = RECOMMENDED_ITERATIONS

    def __post_init__(self) -> None:
        _require(100_000 <= self.iterations <= 10_000_000, f"{self.iterations:,} PBKDF2 iterations")

    @property
    def fields(self) -> tuple[int, int, int, int]:
        """1, iterations, 0, 0."""
        return self.ID, self.iterations, 0, 0

    @property
    def weak(self) -> bool:
        """Fewer iterations than OWASP recommends."""
        return self.iterations < RECOMMENDED_ITERATIONS

    def stretch(self, password: Hidden, salt: bytes) -> Hidden:
        """About 0.1 s at 600,000. Releases the GIL."""
        from cryptography.hazmat.primitives.hashes import SHA256  # only who opens a vault pays for it
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

        return Hidden(password.use(PBKDF2HMAC(SHA256(), KEY_BYTES, salt, self.iterations).derive))

    def __str__(self) -> str:
        return f"PBKDF2, {self.iterations:,} iterations"


@dataclass(frozen=True, slots=True)
class Argon2id:
    """Argon2id version 1.3; memory in KiB. ``passes`` × ``memory_kib`` is at most 4 GiB: each bound alone still allows half a minute."""

    ID: ClassVar = 2
    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4

    def __post_init__(self) -> None:
        within = 2 <= self.passes <= 20 and 19_456 <= self.memory_kib <= _GIB_IN_KIB and 1 <= self.lanes <= 16
        _require(within and self.passes * self.memory_kib <= 4 * _GIB_IN_KIB, f"these Argon2id parameters ({self})")

    @property
    def fields(self) -> tuple[int, int, int, int]:
        """2, passes, memory, lanes."""
        return self.ID, self.passes, self.memory_kib, self.lanes

    @property
    def weak(self) -> bool:
        """Never: the bounds begin at OWASP's floor."""
        return False

    def stretch(self, password: Hidden, salt: bytes) -> Hidden:
        """About 0.2 s with the defaults. Releases the GIL. Raises `VaultError` for too little memory, or a cryptography without Argon2."""
        from cryptography.exceptions import UnsupportedAlgorithm  # as above
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Argon

        try:
            derivation = Argon(
                salt=salt, length=KEY_BYTES, iterations=self.passes, lanes=self.lanes, memory_cost=self.memory_kib
            )
            return Hidden(password.use(derivation.derive))  # type: ignore[arg-type]  # it takes any buffer, its stub says bytes
        except MemoryError:
            problem = "this machine has too little memory free; end something that holds it."
        except UnsupportedAlgorithm:
            problem = "this Python's cryptography is built without it; install it anew: pip install --force-reinstall cryptography"
        raise VaultError(f"{self}: {problem}")

    def __str__(self) -> str:
        return f"Argon2id, {self.memory_kib:,} KiB, {self.passes} passes, {self.lanes} lanes"


def kdf_of(kind: int, p1: int, p2: int, p3: int) -> Kdf:
    """The KDF that a header asks for. Raises `VaultFormatError` for an unknown one and for parameters out of bounds."""
    if kind == Pbkdf2.ID:
        _require(p2 == p3 == 0, "PBKDF2 parameters that have no meaning")
        return Pbkdf2(p1)
    if kind == Argon2id.ID:
        return Argon2id(p1, p2, p3)
    raise VaultFormatError(f"it uses key derivation {kind}, which this version does not know; update orchestrator-nb.")


def _require(within: bool, what: str) -> None:
    if not within:
        raise VaultFormatError(f"{what} are outside the bounds that a vault may ask for; nothing was derived.")


class Keys:
    """The two keys of an open vault, in buffers that `wipe` zeroes."""

    __slots__ = ("__commit", "__encrypt", "__weakref__")

    def __init__(self, encrypt: Hidden, commit: Hidden) -> None:
        self.__encrypt, self.__commit = encrypt, commit

    @property
    def encrypt(self) -> Hidden:
        """For AES-256-GCM."""
        return self.__encrypt

    @property
    def commit(self) -> Hidden:
        """For the header's commitment."""
        return self.__commit

    def wipe(self) -> None:
        """Zero both."""
        self.__encrypt.wipe()
        self.__commit.wipe()

    def __repr__(self) -> str:
        return "<keys of a vault>"


def normal(password: Hidden) -> Hidden:
    """The form in which a password counts, however a keyboard composes it: NFKC (https://unicode.org/reports/tr15/). Wipe it after use.

    Raises `UserError` for what no password can be: more than 1,024 bytes, what is no UTF-8, and NUL, since HMAC
    pads its key with zeros (RFC 2104): to PBKDF2 a password is the same with NULs behind it.
    """
    made = password.use(_normal) if len(password) <= MAX_PASSWORD_BYTES else None
    if made is None:
        raise UserError(f"a password is UTF-8 text of at most {MAX_PASSWORD_BYTES:,} bytes, without NUL.")
    return made


def _normal(password: bytearray) -> Hidden | None:
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return None  # the error carries the password
    return None if "\0" in text else Hidden(unicodedata.normalize("NFKC", text))


def derive(kdf: Kdf, password: Hidden, salt: bytes) -> Keys:
    """The keys of a vault. Any `normal` password has keys, if not the right ones. Raises as `normal` and `Kdf.stretch` do."""
    typed = normal(password)
    try:
        stretched = kdf.stretch(typed, salt)
    finally:
        typed.wipe()
    keys = Keys(stretched.use(partial(_expand, _ENCRYPT)), stretched.use(partial(_expand, _COMMIT)))
    stretched.wipe()
    return keys


def _expand(purpose: bytes, key: bytearray) -> Hidden:
    """HKDF-Expand (RFC 5869) for one block, which is all that 32 bytes take. Without Extract: the stretched key is uniform already (its §3.3)."""
    return Hidden(hmac.digest(key, purpose + b"\x01", "sha256"))
