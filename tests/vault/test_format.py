"""What is not a vault, or was altered, is refused with one of two errors: every bit, every length, every splice."""

import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import tracemalloc
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator_nb.errors import OrchestratorError, VaultAuthError, VaultError, VaultFormatError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import files
from orchestrator_nb.vault.entries import Entry, read, write
from orchestrator_nb.vault.format import HEADER_BYTES, MAX_BYTES, Header, read_header
from orchestrator_nb.vault.kdf import Argon2id, Keys, Pbkdf2, derive
from orchestrator_nb.vault.seal import seal, unseal
from orchestrator_nb.vault.vault import Vault

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
BOUNDARIES = [8, 9, 10, 11, 12, 16, 20, 24, 32, 48, 80, 92, 96, HEADER_BYTES]
KDF_BYTES = [9, *range(12, 24), *range(48, 80)]
"""What keys are derived from: a change here asks for a derivation. All others can be judged with the right keys at hand, which is the harder test."""

PASSWORD = "correct horse battery staple"
RAW_KEYS = Keys(Hidden(bytes(range(32))), Hidden(bytes(range(32, 64))))
PLAIN = Header(Pbkdf2(100_000), 7, bytes(16), bytes(32), b"", 0)


def entries(count):
    return {
        f"KEY_{number}": Entry(
            f"KEY_{number}", Hidden(f"sk-{number:040}"), "lab", frozenset({f"https://h{number}:443"})
        )
        for number in range(count)
    }


def sealed(content=b"", header=PLAIN, keys=RAW_KEYS):
    return seal(Hidden(content), header, keys)[1]


@cache
def vaults():
    """``{name: (file, password, header, keys)}`` of the three known vaults and one of twenty keys."""
    found = {}
    for kat in json.loads((VECTORS / "kat.json").read_text()):
        found[kat["name"]] = ((VECTORS / f"{kat['name']}.onbv").read_bytes(), kat["password"])
    header = replace(PLAIN, vault_id=os.urandom(16), salt=os.urandom(32))
    keys = derive(header.kdf, Hidden(PASSWORD), header.salt)
    found["twenty-keys"] = (seal(write(entries(20)), header, keys)[1], PASSWORD)
    return {name: (*vault, *opened(*vault)) for name, vault in found.items()}


def opened(data, password):
    header = read_header(data)
    return header, derive(header.kdf, Hidden(password), header.salt)


def judged(data, name):
    """``opened``, or the name of the error that refused it. Anything else than our two errors fails the test."""
    _, password, header, keys = vaults()[name]
    try:
        found = read_header(data)
        same = (found.kdf, found.salt) == (header.kdf, header.salt)
        unseal(data, found, keys if same else derive(found.kdf, Hidden(password), found.salt))
    except (VaultFormatError, VaultAuthError) as refused:
        return type(refused).__name__
    return "opened"


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# Every bit


def bits(name):
    return range(8 * len(vaults()[name][0]))


def is_cheap(name, bit):
    return bit // 8 not in KDF_BYTES


def counted(flips):
    return Counter(judged(flipped(vaults()[name][0], bit), name) for name, bit in flips)


def test_no_vault_opens_with_a_flipped_bit():
    seed = random.randrange(2**32)
    lots = random.Random(seed)
    cheap = [(name, bit) for name in vaults() for bit in bits(name) if is_cheap(name, bit)]
    salt = [("kat3-empty-minimum", bit) for bit in range(8 * 48, 8 * 80)]
    found = counted([*lots.sample(cheap, 1_460), *lots.sample(salt, 40)])
    assert set(found) == {"VaultFormatError", "VaultAuthError"}, f"seed {seed}"


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_no_vault_opens_with_any_bit_flipped(figures):
    found = {name: counted((name, bit) for bit in bits(name)) for name in vaults()}
    figures("flipped bits", {name: dict(counts) for name, counts in found.items()})
    assert sum(map(Counter.total, found.values())) >= 4 * 9_344
    assert set(chain(*found.values())) == {"VaultFormatError", "VaultAuthError"}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_vault_opens_with_any_byte_changed(figures):
    data, name = vaults()["kat3-empty-minimum"][0], "kat3-empty-minimum"
    places = [at for at in range(len(data)) if at not in KDF_BYTES]
    changed = (data[:at] + bytes([data[at] ^ by]) + data[at + 1 :] for at in places for by in range(1, 256))
    found = Counter(judged(one, name) for one in changed)
    figures("changed bytes", dict(found))
    assert found.total() == 255 * len(places)
    assert set(found) == {"VaultFormatError", "VaultAuthError"}


def test_the_same_count_sees_a_vault_that_checks_too_little():
    """Control: with a cipher that authenticates its content alone, flips in the header get through."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    gcm, nonce = AESGCM(bytes(32)), bytes(12)
    data = vaults()["kat3-empty-minimum"][0]
    naive = data[:HEADER_BYTES] + gcm.encrypt(nonce, bytes(1024), None)

    def opens(bit):
        changed = flipped(naive, bit)
        try:
            read_header(changed)
            gcm.decrypt(nonce, changed[HEADER_BYTES:], None)
        except (VaultFormatError, InvalidTag):
            return False
        return True

    assert sum(opens(bit) for bit in range(8 * HEADER_BYTES)) > 700


# Every length, every splice


@pytest.mark.parametrize("name", ["kat1-pbkdf2", "kat2-argon2id", "kat3-empty-minimum", "twenty-keys"])
def test_no_other_length_is_a_vault(name):
    """Told from the length alone: nothing is derived for it."""
    data = vaults()[name][0]
    shorter = (data[:length] for length in range(len(data)))
    longer = (data + made(count) for count in range(1, 4_097) for made in (bytes, os.urandom))
    for other in chain(shorter, longer):
        with pytest.raises(VaultFormatError):
            read_header(other)


def test_two_saves_of_a_vault_do_not_mix():
    first, second = (sealed(b"{%d}" % turn, replace(PLAIN, generation=turn)) for turn in (1, 2))
    both = [(first, second), (second, first)]
    boundaries = [*BOUNDARIES, len(first) - 16]
    halves = [(a[:at] + b[at:]) for at in boundaries for a, b in both]
    fields = [(a[:at] + b[at:end] + a[end:]) for at, end in pairwise(boundaries) for a, b in both]
    spliced = [one for one in (*halves, *fields) if one not in (first, second)]
    assert len(spliced) >= 14
    for data in spliced:
        with pytest.raises((VaultFormatError, VaultAuthError)):
            unseal(data, read_header(data), RAW_KEYS)


def test_a_vault_under_another_vaults_header_does_not_open():
    one, other = (sealed(b"{}", replace(PLAIN, vault_id=bytes([number] * 16))) for number in (1, 2))
    for data in (one[:HEADER_BYTES] + other[HEADER_BYTES:], one[:32] + other[32:48] + one[48:]):
        with pytest.raises(VaultAuthError):
            unseal(data, read_header(data), RAW_KEYS)


# Nothing is taken from this machine before the header is found good

OUT_OF_BOUNDS = [
    *((1, iterations, 0, 0) for iterations in (0, 1, 99_999, 10_000_001, 2**32 - 1)),
    (1, 600_000, 1, 0),
    (1, 600_000, 0, 1),
    *((2, 3, memory, 4) for memory in (0, 19_455, 2**20 + 1, 2**32 - 1)),
    *((2, 3, 65_536, lanes) for lanes in (0, 17, 2**32 - 1)),
    *((2, passes, 65_536, 4) for passes in (0, 1, 21, 2**32 - 1)),
    (2, 5, 2**20, 4),  # the product alone
    (2, 20, 2**20, 16),
    (0, 600_000, 0, 0),
    (3, 3, 65_536, 4),
]


def cost(act):
    """Seconds and bytes at the peak; the best of three, as another process may hold the machine."""
    found = []
    for _ in range(3):
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(VaultError):
            act()
        found.append((time.process_time() - started, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    return min(found)


def assert_free(act):
    seconds, peak = cost(act)
    assert seconds < 0.050  # one derivation takes ten times as long
    assert peak < 2 << 20


@pytest.mark.parametrize("asked", OUT_OF_BOUNDS)
def test_a_file_that_asks_for_too_much_or_too_little_work_gets_none(asked):
    data = bytearray(sealed())
    data[9] = asked[0]
    data[12:24] = struct.pack(">III", *asked[1:])
    assert_free(lambda: read_header(bytes(data)))


def test_a_reader_that_derives_first_would_be_seen():
    """Control: the least work that a vault may ask for is already more than a refusal may cost."""

    def naive():
        derive(Pbkdf2(100_000), Hidden(PASSWORD), bytes(32))
        raise VaultFormatError("too late")

    assert cost(naive)[0] > 0.010


@pytest.mark.parametrize(("at", "value"), [(8, 0), (8, 2), (10, 0), (10, 2), (11, 1), (11, 255), (0, 0)])
def test_an_unknown_version_cipher_or_flag_is_refused(at, value):
    data = bytearray(sealed())
    data[at] = value
    assert_free(lambda: read_header(bytes(data)))


def test_a_newer_version_is_named_whatever_its_length():
    for length in (9, 100, 128, 5_000):
        with pytest.raises(VaultFormatError, match="newer version; update"):
            read_header(b"ONBVAULT\x02".ljust(length, b"\0"))


@pytest.mark.parametrize("kind", ["too large", "FIFO", "folder", "/dev/zero", "endless"])
def test_what_is_no_vault_file_costs_nothing_either(kind, tmp_path):
    path = tmp_path / "default.onbv"
    if kind == "FIFO":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir()
    elif kind == "/dev/zero":
        path = Path(kind)
    else:
        path.touch(0o600)
        os.truncate(path, MAX_BYTES + 1 if kind == "too large" else 1 << 40)  # sparse: it takes no room
    assert_free(lambda: read_header(files.read(path)))


def test_the_largest_vault_is_a_mebibyte():
    most = MAX_BYTES // 1024 * 1024 - 1024 - 4  # one block for header and tag
    data = sealed(bytes(most))
    assert len(data) <= MAX_BYTES
    assert unseal(data, read_header(data), RAW_KEYS) == Hidden(bytes(most))
    with pytest.raises(VaultError, match="full"):
        sealed(bytes(most + 1))


# Nonces and salts


def nonces(count, random=os.urandom):
    content = Hidden(b"{}")
    return len({seal(content, PLAIN, RAW_KEYS, random)[0].nonce for _ in range(count)})


def test_no_two_saves_have_the_same_nonce():
    assert nonces(10_000) == 10_000
    assert nonces(10_000, lambda size: os.urandom(2).ljust(size)) < 10_000  # control: one that repeats is seen


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_two_of_a_million_saves_have_the_same_nonce(figures):
    started = time.process_time()
    assert nonces(1_000_000) == 1_000_000
    figures("1,000,000 seals, no nonce twice", f"{time.process_time() - started:.0f} s")


def pieces(data):
    """Its blocks of 16 bytes, without the fields that are meant to be the same."""
    body = [data[at : at + 16] for at in range(HEADER_BYTES, len(data), 16)]
    return {data[32:48], data[48:64], data[64:80], data[96:112], data[112:128], *body}


def test_the_salt_changes_with_password_and_derivation_and_the_nonce_with_every_save(tmp_path):
    path = tmp_path / "vaults" / "default.onbv"
    lab = frozenset({"https://lab:443"})

    def open_with(kdf):
        return Vault(path, state=tmp_path / "state", kdf=kdf)

    seen = []

    def look():
        header = read_header(path.read_bytes())
        seen.append(header)
        return header

    vault = open_with(Pbkdf2(100_000))
    vault.create(Hidden(PASSWORD))
    first = look()
    vault.put("A", "lab", Hidden("sk-1"), lab)
    vault.put("B", "lab", Hidden("sk-2"), lab)
    look()
    vault.remove("A")
    assert look().salt == first.salt
    vault.change_password(Hidden(PASSWORD), Hidden(PASSWORD))
    second = look()
    vault.put("A", "lab", Hidden("sk-1"), lab)
    assert look().salt == second.salt != first.salt
    open_with(Pbkdf2(100_001)).unlock(Hidden(PASSWORD))
    assert look().salt not in {first.salt, second.salt}
    assert len({header.nonce for header in seen}) == len(seen)
    assert {header.vault_id for header in seen} == {first.vault_id}
    assert [header.generation for header in seen] == sorted({header.generation for header in seen})


def test_two_vaults_with_the_same_password_and_keys_have_nothing_in_common(tmp_path):
    found = []
    for name in ("one", "two"):
        vault = Vault(tmp_path / f"{name}.onbv", state=tmp_path / name, kdf=Pbkdf2(100_000))
        vault.create(Hidden(PASSWORD))
        vault.put("A", "lab", Hidden("sk-1"), frozenset({"https://lab:443"}))
        found.append(pieces(vault.path.read_bytes()))
    one, two = found
    assert len(one) == len(two) == 5 + 65
    assert not one & two


# One answer to whoever guesses


def forged(plain, header=PLAIN, keys=RAW_KEYS):
    """A file whose commitment and tag are right and whose padding is what you like."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = sealed(bytes(len(plain) - 4), header, keys)
    gcm = keys.encrypt.use(AESGCM)
    return data[:HEADER_BYTES] + gcm.encrypt(data[80:92], plain, data[:HEADER_BYTES])


def refusals(header, keys):
    """``{cause: (file, password)}``, all of them found after the password was stretched."""
    good = sealed(b"{}", header, keys)
    block = b"\0\0\0\2{}".ljust(1024, b"\0")
    return {
        "wrong password": (good, "correct horse battery stable"),
        "commitment": (flipped(good, 8 * 96), PASSWORD),
        "tag": (flipped(good, 8 * len(good) - 1), PASSWORD),
        "ciphertext": (flipped(good, 8 * HEADER_BYTES), PASSWORD),
        "padding": (forged(block[:-1] + b"\1", header, keys), PASSWORD),
        "length": (forged(b"\xff" + block[1:], header, keys), PASSWORD),
    }


def refusal(path, data, password):
    path.write_bytes(data)
    try:
        Vault(path, state=path.parent / "state").unlock(Hidden(password))
    except OrchestratorError as error:
        return type(error), error.args, error.kind, error.__cause__, error.__context__
    return "opened"


def test_six_ways_to_fail_look_alike(tmp_path):
    keys = derive(PLAIN.kdf, Hidden(PASSWORD), PLAIN.salt)
    path = tmp_path / "default.onbv"
    path.touch(0o600)
    found = {cause: refusal(path, *given) for cause, given in refusals(PLAIN, keys).items()}
    said = ("cannot open the vault: wrong password, or the file was altered.",)
    assert set(found.values()) == {(VaultAuthError, said, "vault", None, None)}
    assert len(found) == 6


def medians(header, tries):
    """Milliseconds of this process for each cause, taken in turn so that a busy moment strikes all of them."""
    keys = derive(header.kdf, Hidden(PASSWORD), header.salt)
    spent = {cause: [] for cause in refusals(header, keys)}
    for _ in range(tries):
        for cause, (data, password) in refusals(header, keys).items():
            started = time.process_time()
            with pytest.raises(VaultAuthError):
                unseal(data, *opened(data, password))
            spent[cause].append(1_000 * (time.process_time() - started))
    return {cause: statistics.median(times) for cause, times in spent.items()}


def test_no_way_to_fail_takes_much_longer():
    found = medians(PLAIN, tries=7).values()
    assert max(found) / min(found) < 1.4


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kdf", [Pbkdf2(), Argon2id(2, 19_456, 1)], ids=str)
def test_no_way_to_fail_takes_measurably_longer(kdf, figures):
    found = medians(replace(PLAIN, kdf=kdf), tries=200)
    figures(f"{kdf}: median ms by cause", {cause: round(ms, 2) for cause, ms in found.items()})
    assert max(found.values()) / min(found.values()) < 1.05


# Whatever bytes there are

byte, word = st.integers(0, 255), st.integers(0, 2**32 - 1)
near = st.sampled_from([0, 1, 2, 16, 17, 20, 21, 19_455, 19_456, 99_999, 100_000, 10**7, 10**7 + 1, 2**20, 2**20 + 1])
headers = st.builds(
    lambda version, kind, cipher, flags, sizes, rest, n: (
        struct.pack(">8s4B3I", b"ONBVAULT", version, kind, cipher, flags, *sizes) + rest + struct.pack(">I", n)
    ),
    st.just(1) | byte,
    st.sampled_from([1, 2]) | byte,
    st.just(1) | byte,
    st.just(0) | byte,
    st.tuples(near | word, near | word, near | word),
    st.binary(min_size=68, max_size=68),
    st.just(1040) | word,
)
anything = st.one_of(st.binary(max_size=3_000), headers.map(lambda head: head + bytes(1072)))


def parsed(data):
    """The laws of the parser: one of two ends, and what it took in is what it would write."""
    try:
        header = read_header(data)
    except VaultFormatError:
        return
    assert header.bound() == data[:96]
    assert len(data) == HEADER_BYTES + header.size
    kind, p1, p2, _ = header.kdf.fields
    assert p1 * p2 <= 4 << 20
    assert p1 <= (10_000_000 if kind == 1 else 20)


@given(anything)
@example(b"")
@example(b"ONBVAULT")
@settings(max_examples=500, deadline=None)
def test_a_header_is_understood_wholly_or_refused(data):
    parsed(data)


@pytest.mark.soak
@given(anything)
@settings(max_examples=100_000, deadline=None)
def test_a_header_is_understood_wholly_or_refused_a_hundred_thousand_times(data):
    parsed(data)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_fuzzer_that_sees_the_branches_finds_nothing_either(figures, tmp_path):
    """atheris for a minute, or `FUZZ_SECONDS`; where it is not installed (it is the extra `fuzz`) the test above stands alone."""
    pytest.importorskip("atheris")
    for path in VECTORS.glob("*.txt"):
        (tmp_path / path.stem).write_bytes(b64decode(path.read_text("utf-8").split("\n\n", 1)[1]))
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    options = [f"-max_total_time={seconds}", "-max_len=4096", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, HERE / "fuzz_header.py", *options, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    figures("atheris", done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3_000:]


# The content

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200).map(Hidden)
times = st.integers(0, 4_000_000_000).map(float)
some_entries = st.dictionaries(
    names, st.tuples(values, st.text(max_size=9), st.frozensets(st.text(max_size=30)), times, times), max_size=8
).map(lambda found: {name: Entry(name, *fields) for name, fields in found.items()})


@given(some_entries)
@settings(max_examples=100, deadline=None)
def test_what_goes_into_a_vault_comes_out_again(held):
    header, data = seal(write(held), PLAIN, RAW_KEYS)
    assert read_header(data) == header
    assert read(unseal(data, header, RAW_KEYS)) == held


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {"value": json_values, "origins": json_values},
    optional=dict.fromkeys(("vendor", "created", "rotated", "more"), json_values),
)
contents = st.one_of(
    st.binary(min_size=1, max_size=200),
    json_values.map(json.dumps).map(str.encode),
    st.dictionaries(names, fields | json_values, max_size=2).map(
        lambda keys: json.dumps({"keys": keys, "v": 1}).encode()
    ),
)


@given(contents)
@example(b'{"keys":{"A":{"value":"x","origins":[],"created":"0001-01-01T00:00:00+00:00"}},"v":1}')
@example(b'{"keys":{"A":{"value":"\\ud800","origins":[]}},"v":1}')
@example(b"9" * 5_000)
@example(b"[" * 100_000)
@settings(max_examples=300, deadline=None)
def test_a_content_is_understood_wholly_or_refused(content):
    try:
        found = read(Hidden(content))
    except VaultFormatError as refused:
        chained = refused.__context__
    else:
        chained = None
        assert read(write(found)) == found
    assert chained is None  # it would hold the content


def test_two_vaults_with_the_same_keys_have_the_same_content():
    held = entries(5)
    assert write(held) == write(dict(reversed(held.items())))


def test_the_size_tells_little_of_how_many_keys_there_are():
    sizes = {len(sealed(write(entries(count)).use(bytes))) for count in range(7)}
    assert sizes == {1_168}
