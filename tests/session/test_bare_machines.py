"""A home that cannot be written to, none that could be one, a full folder for temporary files, no locale, a file system without locks: the run works, and says in a line what is not kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
from orchestrator_nb import Session
if "nolocks" in sys.argv:
    import errno, fcntl
    def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
    fcntl.flock = fcntl.lockf = refuse
with Session.open() as session:
    session.simulate(True)
    run = session.run(session.plan("Žluťoučký kůň: {{ n }}", ["sonnet"], over=[{"n": 1}, {"n": 2}]))
    told = {"errors": [str(call.error) for call in run.calls if call.error], "notices": run.notices, "kept": len(session.store.ledger.runs()), "file": str(session.store.database.path)}
    session.ask("Hello", "sonnet", source="record tape.jsonl")
    told["replayed"] = session.ask("Hello", "sonnet", source="replay tape.jsonl").call.source
    print("Žluťoučký".encode("ascii", "replace").decode())
print(json.dumps(told))
"""


@pytest.fixture
def small(tmp_path):
    """A file system of its own in a folder, as an administrator can make one; elsewhere a folder without rights does for most."""
    mounted = []

    def make(name, *, read_only=False):
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
        )
        if not done.returncode:
            mounted.append(folder)
            if read_only:
                subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        elif read_only:
            folder.chmod(0o500)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def run(folder, *words, **env):
    """The script in a process of its own."""
    folder.mkdir()
    (folder / "script.py").write_text(RUN, "utf-8")
    usual = {
        name: value for name, value in os.environ.items() if not name.startswith(("ORCHESTRATOR", "XDG", "LC_", "LANG"))
    }
    every = {**usual, "PYTHONPATH": str(ROOT), "HOME": str(folder / "home"), **env}
    return subprocess.Popen(
        [sys.executable, "script.py", *words],
        env=every,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_six_bare_machines(tmp_path, small):
    full = small("full")
    with (full / "ballast").open("wb") as ballast:
        try:
            ballast.write(bytes(1 << 20))
        except OSError:
            """It is full now."""
    at = str(small("read-only", read_only=True) / "home")
    running = {
        "read-only home": run(tmp_path / "1", ORCHESTRATOR_NB_HOME=at),
        "no home yet": run(tmp_path / "2"),
        "a home that is no folder": run(tmp_path / "3", HOME="/dev/null"),
        "full /tmp": run(tmp_path / "4", TMPDIR=str(full)),
        "no locale": run(tmp_path / "5", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        "no locks": run(tmp_path / "6", "nolocks"),
    }
    told = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, (name, err[-2000:])
        assert err == "", (name, err)
        told[name] = json.loads(out.splitlines()[-1])
    for name, found in told.items():
        assert found["errors"] == [], name
        assert found["kept"] == 1, name
        assert found["replayed"] == "replay", name
        in_memory = found["file"] == "None"
        assert in_memory == (name in {"read-only home", "a home that is no folder"}), (name, found)
        assert sum("kept in memory only" in notice for notice in found["notices"]) == in_memory, (
            name,
            found["notices"],
        )
