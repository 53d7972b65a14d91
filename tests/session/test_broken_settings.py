"""What works while the settings do not: the doctor tells all that it can, and the vault opens with the user's own."""

import getpass
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb import Session
from orchestrator_nb import sessions as module
from orchestrator_nb.cli import main
from orchestrator_nb.errors import ConfigError
from orchestrator_nb.magics.extension import load, unload

PASSWORD = "correct horse battery staple"
STRANGER = "lab: {kind: openai-compatible, base_url: 'http://stranger.example/v1', models: [{name: local}]}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's folders, with a project of their own below, where the process is."""
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "config.yaml").write_text("vault: {iterations: 100000}\nprofiles: {work: {}}\n")
    (tmp_path / "project").mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path / "home"))
    return config


@pytest.fixture
def project(home, tmp_path):
    return tmp_path / "project"


def onb(*args, **environ):
    done = CliRunner().invoke(main, args, env=environ)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def doctor(*args, **environ):
    """Its exit code, its ``!!`` lines, and all lines."""
    done = onb(*args, "doctor", **environ)
    lines = done.output.splitlines()
    assert any(line.startswith("ok  python") for line in lines)
    return done.exit_code, [line for line in lines if line.startswith("!!")], done.output


def test_with_all_well_it_says_so_and_which_project_is_in_force(project):
    code, bad, said = doctor()
    assert (code, bad) == (0, [])
    assert "none: no settings file of ours in" in said
    (project / "orchestrator-nb.yaml").write_text("params: {temperature: 0.5}\n")
    assert f"{project}, not trusted: of its settings only harmless ones count" in doctor()[2]
    (project / "orchestrator-nb.yaml").write_text("limits: {parallel: 7}\n")
    onb("trust", "--yes")
    assert f"{project}, trusted" in doctor()[2]


def test_a_refused_project_is_one_line_and_the_rest_is_told_without_it(project):
    (project / "orchestrator-nb.yaml").write_text("limits: {parallel: 7}\nmodel: haiku\n")
    code, [line], said = doctor()
    assert code == 1
    assert f"{project}/orchestrator-nb.yaml:1: limits.parallel" in line
    assert "onb trust shows what it would change" in line
    assert f"{project}, not trusted, refused: what follows is told without it" in said
    assert "no vault yet for profile 'default'" in said
    assert "OPENAI_API_KEY is missing" in said
    assert "haiku" not in said
    assert said.count("orchestrator-nb.yaml") == 1  # not among the files in force


BROKEN = {
    "a setting": ("config.yaml", "vault: {idle_s: soon}\n", "config.yaml:1: vault.idle_s"),
    "no YAML": ("config.yaml", "model: [sonnet\n", "config.yaml:"),
    "a key's name": ("models.yaml", "openai: {api_key_name: 'my key'}\n", "models.yaml:1: openai.api_key_name"),
    "an unknown model": ("config.yaml", "model: sonet\n", "config.yaml:1: model: unknown model 'sonet'"),
}


@pytest.mark.parametrize(("name", "text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_of_the_users_own_is_one_line_and_the_others_still_count(home, name, text, says):
    (home / "models.yaml").write_text(STRANGER)
    (home / name).write_text(text)
    code, [line], said = doctor()
    assert (code, says in line) == (1, True)
    assert "data folder" in said
    assert "no vault yet for profile 'default'" in said
    assert ("stranger.example" in said) == (name != "models.yaml")


def test_wrong_variables_are_a_line_each_and_the_right_ones_count(home):
    code, bad, said = doctor(
        ORCHESTRATOR_NB_LIMITS__PARALLEL="many", ORCHESTRATOR_NB_DISPLAY__RATE_HZ="x", ORCHESTRATOR_NB_PROFILE="work"
    )
    assert (code, len(bad)) == (1, 2)
    assert "no vault yet for profile 'work'" in said


def test_a_broken_file_hides_no_profile_and_a_profile_that_is_nowhere_is_named(home):
    code, [line], said = doctor(ORCHESTRATOR_NB_PROFILE="wrok")
    assert (code, "did you mean 'work'" in line) == (1, True)
    (home / "config.yaml").write_text("model: [\n")
    code, [line], said = doctor("--profile", "work")
    assert "config.yaml:" in line
    assert "no vault yet for profile 'work'" in said


def test_what_only_two_layers_together_get_wrong_is_a_line_too(home):
    (home / "config.yaml").write_text("vault: {kdf: argon2id, argon2_memory_kib: 1048576, argon2_passes: 4}\n")
    code, [line], _ = doctor(ORCHESTRATOR_NB_VAULT__ARGON2_PASSES="20")
    assert (code, "argon2_passes" in line) == (1, True)


def test_a_home_that_is_no_absolute_path_leaves_what_needs_no_home(home, tmp_path):
    code, [line], said = doctor(ORCHESTRATOR_NB_HOME="here", ORCHESTRATOR_NB_PASSWORD_FILE=str(tmp_path / "password"))
    assert (code, "'here' is a relative path" in line) == (1, True)
    assert "comes from ORCHESTRATOR_NB_PASSWORD_FILE" in said


def test_folders_that_cannot_be_written_are_lines_and_an_exit_code(home, tmp_path):
    """As somebody whom the system refuses: root may write everywhere."""
    humble = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    if humble and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere")
    (tmp_path / "home").chmod(0o555)
    command = [*humble, sys.executable, "-m", "orchestrator_nb", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    for name in ("data", "state"):
        assert f"{tmp_path / 'home' / name} (not made yet): cannot be written" in done.stdout
    assert done.returncode == 1


def test_a_file_where_a_folder_should_be_is_a_line(home, tmp_path):
    (tmp_path / "home/data").write_text("")
    code, bad, _ = doctor()
    assert (code, any("data: is no folder" in line for line in bad)) == (1, True)


ADVICE = {
    "an address": (
        "openai: {base_url: 'http://stranger.example/v1'}\n",
        "if you know this server, write it into your own",
    ),
    "a vendor": ("openai: {}\n" + STRANGER, "if you know this server, write it into your own"),
    "a key's name": ("openai: {api_key_name: OTHER_KEY}\n", "Else delete it; which keys"),
    "a price": ("openai: {models: [{name: gpt-5.5, price: {input: 1, output: 1}}]}\n", "Else move it to your own"),
}


@pytest.mark.parametrize(("text", "says"), ADVICE.values(), ids=ADVICE)
def test_nobody_is_told_to_copy_a_strangers_address(project, text, says):
    (project / "models.yaml").write_text(text)
    [line] = doctor()[1]
    assert says in line
    assert ("move it" in line) == ("move it" in says)


# The vault


def test_a_refused_project_keeps_nobody_from_the_vault_in_a_shell(project, tmp_path):
    (project / "orchestrator-nb.yaml").write_text("limits: {parallel: 7}\n")
    password = {"ORCHESTRATOR_NB_PASSWORD_FILE": str(tmp_path / "password")}
    for verb in ("init", "unlock", "list", "status"):
        assert onb("vault", verb, **password).exit_code == 0, verb
    assert onb("ask", "hi", "-m", "sonnet").exit_code == 2


def test_with_a_broken_file_of_the_users_own_only_lock_works_in_a_shell(home):
    (home / "config.yaml").write_text("vault: {idle_s: soon}\n")
    done = onb("vault")
    assert (done.exit_code, "config.yaml:1: vault.idle_s" in done.output) == (2, True)
    assert onb("vault", "lock").exit_code == 0


@pytest.fixture
def shell(home, monkeypatch):
    """A shell in which no session has been opened yet."""
    monkeypatch.setattr(module, "_notebook", None)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt="": PASSWORD)
    made = InteractiveShell()
    load(made)
    yield made
    unload(made)
    if module._notebook:
        module._notebook.close()


def said(shell, line, capsys):
    """What it printed, or the error's sentence."""
    capsys.readouterr()
    result = shell.run_cell(line)
    assert not result.error_before_exec
    error = result.error_in_exec
    return str(error) if error else capsys.readouterr().out


def test_a_notebook_in_a_refused_project_has_its_vault_and_no_answers(shell, project, capsys):
    file = project / "orchestrator-nb.yaml"
    file.write_text("limits: {parallel: 7}\n")
    said(shell, "%vault init", capsys)
    assert "open" in said(shell, "%vault unlock", capsys)
    assert "refused: what follows is told without it" in said(shell, "%llm doctor", capsys)
    for line in ("%llm config", "%%llm sonnet\nHi", "from orchestrator_nb import session; session()"):
        assert "limits.parallel: a project's file may not set this" in said(shell, line, capsys)
    with pytest.raises(ConfigError):
        module._notebook.plan("Hi", ["sonnet"])  # also for who got hold of it
    said(shell, "%llm trust --yes", capsys)
    assert "limits.parallel = 7" in said(shell, "%llm config limits.parallel", capsys)
    assert "is open" in said(shell, "%vault", capsys)
    file.write_text("limits: {parallel: 8}\n")
    assert "is open" in said(shell, "%vault", capsys)
    assert "changed since you trusted it" in said(shell, "%llm config limits.parallel", capsys)
    assert "changed since you trusted it" in said(shell, "%llm doctor", capsys)
    assert "wiped from this kernel" in said(shell, "%vault lock", capsys)


def test_in_a_refused_project_the_vault_goes_by_the_users_files_as_they_are_now(
    shell, project, home, capsys, monkeypatch
):
    said(shell, "%llm config", capsys)
    (project / "orchestrator-nb.yaml").write_text("limits: {parallel: 7}\n")
    said(shell, "%vault init", capsys)
    (home / "models.yaml").write_text(
        "lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', api_key_name: LAB_KEY, models: [{name: x}]}\n"
    )
    monkeypatch.setattr(getpass, "getpass", lambda _prompt="": "sk-canary-7f3a9c41d2")
    assert "http://127.0.0.1:9" in said(shell, "%vault set LAB_KEY", capsys)


def test_a_notebook_whose_own_settings_are_broken_has_lock_help_and_the_doctor(shell, home, capsys):
    (home / "config.yaml").write_text("vault: {idle_s: soon}\n")
    assert "config.yaml:1: vault.idle_s" in said(shell, "%vault", capsys)
    assert "config.yaml:1: vault.idle_s" in said(shell, "%vault unlock", capsys)
    assert "no vault" in said(shell, "%vault lock", capsys)
    assert "%vault set NAME" in said(shell, "%vault help", capsys)
    assert "!!  settings" in said(shell, "%llm doctor", capsys)
    (home / "config.yaml").write_text("vault: {iterations: 100000}\n")
    assert "!!" not in said(shell, "%llm doctor", capsys)
    assert "no vault" in said(shell, "%vault", capsys)


def test_lock_and_the_doctor_need_no_home_either(shell, monkeypatch, capsys):
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", "here")
    assert "no vault is open in this kernel" in said(shell, "%vault lock", capsys)
    assert "'here' is a relative path" in said(shell, "%llm doctor", capsys)


def test_a_session_opened_all_the_same_asks_nobody_anything_until_its_settings_load(home):
    (home / "config.yaml").write_text("model: [\n")
    with pytest.raises(ConfigError):
        Session.open()
    with Session.open(lenient=True) as opened:
        with pytest.raises(ConfigError):
            opened.models(["sonnet"])
        with pytest.raises(ConfigError):
            opened.own_vault()
        (home / "config.yaml").write_text("model: sonnet\n")
        assert [spec.ref for spec in opened.models()] == [opened.catalog.find("sonnet").ref]
