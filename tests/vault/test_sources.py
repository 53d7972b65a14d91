"""Where a password comes from without a person, and at a prompt that cannot hide it."""

import gc
import getpass
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

import pytest

from orchestrator_nb.errors import VaultError, VaultLocked
from orchestrator_nb.vault import sources

PASSWORD = "correct horse battery staple"


def frames_with(text, error):
    return [
        (frame.f_code.co_name, name)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        for name, local in frame.f_locals.items()
        if text in repr(local)
    ]


def interrupted_after(said: Path, act):
    """What ``act`` raises when somebody presses interrupt once the file ``said`` is there."""

    def press():
        while not said.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        act()
    thread.join()
    return raised.value


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupt_while_the_command_lingers_leaves_no_password_in_a_frame(tmp_path):
    script = tmp_path / "script"
    script.write_text(f"echo {PASSWORD}\ntouch {tmp_path}/said\nexec sleep 30\n")

    error = interrupted_after(tmp_path / "said", lambda: sources.without_a_person({sources.COMMAND: f"sh {script}"}))
    assert frames_with(PASSWORD, error) == []
    assert error.__context__ is None
    assert str(error) == "stopped while the password command ran; nothing was changed, nothing was sent."

    (tmp_path / "said").unlink()  # the control: the same without care
    error = interrupted_after(
        tmp_path / "said", lambda: subprocess.run(["sh", script], capture_output=True, check=False)
    )
    assert frames_with(PASSWORD, error)
    del error
    gc.collect()  # the command was killed and not waited for: Python warns of that


def test_what_would_be_seen_while_it_is_typed_is_not_asked_for(monkeypatch):
    """Where the terminal cannot hide what is typed, getpass only warns and goes on."""

    def unhidden(_prompt=""):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return PASSWORD

    unhidden.__module__ = "a kernel"
    monkeypatch.setattr(getpass, "getpass", unhidden)
    assert sources.somebody_is_there()
    with pytest.raises(VaultLocked, match="nobody can be asked"):
        sources.ask("Password: ")


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can give a file to somebody else")
def test_a_password_file_of_somebody_else_is_not_read(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    path.chmod(0o600)
    assert len(sources.without_a_person({sources.FILE: str(path)})) == len(PASSWORD)

    os.chown(path, 12_345, -1)
    with pytest.raises(VaultError, match="belongs to somebody else") as refused:
        sources.without_a_person({sources.FILE: str(path)})
    assert PASSWORD not in str(refused.value)
