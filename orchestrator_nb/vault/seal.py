"""Sealing and opening a vault's content with keys that are there already. One error for everything that is wrong after the header.

AES-256-GCM with a fresh random nonce at every save, drawn here, so that no caller can use one twice: a vault is saved a few thousand times in its life under
one key, far below the 2³² that NIST allows for random 96-bit nonces (SP 800-38D §8.3). GCM alone does not bind a key, so one file could be made to open under
two passwords (Len, Grubbs and Ristenpart, "Partitioning Oracle Attacks", 2021): the commitment over the header closes that, and is compared before anything
is decrypted.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator_nb.errors import VaultAuthError, VaultError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.format import BLOCK_BYTES, BOUND_BYTES, HEADER_BYTES, MAX_BYTES, TAG_BYTES, Header
from orchestrator_nb.vault.kdf import Keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
_LENGTH: Final = struct.Struct(">I")


def seal(
    content: Hidden, header: Header, keys: Keys, random: Callable[[int], bytes] = os.urandom
) -> tuple[Header, bytes]:
    """The header with its new nonce and size, and the whole file. Raises `VaultError` when that is more than a vault holds."""
    room = _room(len(content))
    if HEADER_BYTES + room + TAG_BYTES > MAX_BYTES:
        raise VaultError("the vault is full; remove keys that are not used any more.")
    header = replace(header, nonce=random(NONCE_BYTES), size=room + TAG_BYTES)
    bound = header.bound()
    head = bound + _commitment(bound, keys)
    padded = content.use(partial(_padded, room))
    body = keys.encrypt.use(lambda key: padded.use(lambda plain: _cipher(key).encrypt(header.nonce, plain, head)))
    padded.wipe()
    return header, head + body


def _room(content: int) -> int:
    """Bytes for so many bytes of content: its length and padding to whole blocks, which hides how many keys there are."""
    return -(-(_LENGTH.size + content) // BLOCK_BYTES) * BLOCK_BYTES


def _padded(room: int, content: bytearray) -> Hidden:
    return Hidden((_LENGTH.pack(len(content)) + content).ljust(room, b"\0"))


def unseal(data: bytes, header: Header, keys: Keys) -> Hidden:
    """The content of a file whose header was read. Raises `VaultAuthError`, and nothing else."""
    content = None
    if hmac.compare_digest(_commitment(data[:BOUND_BYTES], keys), data[BOUND_BYTES:HEADER_BYTES]):
        content = keys.encrypt.use(partial(_decrypted, data, header.nonce))
    if content is None:
        raise VaultAuthError
    return content


def _commitment(bound: bytes, keys: Keys) -> bytes:
    return keys.commit.use(lambda key: hmac.digest(key, bound, "sha256"))


def _decrypted(data: bytes, nonce: bytes, key: bytearray) -> Hidden | None:
    """``None`` for a wrong tag, length or padding."""
    from cryptography.exceptions import InvalidTag  # only who opens a vault pays for it

    try:
        return _content(_cipher(key).decrypt(nonce, data[HEADER_BYTES:], data[:HEADER_BYTES]))
    except InvalidTag:
        return None


def _cipher(key: bytearray) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # as above

    return AESGCM(key)


def _content(plain: bytes) -> Hidden | None:
    """Without length and padding; ``None`` when they are wrong: there is one way to pad."""
    (length,) = _LENGTH.unpack_from(plain)
    end = _LENGTH.size + length
    if len(plain) != _room(length) or any(plain[end:]):
        return None
    return Hidden(plain[_LENGTH.size : end])
