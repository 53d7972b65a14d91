"""The vault's file: whoever could read or replace it is told, a write is whole or not at all, and a lock is held by the living only."""

import errno
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from vault_at_hand import ERRNOS, OLD, ORIGIN, Disk, content, made_in, put, strays, value_of, vault_in

from orchestrator_nb.errors import VaultError, VaultFormatError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import files

LAB = Path(__file__).with_name("vault_crashes.py")
KEY = "sk-the-value-of-a-key"


def crashes(*words, timeout=100):
    """What a lab of real processes found."""
    done = subprocess.run(
        [sys.executable, str(LAB), *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def vault(tmp_path):
    return made_in(tmp_path, {"A": KEY})


# Who may read it


def link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def hard_link(path):
    path.with_name("elsewhere").hardlink_to(path)


def other_owner(path, monkeypatch):
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:  # only root gives files away; to be somebody else is as good
        monkeypatch.setattr(os, "getuid", lambda: 12345)


def folder_instead(path):
    path.unlink()
    path.mkdir()


def fifo_instead(path):
    path.unlink()
    os.mkfifo(path, 0o600)


REFUSED = {
    "a link": (link, "is a link"),
    "a hard link": (hard_link, "hard link"),
    "another owner": (other_owner, r"chown \d+ '?/.*default\.onbv"),
    "0640": (lambda path: path.chmod(0o640), r"chmod 600 '?/.*default\.onbv"),
    "0604": (lambda path: path.chmod(0o604), r"chmod 600 '?/.*default\.onbv"),
    "a folder": (folder_instead, "not a regular file"),
    "a FIFO": (fifo_instead, "not a regular file"),
    "a folder that all may write to": (lambda path: path.parent.chmod(0o777), "chmod go-w '?/.*vaults"),
    "nothing": (lambda path: path.unlink(), r"not there.*default\.onbv\.1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_others_could_read_or_replace_is_refused_and_the_message_says_what_to_run(
    vault, case, monkeypatch, tmp_path
):
    act, says = REFUSED[case]
    act(vault.path, monkeypatch) if act is other_owner else act(vault.path)
    for attempt in (lambda: files.read(vault.path), lambda: vault_in(tmp_path).unlock(None), vault.facts):
        with pytest.raises(VaultError, match=says) as caught:
            attempt()
        assert type(caught.value) in (VaultError, VaultFormatError)
    with pytest.raises(VaultError):
        put(vault, "B", KEY)
    assert value_of(vault, "A") == KEY  # the open session goes on with what it has


def test_after_the_command_that_the_message_names_the_vault_can_be_read(vault):
    vault.path.chmod(0o644)
    vault.path.parent.chmod(0o775)
    for _ in range(2):
        with pytest.raises(VaultError) as caught:
            files.read(vault.path)
        subprocess.run(re.search(r"chmod .*", str(caught.value))[0], shell=True, check=True)
    assert files.read(vault.path)


def test_a_folder_with_a_sticky_bit_will_do(vault):
    vault.path.parent.chmod(0o1777)
    put(vault, "B", KEY)
    assert content(vault.path) == {"A": KEY, "B": KEY}


def test_missing_folders_are_made_and_everything_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        vault = made_in(tmp_path / "not/there", {"A": KEY, "B": KEY})
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "not").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert vault.path in modes
    assert files.backups(vault.path)[0] in modes


def test_in_a_folder_that_is_read_only_a_vault_opens_but_does_not_change():
    found = crashes("readonly")
    assert found["value"] == KEY
    assert re.search(r"default\.onbv could not be written: .*; it is as it was", found["put"])
    assert found["after"] == KEY
    assert "still stretched" in found["notices"][0]


def test_a_device_is_no_vault():
    with pytest.raises(VaultFormatError, match="not a regular file"):
        files.read(Path("/dev/zero"))


def test_a_folder_that_cannot_be_looked_at_is_one_sentence(tmp_path):
    with pytest.raises(VaultError, match=r"cannot be read: .+\."):
        files.exists(tmp_path / ("long" * 100))


# A write is whole or not at all


@pytest.mark.parametrize("codes_for_each", [1, pytest.param(len(ERRNOS), marks=pytest.mark.soak)])
def test_a_save_is_whole_or_not_at_all_whichever_call_of_it_fails(codes_for_each, tmp_path, disk, figures):
    vault = made_in(tmp_path, {"A": KEY})
    with disk.failing():
        put(vault, "A", "sk-while-all-is-well")
    calls, old, cases = disk.calls, "sk-while-all-is-well", 0
    assert calls > 30
    kept = {"old": 0, "new": 0}
    for number in range(1, calls + 1):
        for short in (False, True):
            for turn in range(codes_for_each):
                code = ERRNOS[(number + turn) % len(ERRNOS)]
                new, cases = f"sk-value-{cases}-of-a-key", cases + 1
                try:
                    with disk.failing(number, code, short=short):
                        put(vault, "A", new)
                except VaultError:
                    kept["old"] += 1
                    assert content(vault.path) == {"A": old}, (number, code)
                else:
                    kept["new"] += 1
                    old = new
                    assert content(vault.path) == {"A": new}, (number, code)
                assert not strays(vault.path)
                assert not strays(tmp_path / "state/x")
                assert value_of(vault, "A") == old
                assert all(content(copy) is not None for copy in files.backups(vault.path) if copy.exists())
    assert min(kept.values()) > 10
    figures("saves with a failing disk", {"cases": cases, **kept, "broken": 0, "left aside": 0})


def test_control_a_writer_in_place_breaks_the_vault_with_the_same_faults(vault, disk):
    whole, broken = vault.path.read_bytes(), 0
    for number in range(1, 5):
        for code in ERRNOS:
            for short in (False, True):
                try:
                    with disk.failing(number, code, short=short):
                        in_place(vault.path, bytes(whole))
                except OSError:
                    broken += vault.path.read_bytes() != whole
                vault.path.write_bytes(whole)
    assert broken >= 12


def in_place(path, data):
    handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        rest = data
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def test_a_full_disk_costs_no_backup_however_often_it_is_tried(vault, disk):
    for value in range(4):
        put(vault, "A", f"sk-value-number-{value}")
    before = [content(path) for path in files.backups(vault.path)]
    for _ in range(10):
        with disk.failing(1, errno.ENOSPC, only=("write",), for_good=True), pytest.raises(VaultError, match="No space"):
            put(vault, "A", "sk-one-value-more")
    assert [content(path) for path in files.backups(vault.path)] == before
    assert before == [{"A": f"sk-value-number-{value}"} for value in (2, 1, 0)]
    put(vault, "A", "sk-room-again-for-this")
    assert content(vault.path) == {"A": "sk-room-again-for-this"}


def test_what_a_killed_writer_left_aside_is_gone_after_the_next_save(vault):
    left = vault.path.with_name(f".{vault.path.name}.{'0f' * 6}")
    left.write_bytes(vault.path.read_bytes())
    others = [vault.path.with_name(name) for name in (f".{vault.path.name}.swp", ".other.onbv.0f0f0f0f0f0f")]
    for other in others:
        other.touch()
    put(vault, "B", KEY)
    assert not left.exists()
    assert all(other.exists() for other in others)


def test_the_first_save_in_a_missing_folder_leaves_nothing_when_it_fails(tmp_path, disk):
    for number in (1, 2, 3):
        with disk.failing(number, errno.ENOSPC, only=("mkdir", "write", "replace")), pytest.raises(VaultError):
            made_in(tmp_path / str(number))
        assert not [path for path in (tmp_path / str(number)).rglob("*.onbv*") if path.suffix != ".lock"]
        made_in(tmp_path / str(number))


def test_side_files_that_cannot_be_written_stop_nothing(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    vault = made_in(tmp_path, {"A": KEY})
    vault.lock()
    again = vault_in(tmp_path)
    again.unlock(Hidden(OLD))
    assert value_of(again, "A") == KEY
    assert again.notices == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"[]", b"{", b'{"x": "y"}', b'{"x": Infinity}', b"[" * 100_000, b'{"x": 1e400}', b"\xff", b"9" * 5000],
)
def test_a_damaged_side_file_is_like_none(tmp_path, damage):
    made_in(tmp_path, {"A": KEY})
    (tmp_path / "state/vaults.json").write_bytes(damage)
    (tmp_path / "state/scan-default.json").write_bytes(damage)
    vault = vault_in(tmp_path)
    vault.unlock(Hidden(OLD))
    put(vault, "B", KEY)
    assert vault.notices == []


# Killed


@pytest.mark.parametrize("runs", [15, pytest.param(200, marks=pytest.mark.soak)])
def test_a_writer_that_is_killed_leaves_a_vault_with_all_it_acknowledged(runs, tmp_path, figures):
    found = crashes("kills", tmp_path, runs, timeout=60 + runs)
    figures("kill -9 during saves", found)
    assert found["runs"] == runs
    assert (found["broken"], found["lost"]) == (0, 0)
    assert found["acknowledged"] > 2 * runs


@pytest.mark.parametrize("runs", [6, pytest.param(100, marks=pytest.mark.soak)])
def test_a_password_change_that_is_killed_leaves_a_vault_that_opens_with_one_of_the_two(runs, tmp_path, figures):
    found = crashes("kills-of-changes", tmp_path, runs, timeout=60 + runs)
    figures("kill -9 during password changes", found)
    assert found["neither"] == 0
    assert found["changes"] >= runs


@pytest.mark.parametrize(("writers", "each"), [(4, 8), pytest.param(4, 25, marks=pytest.mark.soak)])
def test_writers_at_the_same_time_lose_nothing(writers, each, tmp_path, figures):
    found = crashes("writers", tmp_path, writers, each, "locked")
    figures(f"{writers} processes x {each} keys", found)
    assert found["kept"] == writers * each


def test_control_writers_without_the_lock_lose_some(tmp_path):
    found = crashes("writers", tmp_path, 4, 12, "free")
    assert found["kept"] < 48
    assert found["opens"]


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path):
    found = crashes("holder", tmp_path)
    assert found["waited_s"] < 8


def test_a_child_that_was_forked_while_the_lock_was_held_does_not_keep_it(tmp_path):
    found = crashes("forked-holder", tmp_path)
    assert found["waited_s"] < 8


def test_who_waits_too_long_for_the_lock_is_told(tmp_path):
    path = tmp_path / "default.onbv"
    with (
        files.locked(path),
        pytest.raises(VaultError, match="another process has been writing"),
        files.locked(path, wait_s=0.0),
    ):
        pass
    with files.locked(path, wait_s=0.0):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_is_named_with_the_way_out(tmp_path, disk, code):
    with disk.failing(1, code, only=("flock",)), pytest.raises(VaultError, match=r"vault\.file_lock false"):
        made_in(tmp_path)
    with disk.failing(1, code, only=("flock",), for_good=True):
        vault = made_in(tmp_path, {"A": KEY}, file_lock=False)
    assert value_of(vault, "A") == KEY
    assert ORIGIN in vault.facts()[0].origins
