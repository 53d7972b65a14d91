"""``onb vault`` as a user types it: prompts in a real terminal, files and commands without one, and no value on any stream."""

import json
import os
import subprocess
import sys

import click
import pexpect
import pytest
from click.testing import CliRunner

from orchestrator_nb.cli import main
from orchestrator_nb.cli.vault import vault
from orchestrator_nb.needles import needles

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery staple"
KEY = "sk-canary-7f3a9c41d2"
TYPED = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz"


@pytest.fixture
def environ(tmp_path):
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "config.yaml").write_text("vault: {iterations: 100000}\nprofiles: {work: {}}\n")
    return {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}


@pytest.fixture
def unattended(environ, tmp_path):
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    return {**environ, "ORCHESTRATOR_NB_PASSWORD_FILE": str(tmp_path / "password")}


def onb(environ, *args):
    """The command in this process: its real streams are tried in the terminal and by the first test of those without a person."""
    done = CliRunner().invoke(main, args, env=environ)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def typed(environ, cwd, args, *answers):
    """Exit code and all that the terminal showed."""
    child = pexpect.spawn(
        sys.executable, ["-m", "orchestrator_nb", *args], env=environ, cwd=str(cwd), encoding="utf-8", timeout=30
    )
    shown = ""
    for prompt, answer in answers:
        child.expect(prompt)
        shown += child.before + child.after
        child.waitnoecho()
        answer(child) if callable(answer) else child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, shown + child.before


def test_a_terminal_asks_and_shows_nothing_that_is_typed(environ, tmp_path):
    code, shown = typed(
        environ,
        tmp_path,
        ["vault", "set", "OPENAI_API_KEY"],
        ("New pass", PASSWORD),
        ("once more", PASSWORD),
        ("Value", KEY),
    )
    assert code == 0
    assert "OPENAI_API_KEY: fp:" in shown
    assert "four or five words" in shown
    assert not [needle for needle in (*needles(KEY), "horse") if needle in shown]
    assert typed(environ, tmp_path, ["vault", "unlock"], ("Password", "wrong"), ("Once more", PASSWORD))[0] == 0
    code, shown = typed(environ, tmp_path, ["vault", "unlock"], ("Password", lambda child: child.sendintr()))
    assert (code, "interrupted" in shown, "Traceback" in shown) == (130, True, False)


def test_each_verb_works_without_a_person_and_profiles_are_apart(unattended, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nOTHER=1\n")
    imported = onb(unattended, "vault", "import", ".env")
    assert imported.exit_code == 0, imported.stderr
    assert "line 1" in imported.stdout
    assert "1 other variable in" in imported.stdout
    assert "made a new vault: " in imported.stderr
    [row] = map(json.loads, onb(unattended, "vault", "list", "--json").stdout.splitlines())
    assert (row["name"], row["origins"]) == ("OPENAI_API_KEY", ["https://api.openai.com:443"])
    assert onb(unattended, "vault").stdout.startswith("the vault of profile 'default' is open")
    moved = onb(unattended, "vault", "origins", "OPENAI_API_KEY", "https://proxy.example/v1")
    assert "https://proxy.example:443" in moved.stdout
    assert "no vault yet for profile 'work'" in onb(unattended, "--profile", "work", "vault").stdout
    assert onb(unattended, "vault", "remove", "OPENAI_API_KEY").exit_code == 0
    assert onb(unattended, "vault", "remove", "OPENAI_API_KEY").exit_code == 2
    assert "locks the vault at its end" in onb(unattended, "vault", "lock").stdout


def test_where_nobody_can_be_asked_it_fails_with_1_and_says_what_helps(environ, unattended, tmp_path):
    command = [sys.executable, "-m", "orchestrator_nb", "vault", "set", "OPENAI_API_KEY"]
    done = subprocess.run(
        command,
        env=environ,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "ORCHESTRATOR_NB_PASSWORD_FILE" in done.stderr
    assert onb(unattended, "vault", "init").exit_code == 0
    done = onb(unattended, "vault", "set", "OPENAI_API_KEY")
    assert "onb vault import takes it from the environment" in done.stderr
    piped = CliRunner().invoke(main, ["vault", "set", "OPENAI_API_KEY"], env=unattended, input=f"{KEY}\nlogin: me\n")
    assert (piped.exit_code, piped.stdout.startswith("OPENAI_API_KEY: fp:")) == (0, True)
    assert not [needle for needle in needles(KEY) if needle in piped.output]
    assert CliRunner().invoke(main, ["vault", "set", "OPENAI_API_KEY"], env=environ, input=KEY).exit_code == 1
    (tmp_path / "password").chmod(0o644)
    done = onb(unattended, "vault", "list")
    assert (done.exit_code, f"chmod 600 '{tmp_path / 'password'}'" in done.stderr) == (1, True)
    assert onb(unattended, "doctor").exit_code == 1


@pytest.mark.parametrize(
    "args",
    [
        ["set", "OPENAI_API_KEY", TYPED], ["set", TYPED], ["set", f"OPENAI_API_KEY={TYPED}"], ["set", "OPENAI_API_KEY", f"--value={TYPED}"],
        ["unlock", TYPED], ["init", TYPED], ["passwd", TYPED], [TYPED], ["remove", TYPED], ["import", "env", TYPED], ["export"], ["reveal", "OPENAI_API_KEY"],
    ],
)  # fmt: skip
def test_a_value_as_an_argument_is_refused_and_not_repeated(args, unattended, tmp_path):
    done = CliRunner().invoke(main, ["vault", *args], env=unattended)
    assert done.exit_code == 2
    assert TYPED not in done.output
    assert "Ab3dEf6" not in done.output


def test_no_command_prints_or_writes_a_value(unattended, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.env").write_text(f"OPENAI_API_KEY={KEY}\n")
    run = CliRunner()
    assert run.invoke(main, ["vault", "import", "keys.env"], env=unattended).exit_code == 0
    operands = {
        "vault set": ["OPENAI_API_KEY"],
        "vault import": ["keys.env"],
        "vault origins": ["OPENAI_API_KEY"],
        "vault remove": ["NONE"],
    }
    operands |= {
        "ask": ["Hi", "-m", "openai/gpt-5", "--simulate"],
        "simulate": ["--help"],
        "demo": ["--help"],
        "scan": [str(tmp_path / "home")],
    }
    names = (
        [name for name in main.commands if name != "vault"] + [f"vault {name}" for name in vault.commands] + ["vault"]
    )
    assert isinstance(vault, click.Group)
    shown = "".join(run.invoke(main, [*name.split(), *operands.get(name, [])], env=unattended).output for name in names)
    written = "".join(path.read_bytes().decode("latin-1") for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert [needle for needle in needles(KEY) if needle in shown + written] == []
    assert len(names) >= 18
    leaking = click.Command("reveal", callback=lambda: click.echo(KEY))
    assert KEY in run.invoke(leaking, []).output  # the control
