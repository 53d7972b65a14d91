"""A vault's life: passwords change and leave nothing behind, two processes see each other's saves, and a file that is not ours any more is noticed."""

import copy
import errno
import shlex
import shutil
import threading
from dataclasses import replace

import pytest
from vault_at_hand import ERRNOS, NEW, OLD, ORIGIN, QUICK, Disk, content, made_in, put, strays, value_of, vault_in

from orchestrator_nb.errors import UserError, VaultAuthError, VaultError, VaultFormatError, VaultLocked
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import files
from orchestrator_nb.vault.digests import Digests
from orchestrator_nb.vault.entries import Entry, write
from orchestrator_nb.vault.format import MAX_BYTES, read_header
from orchestrator_nb.vault.kdf import Pbkdf2, derive
from orchestrator_nb.vault.seal import seal
from orchestrator_nb.vault.seen import Seen

KEY, OTHER = "sk-the-value-of-a-key", "sk-the-value-of-another"
STRONGER = Pbkdf2(110_000)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def vault(tmp_path):
    return made_in(tmp_path, {"A": KEY})


def opened(folder, password=OLD, **how):
    vault = vault_in(folder, **how)
    vault.unlock(Hidden(password))
    return vault


def everything(folder, password):
    """The files of the vault's folder that this password opens."""
    return [
        path.name for path in (folder / "vaults").iterdir() if path.is_file() and content(path, password) is not None
    ]


# Keys


def test_keys_are_put_replaced_bound_and_removed(vault, tmp_path):
    fact = put(vault, "B", OTHER)
    again = put(vault, "B", KEY)
    assert fact.fp != again.fp == vault.facts()[0].fp
    assert again.created == fact.created <= again.rotated
    vault.bind("B", ["https://elsewhere.example:443"], Hidden(OLD))
    with pytest.raises(VaultError, match="is not sent to"):
        vault.secret("B", "example").release(ORIGIN)
    vault.remove("A")
    assert content(vault.path) == {"B": KEY}
    assert [fact.name for fact in opened(tmp_path).facts()] == ["B"]


def test_a_key_that_was_put_stays_the_callers_to_wipe(vault):
    value = Hidden(OTHER)
    vault.put("B", "example", value, [ORIGIN])
    value.wipe()
    assert value_of(vault, "B") == OTHER


def test_other_origins_need_the_password(vault):
    with pytest.raises(VaultAuthError):
        vault.bind("A", ["https://evil.example:443"], Hidden(NEW))
    assert value_of(vault, "A") == KEY


def test_a_key_that_is_not_there_is_said_with_those_that_are(vault):
    for attempt in (lambda: vault.remove("X"), lambda: vault.bind("X", [ORIGIN], Hidden(OLD))):
        with pytest.raises(UserError, match="no key 'X'; it has: A"):
            attempt()
    handle = vault.secret("A", "example")
    vault.remove("A")
    assert vault.secret("A", "example") is None
    with pytest.raises(VaultError, match="A was removed"):
        handle.release(ORIGIN)


def test_a_handle_follows_its_key_to_a_new_value(vault):
    handle = vault.secret("A", "example")
    put(vault, "A", OTHER)
    assert handle.release(ORIGIN) == OTHER


def test_there_is_one_vault_at_a_place(vault, tmp_path):
    with pytest.raises(VaultError, match="exists already"):
        vault_in(tmp_path).create(Hidden(NEW))
    assert content(vault.path) == {"A": KEY}


def sealed(path, fill, **header):
    """The vault at ``path`` with other content, as its owner could have saved it."""
    found = read_header(path.read_bytes())
    keys = derive(found.kdf, Hidden(OLD), found.salt)
    path.write_bytes(seal(write(fill), replace(found, **header), keys)[1])


def test_a_full_vault_says_so_and_stays_as_it_was(vault, tmp_path):
    keys = {f"LONG_{number}": Entry(f"LONG_{number}", Hidden("x" * 8192)) for number in range(126)}
    sealed(vault.path, keys)
    full = opened(tmp_path)
    put(full, "SHORT", KEY)
    assert vault.path.stat().st_size > MAX_BYTES - 10_000
    before = vault.path.read_bytes()
    with pytest.raises(VaultError, match="full; remove keys"):
        put(full, "MORE", "x" * 8192)
    assert vault.path.read_bytes() == before
    assert value_of(full, "SHORT") == KEY
    full.remove("LONG_0")
    put(full, "MORE", "x" * 8192)
    assert len(content(vault.path)) == 127


def test_the_last_generation_is_a_last_one_but_no_end(vault, tmp_path):
    sealed(vault.path, {}, generation=(1 << 64) - 1)
    again = opened(tmp_path)
    put(again, "B", OTHER)
    assert again.status().generation == (1 << 64) - 1
    assert content(vault.path) == {"B": OTHER}
    assert again.notices == []


def test_an_answer_under_way_is_searched_for_the_keys_of_its_beginning_while_others_are_put(vault, tmp_path):
    forms = vault.forms
    put(vault, "B", OTHER)
    put(opened(tmp_path), "C", OTHER)
    vault.facts()
    vault.unlock(Hidden(OLD))
    assert forms.without(f"a {KEY} b") == "a [key A] b"
    vault.lock()
    assert forms.without(f"a {KEY} b") == f"a {KEY} b"  # nothing is left to look for


# Two processes


def test_two_sessions_on_one_file_keep_each_others_keys(vault, tmp_path):
    other = opened(tmp_path)
    put(other, "B", OTHER)
    put(vault, "C", KEY)
    assert [fact.name for fact in other.facts()] == ["A", "B", "C"]
    vault.remove("A")
    with other.lease(["B"]):  # a run begins with what is true now
        assert other.secret("A", "example") is None


def test_a_password_that_was_changed_elsewhere_locks_with_a_sentence(vault, tmp_path):
    handle = vault.secret("A", "example")
    opened(tmp_path).change_password(Hidden(OLD), Hidden(NEW))
    with pytest.raises(VaultLocked, match="password was changed elsewhere"):
        put(vault, "B", OTHER)
    with pytest.raises(VaultLocked):
        handle.release(ORIGIN)
    vault.unlock(Hidden(NEW))
    assert handle.release(ORIGIN) == KEY
    assert content(vault.path, NEW) == {"A": KEY}


def test_what_was_changed_elsewhere_is_told_before_it_is_asked_for(vault, tmp_path):
    assert (vault.still_open(), vault.changed) == (True, None)
    opened(tmp_path).change_password(Hidden(OLD), Hidden(NEW))
    assert (vault.still_open(), vault.changed) == (False, "password")
    vault.unlock(Hidden(NEW))
    assert (vault.still_open(), vault.changed) == (True, None)
    vault.path.write_bytes(made_in(tmp_path / "foreign", {"THEIRS": OTHER}).path.read_bytes())
    assert (vault.still_open(), vault.changed) == (False, "vault")


def test_a_damaged_or_missing_vault_names_the_copy_beside_it_only_where_there_is_one(vault):
    whole = vault.path.read_bytes()
    beside = shlex.quote(f"{vault.path}.1")
    for data in (b"no vault", whole[:100], whole[:-7]):
        vault.path.write_bytes(data)
        with pytest.raises(
            VaultFormatError, match=r"; default\.onbv\.1 of \d\d \w+ \d\d:\d\d stands beside it: cp -p "
        ) as told:
            vault.status()
        assert str(told.value).endswith(f"cp -p {beside} {shlex.quote(str(vault.path))}")
    vault.path.unlink()
    with pytest.raises(VaultError, match=r"is not there; default\.onbv\.1 of"):
        vault.facts()
    vault.path.with_name("default.onbv.1").unlink()
    vault.path.write_bytes(b"no vault")
    vault.path.chmod(0o600)
    with pytest.raises(VaultFormatError, match="it is not a vault; there is no backup"):
        vault.status()
    vault.path.write_bytes(whole[:8] + b"\x02" + whole[9:])
    with pytest.raises(VaultFormatError, match=r"newer version; update orchestrator-nb\.$"):
        vault.status()


def test_a_run_that_begins_after_a_change_elsewhere_waits_for_the_password_instead_of_failing(vault, tmp_path):
    opened(tmp_path).change_password(Hidden(OLD), Hidden(NEW))
    told = []
    with vault.lease(["A"]):
        with pytest.raises(VaultLocked):
            vault.secret("A", "example")
        vault.when_open(lambda: told.append("open"))
        vault.unlock(Hidden(NEW))
        assert told == ["open"]
        assert value_of(vault, "A") == KEY


def test_a_foreign_vault_in_its_place_is_not_written_to(vault, tmp_path):
    foreign = made_in(tmp_path / "foreign", {"THEIRS": OTHER})
    shutil.copy(foreign.path, vault.path)
    with pytest.raises(VaultLocked, match="another vault stands in the place of"):
        put(vault, "B", OTHER)
    assert not vault.is_open
    assert content(vault.path) == {"THEIRS": OTHER}


def test_a_file_that_vanished_is_named_and_the_session_goes_on(vault, tmp_path):
    put(vault, "B", OTHER)
    vault.path.unlink()
    with pytest.raises(VaultError, match=r"default\.onbv is not there; default\.onbv\.1 of .* stands beside it"):
        put(vault, "C", KEY)
    with vault.lease(["A"]):
        assert value_of(vault, "A") == KEY
    assert "not there" in vault.notices[0]
    shutil.copy(files.backups(vault.path)[0], vault.path)
    put(vault, "C", KEY)
    assert content(vault.path) == {"A": KEY, "C": KEY}


def test_a_file_altered_while_it_is_open_is_refused_and_not_overwritten(vault):
    data = bytearray(vault.path.read_bytes())
    data[200] ^= 1
    vault.path.write_bytes(data)
    with pytest.raises(VaultAuthError):
        put(vault, "B", OTHER)
    assert vault.path.read_bytes() == data


def test_an_old_copy_put_back_is_noticed(vault, tmp_path):
    old = vault.path.read_bytes()
    vault.remove("A")
    put(vault, "B", OTHER)
    vault.path.write_bytes(old)
    vault.facts()
    (while_open,) = vault.notices
    again = opened(tmp_path)
    (notice,) = again.notices
    assert notice == while_open
    again.facts(), again.prove(Hidden(OLD))
    assert again.notices == [notice]  # once for each unlocking
    assert "if that was you: the next save ends this warning" in notice.lower()
    assert "older (save 2)" in notice
    assert "last seen (save 4)" in notice
    put(again, "C", OTHER)
    assert again.status().generation == 5
    assert opened(tmp_path).notices == []  # it is the newest now


def test_a_save_while_another_process_looks_is_no_old_copy(tmp_path, vault):
    """The order of looking: first what was seen, then the file."""
    other, stop = opened(tmp_path), threading.Event()

    def save():
        while not stop.is_set():
            put(other, "B", OTHER)

    writer = threading.Thread(target=save)
    writer.start()
    for _ in range(200):
        vault.facts()
    stop.set()
    writer.join()
    assert vault.notices == []


def test_generations_seen_only_grow(tmp_path):
    seen = Seen(tmp_path / "vaults.json")
    for generation in (3, 1, 7, 5):
        Seen(tmp_path / "vaults.json").note(b"one", generation)
        seen.note(b"two", 1)
    assert (seen.newest(b"one"), seen.newest(b"two"), seen.newest(b"three")) == (7, 1, 0)


# Passwords


def test_after_a_new_password_no_file_in_the_folder_opens_with_the_old_one(vault, tmp_path):
    for value in range(5):
        put(vault, "B", f"sk-value-number-{value}")
    shutil.copy(vault.path, vault.path.with_name(f".{vault.path.name}.0a0a0a0a0a0a"))  # as a killed writer leaves it
    assert len(everything(tmp_path, OLD)) == 5
    before = read_header(vault.path.read_bytes())
    vault.change_password(Hidden(OLD), Hidden(NEW))
    assert everything(tmp_path, OLD) == []
    assert everything(tmp_path, NEW) == ["default.onbv"]
    assert content(vault.path, NEW) == {"A": KEY, "B": "sk-value-number-4"}
    after = read_header(vault.path.read_bytes())
    assert (after.salt != before.salt, after.vault_id) == (True, before.vault_id)
    assert value_of(vault, "A") == KEY  # it stays open
    put(vault, "C", OTHER)
    assert everything(tmp_path, OLD) == []


def test_backups_are_kept_where_somebody_wants_them(vault, tmp_path):
    put(vault, "B", OTHER)
    vault.change_password(Hidden(OLD), Hidden(NEW), keep_backups=True)
    assert sorted(everything(tmp_path, OLD)) == [f"default.onbv.{number}" for number in (1, 2, 3)]
    assert content(files.backups(vault.path)[0]) == {"A": KEY, "B": OTHER}


def test_a_wrong_password_changes_nothing_and_leaves_open_what_was_open(vault):
    data = vault.path.read_bytes()
    with pytest.raises(VaultAuthError):
        vault.change_password(Hidden(NEW), Hidden(OTHER))
    with pytest.raises(VaultAuthError):
        vault.unlock(Hidden(NEW))
    assert vault.path.read_bytes() == data
    assert value_of(vault, "A") == KEY


def test_a_vault_is_strengthened_at_the_next_unlocking_and_never_weakened(vault, tmp_path):
    strong = opened(tmp_path, kdf=STRONGER)
    assert read_header(vault.path.read_bytes()).kdf == STRONGER
    assert strong.notices == [
        "the password is now stretched by PBKDF2, 110,000 iterations (before: PBKDF2, 100,000 iterations)."
    ]
    assert value_of(strong, "A") == KEY
    assert not any(path.exists() for path in files.backups(vault.path))
    assert opened(tmp_path, kdf=QUICK).notices == []
    assert read_header(vault.path.read_bytes()).kdf == STRONGER


def test_where_it_cannot_be_strengthened_it_opens_all_the_same(vault, tmp_path, disk):
    again = vault_in(tmp_path, kdf=STRONGER)
    with disk.failing(1, errno.ENOSPC, only=("write",), for_good=True):
        again.unlock(Hidden(OLD))
    assert value_of(again, "A") == KEY
    assert "still stretched by PBKDF2, 100,000 iterations" in again.notices[0]
    assert "No space left" in again.notices[0]


def change(vault):
    vault.change_password(Hidden(OLD), Hidden(NEW))


def upgrade(vault):
    vault.kdf = STRONGER
    vault.unlock(Hidden(OLD))


@pytest.mark.parametrize("act", [change, upgrade])
@pytest.mark.parametrize("all_codes", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_password_change_with_a_failing_disk_ends_with_the_old_or_the_new_password(
    act, all_codes, vault, tmp_path, disk, figures
):
    put(vault, "B", OTHER)
    before, held = tmp_path / "before", {"A": KEY, "B": OTHER}
    shutil.copytree(tmp_path / "vaults", before)

    def again():
        shutil.rmtree(tmp_path / "vaults")
        shutil.copytree(before, tmp_path / "vaults")
        return vault_in(tmp_path)

    with disk.failing():
        act(again())
    calls, outcome = disk.calls, {"old": 0, "new": 0}
    for number in range(1, calls + 1, 1 if all_codes else 6):
        for turn in range(2 * len(ERRNOS) if all_codes else 1):
            trying = again()
            told = attempt(
                act, trying, disk.failing(number, ERRNOS[(number + turn) % len(ERRNOS)], short=turn % 2 == 1)
            )
            data = read_header(trying.path.read_bytes())
            changed = data.salt != read_header((before / "default.onbv").read_bytes()).salt
            password = NEW if changed and act is change else OLD
            outcome["new" if changed else "old"] += 1
            assert content(trying.path, password) == held
            assert not strays(trying.path)
            assert not (told and changed), "it failed, and was changed"
            if changed and act is change:
                assert everything(tmp_path, OLD) == []
            if trying.is_open:
                assert value_of(trying, "B") == OTHER
                put(trying, "C", KEY)
    assert min(outcome.values()) >= 3
    figures(f"{act.__name__} with a failing disk", {"calls": calls, **outcome, "neither": 0})


def attempt(act, vault, failing):
    """Whether it said that it failed."""
    try:
        with failing:
            act(vault)
    except VaultError:
        return True
    return any("still stretched" in notice for notice in vault.notices)


def test_control_a_password_change_that_only_writes_leaves_copies_that_open_with_the_old_one(vault, tmp_path):
    put(vault, "B", OTHER)
    discard, files._discard = files._discard, lambda path: None
    try:
        vault.change_password(Hidden(OLD), Hidden(NEW))
    finally:
        files._discard = discard
    assert everything(tmp_path, OLD)


# While it is open


def test_a_failed_save_leaves_the_open_session_and_the_next_save_works(vault, disk):
    with (
        disk.failing(1, errno.ENOSPC, only=("fsync",)),
        pytest.raises(VaultError, match="No space left on device; it is as it was"),
    ):
        put(vault, "B", OTHER)
    assert [fact.name for fact in vault.facts()] == ["A"]
    put(vault, "B", OTHER)
    assert value_of(vault, "B") == OTHER


def test_who_waits_is_told_once_it_is_open_without_a_lock_held_and_one_that_fails_stops_no_other(tmp_path, vault):
    vault.lock()
    told = []

    def from_elsewhere():
        thread = threading.Thread(target=lambda: told.append(value_of(vault, "A")))
        thread.start()
        thread.join(10)

    def gone():
        raise RuntimeError("Event loop is closed")

    for tell in (gone, from_elsewhere):
        vault.when_open(tell)
    vault.unlock(Hidden(OLD))
    assert told == [KEY]
    vault.when_open(lambda: told.append("at once"))
    vault.unlock(Hidden(OLD))
    assert told == [KEY, "at once"]


def test_keys_are_used_while_a_password_is_stretched(vault, tmp_path, monkeypatch):
    """A wrong guess, or a slow derivation, must not stop the calls of a run."""
    began, go_on, stretch = threading.Event(), threading.Event(), Pbkdf2.stretch

    def slow(self, password, salt):
        began.set()
        assert go_on.wait(10)
        return stretch(self, password, salt)

    monkeypatch.setattr(Pbkdf2, "stretch", slow)
    unlocking = threading.Thread(target=vault.unlock, args=(Hidden(OLD),))
    unlocking.start()
    assert began.wait(10)
    assert value_of(vault, "A") == KEY
    assert vault.status().state == "open"
    go_on.set()
    unlocking.join(10)
    assert value_of(vault, "A") == KEY


def test_keys_are_used_while_another_process_holds_the_file(vault):
    with files.locked(vault.path):
        writer = threading.Thread(target=put, args=(vault, "B", OTHER))
        writer.start()
        for _ in range(100):
            assert value_of(vault, "A") == KEY
    writer.join(10)
    assert content(vault.path) == {"A": KEY, "B": OTHER}


def test_threads_put_use_and_lock_at_the_same_time_without_a_wrong_value(vault, tmp_path):
    values, problems, stop = {"A": KEY}, [], threading.Event()

    def use():
        while not stop.is_set():
            try:
                if value_of(vault, "A") != KEY:
                    problems.append("wrong value")
            except VaultLocked:
                pass
            except AttributeError:
                problems.append("no handle")

    def write(me):
        for number in range(6):
            vault.unlock(Hidden(OLD))
            try:
                put(vault, f"T{me}_{number}", OTHER)
                values[f"T{me}_{number}"] = OTHER
            except VaultLocked:
                pass
            vault.lock()

    users = [threading.Thread(target=use) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(me,)) for me in range(3)]
    for thread in (*users, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    stop.set()
    for thread in users:
        thread.join(10)
    assert not problems
    assert content(vault.path) == values


def test_a_status_needs_no_password(vault, tmp_path):
    status = vault_in(tmp_path).status()
    assert (status.state, status.kdf, status.generation, status.keys) == ("locked", QUICK, 2, None)
    assert (vault.status().state, vault.status().keys) == ("open", 1)
    assert vault_in(tmp_path / "elsewhere").status().state == "none"
    vault.path.write_text("not a vault, but as private as one")
    with pytest.raises(VaultFormatError, match=r"default\.onbv: it is not a vault"):
        vault.status()


def test_stored_keys_can_be_scanned_for_as_soon_as_they_are_put_or_the_vault_is_open(vault, tmp_path):
    marks = tmp_path / "state/scan-default.json"
    assert list(Digests.load(marks).find(f"x = '{KEY}'"))
    marks.unlink()
    opened(tmp_path)
    assert list(Digests.load(marks).find(f"x = '{KEY}'"))
    assert KEY.encode() not in marks.read_bytes()


def test_a_vault_shows_nothing_of_what_it_holds(vault):
    seen = f"{vault!r} {vault} {vars(vault)} {vault.facts()} {vault.status()} {vault._held}"
    assert KEY not in seen
    for act in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            act(vault)


def test_after_a_new_password_every_other_copy_under_an_older_one_is_named(vault, tmp_path):
    """What a sync, an editor or a person left beside it opens with the old password still."""
    copies = ["default (conflicted copy).onbv", "default.onbv.4", "default.onbv~", "default.sync-conflict-2.onbv"]
    for name in copies:
        vault.path.with_name(name).write_bytes(vault.path.read_bytes())
    other = type(vault)(vault.path.with_name("work.onbv"), state=tmp_path / "elsewhere", kdf=Pbkdf2(100_000))
    other.create(Hidden(OLD))
    vault.path.with_name("notes.txt").write_text("nothing")

    vault.change_password(Hidden(OLD), Hidden("an entirely other password"))
    [told] = [notice for notice in vault.notices if "older password" in notice]
    assert f": {', '.join(copies)}; delete them." in told
    for name in copies:
        vault.path.with_name(name).unlink()
    vault.notices.clear()
    vault.change_password(Hidden("an entirely other password"), Hidden(OLD))
    assert vault.notices == []
