"""Makes the vectors with one fault each. Imports nothing of ours, draws nothing at random: run it again, and nothing changes.

python tests/vault/make_vectors.py [FOLDER]
"""

import hashlib
import hmac
import json
import struct
import sys
import unicodedata
from base64 import encodebytes
from functools import cache
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw
from Crypto.Cipher import AES

HERE = Path(__file__).parent / "vectors"
PASSWORD = "0123456789abcde"
OTHER = "correct horse battery staple"
ORIGINS = ["https://api.openai.com:443"]
STAMP = "2026-11-22T13:53:36+00:00"
ENTRY = {
    "value": "sk-test-0000000000000000",
    "vendor": "openai",
    "origins": ORIGINS,
    "created": STAMP,
    "rotated": STAMP,
}
CONTENT = json.dumps({"keys": {"OPENAI_API_KEY": ENTRY}, "v": 1}, sort_keys=True, separators=(",", ":")).encode()
LAYOUT = struct.Struct(">8sBBBBIIIQ16s32s12sI")
ORDER = ["magic", "version", "kdf", "cipher", "flags", "p1", "p2", "p3", "generation", "vault_id", "salt", "nonce", "n"]
AT = {
    "magic": 0,
    "generation": 24,
    "vault_id": 32,
    "salt": 48,
    "nonce": 80,
    "n": 92,
    "commitment": 96,
    "ciphertext": 128,
}


def fixed(name, size):
    return hashlib.sha256(b"onb vectors " + name.encode()).digest()[:size]


@cache
def stretched(kdf, p1, p2, p3, salt, password):
    """What the header asks for, also out of bounds, so that a reader without bounds would open it; zeros where that takes long or cannot be."""
    text = unicodedata.normalize("NFKC", password).encode()
    if kdf == 2 and 1 <= p1 <= 21 and 8 * p3 <= p2 <= 65_536 and p3:
        return hash_secret_raw(text, salt, p1, p2, p3, 32, Type.ID)
    if kdf != 2 and 0 < p1 <= 600_000:
        return hashlib.pbkdf2_hmac("sha256", text, salt, p1)
    return bytes(32)


def expand(prk, purpose):
    return hmac.digest(prk, b"onb-vault/1 " + purpose + b"\x01", "sha256")


def padded(content, blocks=0):
    plain = struct.pack(">I", len(content)) + content
    return plain + bytes(-len(plain) % 1024 + 1024 * blocks)


def fields(name, **given):
    found = {"magic": b"ONBVAULT", "version": 1, "kdf": 1, "cipher": 1, "flags": 0, "p1": 100_000, "p2": 0, "p3": 0}
    found |= {"generation": 5, "vault_id": fixed("id", 16), "salt": fixed("salt", 32), "nonce": fixed(name, 12)}
    return found | given


def vault(name, content=CONTENT, *, password=PASSWORD, plain=None, aad=128, swap=False, **given):
    """A vault in which all is right but for what is given."""
    plain = padded(content) if plain is None else plain
    found = fields(name, **({"n": len(plain) + 16} | given))
    prk = stretched(*(found[field] for field in ("kdf", "p1", "p2", "p3", "salt")), password)
    enc, commit = expand(prk, b"enc"), expand(prk, b"commit")
    if swap:
        enc, commit = commit, enc
    head = LAYOUT.pack(*(found[field] for field in ORDER))
    head += hmac.digest(commit, head, "sha256")
    gcm = AES.new(enc, AES.MODE_GCM, nonce=found["nonce"])
    gcm.update(head[:aad])
    return head + b"".join(gcm.encrypt_and_digest(plain))


def flipped(data, at, bit=1):
    changed = bytearray(data)
    changed[at] ^= bit
    return bytes(changed)


def refused_headers():
    for name, change, comment in [
        ("magic-lower-case", {"magic": b"onbvault"}, "the magic is in lower case"),
        ("version-0", {"version": 0}, "format version 0 never was"),
        ("version-2", {"version": 2}, "a newer format version"),
        ("version-255", {"version": 255}, "the newest format version there can be"),
        ("kdf-0", {"kdf": 0}, "key derivation 0"),
        ("kdf-3", {"kdf": 3}, "an unknown key derivation"),
        ("kdf-255", {"kdf": 255}, "an unknown key derivation"),
        ("cipher-0", {"cipher": 0}, "cipher 0"),
        ("cipher-2", {"cipher": 2}, "an unknown cipher"),
        ("flags-1", {"flags": 1}, "an unknown flag"),
        ("flags-128", {"flags": 128}, "an unknown flag, the highest bit"),
        ("pbkdf2-p2", {"p2": 1}, "PBKDF2 has no second parameter"),
        ("pbkdf2-p3", {"p3": 1}, "PBKDF2 has no third parameter"),
        ("length-0", {"n": 0}, "the length field is 0"),
        ("length-less", {"n": 1039}, "the length field is one too small"),
        ("length-more", {"n": 1041}, "the length field is one too large"),
        ("length-block-more", {"n": 2064}, "the length field is one block too large"),
        ("length-highest", {"n": 2**32 - 1}, "the highest length there can be"),
    ]:
        yield name, "format", comment, vault(name, **change)
    for iterations in (0, 1, 99_999, 10_000_001, 2**32 - 1):
        name = f"pbkdf2-iterations-{iterations}"
        yield name, "format", "outside 100,000 to 10,000,000 iterations", vault(name, p1=iterations)
    for what, passes, memory, lanes in [
        ("memory-0", 2, 0, 1),
        ("memory-19455", 2, 19_455, 1),
        ("memory-1048577", 2, 2**20 + 1, 1),
        ("memory-4294967295", 2, 2**32 - 1, 1),
        ("lanes-0", 2, 19_456, 0),
        ("lanes-17", 2, 19_456, 17),
        ("passes-0", 0, 19_456, 1),
        ("passes-1", 1, 19_456, 1),
        ("passes-21", 21, 19_456, 1),
        ("product", 5, 2**20, 4),
        ("product-wraps", 16, 2**28, 1),
    ]:
        name = f"argon2id-{what}"
        comment = f"{passes} passes, {memory} KiB, {lanes} lanes: outside the bounds; refuse before taking any memory"
        yield name, "format", comment, vault(name, kdf=2, p1=passes, p2=memory, p3=lanes)


def refused_lengths():
    whole = vault("lengths")
    yield "empty-file", "format", "a file of no bytes", b""
    yield "magic-flipped", "format", "one bit of the magic is flipped", flipped(whole, 0)
    yield "magic-only", "format", "it ends after the magic", whole[:8]
    yield "header-short", "format", "it ends one byte before the header does", whole[:127]
    yield "header-only", "format", "it ends after the header", whole[:128]
    yield "cut-one-byte", "format", "the last byte is missing", whole[:-1]
    yield "cut-the-tag", "format", "the tag is missing", whole[:-16]
    yield "longer-by-one-byte", "format", "one byte was appended", whole + b"\0"
    yield "longer-by-one-block", "format", "1,024 bytes were appended", whole + bytes(1024)
    yield "no-block", "format", "only a tag and no block; header and tag agree", vault("no-block", plain=b"")
    odd = vault("odd", plain=padded(CONTENT)[:-1])
    yield "no-whole-block", "format", "the last block lacks a byte; header and tag agree", odd


def refused_keys():
    whole = vault("keys")
    for part, at in AT.items():
        if part not in {"magic", "n"}:
            yield (
                f"{part}-flipped",
                "auth",
                f"one bit of the {part.replace('_', ' ')} is flipped",
                flipped(whole, at, 128),
            )
    yield "ciphertext-flipped-last", "auth", "one bit of the last byte of ciphertext is flipped", flipped(whole, -17)
    yield "tag-flipped", "auth", "one bit of the tag is flipped", flipped(whole, -1)
    yield "tag-zero", "auth", "the tag is all zeros", whole[:-16] + bytes(16)
    yield "iterations-changed", "auth", "100,001 iterations instead of 100,000", flipped(whole, 15)
    yield "commitment-zero", "auth", "the commitment is all zeros", whole[:96] + bytes(32) + whole[128:]
    older = vault("older", generation=4)
    yield "spliced-content", "auth", "the content of an older save under this header", whole[:128] + older[128:]
    yield "spliced-header", "auth", "bytes 0 to 95 of an older save", older[:96] + whole[96:]
    yield (
        "keys-swapped",
        "auth",
        "encrypted with the key for the commitment, and the other way",
        vault("swap", swap=True),
    )
    yield "aad-none", "auth", "the header is not authenticated by the cipher", vault("aad", aad=0)
    yield "aad-without-commitment", "auth", "the commitment is not authenticated by the cipher", vault("aad", aad=96)
    yield "password-wrong", "auth", "sealed under another password", vault("wrong", password=OTHER)
    yield "password-upper-case", "auth", "NFKC does not fold case", vault("case", password=PASSWORD.upper())
    yield "two-keys-one-tag", "auth", SALAMANDER, salamander("two keys")


def refused_padding():
    plain = padded(CONTENT)
    end = 4 + len(CONTENT)
    for name, comment, changed in [
        ("padding-first", "the first byte of padding is 1", flipped(plain, end)),
        ("padding-last", "the last byte of padding is 1", flipped(plain, -1)),
        ("padding-long", "one block of padding too much", padded(CONTENT, blocks=1)),
        ("padding-only", "an empty content in two blocks", padded(b"", blocks=1)),
        ("content-length-short", "the length leaves out the last byte", flipped(plain, 3)),
        ("content-length-1021", "the length is one more than the block has", struct.pack(">I", 1021) + plain[4:]),
        ("content-length-highest", "the highest length there can be", b"\xff" * 4 + plain[4:]),
    ]:
        yield name, "auth", f"{comment}; commitment and tag are right", vault(name, plain=changed)


def content(whole):
    return json.dumps(whole).encode()


def entry(**changes):
    return content({"keys": {"OPENAI_API_KEY": ENTRY | changes}, "v": 1})


def refused_contents():
    without = {field: text for field, text in ENTRY.items() if field != "origins"}
    one = b'"A":{"value":"x","origins":[]}'
    for name, comment, made in [
        ("not-json", "the content is no JSON", b"sk-test-0000000000000000"),
        ("cut-short", "the JSON ends too early; its length is right", CONTENT[:-1]),
        ("newer", "content of a newer version", CONTENT.replace(b'"v":1', b'"v":2')),
        ("v-true", "the version is true, not 1", CONTENT.replace(b'"v":1', b'"v":true')),
        ("v-float", "the version is 1.0, not 1", CONTENT.replace(b'"v":1', b'"v":1.0')),
        ("v-missing", "no version", content({"keys": {}})),
        ("keys-missing", "no keys", content({"v": 1})),
        ("list", "a list, not an object", b"[1]"),
        ("null", "null", b"null"),
        ("keys-list", "the keys are a list", content({"keys": [], "v": 1})),
        ("unknown-field", "a field that there is not", content({"keys": {}, "v": 1, "more": 1})),
        ("unknown-entry-field", "a field of a key that there is not", entry(more="")),
        ("name-twice", "one name twice", b'{"keys":{' + one + b"," + one + b'},"v":1}'),
        ("v-twice", "the version twice", b'{"keys":{},"v":2,"v":1}'),
        ("utf-16", "UTF-16", CONTENT.decode().encode("utf-16-le")),
        ("bom", "a byte order mark", b"\xef\xbb\xbf" + CONTENT),
        ("not-utf-8", "a byte that UTF-8 has not", CONTENT.replace(b'"vendor":"openai"', b'"vendor":"\xff"')),
        ("deep", "a thousand lists in each other", b"[" * 1000 + b"]" * 1000),
        ("name-blank", "a name with a blank", content({"keys": {"MY KEY": ENTRY}, "v": 1})),
        ("value-number", "a value that is a number", entry(value=8)),
        ("value-list", "a value that is a list of bytes", entry(value=[115, 107])),
        ("value-empty", "an empty value", entry(value="")),
        ("value-line", "a value with a line break, which would end a header", entry(value="sk-test\nHost: evil")),
        ("value-long", "a value of 8,193 bytes", entry(value="k" * 8193)),
        ("origins-missing", "a key that is bound to nothing", content({"keys": {"A": without}, "v": 1})),
        ("origins-text", "origins that are one text", entry(origins=ORIGINS[0])),
        ("origins-number", "an origin that is a number", entry(origins=[443])),
        ("vendor-null", "a vendor that is null", entry(vendor=None)),
        ("stamp-local", "a time without its zone", entry(created="2026-11-22T13:53:36")),
        ("stamp-zone", "a time in another zone", entry(created="2026-11-22T14:53:36+01:00")),
        ("stamp-number", "a time that is a number", entry(rotated=1795355616)),
    ]:
        yield f"content-{name}", "format", f"{comment}; everything around it is right", vault(name, made)


def opened():
    full = entry(vendor="v" * (1020 - len(entry(vendor=""))))
    yield "valid", "success", "one key", vault("valid")
    yield "valid-empty-content", "success", "no content is no keys", vault("empty", b"")
    yield "valid-no-keys", "success", "no keys", vault("none", content({"keys": {}, "v": 1}))
    yield "valid-one-full-block", "success", "1,020 bytes of content need no padding", vault("full", full)
    yield "valid-two-blocks", "success", "1,021 bytes of content need a second block", vault("two", full + b" ")
    yield "valid-last-generation", "success", "the highest generation there can be", vault("last", generation=2**64 - 1)
    yield "valid-first-generation", "success", "generation 0", vault("first", generation=0)
    few = content({"v": 1, "keys": {"B": {"origins": [], "value": "x"}, "A": {"origins": [], "value": "y"}}})
    yield "valid-few-fields", "success", "only what must be there, and not sorted", vault("few", few)
    floor = vault("floor", kdf=2, p1=2, p2=19_456, p3=1)
    yield "valid-argon2id-lowest", "success", "the least work that Argon2id may ask for", floor


def opened_by_other_spellings():
    composed = vault("nfkc", password="\u00e9t\u00e9 \u304c \ufb01n 12345")
    typed = "e\u0301te\u0301 \u304b\u3099 fin \uff11\uff12\uff13\uff14\uff15"
    yield "valid-nfkc", "success", "the password comes decomposed and in full-width digits", composed, typed


SALAMANDER = "the tag is right under this password and under another, whose commitment it is: a reader that does not compare the commitment opens it"


def times(x, y):
    """In GCM's field, where the first bit of a block is the highest (SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if y >> bit & 1:
            product ^= x
        x = x >> 1 ^ (0xE1 << 120 if x & 1 else 0)
    return product


def powers(h, count):
    found = [h]
    while len(found) < count:
        found.append(times(found[-1], h))
    return found


def salamander(name):
    """A vault whose content is right under `PASSWORD`, whose tag is right under both passwords, and whose commitment is `OTHER`'s.

    Four blocks of the vendor's name are signs from ``@`` to ``O``, so that their lower halves can be chosen: 256 bits for the 128 linear equations that
    make both tags equal (Albertini et al., https://eprint.iacr.org/2020/1456, section 3).
    """
    made = entry(vendor="V" * 96)
    plain = padded(made)
    first = (4 + made.index(b"V" * 96) + 15) // 16  # the first whole block of them
    free = range(first, first + 4)
    plain = plain[: 16 * first] + b"@" * 64 + plain[16 * first + 64 :]
    found = fields(name, n=len(plain) + 16)
    mine, theirs = (stretched(1, 100_000, 0, 0, found["salt"], password) for password in (PASSWORD, OTHER))
    head = LAYOUT.pack(*(found[field] for field in ORDER))
    head += hmac.digest(expand(theirs, b"commit"), head, "sha256")
    keys = [AES.new(expand(prk, b"enc"), AES.MODE_ECB) for prk in (mine, theirs)]
    last = len(head) // 16 + len(plain) // 16 + 1
    weights = [powers(int.from_bytes(key.encrypt(bytes(16))), last) for key in keys]

    def tags(body):
        """Each key's tag of a ciphertext."""
        blocks = head + body + struct.pack(">QQ", 8 * len(head), 8 * len(body))
        for key, weight in zip(keys, weights, strict=True):
            tag = int.from_bytes(key.encrypt(found["nonce"] + b"\0\0\0\1"))
            for number in range(last):
                tag ^= times(weight[last - 1 - number], int.from_bytes(blocks[16 * number : 16 * number + 16]))
            yield tag

    body = AES.new(expand(mine, b"enc"), AES.MODE_GCM, nonce=found["nonce"]).encrypt(plain)
    tag, other = tags(body)
    chosen = bytearray(body)
    offset = len(head) // 16
    low_bits = [8 * byte + low for byte in range(16) for low in range(4, 8)]
    basis = []
    for block in free:
        weight = weights[0][last - 1 - offset - block] ^ weights[1][last - 1 - offset - block]
        basis += [(times(weight, 1 << 127 - bit), {(block, bit)}) for bit in low_bits]
    for block, bit in solve(basis, tag ^ other):
        chosen[16 * block + bit // 8] ^= 128 >> bit % 8
    tag, other = tags(bytes(chosen))
    assert tag == other
    return head + bytes(chosen) + tag.to_bytes(16)


def solve(vectors, wanted):
    """Which of the vectors sum up to ``wanted`` over GF(2)."""
    pivots = {}
    for one, its_name in vectors:
        vector, names = one, its_name
        for high, (pivot, of_pivot) in pivots.items():
            if vector >> high & 1:
                vector, names = vector ^ pivot, names ^ of_pivot
        if vector:
            top = vector.bit_length() - 1
            for high, (pivot, of_pivot) in pivots.items():
                if pivot >> top & 1:
                    pivots[high] = pivot ^ vector, of_pivot ^ names
            pivots[top] = vector, names
    chosen = set()
    for high, (_, names) in pivots.items():
        chosen ^= names if wanted >> high & 1 else set()
    return chosen


def everything():
    """``(file name, text)`` of each vector."""
    groups = (opened, refused_headers, refused_lengths, refused_keys, refused_padding, refused_contents)
    for made in (*(vector for group in groups for vector in group()), *opened_by_other_spellings()):
        name, expect, comment, data, *password = made
        head = {"expect": expect, "comment": comment, "password": (*password, PASSWORD)[0]}
        lines = "".join(f"{field}: {text}\n" for field, text in head.items())
        yield f"{name}.txt", f"{lines}\n{encodebytes(data).decode()}"


def main(folder=HERE):
    for name, text in everything():
        (folder / name).write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
