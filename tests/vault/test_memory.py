"""After locking, no buffer of ours holds a key; a forked, spawned or pickled copy has none. What Python and the HTTP library leave behind is counted, not denied."""

import copy
import gc
import importlib.util
import json
import multiprocessing
import os
import pickle
import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from vault_at_hand import LIMITS, NEW, OLD, QUICK, Clock, made_in, put, vault_in

from orchestrator_nb.errors import UserError, VaultAuthError, VaultError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.vault.vault import Vault

MEMORY = Path(__file__).with_name("vault_memory.py")


@pytest.fixture
def canary():
    """In a buffer: this process must be searchable for it, and hold it nowhere else."""
    return bytearray(f"cn-{secrets.token_hex(16)}".encode())


def buffers(canary):
    """Our buffers, and any other in this process, that hold the canary."""
    reachable = gc.get_referents(*gc.get_objects())  # neither of the two kinds is among the objects themselves
    found = {id(part): part for part in reachable if type(part) in (bytearray, bytes) and canary in part}
    return [part for part in found.values() if part is not canary]


def stored(vault, canary):
    for name in ("A", "B"):
        value = Hidden(canary)
        vault.put(name, "example", value, ["https://api.example.com:443"])
        value.wipe()


def by_hand(vault, clock):
    vault.lock()


def by_idle_time(vault, clock):
    clock.pass_s(LIMITS.idle_s)
    assert not vault.is_open


def by_absolute_limit(vault, clock):
    with vault.lease(["A"]):
        clock.pass_s(LIMITS.total_s)
        assert not vault.is_open


def by_a_changed_password(vault, clock):
    other = Vault(vault.path, state=vault.path.parent.parent / "state", kdf=QUICK)
    other.unlock(Hidden(OLD))
    other.change_password(Hidden(OLD), Hidden(NEW))
    other.lock()
    with pytest.raises(VaultError):
        vault.facts()


@pytest.mark.parametrize("locks", [by_hand, by_idle_time, by_absolute_limit, by_a_changed_password])
def test_after_locking_no_buffer_holds_a_key(locks, tmp_path, canary):
    clock = Clock()
    vault = made_in(tmp_path, readings=clock, limits=LIMITS)
    stored(vault, canary)
    vault.unlock(Hidden(OLD))
    with pytest.raises(VaultAuthError):
        vault.unlock(Hidden(NEW))
    with pytest.raises(UserError):
        vault.remove("NONE")
    vault.facts()
    keys, held = vault._keys, [entry.value for entry in vault._held.values()]
    assert len(buffers(canary)) == 2
    locks(vault, clock)
    assert buffers(canary) == []
    assert not any(map(len, (keys.encrypt, keys.commit, *held)))


def test_control_a_vault_that_forgets_without_wiping_is_found(tmp_path, canary, monkeypatch):
    vault = made_in(tmp_path)
    stored(vault, canary)
    held = [entry.value for entry in vault._held.values()]
    monkeypatch.setattr(Hidden, "wipe", lambda self: None)
    vault.lock()
    assert len(buffers(canary)) == len(held) == 2


def test_each_save_each_reading_and_each_failure_wipes_what_it_opened(tmp_path, canary, monkeypatch):
    """Each value that was ever read is kept from being forgotten here, so that one which was not wiped is found."""
    kept, made = [], Hidden.__init__

    def keep(self, text):
        made(self, text)
        kept.append(self)

    vault, other = made_in(tmp_path), vault_in(tmp_path)
    monkeypatch.setattr(Hidden, "__init__", keep)
    stored(vault, canary)
    other.unlock(Hidden(OLD))
    put(other, "C", "sk-the-value-of-another")
    vault.facts()
    vault.remove("C")
    vault.bind("A", ["https://elsewhere.example:443"], Hidden(OLD))
    vault.change_password(Hidden(OLD), Hidden(NEW))
    for fails in (lambda: vault.remove("NONE"), lambda: vault.bind("A", [], Hidden(OLD)), lambda: other.remove("A")):
        with pytest.raises((UserError, VaultError)):
            fails()
    vault.path.chmod(0o640)
    with pytest.raises(VaultError):
        put(vault, "D", "sk-the-value-of-another")
    vault.lock()
    assert len(kept) > 30
    assert [hidden for hidden in kept if hidden.use(lambda held: canary in held)] == []


# Other processes


def test_a_forked_child_has_no_key_until_it_opens_the_vault_itself(tmp_path):
    made_in(tmp_path, {"A": "sk-the-value-of-a-key"})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(MEMORY), "fork", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stdout or "null")
    assert found == {"open": False, "usable": 0, "left": 0, "own": 21, "leases": 0, "parent": True}, done.stderr


def picklers():
    yield from (partial(pickle.dumps, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
    yield from (copy.copy, copy.deepcopy)
    if importlib.util.find_spec("cloudpickle"):  # what joblib, dask and ray send work with
        import cloudpickle

        yield cloudpickle.dumps


def test_a_vault_its_keys_and_what_refers_to_them_cannot_be_pickled(tmp_path):
    vault = made_in(tmp_path, {"A": "sk-the-value-of-a-key"})
    things = [
        vault,
        vault._keys,
        vault._held["A"],
        vault.secret("A", "example"),
        vault.lock,
        partial(put, vault),
        vars(vault),
    ]
    for dump in picklers():
        for thing in things:
            if dump in (copy.copy, copy.deepcopy) and thing is not vault:
                continue
            with pytest.raises(TypeError):
                dump(thing)


def test_a_spawned_process_is_not_given_a_vault(tmp_path):
    vault = made_in(tmp_path, {"A": "sk-the-value-of-a-key"})
    process = multiprocessing.get_context("spawn").Process(target=print, args=(vault,))
    with pytest.raises(TypeError, match="cannot be pickled"):
        process.start()


# What Python leaves


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux shows a process's memory as a file")
@pytest.mark.parametrize("calls", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_copies_that_python_leaves_in_memory_after_locking_are_few(calls, tmp_path, figures):
    """The figure is told, never claimed to be 0: text in Python cannot be wiped."""
    canary = f"cn-{secrets.token_hex(16)}"
    with Simulator(key=canary) as simulator:
        found = copies_after(tmp_path, canary, simulator, calls)
    figures(f"copies in memory after {calls} calls", found)
    assert found["open"] >= 1, "a search that finds nothing in an open vault finds nothing"
    assert found["locked"] <= 10


def copies_after(folder, canary, simulator, calls):
    home = folder / "home"
    (home / "config").mkdir(parents=True)
    (home / "config/models.yaml").write_text(
        f"lab: {{kind: openai, base_url: '{simulator.url('openai')}', api_key_name: LAB_KEY}}"
    )
    vault = Vault(home / "data/vaults/default.onbv", state=home / "state", kdf=QUICK)
    vault.create(Hidden(OLD))
    vault.put("LAB_KEY", "lab", Hidden(canary), ["/".join(simulator.url("openai").split("/")[:3])])
    vault.lock()
    password = folder / "password"
    password.touch(0o600)
    password.write_text(OLD)
    env = {**os.environ, "ORCHESTRATOR_NB_HOME": str(home), "ORCHESTRATOR_NB_PASSWORD_FILE": str(password)}
    process = subprocess.Popen(
        [sys.executable, str(MEMORY), "calls", str(calls)],
        env=env, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    found = {}
    try:
        while (said := process.stdout.readline().strip()) and len(found) < 2:
            found[said] = memory_of(process.pid).count(canary.encode())
            process.stdin.write("\n")
            process.stdin.flush()
    finally:
        process.kill()
        _, problems = process.communicate()
    assert found.keys() == {"open", "locked"}, problems[-3000:]
    return found


def memory_of(pid):
    """All that the process can write to, and whatever else can be read."""
    parts = []
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(edge, 16) for edge in place.split("-"))
            try:
                memory.seek(start)
                parts.append(memory.read(end - start))
            except (OSError, ValueError, OverflowError):
                continue
    return b"\0".join(parts)
