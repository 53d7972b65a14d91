"""Known answers and known faults: our code, the reader in docs/vault-format.md and one on Node's crypto say the same of every vector."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from base64 import b64decode
from functools import cache
from pathlib import Path

import pytest

from orchestrator_nb.errors import VaultAuthError, VaultFormatError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.entries import read
from orchestrator_nb.vault.format import read_header
from orchestrator_nb.vault.kdf import derive
from orchestrator_nb.vault.seal import seal, unseal

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
KATS = {kat["name"]: kat for kat in json.loads((VECTORS / "kat.json").read_text())}
PAGE = HERE.parents[1] / "docs" / "vault-format.md"


def vector(name):
    head, body = (VECTORS / f"{name}.txt").read_text("utf-8").split("\n\n", 1)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return fields["expect"], fields["password"], b64decode(body)


NAMES = sorted(path.stem for path in VECTORS.glob("*.txt"))

keys_of = cache(lambda kdf, password, salt: derive(kdf, Hidden(password), salt))


def ours(data, password):
    try:
        header = read_header(data)
        return "success", read(unseal(data, header, keys_of(header.kdf, password, header.salt)))
    except VaultFormatError:
        return "format", None
    except VaultAuthError:
        return "auth", None


@pytest.mark.parametrize("name", KATS)
def test_a_known_vault_opens_with_its_known_keys(name):
    kat, data = KATS[name], (VECTORS / f"{name}.onbv").read_bytes()
    header = read_header(data)
    keys = derive(header.kdf, Hidden(kat["password"]), header.salt)
    assert keys.encrypt == Hidden(bytes.fromhex(kat["k_enc"]))
    assert keys.commit == Hidden(bytes.fromhex(kat["k_commit"]))
    assert (header.kdf.fields[1:], header.generation) == ((kat["p1"], kat["p2"], kat["p3"]), kat["generation"])
    assert unseal(data, header, keys) == Hidden(kat["plaintext"])


@pytest.mark.parametrize("name", KATS)
def test_our_writer_makes_the_known_bytes(name):
    kat, data = KATS[name], (VECTORS / f"{name}.onbv").read_bytes()
    header = read_header(data)
    keys = keys_of(header.kdf, kat["password"], header.salt)
    assert seal(Hidden(kat["plaintext"]), header, keys, lambda size: bytes.fromhex(kat["nonce"])[:size]) == (
        header,
        data,
    )


def test_a_known_key_is_read_with_its_origins():
    _, found = ours((VECTORS / "kat1-pbkdf2.onbv").read_bytes(), KATS["kat1-pbkdf2"]["password"])
    assert {name: (entry.value, entry.origins) for name, entry in found.items()} == {
        "openai": (Hidden("sk-test-0000000000000000"), frozenset({"https://api.openai.com:443"}))
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_is_refused_as_what_it_is(name):
    expect, password, data = vector(name)
    assert ours(data, password)[0] == expect


def test_there_are_vectors_for_each_kind_of_fault():
    expected = [vector(name)[0] for name in NAMES]
    assert {kind: expected.count(kind) >= 8 for kind in ("success", "format", "auth")} == dict.fromkeys(expected, True)
    assert len(NAMES) >= 100


def test_the_generator_makes_the_same_vectors_again():
    made = dict(runpy.run_path(str(HERE / "make_vectors.py"))["everything"]())
    assert made == {path.name: path.read_text("utf-8") for path in VECTORS.glob("*.txt")}


# Two readers that import nothing of ours

FOREIGN_RUN = """
import sys
from base64 import b64decode
from pathlib import Path

def outcome(data, password):
    try:
        read_vault(data, password)
    except Exception as refused:  # a content with a fault may end in anything
        return "format" if str(refused) == "format" else "auth"
    return "success"

folder = Path(sys.argv[1])
found = {kat["name"]: outcome((folder / f"{kat['name']}.onbv").read_bytes(), kat["password"]) for kat in json.loads((folder / "kat.json").read_text())}
for path in folder.glob("*.txt"):
    head, body = path.read_text("utf-8").split("\\n\\n", 1)
    found[path.stem] = outcome(b64decode(body), head.partition("password: ")[2])
assert not {"orchestrator_nb", "cryptography"} & set(sys.modules)
print(json.dumps(found))
"""


def the_readers_code():
    return re.search(r"^```python\n(import hashlib.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)[1]


def told(*command):
    done = subprocess.run([*map(str, command), str(VECTORS)], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def expected_of_foreigners():
    """They leave the fields of a content to a JSON parser, so of its faults they know a few."""
    known = {name: vector(name)[0] for name in NAMES if not name.startswith("content-") or "length" in name}
    return dict.fromkeys(KATS, "success") | known


def node():
    """Node with Argon2 (24.7). Playwright, which our browser tests need, brings one."""
    from playwright._impl._driver import compute_driver_executable

    found = [compute_driver_executable()[0], shutil.which("node")]
    asks = "process.exit(require('crypto').argon2Sync ? 0 : 1)"
    return next(path for path in found if path and not subprocess.run([path, "-e", asks], check=False).returncode)


def test_the_reader_of_the_page_opens_and_refuses_the_same():
    found = told(sys.executable, "-I", "-c", the_readers_code() + FOREIGN_RUN)
    expected = expected_of_foreigners()
    assert {name: found[name] for name in expected} == expected


def test_a_reader_on_nodes_crypto_opens_and_refuses_the_same():
    found = told(node(), HERE / "reader.mjs")
    expected = expected_of_foreigners()
    assert {name: found[name].split(" ")[0] for name in expected} == expected
    assert {name: found[name] for name in KATS} == {name: f"success {kat['plaintext']}" for name, kat in KATS.items()}


# Controls: each vector is there for a check, and a reader without it lets the vector through


def reader_without(check):
    code = the_readers_code()
    assert check in code
    names = {}
    exec(code.replace(check, "True" if not check.startswith("need") else "pass"), names)
    return names["read_vault"]


@pytest.mark.parametrize(
    ("check", "let_through"),
    [
        ("100_000 <= p1", ["pbkdf2-iterations-1", "pbkdf2-iterations-99999"]),
        ("p2 == p3 == 0", ["pbkdf2-p2", "pbkdf2-p3"]),
        ("2 <= p1 <= 20", ["argon2id-passes-1", "argon2id-passes-21"]),
        ("19_456 <= p2 <= 1 << 20", ["argon2id-memory-19455"]),
        ("1 <= p3 <= 16", ["argon2id-lanes-17"]),
        ("(version, cipher, flags) == (1, 1, 0)", ["version-0", "version-2", "cipher-2", "flags-1", "flags-128"]),
        ("n == len(data) - 128", ["length-block-more"]),
        ('need(hmac.compare_digest(hmac.digest(commit, data[:96], "sha256"), data[96:128]), "auth")', ["two-keys-one-tag"]),
        (
            'need(len(plain) == -(-end // 1024) * 1024 and not any(plain[end:]), "auth")',
            ["padding-first", "padding-last", "padding-long", "padding-only"],
        ),
    ],
)  # fmt: skip
def test_a_reader_that_leaves_out_a_check_is_caught(check, let_through):
    naive = reader_without(check)
    for name in let_through:
        expect, password, data = vector(name)
        assert expect != "success"
        naive(data, password)


def test_the_vault_with_two_keys_has_the_right_tag_under_both():
    """A real one: without the commitment, one try would test two passwords at once, or thousands."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    _, password, data = vector("two-keys-one-tag")
    header = read_header(data)
    for word in (password, "correct horse battery staple"):
        keys = keys_of(header.kdf, word, header.salt)
        assert keys.encrypt.use(lambda key: AESGCM(key).decrypt(header.nonce, data[128:], data[:128]))
    with pytest.raises(VaultAuthError):
        unseal(data, header, keys_of(header.kdf, password, header.salt))
