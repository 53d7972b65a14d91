"""Where a password comes from: a file or a command for runs without a person, else the person. Never an argument, never a setting.

``ORCHESTRATOR_NB_PASSWORD_FILE`` names a file that its owner alone may read. ``ORCHESTRATOR_NB_PASSWORD_COMMAND`` is a command (split as a shell would, but run
without one) that prints the password: ``pass show orchestrator``. Both are read from the environment only: a project's files cannot set it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import UserError, VaultError, VaultLocked
from orchestrator_nb.secret import Hidden, unseen
from orchestrator_nb.vault.kdf import MAX_PASSWORD_BYTES

FILE: Final = "ORCHESTRATOR_NB_PASSWORD_FILE"
COMMAND: Final = "ORCHESTRATOR_NB_PASSWORD_COMMAND"
COMMAND_WAIT_S: Final = 60.0
_MOST_PIPED_BYTES: Final = 1 << 15

_ELSE: Final = f"the password here; name a file or a command that has it, with {FILE} or {COMMAND}"
VALUE_ELSE: Final = "the key here; %vault import takes it from the environment or a .env file"
_NO_SHELL: Final = "it is run without a shell: no |, >, ~ or $"
_BOTH: Final = f"{FILE} and {COMMAND} are both set; keep one of them."


class NothingEntered(UserError):
    """The person left the prompt without an answer."""

    def __init__(self, said: str = "nothing was entered; nothing was changed.") -> None:
        super().__init__(said)


class PromptInterrupted(KeyboardInterrupt):
    """The person pressed interrupt at the prompt."""

    def __str__(self) -> str:
        return self.args[0] if self.args else "stopped at the prompt; nothing was changed, nothing was sent."

    def _render_traceback_(self) -> list[str]:
        """One line instead of a stack, as for our errors."""
        return [f"KeyboardInterrupt: {self}"]


class CommandInterrupted(PromptInterrupted):
    """The person pressed interrupt while the password command ran."""

    def __str__(self) -> str:
        return "stopped while the password command ran; nothing was changed, nothing was sent."


def without_a_person(environ: Mapping[str, str]) -> Hidden | None:
    """The password from the file or the command, or ``None`` when neither is named. Raises `VaultError` with what to mend."""
    file, command = environ.get(FILE), environ.get(COMMAND)
    if file and command:
        raise VaultError(_BOTH)
    if file:
        return _from_file(Path(file).expanduser())
    return _from_command(command) if command else None


def _from_file(path: Path) -> Hidden:
    with os.fdopen(_opened(path), "rb") as file:
        return _first_line(Hidden(file.read(MAX_PASSWORD_BYTES + 3)), FILE)


def _opened(path: Path) -> int:
    """A handle of the file, which its owner alone may read."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        reason = error.strerror
    else:
        try:
            _require_private(path, os.fstat(handle))
        except VaultError:
            os.close(handle)
            raise
        return handle
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
        code, said = _run(command)
    except subprocess.TimeoutExpired:
        reason = f"took longer than {COMMAND_WAIT_S:g} s"
    except (OSError, ValueError, IndexError) as error:
        reason = f"cannot be run ({error.strerror if isinstance(error, OSError) else 'it cannot be read as a command'})"
    else:
        if code == 0:
            return _first_line(said, COMMAND)
        said.wipe()
        reason = f"ended with {code}"
    raise VaultError(f"{COMMAND}: the command {reason}; {_NO_SHELL}. Run it in a terminal to see why.")


def _run(command: str) -> tuple[int, Hidden]:
    """How it ended and what it said: in no frame that outlives this one, also not in those of an interrupt."""
    try:
        return _ended(command)
    except KeyboardInterrupt:
        pass
    raise CommandInterrupted


def _ended(command: str) -> tuple[int, Hidden]:
    done = subprocess.run(  # noqa: S603  # the user's own command, from the user's own environment; no shell reads it
        shlex.split(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=COMMAND_WAIT_S,
        check=False,
    )
    return done.returncode, Hidden(done.stdout)


def _first_line(said: Hidden, source: str) -> Hidden:
    """What was read stays hidden: a traceback of what follows shows no line of it."""
    line = said.use(lambda signs: Hidden(signs.split(b"\n", 1)[0].removesuffix(b"\r")))
    said.wipe()
    if not len(line):
        raise VaultError(f"{source}: the first line, which should be the password, is empty.")
    return line


def problem(environ: Mapping[str, str]) -> str | None:
    """What keeps the file or the command from giving a password, as far as that can be told without reading or running it."""
    file, command = environ.get(FILE), environ.get(COMMAND)
    if file and command:
        return _BOTH
    try:
        if file:
            os.close(_opened(Path(file).expanduser()))
    except VaultError as error:
        return str(error)
    return _not_a_command(command) if command else None


def _not_a_command(command: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words and shutil.which(words[0]):
        return None
    return (
        f"{COMMAND}: there is no command {words[0]!r} here; {_NO_SHELL}."
        if words
        else f"{COMMAND} cannot be read as a command."
    )


def somebody_is_there() -> bool:
    """Whether a person can be asked on this thread: a kernel whose front end takes input, or a terminal."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return _in_kernel() or _has_terminal()


def _in_kernel() -> bool:
    """In a kernel getpass is its own: ipykernel puts a function in getpass's place: https://github.com/ipython/ipykernel/blob/main/ipykernel/kernelbase.py"""
    return getpass.getpass.__module__ != "getpass"


def _has_terminal() -> bool:
    return bool(sys.stdin and sys.stdin.isatty())


def tell(text: str) -> None:
    """A line above the prompt: in the cell, or on standard error, for standard output may be a pipe."""
    if somebody_is_there():
        print(text, file=sys.stdout if _in_kernel() else sys.stderr, flush=True)


def ask(prompt: str, else_: str = _ELSE) -> Hidden:
    """A hidden line from the person. Raises `NothingEntered`, `PromptInterrupted`, and `VaultLocked` when there is nobody to ask: ``else_`` is what to do then."""
    if threading.current_thread() is not threading.main_thread() and (_in_kernel() or _has_terminal()):
        raise VaultLocked(
            f"a thread cannot ask: run %vault unlock in a cell first. Without a person, {else_.rsplit('; ', maxsplit=1)[-1]}."
        )
    answer = _answer(prompt) if somebody_is_there() else None
    if answer is None:
        raise VaultLocked(f"nobody can be asked for {else_} (docs/vault.md).")
    if not len(answer):
        raise NothingEntered
    return answer


def _answer(prompt: str) -> Hidden | None:
    """``None`` where the front end takes no input, as when a notebook is executed without a person."""
    try:
        with interruptible(), warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # what is typed could be seen
            return unseen(lambda: Hidden(getpass.getpass(prompt)))
    except (NotImplementedError, getpass.GetPassWarning):
        return None
    except EOFError:
        return Hidden("")
    except KeyboardInterrupt:
        pass
    raise PromptInterrupted


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A prompt that an interrupt ends. In an awaited cell ipykernel turns the interrupt into a cancellation, which no prompt would notice: it stands until it is answered."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


def ask_twice(prompt: str, check: Callable[[Hidden], object] = len) -> Hidden:
    """A new secret, typed twice; ``check`` may refuse it before the second time. Raises as `ask`, and `UserError` when the two differ."""
    first = ask(prompt)
    check(first)
    if first != ask(f"{prompt.rstrip(': ')}, once more: "):
        raise UserError("the two differ; nothing was changed.")
    return first


def piped() -> Hidden | None:
    """The first line of standard input where that is a pipe or a file, else ``None``: ``pass show openai | onb vault set OPENAI_API_KEY``."""
    if _in_kernel() or sys.stdin is None or sys.stdin.isatty():
        return None
    line = Hidden(sys.stdin.buffer.readline(_MOST_PIPED_BYTES))
    return line if len(line) else None


def is_unattended(environ: Mapping[str, str]) -> bool:
    """Whether a file or command is named."""
    return bool(environ.get(FILE) or environ.get(COMMAND))


def named(environ: Mapping[str, str]) -> str:
    """Which of the two the password comes from."""
    return FILE if environ.get(FILE) else COMMAND
