"""A process that works with a vaulted key and locks, for test_memory.py to look into its memory. It learns the key from the vault alone."""

import json
import os
import sys
import threading

from vault_at_hand import OLD, vault_in

from orchestrator_nb.errors import VaultLocked
from orchestrator_nb.secret import Hidden


def calls(count):
    """Real calls over HTTP through the session, whose settings lead to a simulator. Says when it is locked, and waits."""
    from orchestrator_nb.sessions import Session

    with Session.open() as session:
        for number in range(count):
            session.ask(f"Question {number}", "lab/gpt-6.2-astra")
        say("open")
        sys.stdin.readline()
        session.vault.lock()
        say("locked")
        sys.stdin.readline()


def fork(folder):
    """The parent's vault is open, a run has its keys on lease, and a call waits; what has the child of it?"""
    from pathlib import Path

    vault = vault_in(Path(folder))
    vault.unlock(Hidden(OLD))
    handle, held = vault.secret("A", "example"), [entry.value for entry in vault._held.values()]
    with vault.lease(["A"]):
        there, here = os.pipe()
        vault._waiting.append(lambda: os.write(here, b"woken"))
        let_go = held_by_another_thread(vault._guard)
        if (child := os.fork()) == 0:
            try:
                os.write(here, json.dumps(of_child(vault, handle, held)).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        let_go.set()
        found = json.loads(os.read(there, 10_000))
    say(json.dumps({**found, "parent": vault.is_open and sum(map(len, held)) > 0}))


def held_by_another_thread(guard):
    """As by a save under way; the child has no such thread that would let go."""
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with guard:
            held.set()
            let_go.wait(30)

    threading.Thread(target=hold, daemon=True).start()
    held.wait(30)
    return let_go


def of_child(vault, handle, held):
    was_open, usable = vault.is_open, 0
    for use in (
        vault.facts,
        lambda: handle.release("https://api.example.com:443"),
        lambda: vault.secret("A", "example"),
    ):
        try:
            use()
            usable += 1
        except VaultLocked:
            pass
    left = sum(map(len, held))
    vault.unlock(Hidden(OLD))  # the child may open it for itself
    own = handle.release("https://api.example.com:443")
    return {"open": was_open, "usable": usable, "left": left, "own": len(own), "leases": vault.status().leases}


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    calls(int(rest[0])) if what == "calls" else fork(rest[0])
