"""``%vault`` in shells and real kernels: it asks, hidden; what was typed too early is taken out; calls ask for the password by themselves, also in the middle of a run."""

import getpass
import os
import sys
import time

import nbformat
import pexpect
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient
from traitlets.config import Config

from orchestrator_nb import Session
from orchestrator_nb import sessions as module
from orchestrator_nb.magics.complete import Known, suggest
from orchestrator_nb.magics.extension import load, unload
from orchestrator_nb.magics.manual import COMMANDS, VAULT
from orchestrator_nb.needles import needles
from orchestrator_nb.simulator import Simulator

PASSWORD = "correct horse battery staple"
KEY = "sk-canary-7f3a9c41d2"
TYPED = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz"


def furnish(folder, simulator):
    """A home with cheap sealing, and a vendor whose server is the simulator, played as a real one."""
    config = folder / "home" / "config"
    config.mkdir(parents=True)
    (config / "config.yaml").write_text("vault: {iterations: 100000}\n")
    (config / "models.yaml").write_text(
        f"lab: {{kind: openai-compatible, base_url: '{simulator.url('compat')}', api_key_name: LAB_KEY, models: [{{name: local-model}}]}}\n"
    )


# The words, in a shell


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell with a vault that has one key; ``answers`` are typed at its prompts."""
    answers = []

    def asked(prompt=""):
        return answers.pop(0)

    monkeypatch.setattr(getpass, "getpass", asked)
    with Simulator(key=KEY) as simulator:
        furnish(tmp_path, simulator)
        environ = {"ORCHESTRATOR_NB_HOME": str(tmp_path / "home")}
        with Session.open(cwd=tmp_path, environ=environ) as own:
            monkeypatch.setattr(module, "session", lambda: own)
            InteractiveShell.clear_instance()
            made = InteractiveShell.instance(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
            load(made)
            made.answers, made.session = answers, own
            answers += [PASSWORD, PASSWORD, KEY]
            made.run_line_magic("vault", "set LAB_KEY")
            yield made
            unload(made)
            InteractiveShell.clear_instance()
    assert answers == []


def said(shell, line, *answers):
    """What a cell prints, with its error."""
    shell.answers += answers
    with capture_output() as captured:
        result = shell.run_cell(line, store_history=True)
    error = result.error_in_exec
    return captured.stdout + captured.stderr + (str(error) if error else "")


def test_each_word_says_what_it_did(shell):
    assert "is open" in said(shell, "%vault")
    assert "LAB_KEY  lab  fp:" in said(shell, "%vault status")
    assert "locks      after 15 min without use, in 8 h in any case" in said(shell, "%vault")
    assert "OPENAI_API_KEY: fp:" in said(shell, "%vault set OPENAI_API_KEY", KEY)
    assert "is replaced, by the same value" in said(shell, "%vault set OPENAI_API_KEY", KEY)
    assert "for https://lab.example:443" in said(shell, "%vault set A_KEY --origin https://lab.example/v1", KEY)
    assert "https://other.example:443" in said(shell, "%vault origins A_KEY https://other.example", PASSWORD)
    assert "https://other.example:443" in said(shell, "%vault origins A_KEY")
    assert "A_KEY is removed" in said(shell, "%vault remove A_KEY")
    assert "has no key 'A_KEY'; it has: LAB_KEY, OPENAI_API_KEY" in said(shell, "%vault remove A_KEY")
    assert "backups under the old one are deleted" in said(shell, "%vault passwd", PASSWORD, PASSWORD, PASSWORD)
    assert "locked" in said(shell, "%vault lock")
    assert "is locked" in said(shell, "%vault")
    assert "open; it locks" in said(shell, "%vault unlock", PASSWORD)
    assert "open already" in said(shell, "%vault unlock")
    assert "is open" in said(shell, "%llm vault")
    assert "open already" in said(shell, "%onb vault unlock")
    assert "there is a vault already" in said(shell, "%vault init")
    assert "%vault set NAME" in said(shell, "%vault help")


def test_it_can_be_locked_whatever_became_of_the_settings(shell, tmp_path):
    (tmp_path / "home/config/config.yaml").write_text("vault: {idle_s: soon}\n")
    assert "config.yaml" in said(shell, "%vault")
    assert "locked; keys and values are wiped" in said(shell, "%vault lock")
    assert not shell.session.vault.vault.is_open


def test_list_is_a_frame_without_values(shell):
    frame = shell.run_line_magic("vault", "list")
    assert frame.columns.tolist() == ["name", "vendor", "origins", "fingerprint", "created", "rotated"]
    assert frame["name"].tolist() == ["LAB_KEY"]
    said(shell, "%vault remove LAB_KEY")
    empty = shell.run_line_magic("vault", "list")
    assert (len(empty), empty["created"].dtype) == (0, frame["created"].dtype)


WRONG = {
    "%vault unlok": "did you mean 'unlock'?",
    "%vault reveal LAB_KEY": "has no word 'reveal': no verb shows a key",
    "%vault rm LAB_KEY": "did you mean 'remove'?",
    "%vault add A_KEY": "did you mean 'set'?",
    "%vault restore": "%vault tells which backups there are",
    "%vault remov LAB_KEY": "has no word 'remov'. %vault help",
    "%llm config vault.idle_s 60": "vault.idle_s counts from the next unlock on",
    "%vault set": "write it as: %vault set NAME [--origin URL ...]",
    "%vault set A_KEY --value": "write it as",
    "%vault set A-KEY": "called like an environment variable",
    "%vault remove": "write it as: %vault remove NAME",
    "%vault import": "write it as: %vault import env|FILE|keyring",
    "%vault import nowhere.env": "No such file",
    "%vault origins LAB_KEY not-an-address": "this is no address",
    "%vault set A_KEY --origin router.example.co": "--origin: 'router.example.co' lacks https://",
    "%vault status now": "write it as: %vault [status]",
    '%vault "set': "write it as: %vault set NAME",
}


def test_a_wrong_line_says_how_it_is_written(shell):
    for line, sentence in WRONG.items():
        assert sentence in said(shell, line), line


LITERALS = [
    f"%vault set OPENAI_API_KEY {TYPED}",
    f"%vault set OPENAI_API_KEY={TYPED}",
    f"%vault set OPENAI_API_KEY = '{TYPED}'",
    f'%vault set OPENAI_API_KEY "{TYPED}',
    f"%vault set OPENAI_API_KEY --value {TYPED}",
    f"%vault set OPENAI_API_KEY --value={TYPED}",
    f"%vault set {TYPED}",
    f"%vault set {TYPED} OPENAI_API_KEY",
    f"%vault {TYPED}",
    f"%vault OPENAI_API_KEY {TYPED}",
    f"%vault remove {TYPED}",
    f"%vault import env {TYPED}",
    f"%vault import {TYPED}",
    f"%vault unlock {TYPED}",
    f"%vault passwd {TYPED}",
    f"%onb vault set OPENAI_API_KEY {TYPED}",
    f"%llm vault set OPENAI_API_KEY '{TYPED}",
    f"%%vault set OPENAI_API_KEY\n{TYPED}",
    f"from orchestrator_nb import session\nsession().vault.set('OPENAI_API_KEY', '{TYPED}')",
    f"from orchestrator_nb import session\nsession().vault.set('{TYPED}')",
]


def test_a_value_in_the_line_is_refused_and_taken_out_of_the_shell(shell):
    history = shell.history_manager
    for line in LITERALS:
        told = said(shell, line)
        thing = "password" if "unlock" in line or "passwd" in line else "key"
        assert f"a {thing} does not belong into a command: it was taken out of In" in told, line
        assert "asks for the" in told
        kept = [told, history.input_hist_raw, history.input_hist_parsed, history.db_input_cache, shell.user_ns["In"]]
        assert TYPED not in repr(kept), line
    assert len(shell.session.vault.list()) == 1


def test_without_the_refusal_it_would_stand_there(shell):
    shell.register_magic_function(lambda line: None, "line", "naive")
    said(shell, f"%naive set OPENAI_API_KEY {TYPED}")
    assert TYPED in shell.history_manager.input_hist_raw[-1]


def test_what_is_no_value_is_not_taken_for_one(shell):
    for line in ("%vault import prod-2024-keys-backup.env", "%vault set B_KEY --origin https://b.example/v20241122"):
        shell.answers[:] = [KEY] if "B_KEY" in line else []
        assert "does not belong" not in said(shell, line)


def test_a_password_in_the_line_is_refused_too(shell):
    for line, verb in (
        (f"%vault unlock {PASSWORD}", "%vault unlock"),
        (f"from orchestrator_nb import session\nsession().vault.unlock('{PASSWORD}')", "session().vault.unlock()"),
    ):
        told = said(shell, line)
        assert f"{verb} asks for the password." in told
        assert "a password does not belong into a command" in told
        assert "change it with %vault passwd" in told
        assert "horse" not in told + repr(shell.history_manager.input_hist_raw)


def test_no_word_shows_a_value(shell, tmp_path, monkeypatch):
    """All of `%vault` and `%llm`; what they return is shown as a notebook would."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"LAB_KEY={KEY}\nOPENAI_API_KEY={KEY}\n")
    operands = {"set": "LAB_KEY", "remove": "NO_KEY", "import": ".env", "origins": "LAB_KEY"}
    words = [command.name for command in VAULT if command.name not in ("lock", "passwd")]
    lines = [
        f"%vault {word} {operands.get(word, '')}" for word in [*words, "reveal", "export", "show", "get", "LAB_KEY"]
    ]
    lines += [f"%llm {command.name} {'on' if command.name == 'simulate' else ''}" for command in COMMANDS]
    lines += ["%vault import env LAB_KEY", "%llm models --live lab", "%llm why vault.idle_s", "%llm last --trace"]
    lines += ["%%llm lab/local-model\nHi"]
    hits = 0
    for line in lines:
        shell.answers[:] = [KEY] if line.startswith("%vault set") else []
        with capture_output() as captured:
            result = shell.run_cell(line).result
        shown = f"{captured.stdout}{captured.stderr}{captured.outputs}{shell.display_formatter.format(result)}"
        hits += any(needle in shown for needle in needles(KEY))
    shell.answers.clear()
    assert (hits, len(lines) >= 25) == (0, True)


def test_tab_offers_words_and_names():
    known = Known(tuple, tuple, {}, keys=lambda: ("OPENAI_API_KEY", "LAB_KEY"))

    def offered(text):
        return suggest(text, 0, len(text), known).names

    assert offered("%vault un") == ("unlock",)
    assert offered("%onb vault pass") == ("passwd",)
    assert offered("%vault set OPEN") == ("OPENAI_API_KEY",)
    assert offered("%vault set OPENAI_API_KEY --o") == ("--origin",)
    assert offered("%vault set OPENAI_API_KEY ") == ()
    assert "env" in offered("%vault import ")
    assert offered("%vault import env LA") == ("LAB_KEY",)
    assert offered("%llm vau") == ("vault",)


def test_somebody_elses_vault_stays_theirs(capsys):
    made = InteractiveShell()
    made.register_magic_function(print, "line", "vault")
    load(made)
    assert "%onb vault" in capsys.readouterr().out
    assert made.find_line_magic("vault") is print
    unload(made)
    assert made.find_line_magic("vault") is print


# In a kernel

CLOCK = """
from pathlib import Path
from orchestrator_nb import session, sessions
from orchestrator_nb.kernel.clock import SystemClock
class Moved(SystemClock):
    def wall(self):
        return super().wall() + 9 * 3600 * Path("hours").exists()
def fresh():
    Path("hours").unlink(missing_ok=True)
    sessions._notebook.vault.lock()
sessions._notebook = sessions.Session.open(clock=Moved())
"""


class Lab:
    """A kernel, its folder, and the server that it asks."""

    def __init__(self, kernel, folder, simulator):
        self.kernel, self.folder, self.simulator = kernel, folder, simulator

    def run(self, cell, *answers, **how):
        return self.kernel.run(cell, answers=answers, **how)

    def start(self, *, unlocked=False):
        """A vault that has just been locked or unlocked, a server that has seen nothing."""
        assert self.run("fresh()").status == "ok"
        if unlocked:
            assert self.run("%vault unlock", PASSWORD).status == "ok"
        self.simulator.clear()
        self.simulator.say("slow", "done", delay=0.25)

    def later(self, requests):
        """Nine hours pass when the server has seen so many requests."""

        def look(_shown):
            if len(self.simulator.requests) >= requests:
                (self.folder / "hours").touch()
            return False

        return look

    def stop(self, _shown):
        self.kernel.manager.interrupt_kernel()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    from kernels import kernel

    folder = tmp_path_factory.mktemp("lab")
    with Simulator(key=KEY) as simulator:
        furnish(folder, simulator)
        with kernel(folder) as running:
            lab = Lab(running, folder, simulator)
            assert lab.run(CLOCK).status == "ok"
            assert lab.run("%load_ext orchestrator_nb").status == "ok"
            shown = lab.run("%vault set LAB_KEY", PASSWORD, PASSWORD, f" '{KEY}' ")
            assert shown.status == "ok", shown.error
            assert [prompt.split()[0] for prompt in shown.prompts] == ["New", "New", "Value"]
            yield lab


ASKING = [
    "%%llm lab/local-model\nHi",
    "%%time\n%%llm lab/local-model\nHi",
    "str(session().ask('Hi', 'lab/local-model'))",
    "len(session().compare('Hi', ['lab/local-model'], repeat=3))",
    "len(await session().acompare('Hi', ['lab/local-model'], repeat=3))",
    "len(session().list_models('lab'))",
    "session().count_tokens('Hi', 'lab/local-model')",
    "%llm models --live lab",
]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ASKING)
def test_a_cell_that_needs_the_locked_vault_asks_once_and_goes_on(lab, cell):
    lab.start()
    shown = lab.run(cell, PASSWORD)
    assert shown.status == "ok", shown.error
    assert shown.prompts == ["Password of the vault 'default': "]
    assert lab.run(cell).prompts == []


@pytest.mark.slow
@pytest.mark.parametrize("cell", ASKING[:4])
def test_a_prompt_that_is_left_fails_the_cell_with_one_sentence_and_sends_nothing(lab, cell):
    for answer, sentence in {
        "": "VaultLocked: no password was entered",
        "\x04": "VaultLocked: no",
        lab.stop: "Keyboard",
    }.items():
        lab.start()
        shown = lab.run(cell, answer, timeout=10)
        assert shown.status == "error"
        assert shown.error.startswith(sentence)
        assert "\n" not in shown.error
        assert "nothing was sent" in shown.error
    assert lab.simulator.requests == ()


MIDDLE = "%%llm frame << lab/local-model --repeat 5 --max-parallel 2\nslow"


def rows(lab):
    return lab.kernel.value("frame.error_kind.fillna('').tolist()")


@pytest.mark.slow
@pytest.mark.parametrize("outer", ["", "%%time\n"])
def test_a_run_that_outlives_its_keys_asks_in_its_cell_and_goes_on_with_nothing_lost(lab, outer):
    lab.start(unlocked=True)
    pictures = []

    def type_it(shown):
        pictures.append(shown.updates[-1][1]["text/plain"])
        return PASSWORD

    shown = lab.run(outer + MIDDLE, type_it, interrupt_when=lab.later(2))
    assert shown.status == "ok", shown.error
    assert "needs unlock" in pictures[0]
    assert rows(lab) == [""] * 5
    assert len(lab.simulator.requests) == 5


@pytest.mark.slow
def test_a_stream_asks_too_while_it_waits(lab):
    lab.start(unlocked=True)
    lab.simulator.fail("429", times=1, seconds=0.3)
    shown = lab.run("''.join(session().stream('slow', 'lab/local-model'))", PASSWORD, interrupt_when=lab.later(1))
    assert shown.status == "ok", shown.error
    assert shown.prompts == ["The run waits for the vault 'default', which locked itself. Password: "]
    assert shown.text == "'done'"


@pytest.mark.slow
def test_refused_the_rest_fails_as_locked_and_what_is_finished_stays(lab):
    lab.start(unlocked=True)
    shown = lab.run(MIDDLE, "", interrupt_when=lab.later(2))
    assert "locked" in shown.error
    assert rows(lab) == ["", "", "locked", "locked", "locked"]
    assert "%vault unlock" in lab.kernel.value("frame.llm.errors.what_to_do.iloc[0]")
    lab.start(unlocked=True)
    shown = lab.run(MIDDLE, lab.stop, interrupt_when=lab.later(2))
    assert shown.error.startswith("KeyboardInterrupt: stopped; 2 of 5")
    assert rows(lab) == ["", "", "cancelled", "cancelled", "cancelled"]


@pytest.mark.slow
def test_without_a_person_a_notebook_fails_at_once_with_what_helps_and_runs_with_a_file(tmp_path):
    ask = "%%llm answer << lab/local-model\nHi"
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text(PASSWORD)
    file = {"ORCHESTRATOR_NB_PASSWORD_FILE": str(tmp_path / "password")}
    with Simulator(key=KEY) as simulator:
        furnish(tmp_path, simulator)
        bare = executed(tmp_path, {}, ["%load_ext orchestrator_nb", "%vault unlock", ask])
        took = [
            "%load_ext orchestrator_nb",
            "%vault import env LAB_KEY",
            "from os import environ\ndel environ['LAB_KEY']",
            "%vault lock",
        ]
        good = executed(tmp_path, {**file, "LAB_KEY": KEY}, [*took, ask, "assert answer.error.isna().all()"])
        locked = executed(tmp_path, {}, ["%load_ext orchestrator_nb", ask])
    assert bare.keys() == {1, 2}
    assert "nobody can be asked for the password here" in bare[1]
    assert "no key for 'lab'" in bare[2]
    assert good == {}
    assert locked.keys() == {1}
    assert "ORCHESTRATOR_NB_PASSWORD_FILE" in locked[1]


def executed(folder, more, cells):
    """The errors by cell, of a notebook that is run without a person; the key is in no part of it."""
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    own = {"ORCHESTRATOR_NB_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    began = time.monotonic()
    client = NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=20)
    client.execute(cwd=str(folder), env={**os.environ, **own, **more})
    assert time.monotonic() - began < 20
    assert KEY not in nbformat.writes(notebook)
    outputs = ((number, out) for number, cell in enumerate(notebook.cells) for out in cell.outputs)
    return {number: out.evalue for number, out in outputs if out.output_type == "error"}


# In a terminal


ASK = "_ = get_ipython().run_cell_magic('llm', 'lab/local-model', 'Hi')"


@pytest.mark.slow
def test_a_terminal_asks_hidden_too(tmp_path):
    with Simulator(key=KEY) as simulator:
        furnish(tmp_path, simulator)
        environ = {
            **os.environ,
            "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "TERM": "dumb",
        }
        command = ["-m", "IPython", "--simple-prompt", "--no-banner", "--ext", "orchestrator_nb"]
        child = pexpect.spawn(sys.executable, command, env=environ, cwd=str(tmp_path), encoding="utf-8", timeout=30)
        heard = child.logfile_read = Heard()
        child.expect_exact("In [1]: ")
        dialogue(
            child, "%vault set LAB_KEY", ("New password", PASSWORD), ("once more", PASSWORD), ("Value of LAB_KEY", KEY)
        )
        child.expect_exact("In [2]: ")
        dialogue(child, "%vault lock")
        child.expect_exact("In [3]: ")
        dialogue(child, ASK, ("Password of the vault", PASSWORD))
        child.expect_exact("simulated")
        child.expect_exact("In [4]: ")
        dialogue(child, "%vault lock")
        child.expect_exact("In [5]: ")
        dialogue(child, ASK)
        child.expect("Password of the vault")
        child.sendintr()
        child.expect_exact("KeyboardInterrupt: stopped at the prompt; nothing was changed, nothing was sent.")
        child.sendline("exit")
        child.expect(pexpect.EOF)
        child.close()
    assert KEY not in heard.text
    assert "horse" not in heard.text


class Heard:
    """All that the terminal showed."""

    text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        """Nothing waits."""


def dialogue(child, line, *answers):
    child.sendline(line)
    for prompt, answer in answers:
        child.expect(prompt)
        child.waitnoecho()
        child.sendline(answer)
