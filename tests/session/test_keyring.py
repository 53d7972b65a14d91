"""``session().vault``: keys are asked for, imported, replaced and bound, calls get them, and nothing gives one back."""

import contextlib
import getpass
import itertools
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyring as system_keyring
import pytest
from keyring.backend import KeyringBackend

from orchestrator_nb import Session, UserError
from orchestrator_nb.calls import Waiting
from orchestrator_nb.errors import ConfigError, VaultAuthError, VaultError, VaultLocked
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.keyring import Keyring
from orchestrator_nb.literals import looks_like_a_key
from orchestrator_nb.needles import needles
from orchestrator_nb.runs import Call
from orchestrator_nb.secret import Hidden
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.vault import sources, telling
from orchestrator_nb.vault.kdf import Pbkdf2
from orchestrator_nb.vault.vault import Fact, Vault

PASSWORD = "correct horse battery staple"
KEY = "sk-canary-7f3a9c41d2"
SETTINGS = "vault: {iterations: 100000}\n"


class Person:
    """Types at hidden prompts, as in a kernel: whatever asks for a password calls getpass."""

    def __init__(self):
        self.answers, self.prompts = [], []

    def types(self, *answers):
        self.answers += answers

    def __call__(self, prompt=""):
        self.prompts.append(prompt)
        answer = self.answers.pop(0)
        if isinstance(answer, type):
            raise answer
        return answer


@pytest.fixture
def person(monkeypatch):
    sitting = Person()

    def asked(prompt=""):
        return sitting(prompt)

    monkeypatch.setattr(getpass, "getpass", asked)
    yield sitting
    assert sitting.answers == []


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home/config").mkdir(parents=True)
    (tmp_path / "home/config/config.yaml").write_text(SETTINGS)
    return tmp_path / "home"


@pytest.fixture
def environ(home):
    return {"ORCHESTRATOR_NB_HOME": str(home)}


@pytest.fixture
def password_file(tmp_path, environ):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    environ["ORCHESTRATOR_NB_PASSWORD_FILE"] = str(path)
    return path


@pytest.fixture
def session(environ, tmp_path):
    with Session.open(cwd=tmp_path, environ=environ) as opened:
        yield opened


@pytest.fixture
def stocked(session, person):
    """With one key in its open vault."""
    person.types(PASSWORD, PASSWORD, KEY)
    session.vault.set("OPENAI_API_KEY")
    session.vault.notices  # noqa: B018  # read
    return session


# Making, opening, closing


def test_the_first_key_makes_the_vault(session, person, capsys):
    person.types(PASSWORD, PASSWORD, KEY)
    fact = session.vault.set("OPENAI_API_KEY")
    said = capsys.readouterr().out
    assert str(session.vault.vault.path) in said
    assert "four or five words" in said
    assert [prompt.split(" ")[0] for prompt in person.prompts] == ["New", "New", "Value"]
    assert telling.stored(fact) == f"OPENAI_API_KEY: fp:{fact.fp}, for https://api.openai.com:443 (openai)"
    assert session.vault.notices == ()


@pytest.mark.parametrize("answers", [("",), (PASSWORD, ""), (PASSWORD, PASSWORD + "!"), ("short",), (EOFError,)])
def test_nothing_is_made_when_the_password_is_not_given(session, person, answers):
    person.types(*answers)
    with pytest.raises(UserError):
        session.vault.set("OPENAI_API_KEY")
    assert session.vault.status().state == "none"


def test_an_interrupt_at_the_prompt_is_one_line(session, person):
    person.types(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as stopped:
        session.vault.unlock()
    assert stopped.value._render_traceback_() == [f"KeyboardInterrupt: {stopped.value}"]
    assert stopped.value.__context__ is None


def test_a_password_may_be_mistyped_twice(stocked, person):
    stocked.vault.lock()
    person.types("wrong", "wrong again", PASSWORD)
    stocked.vault.unlock()
    assert stocked.vault.status().state == "open"
    stocked.vault.unlock()  # asks nothing
    stocked.vault.lock()
    person.types("a", "b", "c")
    with pytest.raises(VaultAuthError):
        stocked.vault.unlock()


def test_a_name_without_an_address_is_refused_before_anything_is_asked(session, person):
    with pytest.raises(UserError, match="--origin"):
        session.vault.set("NOBODYS_KEY")
    with pytest.raises(ConfigError, match="unencrypted"):
        session.vault.set("NOBODYS_KEY", origins=["http://example.com"])
    assert person.prompts == []


# Values


@pytest.mark.parametrize("typed", [KEY, f"  {KEY}\n", f'"{KEY}"', f"'{KEY}'\r\n", f"\u200b{KEY}\xa0"])
def test_what_was_copied_along_is_left_out(stocked, person, typed):
    before = stocked.vault.list()[0]
    person.types(typed)
    assert stocked.vault.set("OPENAI_API_KEY").fp == before.fp
    notices = stocked.vault.notices
    assert ("the quotes around the value were left out." in notices) == (KEY + "'" in typed or KEY + '"' in typed)
    assert any("replaced" in notice for notice in notices)


@pytest.mark.parametrize("typed", ["two words", "schlüssel-0123456789", "a\nb-0123456789", "\udcff"])
def test_what_is_no_key_is_refused_and_not_shown(stocked, person, typed):
    person.types(typed)
    with pytest.raises(UserError, match="no key") as refused:
        stocked.vault.set("OPENAI_API_KEY")
    assert typed not in str(refused.value)
    assert len(stocked.vault.list()) == 1


def test_a_key_that_is_replaced_keeps_its_addresses(stocked, person):
    person.types(KEY, KEY + "2")
    stocked.vault.set("LAB_KEY", origins=["https://lab.example/v1", "http://127.0.0.1:4321"])
    fact = stocked.vault.set("LAB_KEY")
    assert fact.origins == ("http://127.0.0.1:4321", "https://lab.example:443")
    assert any(notice.startswith("LAB_KEY is replaced: it was fp:") for notice in stocked.vault.notices)


def test_other_addresses_want_the_password(stocked, person):
    assert stocked.vault.origins("OPENAI_API_KEY").origins == ("https://api.openai.com:443",)
    person.types("wrong", PASSWORD)
    assert stocked.vault.origins("OPENAI_API_KEY", "https://proxy.example").origins == ("https://proxy.example:443",)
    person.types(KEY + "2")
    stocked.vault.set("OPENAI_API_KEY")
    assert any("%vault origins OPENAI_API_KEY https://api.openai.com:443" in notice for notice in stocked.vault.notices)
    with pytest.raises(UserError, match="has no key 'OTHER'"):
        stocked.vault.origins("OTHER", "https://proxy.example")


def test_the_password_is_changed_by_who_knows_it(stocked, person):
    person.types(PASSWORD, PASSWORD + "!", PASSWORD + "!")
    stocked.vault.passwd()
    stocked.vault.lock()
    person.types(PASSWORD, PASSWORD + "!")
    stocked.vault.unlock()


@pytest.mark.parametrize(
    "word", ["sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x", "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q", "f3" * 16, 7]
)
def test_a_value_in_the_place_of_a_name_or_behind_it_is_refused(stocked, word):
    assert looks_like_a_key(word)
    for given in ([word], ["OPENAI_API_KEY", word]):
        with pytest.raises(UserError, match="asks for the value") as refused:
            stocked.vault.set(*given)
        assert str(word) not in str(refused.value) or word == 7
    for act in (stocked.vault.unlock, stocked.vault.init, stocked.vault.passwd):
        with pytest.raises(UserError, match="asks for the password"):
            act(word)
    assert not any(map(looks_like_a_key, ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY_2", "LAB_KEY", "ORG2_TEAM31_KEY")))


def frames_of(error):
    """What a debugger would see of ours: the locals of each frame in the package, with what they hold."""
    trace, seen = error.__traceback__, []
    while trace:
        code = trace.tb_frame.f_code
        if "orchestrator_nb" in Path(code.co_filename).parts:
            seen += [f"{code.co_name}: {view}" for value in trace.tb_frame.f_locals.values() for view in views(value)]
        trace = trace.tb_next
    return seen


def test_no_frame_of_an_error_holds_what_was_typed(stocked, person, environ, password_file, tmp_path):
    """The control is the last one: an error that is raised where a text stands in a frame."""
    odd = f"{KEY} {KEY}"
    password_file.write_text(f"\n{KEY}")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\0\n")
    acts = {
        "no key": lambda: person.types(odd) or stocked.vault.set("OPENAI_API_KEY"),
        "too short a password": lambda: (
            stocked.vault.lock() or person.types("aaaaaaaaaaaa") or stocked.vault.vault.create(Hidden(KEY))
        ),
        "wrong password": lambda: person.types(KEY, KEY, KEY) or stocked.vault.unlock(),
        "password file": lambda: sources.without_a_person(environ),
        "command": lambda: sources.without_a_person({"ORCHESTRATOR_NB_PASSWORD_COMMAND": f"cat {password_file}"}),
        "file": lambda: stocked.vault.import_file(".env"),
        "two that differ": lambda: person.types(KEY, KEY + "x") or sources.ask_twice("New: "),
    }
    del environ["ORCHESTRATOR_NB_PASSWORD_FILE"]
    for name, act in acts.items():
        if name == "password file":
            environ["ORCHESTRATOR_NB_PASSWORD_FILE"] = str(password_file)
        with pytest.raises((UserError, VaultError)) as raised:
            act()
        person.answers.clear()
        environ.pop("ORCHESTRATOR_NB_PASSWORD_FILE", None)
        seen = frames_of(raised.value)
        assert seen, name
        assert [view for view in seen if holds(view) and "environ" not in view] == [], name
    with pytest.raises(UserError) as control:
        stocked.vault.set("OPENAI_API_KEY", KEY)
    assert any(
        holds(view) for view in frames_of(control.value)
    )  # outside a notebook the caller's argument is beyond our reach


# Importing


def test_keys_are_imported_from_the_environment_and_told_where_they_still_stand(environ, password_file, tmp_path):
    environ |= {"OPENAI_API_KEY": KEY, "MISTRAL_API_KEY": f"{KEY}m", "PATH_TO_X": "no"}
    (tmp_path / ".env").write_text(f"A=1\nexport OPENAI_API_KEY='{KEY}'\n")
    with Session.open(cwd=tmp_path, environ=environ) as session:
        found = session.vault.import_env()
        assert {fact.name for fact in found.stored} == {"OPENAI_API_KEY", "MISTRAL_API_KEY"}
        assert f"OPENAI_API_KEY in {tmp_path / '.env'}, line 2 and in the environment of this process" in found.left
        again = session.vault.import_env("OPENAI_API_KEY", "GROQ_API_KEY")
        assert again.stored == ()
        assert "which stays" in again.refused["OPENAI_API_KEY"]
        assert again.refused["GROQ_API_KEY"] == "it is not in the environment."
    assert (tmp_path / ".env").read_text() == f"A=1\nexport OPENAI_API_KEY='{KEY}'\n"
    assert environ["OPENAI_API_KEY"] == KEY


def test_keys_are_imported_from_a_file_and_others_are_ignored(environ, password_file, tmp_path):
    (tmp_path / "keys.env").write_text(
        f'OPENAI_API_KEY="{KEY}"\nMISTRAL_API_KEY=$(steal)\nDEEPSEEK_API_KEY=a b\nFOO={KEY}x\nBAR=1\n'
    )
    with Session.open(cwd=tmp_path, environ=environ) as session:
        found = session.vault.import_file("keys.env")
        assert [fact.name for fact in found.stored] == ["OPENAI_API_KEY"]
        assert found.refused.keys() == {"MISTRAL_API_KEY", "DEEPSEEK_API_KEY"}
        assert found.others == 2
        assert any("2 other variables in" in line for line in found.lines())
        assert "--origin" in session.vault.import_file("keys.env", "FOO").refused["FOO"]
        (tmp_path / "other.env").write_text("FOO=1\n")
        with pytest.raises(UserError, match="none of the keys"):
            session.vault.import_file("other.env")


class Drawer(KeyringBackend):
    """A system's keyring, kept in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.held = {}

    def get_password(self, service, username):
        return self.held.get((service, username))

    def set_password(self, service, username, password):
        self.held[service, username] = password

    def delete_password(self, service, username):
        del self.held[service, username]


class Broken(Drawer):
    def get_password(self, service, username):
        raise RuntimeError(KEY)


def test_keys_are_imported_from_the_systems_keyring(environ, password_file, tmp_path):
    before = system_keyring.get_keyring()
    try:
        system_keyring.set_keyring(Drawer())
        system_keyring.set_password("orchestrator-nb", "OPENAI_API_KEY", KEY)
        system_keyring.set_password("lab", "MISTRAL_API_KEY", KEY)
        with Session.open(cwd=tmp_path, environ=environ) as session:
            assert [fact.name for fact in session.vault.import_keyring().stored] == ["OPENAI_API_KEY"]
            found = session.vault.import_keyring("MISTRAL_API_KEY", service="lab")
            assert found.left == ("MISTRAL_API_KEY in the system's keyring (lab)",)
            system_keyring.set_keyring(Broken())
            with pytest.raises(VaultError, match="did not answer") as refused:
                session.vault.import_keyring()
            assert refused.value.__context__ is None
    finally:
        system_keyring.set_keyring(before)


# Without a person


def test_a_file_opens_the_vault_and_a_wrong_one_says_where_it_came_from(environ, password_file, tmp_path):
    environ["OPENAI_API_KEY"] = KEY
    with Session.open(cwd=tmp_path, environ=environ) as session:
        session.vault.import_env()
        session.vault.lock()
        session.vault.unlock()
        session.vault.lock()
        password_file.write_text("another password")
        with pytest.raises(VaultAuthError, match=r"came from ORCHESTRATOR_NB_PASSWORD_FILE\."):
            session.vault.unlock()
        password_file.chmod(0o640)
        with pytest.raises(VaultError, match=f"chmod 600 '{password_file}'"):
            session.vault.unlock()
        assert {check.text for check in session.doctor() if check.ok is False} >= {
            f"ORCHESTRATOR_NB_PASSWORD_FILE: others may read {password_file}; run: chmod 600 '{password_file}'"
        }


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (f"printf '{PASSWORD}\\n2nd line'", None),
        ("false", r"ended with 1; it is run without a shell: no \|, >, ~ or \$\. Run it in a terminal"),
        ("printf ''", "is empty"),
        ("sleep 5", "took longer than 0.5 s"),
        ("no-such-command-here", "cannot be run"),
        ("'open quote", "cannot be run"),
        (" ", "cannot be run"),
    ],
)
def test_a_command_gives_the_password_or_says_what_to_mend(command, problem, monkeypatch):
    assert sources.COMMAND_WAIT_S == 60
    monkeypatch.setattr(sources, "COMMAND_WAIT_S", 0.5)
    environ = {"ORCHESTRATOR_NB_PASSWORD_COMMAND": command}
    if problem is None:
        assert sources.without_a_person(environ) == Hidden(PASSWORD)
        assert sources.problem(environ) is None
        return
    with pytest.raises(VaultError, match=problem) as refused:
        sources.without_a_person(environ)
    assert refused.value.__context__ is None


def test_no_shell_reads_the_command(tmp_path):
    with pytest.raises(VaultError):
        sources.without_a_person({"ORCHESTRATOR_NB_PASSWORD_COMMAND": f"false; touch {tmp_path}/pwned"})
    found = sources.without_a_person({"ORCHESTRATOR_NB_PASSWORD_COMMAND": "echo $HOME `id`"})
    assert found == Hidden("$HOME `id`")
    assert not (tmp_path / "pwned").exists()


def test_where_nobody_can_be_asked_a_sentence_says_what_helps(session):
    for act in (session.vault.unlock, session.vault.init):
        with pytest.raises(VaultLocked, match="ORCHESTRATOR_NB_PASSWORD_FILE"):
            act()
    assert ThreadPoolExecutor(1).submit(sources.somebody_is_there).result() is False


def test_settings_count_from_the_next_unlocking(stocked, person):
    for key, value in {"vault.iterations": "200000", "vault.idle_s": "60"}.items():
        stocked.use(stocked.config.set_user(key, value))
    assert stocked.vault.status().idle_left_s > 60
    stocked.vault.lock()
    person.types(PASSWORD)
    stocked.vault.unlock()
    assert stocked.vault.status().idle_left_s <= 60
    assert stocked.vault.status().kdf == Pbkdf2(200_000)
    assert any("200,000" in notice for notice in stocked.vault.notices)


# What is told


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (899.9, "15 min"), (3_600, "1 h"), (28_740, "7 h 59 min"), (90_000, "1 day 1 h"), (260_000, "3 days")],
)  # fmt: skip
def test_times_are_told_in_words(seconds, said):
    assert telling.span(seconds, parts=1 if seconds > 100_000 else 2) == said


def test_ages_are_told_in_words():
    fact = Fact("K", "", (), "0" * 8, 0.0, 1_000.0)
    assert telling.age(fact, 1_030) == "set just now"
    assert telling.age(fact, 1_000 + 3 * 86_400 + 7_200) == "set 3 days ago"


def test_the_doctor_tells_where_each_key_comes_from_and_asks_nothing(stocked, person, environ):
    environ["MISTRAL_API_KEY"] = KEY
    asked = len(person.prompts)
    fp = stocked.vault.list()[0].fp

    def of(vendor):
        return next(check.text for check in stocked.doctor() if check.name == vendor)

    assert f"OPENAI_API_KEY from the vault (fp:{fp})" in of("openai")
    assert of("mistral").endswith("MISTRAL_API_KEY from the environment")
    assert of("groq").endswith("GROQ_API_KEY is missing: %vault set GROQ_API_KEY")
    stocked.vault.lock()
    assert "locked and may have it" in of("openai")
    assert "unless the locked vault has one" in of("mistral")
    stocked.vault.vault.path.chmod(0o644)
    assert "chmod 600" in of("vault")
    assert len(person.prompts) == asked


# What a newcomer meets


def another(session):
    """The same vault, as another kernel has it."""
    return Vault(session.vault.vault.path, state=session.config.paths.state, kdf=Pbkdf2(100_000))


def test_a_password_changed_elsewhere_is_asked_for_everywhere(lab, stocked, person):
    person.types(KEY)
    stocked.vault.set("LAB_KEY")
    acts = (
        stocked.vault.list,
        stocked.vault.unlock,
        lambda: stocked.ask("Hi", "lab/local-model"),
        lambda: stocked.vault.remove("LAB_KEY"),
    )
    for number, act in enumerate(acts):
        old, new = (PASSWORD + "!" * count for count in (number, number + 1))
        another(stocked).change_password(Hidden(old), Hidden(new))
        assert "locked" in stocked.vault.about()[0]
        person.types(new)
        act()
        assert person.prompts[-1] == "The password of the vault 'default' was changed elsewhere. New password: "


def test_the_file_is_looked_at_before_a_password_is_asked_for(stocked, person):
    path, asked = stocked.vault.vault.path, len(person.prompts)
    stocked.vault.lock()
    path.chmod(0o644)
    for act in (stocked.vault.unlock, stocked.vault.list, stocked.vault.passwd):
        with pytest.raises(VaultError, match="chmod 600"):
            act()
    path.chmod(0o600)
    path.write_text("no vault")
    with pytest.raises(VaultError, match=r"it is not a vault; default\.onbv\.1 of .* stands beside it: cp -p"):
        stocked.vault.unlock()
    assert len(person.prompts) == asked


def test_three_wrong_passwords_say_what_is_left_to_do(stocked, person):
    assert any("backups    default.onbv.1 of" in line for line in stocked.vault.about())
    stocked.vault.lock()
    person.types("a", "b", "c")
    with pytest.raises(VaultAuthError) as told:
        stocked.vault.unlock()
    assert str(told.value) == "cannot open the vault: wrong password, or the file was altered."
    [notice] = stocked.vault.notices
    assert "move default.onbv away" in notice
    assert "default.onbv.1 of" in notice


def test_of_two_names_for_one_key_it_is_told_which_is_used(stocked, person):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        person.types(KEY)
        assert stocked.vault.set(name).vendor in {"gemini", "anthropic"}
    assert stocked.vault.about()[-1].strip() == "GOOGLE_API_KEY is used before GEMINI_API_KEY"


def test_a_name_that_is_nearly_right_and_a_value_of_another_vendor_are_told(stocked, person):
    with pytest.raises(UserError, match=r"did you mean OPENAI_API_KEY\? Else say where it may go"):
        stocked.vault.set("OPEN_AI_KEY")
    with pytest.raises(UserError, match=r"--origin: 'router\.huggingface\.co' lacks https://"):
        stocked.vault.set("HF_TOKEN", origins=["router.huggingface.co"])
    person.types("sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8xYz")
    stocked.vault.set("OPENAI_API_KEY")
    assert "the value looks like an Anthropic key: is OPENAI_API_KEY the right name for it?" in stocked.vault.notices
    person.types("sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz")
    stocked.vault.set("OPENAI_API_KEY")
    assert not any("looks like" in notice for notice in stocked.vault.notices)


@pytest.mark.parametrize("answer", ["", KeyboardInterrupt])
def test_a_vault_without_its_first_key_is_told(session, person, answer):
    person.types(PASSWORD, PASSWORD, answer)
    with pytest.raises((UserError, KeyboardInterrupt), match="the vault is made, no key is in it yet"):
        session.vault.set("OPENAI_API_KEY")
    assert session.vault.status().state == "open"


def test_origins_asks_once_where_the_vault_is_locked(stocked, person):
    stocked.vault.lock()
    asked = len(person.prompts)
    person.types(PASSWORD)
    stocked.vault.origins("OPENAI_API_KEY", "https://proxy.example")
    assert len(person.prompts) == asked + 1


def test_a_thread_says_that_it_cannot_ask(stocked):
    stocked.vault.lock()
    with pytest.raises(VaultLocked, match="a thread cannot ask: run %vault unlock in a cell first"):
        ThreadPoolExecutor(1).submit(stocked.vault.unlock).result()


def test_an_import_replaces_binds_and_names_what_it_left(environ, password_file, tmp_path):
    env = tmp_path / "keys.env"
    env.write_text(f"OPENAI_API_KEY={KEY}\nodd\nHF_TOKEN={KEY}h\nA=1\nB=2\nC='{KEY}\n")
    with Session.open(cwd=tmp_path, environ=environ) as session:
        lines = session.vault.import_file("keys.env").lines()
        assert any(f"{env}: line 2 was passed over: it is no NAME=value." in line for line in lines)
        assert any("from line 6 on nothing was read" in line for line in lines)
        assert any("4 other variables" in line and "like a key: HF_TOKEN;" in line for line in lines)
        assert lines[-1].endswith(f"onb scrub {env}")
        first = session.vault.list()[0].fp
        env.write_text(f"OPENAI_API_KEY={KEY}2\nHF_TOKEN={KEY}h\n")
        assert "--replace" in session.vault.import_file("keys.env").refused["OPENAI_API_KEY"]
        [fact] = session.vault.import_file("keys.env", replace=True).stored
        assert fact.fp != first
        [fact] = session.vault.import_file("keys.env", "HF_TOKEN", origins=["https://router.example/v1"]).stored
        assert fact.origins == ("https://router.example:443",)
        with pytest.raises(UserError, match="name the keys"):
            session.vault.import_file("keys.env", origins=["https://router.example/v1"])


def test_a_refused_key_and_one_bound_elsewhere_say_what_to_do(lab, stocked, person):
    person.types(KEY + "wrong")
    fact = stocked.vault.set("LAB_KEY")
    answers = stocked.compare("Hi", ["lab/local-model"])
    assert f"LAB_KEY (fp:{fact.fp}, from the vault) was refused; %vault set LAB_KEY replaces it." in answers["error"][0]
    with pytest.raises(VaultError, match=r"if that address is yours: %vault origins LAB_KEY https://b\.example:443"):
        stocked.vault.vault.secret("LAB_KEY", "lab").release("https://b.example:443")


# Calls


@pytest.fixture
def lab(home):
    with Simulator(key=KEY) as simulator:
        lab = "kind: openai-compatible, api_key_name: LAB_KEY, models: [{name: local-model}]"
        other = "kind: openai-compatible, api_key_name: OTHER_KEY, models: [{name: local-model}]"
        url = simulator.url("compat")
        (home / "config/models.yaml").write_text(
            f"lab: {{{lab}, base_url: '{url}'}}\nother: {{{other}, base_url: '{url}'}}\n"
        )
        yield simulator


def test_every_call_that_needs_the_locked_vault_asks_once_and_goes_on(lab, session, person):
    person.types(PASSWORD, PASSWORD, KEY)
    session.vault.set("LAB_KEY")
    model = "lab/local-model"
    acts = (
        lambda: session.ask("Hi", model),
        lambda: session.compare(["Hi", "Ho"], [model], repeat=3),
        lambda: list(session.stream("Hi", model)),
        lambda: session.list_models("lab"),
        lambda: session.count_tokens("Hi", model),
    )
    for act in acts:
        session.vault.lock()
        before = len(person.prompts)
        person.types(PASSWORD)
        with contextlib.suppress(UserError):
            act()
        assert len(person.prompts) == before + 1
        assert person.answers == []


def test_a_cancelled_prompt_sends_nothing(lab, session, person):
    person.types(PASSWORD, PASSWORD, KEY)
    session.vault.set("LAB_KEY")
    session.vault.lock()
    for answer, error in {"": VaultLocked, EOFError: VaultLocked, KeyboardInterrupt: KeyboardInterrupt}.items():
        person.types(answer)
        with pytest.raises(error, match="nothing was sent"):
            session.ask("Hi", "lab/local-model")
    assert lab.requests == ()


def test_without_a_person_the_environments_key_is_used_and_told_and_without_one_nothing_is_sent(
    lab, environ, home, tmp_path
):
    environ["OTHER_KEY"] = KEY
    with Session.open(cwd=tmp_path, environ=environ) as session:
        session.vault.vault.create(Hidden(PASSWORD))
        session.vault.lock()
        assert session.ask("Hi", "other/local-model").text
        assert "the vault is locked; OTHER_KEY came from the environment." in session.last.notices
        with pytest.raises(VaultLocked, match="nobody can be asked"):
            session.ask("Hi", "lab/local-model")
        frame = session.compare("Hi", ["lab/local-model", "other/local-model"])
        assert frame["error_kind"].fillna("").tolist() == ["locked", ""]
        assert "%vault unlock" in frame.llm.errors["what_to_do"].iloc[0]
    assert len(lab.requests) == 2


def test_what_unlocking_has_to_tell_stands_under_the_run(lab, session, person):
    person.types("twelve signs", "twelve signs", KEY)
    session.vault.set("LAB_KEY")
    session.ask("Hi", "lab/local-model")
    assert any("password of 12 signs" in notice for notice in session.last.notices)


class Moved(SystemClock):
    """A clock that can be put forward."""

    hours = 0

    def wall(self):
        return super().wall() + 3_600 * self.hours


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_without_a_person_that_outlives_its_keys_goes_on_by_its_command(lab, environ, tmp_path, fails):
    """Or fails, when the command does, and does not try it for each of a thousand calls."""
    script, clock = tmp_path / "password.sh", Moved()
    script.write_text(f"echo asked >> {tmp_path}/asked\ntest ! -e {tmp_path}/gone && echo {PASSWORD}\n")
    environ |= {"ORCHESTRATOR_NB_PASSWORD_COMMAND": f"sh {script}", "LAB_KEY": KEY}
    lab.say("slow", "done", delay=0.05)

    def nine_hours_later(_index, news):
        if isinstance(news, Call):
            clock.hours = 9
            (tmp_path / "gone").touch() if fails else None

    with Session.open(cwd=tmp_path, environ=environ, clock=clock) as session:
        session.vault.import_env("LAB_KEY")
        plan = session.plan("slow", ["lab/local-model"], repeat=20)
        run = session.run(plan, parallel=2, progress=nine_hours_later)
    kinds = [call.error.kind if call.error else "" for call in run.calls]
    assert kinds == ([""] * 2 + ["vault"] * 18 if fails else [""] * 20)
    assert (tmp_path / "asked").read_text().count("asked") <= 3
    assert len(lab.requests) == (2 if fails else 20)


def test_a_profile_that_is_left_locks_its_vault_and_its_waiting_calls_do_not_hang(lab, home, person, tmp_path, environ):
    (home / "config/config.yaml").write_text(SETTINGS + "profiles: {work: {}}\n")
    clock = Moved()
    lab.say("slow", "done", delay=0.1)
    with Session.open(cwd=tmp_path, environ=environ, clock=clock) as session:
        person.types(PASSWORD, PASSWORD, KEY)
        session.vault.set("LAB_KEY")
        left = session.vault.vault
        waits = threading.Event()

        def watch(_index, news):
            if isinstance(news, Call):
                clock.hours = 9
            elif isinstance(news, Waiting) and news.reason == "needs unlock":
                waits.set()

        job = session.start(session.plan("slow", ["lab/local-model"], repeat=6), parallel=2, progress=watch)
        assert waits.wait(10)
        with Session.open(cwd=tmp_path, environ=environ, profile="work") as other:
            session.use(other.config)
        assert not left.is_open
        assert job.wait(10)
        assert {call.error.kind for call in job.run.calls if call.error} == {"locked"}
        assert session.vault.status().state == "none"


# There is no way to get a value out


def test_nothing_public_gives_a_value(lab, stocked, person, capfd, tmp_path, home):
    """Every public name of the vault and its keyring is called, or looked at, with a key in it; what is new must be put into this list."""
    vault, keys = stocked.vault.vault, stocked.vault
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-other\n")
    acts = {
        Keyring: {
            "status": keys.status, "list": keys.list, "notices": lambda: keys.notices, "unlock": keys.unlock,
            "unlock_unattended": keys.unlock_unattended, "open": keys.open, "names": keys.names, "known_names": keys.known_names,
            "set": lambda: person.types(KEY) or keys.set("OPENAI_API_KEY"),
            "origins": lambda: keys.origins("OPENAI_API_KEY"), "origins_for": lambda: keys.origins_for("OPENAI_API_KEY"),
            "vendor_of": lambda: keys.vendor_of("OPENAI_API_KEY"), "import_file": lambda: keys.import_file(".env"),
            "import_env": lambda: keys.import_env("OPENAI_API_KEY"), "import_keyring": lambda: refused(keys.import_keyring, "A_KEY", service="x"),
            "passwd": lambda: person.types(PASSWORD, PASSWORD, PASSWORD) or keys.passwd(),
            "init": lambda: refused(keys.init), "remove": lambda: refused(keys.remove, "NONE"),
            "about": keys.about, "ready": lambda: keys.ready([], bool), "reopen": keys.reopen, "lock": lambda: keys.lock() or person.types(PASSWORD) or keys.unlock(),
        },
        Vault: {
            "forms": lambda: vault.forms, "prove": lambda: vault.prove(Hidden(PASSWORD)), "exists": lambda: vault.exists, "still_open": vault.still_open, "changed": lambda: vault.changed, "is_open": lambda: vault.is_open, "status": vault.status, "facts": vault.facts,
            "knows": lambda: vault.knows("OPENAI_API_KEY"), "create": lambda: refused(vault.create, Hidden(PASSWORD)),
            "unlock": lambda: vault.unlock(Hidden(PASSWORD)), "when_open": lambda: vault.when_open(list),
            "put": lambda: vault.put("OTHER_KEY", "", Hidden(KEY), ["https://a.example:443"]),
            "remove": lambda: vault.remove("OTHER_KEY"), "bind": lambda: vault.bind("OPENAI_API_KEY", ["https://a.example:443"], Hidden(PASSWORD)),
            "change_password": lambda: vault.change_password(Hidden(PASSWORD), Hidden(PASSWORD)),
            "secret": lambda: vault.secret("OPENAI_API_KEY", "openai"), "lease": lambda: vault.lease(["OPENAI_API_KEY"]).__enter__(),
            "lock": lambda: vault.lock() or vault.unlock(Hidden(PASSWORD)),
        },
    }  # fmt: skip
    hits = []
    for owner, walked in acts.items():
        assert {name for name in vars(owner) if not name.startswith("_")} == walked.keys()
        for name, act in walked.items():
            hits += [f"{owner.__name__}.{name}" for view in views(act()) if holds(view)]
    said = capfd.readouterr()
    hits += [name for name, text in {"stdout": said.out, "stderr": said.err}.items() if holds(text)]
    hits += [path.name for path in home.rglob("*") if path.is_file() and holds(path.read_bytes().decode("latin-1"))]
    assert hits == []
    assert sum(map(len, acts.values())) >= 36


def test_the_walk_finds_a_vault_that_reveals(stocked, tmp_path):
    def reveal():
        return {"value": [stocked.vault.vault.secret("OPENAI_API_KEY", "").release("https://api.openai.com:443")]}

    assert any(holds(view) for view in views(reveal()))


def refused(act, *args, **how):
    try:
        return act(*args, **how)
    except (UserError, VaultError) as error:
        return error


def views(value):
    """How one may look at a value: shown, listed, spelled out, pickled."""
    yield from (repr(value), str(value), f"{value}", repr(dir(value)))
    parts = value if isinstance(value, (tuple, list, set, frozenset)) else [value]
    for part in itertools.chain(parts, *[getattr(part, "__dict__", {}).values() for part in parts]):
        yield repr(part)
        yield repr([getattr(part, name, None) for name in getattr(type(part), "__slots__", ())])
    with contextlib.suppress(Exception):
        yield json.dumps(value, default=str)
    with contextlib.suppress(Exception):
        yield pickle.dumps(value).decode("latin-1")


def holds(text):
    return any(needle in text for needle in needles(KEY))
