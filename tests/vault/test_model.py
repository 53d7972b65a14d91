"""Two sessions on one vault, in any order of what users do to it, against a few lines that say what should be true."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from vault_at_hand import LIMITS, ORIGIN, Clock, content, vault_in

from orchestrator_nb.errors import UserError, VaultAuthError, VaultError, VaultLocked
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault.format import read_header
from orchestrator_nb.vault.kdf import Pbkdf2
from orchestrator_nb.vault.vault import Vault

PASSWORDS = ("correct horse battery", "another horse battery", "paper stapler window")
OTHER_ORIGIN = "https://elsewhere.example:443"

whos = st.sampled_from(["one", "two"])
names = st.sampled_from(["A", "B"])
values = st.integers(0, 10**9).map("sk-value-number-{}".format)
mostly = st.sampled_from([True, True, True, True, False])


class Believed:
    """What should be true of one session: its time left, the keys it holds, and under which password change it opened."""

    def __init__(self):
        self.open, self.epoch, self.idle, self.total = False, -1, 0.0, 0.0
        self.held, self.leases = {}, []

    def opened(self, epoch, keys):
        self.open, self.epoch, self.idle, self.total, self.held = True, epoch, 0.0, 0.0, dict(keys)
        for lease in self.leases:
            lease.granted = True

    def lock(self):
        self.open, self.held = False, {}

    def passed(self, seconds):
        self.idle, self.total = self.idle + seconds, self.total + seconds
        if self.total >= LIMITS.total_s:
            self.lock()
        elif self.open and self.idle >= LIMITS.idle_s:
            self.open = False
            self.keep_leased()

    def keep_leased(self):
        leased = {name for lease in self.leases if lease.granted for name in lease.names}
        self.held = {name: held for name, held in self.held.items() if name in leased}

    def has(self, name):
        """Whether this key can be used: ``None`` for a locked vault."""
        if self.open:
            return name in self.held
        return True if name in self.held else None


class Lease:
    def __init__(self, vault, names, granted):
        self.names, self.way, self.granted = names, vault.lease(names), granted
        self.way.__enter__()

    def end(self):
        self.way.__exit__(None, None, None)


class TwoSessions(RuleBasedStateMachine):
    """`keys` is what the file should have: value and origin by name; `epoch` counts changes of the password."""

    def __init__(self, steps=None):
        super().__init__()
        self.steps = [] if steps is None else steps
        room = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=room if room.is_dir() else None))
        self.clock = Clock()
        self.vaults, self.believed, self.handles = {}, {}, {}
        for who in ("one", "two"):
            self.start(who)

    def start(self, who):
        self.vaults[who] = vault_in(self.folder, readings=self.clock, limits=LIMITS)
        self.believed[who], self.handles[who] = Believed(), {}

    @initialize(who=whos)
    def create(self, who):
        self.password, self.epoch, self.keys, self.saves = PASSWORDS[0], 0, {}, 1
        self.vaults[who].create(Hidden(self.password))
        self.believed[who].opened(0, {})
        self.put(who, "A", "sk-value-number-1")
        self.unlock("two" if who == "one" else "one", right=True)

    def typed(self, right):
        """The password, or another one."""
        return Hidden(self.password if right else PASSWORDS[PASSWORDS.index(self.password) - 1])

    # What should happen

    def usable(self, who):
        """Open, and under the password that the file has."""
        return self.believed[who].open and self.believed[who].epoch == self.epoch

    def changes(self, who, act, *, after=None, error=None):
        """``act`` on the file as it is now: refused when locked, or when the password was changed elsewhere, which locks."""
        believed = self.believed[who]
        if believed.open:
            believed.idle = 0.0
        if not self.usable(who):
            if believed.open:
                believed.lock()
            with pytest.raises(VaultLocked):
                act()
        elif error:
            with pytest.raises(error):
                act()
        else:
            act()
            self.keys = after
            believed.held, self.saves = dict(after), self.saves + 1

    @rule(who=whos, name=names, value=values)
    def put(self, who, name, value):
        self.changes(
            who,
            lambda: self.vaults[who].put(name, "example", Hidden(value), [ORIGIN]),
            after={**self.keys, name: (value, ORIGIN)},
        )

    @rule(who=whos, name=names)
    def remove(self, who, name):
        after = {key: held for key, held in self.keys.items() if key != name}
        error = None if name in self.keys else UserError
        self.changes(who, lambda: self.vaults[who].remove(name), after=after, error=error)

    @rule(who=whos, name=names, right=mostly)
    def bind(self, who, name, right):
        def act():
            self.vaults[who].bind(name, [OTHER_ORIGIN], self.typed(right))

        if self.believed[who].open and not right:
            self.believed[who].idle = 0.0
            with pytest.raises(VaultAuthError):
                act()
            return
        value, _ = self.keys.get(name, ("", ""))
        error = None if name in self.keys else UserError
        self.changes(who, act, after={**self.keys, name: (value, OTHER_ORIGIN)}, error=error)

    @rule(who=whos)
    def look(self, who):
        believed, vault = self.believed[who], self.vaults[who]
        if believed.open:
            believed.idle = 0.0
        if self.usable(who):
            assert {fact.name: fact.origins for fact in vault.facts()} == {
                name: (origin,) for name, (_, origin) in self.keys.items()
            }
            believed.held = dict(self.keys)
            return
        if believed.open:
            believed.lock()
        with pytest.raises(VaultLocked):
            vault.facts()

    @rule(who=whos, right=mostly)
    def unlock(self, who, right):
        if right:
            self.vaults[who].unlock(self.typed(right))
            self.believed[who].opened(self.epoch, self.keys)
        else:
            with pytest.raises(VaultAuthError):
                self.vaults[who].unlock(self.typed(right))

    @rule(who=whos, right=mostly, new=st.sampled_from(PASSWORDS))
    def change_password(self, who, right, new):
        if not right:
            with pytest.raises(VaultAuthError):
                self.vaults[who].change_password(self.typed(right), Hidden(new))
            return
        self.vaults[who].change_password(self.typed(right), Hidden(new))
        self.password, self.epoch, self.saves = new, self.epoch + 1, self.saves + 1
        self.believed[who].opened(self.epoch, self.keys)
        assert not any((self.folder / "vaults").glob("*.onbv.[0-9]"))

    @rule(who=whos)
    def lock(self, who):
        self.vaults[who].lock()
        self.believed[who].lock()

    @rule(who=whos)
    def crash(self, who):
        """A new process: nothing is left of the old one but the file."""
        for lease in self.believed[who].leases:
            lease.end()
        self.vaults[who].lock()
        self.start(who)

    @rule(
        seconds=st.sampled_from([1.0, 400.0, 600.0, LIMITS.idle_s, 5000.0, LIMITS.total_s]),
        which=st.sampled_from(["all", "boot", "wall"]),
    )
    def time_passes(self, seconds, which):
        if which == "all":
            self.clock.pass_s(seconds)
        else:
            setattr(self.clock, which, getattr(self.clock, which) + seconds)
        for believed in self.believed.values():
            believed.passed(seconds)
        self.everybody_looks_at_the_clock()

    @precondition(lambda self: any(believed.open and believed.leases for believed in self.believed.values()))
    @rule()
    def nobody_does_anything(self):
        self.time_passes(LIMITS.idle_s, "all")

    @rule()
    def wall_clock_is_set_back(self):
        self.clock.wall -= 86_400
        self.everybody_looks_at_the_clock()

    def everybody_looks_at_the_clock(self):
        for who, vault in self.vaults.items():
            assert vault.is_open == self.believed[who].open

    @rule(who=whos, wanted=st.sets(names, min_size=1))
    def a_run_begins(self, who, wanted):
        believed = self.believed[who]
        if believed.open:
            believed.idle = 0.0
        if self.usable(who):
            believed.held = dict(self.keys)
        elif believed.open:
            believed.lock()
        believed.leases.append(Lease(self.vaults[who], sorted(wanted), believed.open))

    @precondition(lambda self: any(believed.leases for believed in self.believed.values()))
    @rule(who=whos)
    def a_run_ends(self, who):
        believed = self.believed[who]
        if believed.leases:
            believed.leases.pop().end()
        if not believed.open:
            believed.keep_leased()

    @rule(who=whos, name=names)
    def a_handle_is_taken(self, who, name):
        has = self.believed[who].has(name)
        if has is None:
            with pytest.raises(VaultLocked):
                self.vaults[who].secret(name, "example")
        else:
            handle = self.vaults[who].secret(name, "example")
            assert (handle is not None) == has
            if has:
                self.handles[who][name] = handle, self.believed[who].held[name][1]

    @rule(who=whos, name=names)
    def a_handle_is_used(self, who, name):
        """It gives the value of now, to the origin of when it was taken."""
        if name not in self.handles[who]:
            return
        handle, origin = self.handles[who][name]
        has, held = self.believed[who].has(name), self.believed[who].held
        if has:
            assert handle.release(origin) == held[name][0]
        else:
            with pytest.raises(VaultLocked if has is None else VaultError):
                handle.release(origin)
        elsewhere = OTHER_ORIGIN if origin == ORIGIN else ORIGIN
        with pytest.raises(VaultError, match="is not sent to"):
            handle.release(elsewhere)

    # What is always true

    @invariant()
    def a_step_was_done(self):
        self.steps.append(None)

    @invariant()
    def the_file_has_the_keys(self):
        if not hasattr(self, "keys"):
            return
        path = self.vaults["one"].path
        assert content(path, self.password) == {name: value for name, (value, _) in self.keys.items()}
        assert read_header(path.read_bytes()).generation == self.saves
        assert not [entry for entry in path.parent.iterdir() if entry.name.startswith(".")]

    @invariant()
    def each_session_is_as_it_should_be(self):
        if not hasattr(self, "keys"):
            return
        for who, vault in self.vaults.items():
            believed, status = self.believed[who], vault.status()
            assert (status.state == "open") == believed.open
            if believed.open:
                total = LIMITS.total_s - believed.total
                assert status.limit_left_s == pytest.approx(total, abs=1e-3)
                assert status.idle_left_s == pytest.approx(min(total, LIMITS.idle_s - believed.idle), abs=1e-3)
            assert status.leases == sum(len(lease.names) for lease in believed.leases)
            assert vault._held.keys() == believed.held.keys()
            assert vault.notices == []

    def teardown(self):
        for vault in self.vaults.values():
            vault.lock()
        shutil.rmtree(self.folder)


@pytest.fixture
def _remembered(monkeypatch):
    """The same derivation is not done twice: what is tried here is not the stretching."""
    stretch = Pbkdf2.stretch

    @functools.lru_cache(1000)
    def stretched(kdf, password, salt):
        return stretch(kdf, Hidden(password), salt).use(bytes)

    monkeypatch.setattr(
        Pbkdf2, "stretch", lambda self, password, salt: Hidden(stretched(self, password.use(bytes), salt))
    )


@pytest.mark.usefixtures("_remembered")
@pytest.mark.parametrize("sessions", [8, pytest.param(3000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_whatever_users_do_both_sessions_and_the_file_are_as_they_should_be(sessions, figures):
    steps = []
    run_state_machine_as_test(
        lambda: TwoSessions(steps),
        settings=settings(
            max_examples=sessions,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    figures("steps of two sessions on one vault", f"{len(steps):,}, none that went another way")
    assert len(steps) > 25 * sessions


@pytest.mark.usefixtures("_remembered")
def test_control_a_vault_that_does_not_look_what_others_saved_goes_another_way(monkeypatch):
    def another_day():
        try:
            machine.create("one")
            machine.put("one", "B", "sk-value-number-2")
            machine.look("two")
            machine.a_handle_is_taken("two", "B")
        finally:
            machine.teardown()

    machine = TwoSessions()
    another_day()
    machine = TwoSessions()
    monkeypatch.setattr(Vault, "_follow", lambda self, keys: None)
    with pytest.raises(AssertionError):
        another_day()
