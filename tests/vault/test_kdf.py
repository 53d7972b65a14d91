"""From password to keys: one password however it is typed, bounds for everybody, and nothing to see in any frame."""

import hashlib
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback

import pytest

from orchestrator_nb.errors import OrchestratorError, UserError, VaultError, VaultFormatError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.entries import read
from orchestrator_nb.vault.format import Header
from orchestrator_nb.vault.kdf import Argon2id, Keys, Pbkdf2, derive, kdf_of, normal
from orchestrator_nb.vault.password import require_good
from orchestrator_nb.vault.seal import seal, unseal

QUICK = Pbkdf2(100_000)
SALT = bytes(range(32))
RAW_KEYS = Keys(Hidden(bytes(32)), Hidden(bytes(32)))
CANARY = "canary-in-a-coal-mine-4711"


def opens(made_with, typed):
    header, data = seal(
        Hidden(b"{}"), Header(QUICK, 1, bytes(16), SALT, b"", 0), derive(QUICK, Hidden(made_with), SALT)
    )
    try:
        return unseal(data, header, derive(QUICK, Hidden(typed), SALT)) == Hidden(b"{}")
    except VaultError:
        return False


# One password, however it is typed

SAME = [
    ("\u00e9t\u00e9 \u00e0 la mer", "e\u0301te\u0301 a\u0300 la mer"),
    ("\u00fcbung macht", "u\u0308bung macht"),
    ("\u00c5ngstr\u00f6m", "A\u030angstro\u0308m"),
    ("\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m"),
    ("\u2126 and 10 k", "\u03a9 and 10 k"),
    ("\ufb01le \ufb02oor", "file floor"),
    ("\ufb03ce \ufb00ort", "ffice ffort"),
    ("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "password"),
    ("\uff11\uff12\uff13\uff14", "1234"),
    ("\uff76\uff9e\uff77\uff9e", "\u30ac\u30ae"),
    ("\u304b\u3099", "\u304c"),
    ("\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00"),
    ("x\u00b2 + y\u00b2", "x2 + y2"),
    ("\u2168 lives", "IX lives"),
    ("caf\u00e9\u00a0noir", "cafe\u0301 noir"),
    ("wait\u2026", "wait..."),
    ("\u2122 \u2120", "TM SM"),
    ("q\u0307\u0323", "q\u0323\u0307"),
    ("\u1e69", "s\u0323\u0307"),
    ("\u0344", "\u0308\u0301"),
    ("\u3000wide blank", " wide blank"),
]
DIFFERENT = [
    ("password", "Password"),
    ("password", "password "),
    ("password", "p\u0430ssword"),  # a Cyrillic a
    ("\u00e9t\u00e9", "ete"),
    ("stra\u00dfe", "strasse"),
    ("\u0131stanbul", "istanbul"),
    ("\u2018quoted\u2019", "'quoted'"),
    ("long\u2014dash", "long-dash"),
    ("zero\u200bwidth", "zerowidth"),
    ("\u0391\u0392", "AB"),  # Greek
    ("correct horse", "correct  horse"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_type_a_password_are_one_password(one, other):
    assert one != other
    assert opens(one, other)
    assert opens(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_passwords_that_only_look_alike_are_two(one, other):
    assert not opens(one, other)


def test_a_password_in_bytes_is_the_same_password():
    assert (
        derive(QUICK, Hidden("\u00e9t\u00e9".encode()), SALT).encrypt
        == derive(QUICK, Hidden("\u00e9t\u00e9"), SALT).encrypt
    )


def test_a_password_with_zeros_behind_it_is_none():
    """HMAC pads with zeros, so that PBKDF2 takes the two for one: shown first, then refused."""
    one, other = (hashlib.pbkdf2_hmac("sha256", password, SALT, 1) for password in (b"password", b"password\0"))
    assert one == other
    with pytest.raises(UserError, match="without NUL"):
        derive(QUICK, Hidden("password\0"), SALT)


@pytest.mark.parametrize("wrong", [b"\xff" + CANARY.encode(), CANARY + "\ud800", CANARY * 50, CANARY + "\0"])
def test_what_no_password_can_be_is_refused_without_showing_it(wrong):
    password = Hidden(wrong)
    for act in (lambda: derive(QUICK, password, SALT), lambda: require_good(password)):
        assert CANARY not in shown(act)


def test_the_same_password_has_other_keys_under_another_salt_or_derivation():
    keys = [
        derive(kdf, Hidden("x"), salt) for kdf, salt in [(QUICK, SALT), (QUICK, bytes(32)), (Pbkdf2(100_001), SALT)]
    ]
    values = [part.use(bytes) for key in keys for part in (key.encrypt, key.commit)]
    assert len(set(values)) == 6


# Bounds for everybody


@pytest.mark.parametrize(
    "asked",
    [
        (1, 99_999, 0, 0),
        (1, 10_000_001, 0, 0),
        (1, 600_000, 1, 0),
        (2, 1, 65_536, 4),
        (2, 3, 19_455, 4),
        (2, 3, 65_536, 17),
    ],
)
def test_settings_have_the_same_bounds_as_files(asked):
    with pytest.raises(VaultFormatError, match="nothing was derived"):
        kdf_of(*asked)


@pytest.mark.parametrize("kdf", [Pbkdf2(100_000), Pbkdf2(10_000_000), Argon2id(2, 19_456, 1), Argon2id(4, 1 << 20, 16)])
def test_the_bounds_themselves_are_allowed(kdf):
    assert kdf_of(*kdf.fields) == kdf


def test_less_than_owasp_recommends_is_called_weak():
    assert [kdf.weak for kdf in (Pbkdf2(599_999), Pbkdf2(), Argon2id(2, 19_456, 1))] == [True, False, False]


# Nothing to see


def shown(act):
    """What a debugger that prints every frame's locals shows of the error, and of all that it hangs on."""
    try:
        act()
    except (OrchestratorError, KeyboardInterrupt, MemoryError) as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("nothing was raised")


def interrupted(act):
    """An interrupt while the password is stretched, as by the notebook's stop button."""

    def stop(signum, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.02)
    try:
        return shown(act)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def naive(text):
    password = normal(Hidden(text)).use(bytes)
    return hashlib.pbkdf2_hmac("sha256", password, SALT, 500_000)


def test_an_interrupt_shows_no_password():
    password = Hidden(CANARY)
    found = interrupted(lambda: derive(Pbkdf2(500_000), password, SALT))
    assert "KeyboardInterrupt" in found
    assert "password = <hidden>" in found
    assert CANARY not in found


def test_an_interrupt_of_a_naive_build_shows_it():
    assert CANARY in interrupted(lambda: naive(CANARY))


def test_a_content_shows_nothing_of_itself_in_any_refusal():
    header = Header(QUICK, 1, bytes(16), SALT, b"", 0)
    entry = f'"A":{{"value":"{CANARY}","origins":[]}}'
    newer, twice, full = (
        Hidden(f'{{"keys":{{{entry}}},"v":2}}'),
        Hidden(f'{{"keys":{{{entry},{entry}}},"v":1}}'),
        Hidden(CANARY * 50_000),
    )
    _, data = seal(newer, header, RAW_KEYS)
    other = Keys(Hidden(bytes(31) + b"1"), Hidden(bytes(32)))  # the commitment is right, the tag is not
    for act in (
        lambda: read(newer),
        lambda: read(twice),
        lambda: read(Hidden(f'{{"keys":{{"A":{{"value":"{CANARY} ","origins":[]}}}},"v":1}}')),
        lambda: read(Hidden(CANARY)),
        lambda: seal(full, header, RAW_KEYS),
        lambda: unseal(data, Header(QUICK, 1, bytes(16), SALT, data[80:92], 1040), other),
    ):
        assert CANARY not in shown(act)


def test_a_parser_that_raises_would_show_it():
    """Control: the same content, read by a parser whose error is let through."""
    import json

    def read_naively(content):
        whole = json.loads(content)
        if whole["v"] != 1:
            raise VaultFormatError("newer")

    assert CANARY in shown(lambda: read_naively(f'{{"keys":{{"A":"{CANARY}"}},"v":2}}'))


TOO_LITTLE_MEMORY = """
import resource, sys, traceback
from cryptography.hazmat.primitives.kdf import argon2  # loaded before memory is short
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.kdf import Argon2id, derive

derive(Argon2id(2, 19_456, 1), Hidden("x"), bytes(32))
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try:
    derive(Argon2id(2, 1 << 20, 1), Hidden(sys.stdin.read()), bytes(32))
except Exception as error:
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to an amount of memory")
def test_too_little_memory_is_said_in_a_sentence_without_the_password():
    done = subprocess.run(
        [sys.executable, "-c", TOO_LITTLE_MEMORY], input=CANARY, capture_output=True, text=True, timeout=60, check=True
    )
    assert (
        "VaultError: Argon2id, 1,048,576 KiB, 2 passes, 1 lanes: this machine has too little memory free" in done.stdout
    )
    assert CANARY not in done.stdout


def test_keys_and_derivations_show_nothing_and_are_wiped():
    keys = derive(QUICK, Hidden(CANARY), SALT)
    assert repr(keys) == "<keys of a vault>"
    keys.wipe()
    assert (len(keys.encrypt), len(keys.commit)) == (0, 0)


def test_the_password_typed_is_left_to_its_owner():
    password = Hidden(CANARY)
    derive(QUICK, password, SALT)
    assert password == Hidden(CANARY)


# New passwords


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("", "empty"),
        ("short", "too easy"),
        ("elevensigns", "too easy"),
        ("a b c d", "too easy"),  # four words in name only
        ("no no no no", "too easy"),  # one word
        ("0" * 40, "not the same few"),
        ("e\u0301" * 8, "too easy"),  # eight signs, sixteen code points
        ("password1234567", "tried first"),
        ("P@ssw0rd!2026", "tried first"),
        ("qwertyuiop123", "tried first"),
        ("LetMeIn-3050-Admin", "tried first"),
        ("123456789012", "tried first"),
        ("tab\there, nothing else", "no keyboard types"),
        ("\x1b[200~correct horse battery\x1b[201~", "no keyboard types"),  # a terminal's bracketed paste
        ("correct horse \u0378 battery", "no keyboard types"),  # has no sign yet
        ("nul\0 nul nul nul nul", "without NUL"),
        ("\u00e9" * 513, "at most 1,024 bytes"),
    ],
)
def test_a_password_that_protects_little_is_refused(password, says):
    with pytest.raises(UserError, match=says) as refused:
        require_good(Hidden(password))
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "password of my other cat",
        "31415926535897932384",
        "tr0ub4dor&3-and-more",
        "パスワード を とても 長く する よ",
    ],
)
def test_a_good_password_is_taken_in_silence(password):
    assert require_good(Hidden(password)) is None


@pytest.mark.parametrize("password", ["twelve-signs", "馬は 正しい 電池 留め金"])
def test_a_short_one_is_taken_with_a_warning(password):
    assert f"a password of {len(password)} signs can be guessed" in require_good(Hidden(password))


# Time


def test_other_threads_go_on_while_a_password_is_stretched():
    done, ticks = threading.Event(), 0

    def count():
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    derive(Pbkdf2(), Hidden("x"), SALT)
    done.set()
    thread.join()
    assert ticks > 5


def seconds_of(kdf, tries):
    found = []
    for _ in range(tries):
        started = time.perf_counter()
        derive(kdf, Hidden(CANARY), SALT)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


@pytest.mark.parametrize("kdf", [Pbkdf2(), Argon2id()], ids=str)
@pytest.mark.alone
def test_an_unlock_with_the_defaults_takes_less_than_a_second(kdf):
    assert min(seconds_of(kdf, tries=1) for _ in range(3)) < 1.0


@pytest.mark.soak
def test_what_each_derivation_takes(figures):
    for kdf, tries in [
        (Pbkdf2(), 20),
        (Argon2id(2, 19_456, 1), 20),
        (Argon2id(), 20),
        (Pbkdf2(10_000_000), 3),
        (Argon2id(4, 1 << 20, 4), 3),
    ]:
        figures(f"unlock with {kdf}", f"{seconds_of(kdf, tries):.3f} s")
