"""Where a password comes from: a file or a command for runs without a person, else the person. Never an argument, never a setting.

``ORCHESTRATOR_NB_PASSWORD_FILE`` names a file that its owner alone may read. ``ORCHESTRATOR_NB_PASSWORD_COMMAND`` is a command (split as a shell would, but run
without one) that prints the password: ``pass show orchestrator``. Both are read from the environment only: a project's files cannot set it.
"""

from __future__ import annotations

import getpass
import os
import shlex
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import UserError, VaultError, VaultLocked
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.kdf import MAX_PASSWORD_BYTES

FILE: Final = "ORCHESTRATOR_NB_PASSWORD_FILE"
COMMAND: Final = "ORCHESTRATOR_NB_PASSWORD_COMMAND"
COMMAND_WAIT_S: Final = 60.0


def without_a_person(environ: Mapping[str, str]) -> Hidden | None:
    """The password from the file or the command, or ``None`` when neither is named. Raises `VaultError` with what to mend."""
    file, command = environ.get(FILE), environ.get(COMMAND)
    if file and command:
        raise VaultError(f"{FILE} and {COMMAND} are both set; keep one of them.")
    if file:
        return _from_file(Path(file).expanduser())
    return _from_command(command) if command else None


def _from_file(path: Path) -> Hidden:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        reason = error.strerror
    else:
        with os.fdopen(handle, "rb") as file:
            _require_private(path, os.fstat(handle))
            return _first_line(file.read(MAX_PASSWORD_BYTES + 3), FILE)
    raise VaultError(f"{FILE}: {path} cannot be read: {reason}.")


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise VaultError(f"{FILE}: {path} is not a regular file.")
    if os.name == "posix" and status.st_uid not in {os.getuid(), 0}:
        raise VaultError(f"{FILE}: {path} belongs to somebody else; make it yours: chown {os.getuid()} '{path}'")
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise VaultError(f"{FILE}: others may read {path}; run: chmod 600 '{path}'")


def _from_command(command: str) -> Hidden:
    try:
        words = shlex.split(command)
        done = subprocess.run(  # noqa: S603  # the user's own command, from the user's own environment; no shell reads it
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_WAIT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = "took too long" if isinstance(error, subprocess.TimeoutExpired) else f"cannot be run ({error})"
    else:
        if done.returncode == 0:
            return _first_line(done.stdout, COMMAND)
        reason = f"ended with {done.returncode}"
    raise VaultError(f"{COMMAND}: the command {reason}; run it in a terminal to see why.")


def _first_line(said: bytes, source: str) -> Hidden:
    line = said.split(b"\n", 1)[0].removesuffix(b"\r")
    if not line:
        raise VaultError(f"{source}: the first line, which should be the password, is empty.")
    return Hidden(line)


def somebody_is_there() -> bool:
    """Whether a person can be asked on this thread: a kernel whose front end takes input, or a terminal."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return _in_kernel() or _has_terminal()


def _in_kernel() -> bool:
    """In a kernel getpass is its own: ipykernel puts function in getpass's place: https://github.com/ipython/ipykernel/blob/main/ipykernel/kernelbase.py"""
    return getpass.getpass.__module__ != "getpass"


def _has_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty())


def ask(prompt: str) -> Hidden:
    """A hidden line from the person. Raises `VaultLocked` when there is nobody to ask, `UserError` when nothing was entered."""
    answer = _answer(prompt) if somebody_is_there() else None
    if answer is None:
        raise VaultLocked(
            f"nobody can be asked for the password here; name a file or a command that has it, with {FILE} or {COMMAND} (docs/vault.md)."
        )
    if not len(answer):
        raise UserError("nothing was entered; nothing was changed.")
    return answer


def _answer(prompt: str) -> Hidden | None:
    """``None`` where the front end takes no input, as when a notebook is executed without a person."""
    try:
        return Hidden(getpass.getpass(prompt))
    except (NotImplementedError, EOFError):
        return None


def ask_twice(prompt: str) -> Hidden:
    """A new secret, typed twice. Raises as `ask`, and `UserError` when the two differ."""
    first = ask(prompt)
    if first != ask(f"{prompt.rstrip(': ')} once more: "):
        raise UserError("the two differ; nothing was changed.")
    return first
