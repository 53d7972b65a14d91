"""Processes of ours that need not begin by importing: a server that has imported everything forks one for each command.

What a test starts is a process of its own, with its own arguments, environment, folder and file handles; only the second that Python takes to import is saved. Tests
of starting up, of signals and of a terminal's own prompts start Python as a user does.

    subprocess.run([*warm.onb(), "runs", "list"], env=…, cwd=…)        # for: python -m orchestrator_nb runs list
    subprocess.run([*warm.python(), code, *arguments], env=…, cwd=…)   # for: python -c code arguments
"""

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_FDS = (0, 1, 2)
_PART = 65_536


def onb():
    """The beginning of a command that is our shell's."""
    return _client("onb")


def python():
    """The beginning of a command that runs code."""
    return _client("code")


def _client(kind):
    return [sys.executable, "-I", "-S", __file__, "ask", _server(), kind]


_running = {}


def _server():
    """The address of this process's own server, which ends with it."""
    if os.getpid() not in _running:
        folder = tempfile.mkdtemp(prefix="warm-")
        address = f"{folder}/s"
        command = [sys.executable, __file__, "serve", address]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with process.stdout:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the warm server did not start")
        _running[os.getpid()] = address
        atexit.register(_end, process)
    return _running[os.getpid()]


def _end(process):
    process.stdin.close()  # its sign
    process.wait()


def ask(address, kind, words):
    """Hand a command and our own handles over; its exit code."""
    told = json.dumps({"kind": kind, "words": words, "env": dict(os.environ), "cwd": str(Path.cwd())}).encode()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        line.sendmsg([len(told).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", _FDS))])
        line.sendall(told)
        code = line.recv(4)
    return int.from_bytes(code) if code else 255


def serve(address):
    """Fork for every command until our own standard input ends."""
    _import()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever has ended needs nobody to wait for it
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        os.write(1, b"ready\n")
        if os.fork() == 0:  # a watcher: the accept below never looks at standard input
            os.read(0, 1)
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(0)
        while True:
            line, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _command(line)
            line.close()


def _import():
    """All that a command or a cell may need."""
    import pandas  # noqa: F401

    import orchestrator_nb.cli
    import orchestrator_nb.results.frames
    import orchestrator_nb.sessions
    import orchestrator_nb.simulator  # noqa: F401


def _command(line):
    """In the child: become the command, run it, tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, handles, _, _ = socket.recv_fds(line, 8, len(_FDS))
    told, wanted = b"", int.from_bytes(size)
    while len(told) < wanted:
        told += line.recv(_PART)
    told = json.loads(told)
    for handle, own in zip(handles, _FDS, strict=True):
        os.dup2(handle, own)
        os.close(handle)
    os.environ.clear()
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    code = _run(told["kind"], told["words"])
    line.sendall(code.to_bytes(4))
    os._exit(code)


def _run(kind, words):
    import random
    import threading
    import traceback

    random.seed()
    for name, own, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, name, open(own, mode, encoding="utf-8", closefd=False, buffering=1))  # noqa: SIM115
        setattr(sys, f"__{name}__", getattr(sys, name))
    try:
        if kind == "onb":
            sys.argv = ["onb", *words]
            from orchestrator_nb.cli import main

            main()
        else:
            sys.argv = ["-c", *words[1:]]
            sys.path.insert(0, "")
            exec(compile(words[0], "<string>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001  # as Python does at its end
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code & 0xFF


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[2], sys.argv[3], sys.argv[4:]))
