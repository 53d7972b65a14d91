"""The vault's open header, 128 bytes; docs/vault-format.md has the table. Everything is checked here before any key is derived.

Reading is strict: one way to write each value, and every byte is either checked here or covered by the commitment and the cipher's tag.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from orchestrator_nb.errors import VaultFormatError
from orchestrator_nb.vault.kdf import Kdf, kdf_of

MAGIC: Final = b"ONBVAULT"
VERSION: Final = b"\x01"
AES_256_GCM: Final = 1
HEADER_BYTES: Final = 128
BOUND_BYTES: Final = 96
"""What the commitment covers; it fills the rest of the header."""
TAG_BYTES: Final = 16
BLOCK_BYTES: Final = 1024
MAX_BYTES: Final = 1 << 20
UPDATE: Final = "update orchestrator-nb."
"""The end of what is said of a file that is whole, but newer than this program."""

_LAYOUT: Final = struct.Struct(">8scBBBIIIQ16s32s12sI")


@dataclass(frozen=True, slots=True)
class Header:
    """The open part of a vault. ``generation`` counts saves, ``vault_id`` stays for life, ``salt`` changes with the password, ``nonce`` with each save.

    ``size`` is what follows the header: ciphertext and tag, in bytes.
    """

    kdf: Kdf
    generation: int
    vault_id: bytes
    salt: bytes
    nonce: bytes
    size: int

    def bound(self) -> bytes:
        """The first 96 bytes."""
        kind, p1, p2, p3 = self.kdf.fields
        return _LAYOUT.pack(
            MAGIC, VERSION, kind, AES_256_GCM, 0, p1, p2, p3,
            self.generation, self.vault_id, self.salt, self.nonce, self.size,
        )  # fmt: skip


def read_header(data: bytes) -> Header:
    """The header of a whole file. Raises `VaultFormatError` that says which open fact is wrong."""
    _require(data[: len(MAGIC)] == MAGIC, "it is not a vault.")
    version = data[len(MAGIC) : len(MAGIC) + 1]
    # before the lengths, which a newer version may have changed; an empty one ends too early
    _require(version <= VERSION, f"it was made by a newer version; {UPDATE}")
    _require(version in {b"", VERSION}, "its format version is none that ever was.")
    _require(len(data) > HEADER_BYTES, "it ends too early.")
    _require(len(data) <= MAX_BYTES, f"it is larger than a vault can be ({MAX_BYTES:,} bytes).")
    _, _, kind, cipher, flags, p1, p2, p3, generation, vault_id, salt, nonce, size = _LAYOUT.unpack_from(data)
    _require(cipher == AES_256_GCM, f"it uses cipher {cipher}, which this version does not know; {UPDATE}")
    _require(flags == 0, f"it uses flags that this version does not know; {UPDATE}")
    _require(size == len(data) - HEADER_BYTES, "its length is not what its header says.")
    _require(_whole_blocks(size - TAG_BYTES), "its length is no whole number of blocks.")
    return Header(kdf_of(kind, p1, p2, p3), generation, vault_id, salt, nonce, size)


def _whole_blocks(size: int) -> bool:
    return size > 0 and size % BLOCK_BYTES == 0


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise VaultFormatError(problem)
