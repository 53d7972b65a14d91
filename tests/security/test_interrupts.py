"""Interrupted, or failing, at any line of our code while a password is typed, a vault opened, a key set or sent: no frame of the error holds the password or the key.

A tracer raises at the n-th line that runs, for every n; the frames are searched as a debugger would show them. Make test takes some of them, evenly spread, make soak all.
"""

import builtins
import contextlib
import getpass
import linecache
import os
import secrets
import sys
import traceback
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import orchestrator_nb
from orchestrator_nb import Session, sessions
from orchestrator_nb.cli import main
from orchestrator_nb.magics.extension import load, unload
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))
from probe import chain, deep, needles

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # also destructors are interrupted here
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

HOME = str(Path(orchestrator_nb.__file__).parent)


class Trip:
    """Raises ``error`` at the n-th line of ours, on the thread that it is set for.

    A tracer could also raise where a ``with`` lets go of its lock, which no interrupt can: Python looks for one after a call, and by then the lock is free.
    """

    def __init__(self, at, error):
        self.at, self.error, self.seen, self.where = at, error, 0, ""
        self.inside = set()

    def __call__(self, frame, _event, _argument):
        return self.line if frame.f_code.co_filename.startswith(HOME) else None

    def line(self, frame, event, _argument):
        if event == "line" and not self.leaves(frame):
            self.seen += 1
            if self.seen == self.at:
                sys.settrace(None)
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise self.error
        return self.line

    def leaves(self, frame):
        """Whether this line is a ``with`` that was entered before."""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if not line.startswith(("with ", "async with ")):
            return False
        place = frame, frame.f_lineno
        left = place in self.inside
        self.inside ^= {place}
        return left

    @contextlib.contextmanager
    def set(self):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(before)


def holders(error, values):
    """The frames of ours, of Python and of libraries on the error and its causes that hold one of the values."""
    found, told = [], [needle for value in values for needle in needles(value)]
    for link in chain(error):
        for frame, _line in traceback.walk_tb(link.__traceback__):
            code = frame.f_code
            if code.co_filename == __file__:
                continue
            for name, local in frame.f_locals.items():
                text = repr(local) + "\n".join(deep(local, 5))
                if any(needle in text for needle in told):
                    found.append((Path(code.co_filename).name, code.co_name, name))
    return found


class Owner:
    """A session whose vault is at hand, and a person who answers its prompts."""

    def __init__(self, folder, simulator, monkeypatch):
        self.key, self.password = simulator.key, f"correct {secrets.token_hex(8)} horse"
        (folder / "config").mkdir()
        (folder / "config" / "config.yaml").write_text("limits: {attempts: 1}\nvault: {iterations: 100000}\n")
        vendor = f"lab: {{kind: openai-compatible, base_url: '{simulator.far.url('compat')}', api_key_name: LAB_KEY}}"
        (folder / "config" / "models.yaml").write_text(vendor)
        self.answers = []
        monkeypatch.setattr(getpass, "getpass", self.answer)
        self.session = Session.open(home=folder, cwd=folder, environ={})
        self.keyring = self.session.vault
        self.keyring.vault.create(Hidden(self.password))
        self.keyring.vault.put("LAB_KEY", "lab", Hidden(self.key), self.keyring.origins_for("LAB_KEY"))

    def answer(self, _prompt=""):
        return self.answers.pop(0)

    answer.__module__ = "a kernel"

    def lock(self):
        self.keyring.lock()
        self.answers[:] = []

    def unlock(self):
        self.answers[:] = [self.password] * 3
        self.keyring.unlock()

    def set(self):
        self.answers[:] = [self.key] * 2
        self.keyring.set("LAB_KEY")

    def passwd(self):
        self.answers[:] = [self.password] * 5
        self.keyring.passwd()

    def ask(self):
        self.session.ask("Hello", "lab/openai/gpt-oss-120b")


class Lab:
    def __init__(self, far, key):
        self.far, self.key = far, key


@pytest.fixture
def owner(tmp_path, monkeypatch):
    key = f"cn.{secrets.token_hex(10)}+/9="
    with Simulator(key=key) as far:
        one = Owner(tmp_path, Lab(far, key), monkeypatch)
        with one.session:
            yield one


def tripped(owner, act, at, error):
    """The error, if the n-th line was reached, and where that was."""
    trip = Trip(at, error)
    try:
        with trip.set():
            act()
    except BaseException as raised:  # noqa: BLE001 - it is what is looked at
        return trip, raised
    return trip, None


def lines_of(owner, act):
    return tripped(owner, act, -1, None)[0].seen


ACTS = {"unlock": ["lock"], "set": [], "passwd": [], "ask": []}


def every_trip(owner, name, most=None, error=KeyboardInterrupt):
    """Places at which to fail, evenly spread where there may not be all, and what was found there."""
    act, before = getattr(owner, name), [getattr(owner, each) for each in ACTS[name]]
    for each in before:
        each()
    count = lines_of(owner, act)
    found, raised = [], 0
    for at in range(1, count + 1, max(1, count // most) if most else 1):
        if not owner.keyring.vault.is_open:
            owner.unlock()
        for each in before:
            each()
        trip, seen = tripped(owner, act, at, error)
        if seen is not None:
            raised += 1
            found += [(trip.where, *holder) for holder in holders(seen, [owner.key, owner.password])]
    return count, raised, found


@pytest.mark.parametrize("name", ACTS)
def test_an_interrupt_at_any_line_leaves_no_password_and_no_key_in_a_frame(owner, name):
    _, raised, found = every_trip(owner, name, most=14)
    assert found == []
    assert raised > 5


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, MemoryError])
@pytest.mark.parametrize("name", ACTS)
def test_an_interrupt_or_a_bug_at_every_line_leaves_nothing_in_a_frame(owner, name, error):
    count, raised, found = every_trip(owner, name, error=error)
    print(f"\n{name}, {error.__name__}: {count} lines, {raised} errors, {len(found)} frames with a value")  # noqa: T201
    assert found == []


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A shell beside a project that asks for trust, in a process whose environment has a key."""
    key = f"cn.{secrets.token_hex(10)}+/9="
    for name, value in {"ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), "OPENAI_API_KEY": key}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "project").mkdir()
    (tmp_path / "project/orchestrator-nb.yaml").write_text("limits: {parallel: 3}\n")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(sessions, "_notebook", None)
    made = InteractiveShell()
    load(made)
    yield made, key
    unload(made)


def asked(_question):
    raise KeyboardInterrupt


LINES = {
    "trust": lambda made: made.run_line_magic("llm", "trust"),
    "trust --forget": lambda made: made.run_line_magic("llm", "trust --forget"),
    "scan": lambda made: made.run_line_magic("llm", "scan"),
    "profile": lambda made: made.run_line_magic("llm", "config profile none"),
    "onb trust": lambda _: main(["trust"], standalone_mode=False),
    "onb scan": lambda _: main(["scan"], standalone_mode=False),
    "open": lambda _: Session.open(),
}


@pytest.mark.parametrize("name", LINES)
def test_an_interrupt_at_a_question_or_at_any_line_shows_nothing_of_the_environment(notebook, name, monkeypatch):
    made, key = notebook
    monkeypatch.setattr(builtins, "input", asked)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    trip, error = tripped(made, lambda: LINES[name](made), -1, None)
    found = holders(error, [key]) if error else []
    for at in range(1, trip.seen, max(1, trip.seen // 14)):
        trip, error = tripped(made, lambda: LINES[name](made), at, KeyboardInterrupt)
        found += [(trip.where, *holder) for holder in holders(error, [key])]
    assert found == []


def test_the_search_finds_an_environment_in_a_frame(notebook):
    """The control: a function that takes it as it is."""
    naive = {}
    exec(compile("def ask(environ):\n    raise KeyboardInterrupt\n", "naive.py", "exec"), naive)

    _, raised = tripped(None, lambda: naive["ask"](os.environ), -1, None)
    assert ("naive.py", "ask", "environ") in holders(raised, [notebook[1]])


def test_the_search_finds_a_password_that_is_passed_as_text(owner, monkeypatch):
    """The control: the same vault with a plain argument."""

    naive, code = {}, "def spelled(password):\n    raise KeyboardInterrupt(len(password))\n"
    exec(compile(code, "naive.py", "exec"), naive)

    def unlock(_vault, password):
        naive["spelled"](password.use(lambda typed: typed.decode()))

    monkeypatch.setattr(type(owner.keyring.vault), "unlock", unlock)
    owner.lock()
    _, raised = tripped(owner, owner.unlock, -1, None)
    assert ("naive.py", "spelled", "password") in holders(raised, [owner.password])
