"""Real processes that write to a vault, are killed, or may not write. Started by test_files.py and test_memory.py; prints what it found as JSON.

It stays without threads, so that it can fork; children are the writers.
"""

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from vault_at_hand import NEW, OLD, Pbkdf2, content, made_in, put, value_of, vault_in

from orchestrator_nb.errors import VaultError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import files

KEY = "sk-the-value-of-a-key"


def child(act):
    """Forks; the child's id and the end of its pipe, into which ``act`` writes lines."""
    there, here = os.pipe()
    pid = os.fork()
    if pid:
        os.close(here)
        return pid, os.fdopen(there, "rb")
    code = 1
    try:
        act(lambda said: os.write(here, f"{said}\n".encode()))
        code = 0
    finally:
        os._exit(code)


def end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def new_vault(folder):
    """Made by a child: this process stays without an open vault and its watcher."""
    pid, said = child(lambda say: say(made_in(folder, {"FIRST": KEY}).path))
    path = Path(said.readline().decode().strip())
    os.waitpid(pid, 0)
    return path


def kills(folder, runs):
    path = new_vault(folder)
    names = [f"K{number}" for number in range(12)]

    def write(say):
        vault = vault_in(folder)
        vault.unlock(Hidden(OLD))
        for number in range(10_000):
            value = f"sk-value-{os.getpid()}-{number}"
            put(vault, names[number % len(names)], value)
            say(value)

    broken = lost = acknowledged = 0
    dice, expected = random.Random(7), {"FIRST": KEY}
    for _ in range(runs):
        pid, said = child(write)
        heard = [said.readline() for _ in range(dice.randrange(1, 6))]
        time.sleep(dice.uniform(0, 0.01))  # anywhere within a save
        end(pid)
        heard += said.read().splitlines()  # said, and not yet heard
        said.close()
        acknowledged += len(heard)
        found = content(path)
        broken += found is None
        saves = [f"sk-value-{pid}-{number}" for number in range(len(heard) + 1)]  # one may be saved and not yet said
        after = [
            expected | {names[n % len(names)]: saves[n] for n in range(count)} for count in (len(heard), len(saves))
        ]
        lost += found not in after
        expected = found or expected
    left = len([entry for entry in path.parent.iterdir() if entry.name.startswith(".")])
    return {"runs": runs, "acknowledged": acknowledged, "broken": broken, "lost": lost, "left aside by the last": left}


def kills_of_changes(folder, runs):
    """Each child changes the password to and fro; whoever comes next must get in with one of the two, and find all keys."""
    path = new_vault(folder)
    passwords = {OLD, NEW}

    def change(say):
        now = OLD if content(path, OLD) else NEW
        while True:
            (other,) = passwords - {now}
            vault_in(folder).change_password(Hidden(now), Hidden(other))
            now = other
            say("changed")

    neither = changes = 0
    dice = random.Random(7)
    for _ in range(runs):
        pid, said = child(change)
        said.readline()
        time.sleep(dice.uniform(0, 0.12))  # anywhere within a change
        end(pid)
        changes += 1 + len(said.read().splitlines())
        said.close()
        opening = [content(path, password) for password in passwords]
        neither += sorted(opening, key=bool) != [None, {"FIRST": KEY}]
    return {"runs": runs, "changes": changes, "neither": neither}


def writers(folder, count, each, how):
    path = new_vault(folder)

    def write(me):
        def act(say):
            vault = vault_in(folder, file_lock=how == "locked")
            vault.unlock(Hidden(OLD))
            for number in range(each):
                try:
                    put(vault, f"W{me}_{number}", KEY)
                except VaultError:
                    if how == "locked":
                        raise
            say("done")

        return act

    began = time.monotonic()
    children = [child(write(me)) for me in range(count)]
    for pid, said in children:
        said.read()
        os.waitpid(pid, 0)
    found = content(path)
    return {
        "kept": len(found or {}) - 1,
        "opens": found is not None,
        "took_s": round(time.monotonic() - began, 2),
    }


def holder(folder):
    path = folder / "default.onbv"

    def hold(say):
        with files.locked(path):
            say("held")
            signal.pause()

    pid, said = child(hold)
    said.readline()
    held = False
    try:
        with files.locked(path, wait_s=0.0):
            pass
    except VaultError:
        held = True
    assert held
    began = time.monotonic()
    end(pid)
    with files.locked(path):
        return {"waited_s": time.monotonic() - began}


def forked_holder(folder):
    path = folder / "default.onbv"
    with files.locked(path):
        pid, _ = child(lambda say: signal.pause())
    began = time.monotonic()
    try:
        with files.locked(path):
            return {"waited_s": time.monotonic() - began}
    finally:
        end(pid)


def readonly():
    """As somebody who may not write there; root is let through by every mode, so root becomes somebody else."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = new_vault(folder)

        def use(say):
            if os.geteuid() == 0:
                os.setuid(12345)
            vault = vault_in(folder, kdf=Pbkdf2(110_000))
            vault.unlock(Hidden(OLD))
            found = {"value": value_of(vault, "FIRST"), "put": "", "notices": vault.notices}
            try:
                put(vault, "MORE", KEY)
            except VaultError as error:
                found["put"] = str(error)
            say(json.dumps({**found, "after": value_of(vault, "FIRST")}))

        if os.geteuid() == 0:
            for entry in (folder, *folder.rglob("*")):
                os.chown(entry, 12345, 12345)
        path.parent.chmod(0o500)
        pid, said = child(use)
        found = json.loads(said.readline())
        os.waitpid(pid, 0)
        path.parent.chmod(0o700)
        return found


def main(what, folder=None, *rest):
    folder = folder and Path(folder)
    numbers = [int(word) if word.isdigit() else word for word in rest]
    tasks = {
        "kills": kills,
        "kills-of-changes": kills_of_changes,
        "writers": writers,
        "holder": holder,
        "forked-holder": forked_holder,
    }
    found = readonly() if what == "readonly" else tasks[what](folder, *numbers)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
