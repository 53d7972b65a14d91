"""Sealing and opening a vault's content with keys that are there already. One error for everything that is wrong after the header.

AES-256-GCM with a fresh random nonce at every save: a vault is saved a few thousand times in its life under one key, far below the 2³² that NIST allows for
random 96-bit nonces (SP 800-38D §8.3). GCM alone does not bind a key, so one file could be made to open under two passwords (Len, Grubbs and Ristenpart,
"Partitioning Oracle Attacks", 2021): the commitment over the header closes that, and is compared before anything is decrypted.
"""

from __future__ import annotations

import hmac
import struct
from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator_nb.errors import VaultAuthError, VaultError
from orchestrator_nb.vault.format import BLOCK_BYTES, BOUND_BYTES, HEADER_BYTES, MAX_BYTES, TAG_BYTES, Header
from orchestrator_nb.vault.kdf import Keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
_LENGTH: Final = struct.Struct(">I")


def room(content: int) -> int:
    """Bytes after the header for so many bytes of content: its length, padding to whole blocks that hides how many keys there are, and the tag."""
    return -(-(_LENGTH.size + content) // BLOCK_BYTES) * BLOCK_BYTES + TAG_BYTES


def seal(content: bytes, header: Header, keys: Keys) -> bytes:
    """The whole file. ``header.size`` must be `room` of the content. Raises `VaultError` when that is more than a vault holds."""
    if HEADER_BYTES + header.size > MAX_BYTES:
        raise VaultError("the vault is full; remove keys that are not used any more.")
    padding = bytes(header.size - TAG_BYTES - _LENGTH.size - len(content))
    bound = header.bound()
    head = bound + _commitment(bound, keys)
    body = keys.encrypt.use(
        lambda key: _cipher(key).encrypt(header.nonce, _LENGTH.pack(len(content)) + content + padding, head)
    )
    return head + body


def unseal(data: bytes, header: Header, keys: Keys) -> bytearray:
    """The content of a file whose header was read. Raises `VaultAuthError`, and nothing else."""
    if not hmac.compare_digest(_commitment(data[:BOUND_BYTES], keys), data[BOUND_BYTES:HEADER_BYTES]):
        raise VaultAuthError
    content = _content(keys.encrypt.use(partial(_decrypted, data, header.nonce)))
    if content is None:
        raise VaultAuthError
    return content


def _commitment(bound: bytes, keys: Keys) -> bytes:
    return keys.commit.use(lambda key: hmac.digest(key, bound, "sha256"))


def _decrypted(data: bytes, nonce: bytes, key: bytearray) -> bytearray | None:
    from cryptography.exceptions import InvalidTag  # only who opens a vault pays for it

    try:
        return bytearray(_cipher(key).decrypt(nonce, data[HEADER_BYTES:], data[:HEADER_BYTES]))
    except InvalidTag:
        return None


def _cipher(key: bytearray) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # as above

    return AESGCM(key)


def _content(plain: bytearray | None) -> bytearray | None:
    """Without length and padding; ``None`` when they are wrong."""
    if plain is None:
        return None
    (length,) = _LENGTH.unpack_from(plain)
    end = _LENGTH.size + length
    content = plain[_LENGTH.size : end]
    whole = len(plain) == room(length) - TAG_BYTES and not any(plain[end:])
    plain[:] = bytes(len(plain))
    return content if whole else None
