"""``%%llm -c`` and ``%llm conversations``: in a shell, and in real kernels whose cells have ids."""

import json
import os
import signal

import pytest
from IPython.utils.capture import capture_output

from orchestrator_nb.errors import UserError


def llm(shell, line):
    with capture_output() as shown:
        result = shell.run_line_magic("llm", line)
    return result, shown.stdout


def ask(shell, line, body):
    with capture_output():
        shell.run_cell_magic("llm", line, body)
    return shell.user_ns["_"]


@pytest.fixture
def shell(shell):
    shell.session.simulator._world.lively = False
    return shell


def path(shell, name):
    return [turn.prompt for turn in shell.session.conversation(name).tree.current]


def test_without_cell_ids_every_cell_goes_on_at_the_end(shell, request):
    name = request.node.name
    ask(shell, f"sonnet -c {name} -s 'Be brief.'", "Name a metal.")
    frame = ask(shell, f"-c {name}", "And another?")
    assert frame["model"].tolist() == ["claude-sonnet-5-5"]
    assert frame["system"].tolist() == ["Be brief."]
    ask(shell, f"flash -c {{{{ 'test_without' }}}}{name.removeprefix('test_without')}", "Why?")
    assert path(shell, name) == ["Name a metal.", "And another?", "Why?"]


def test_the_words_of_the_command_do_what_they_say(shell, tmp_path, request):
    name = request.node.name
    ask(shell, f"sonnet -c {name}", "Name a metal.")
    ask(shell, f"-c {name}", "And another?")
    first, second = shell.session.conversation(name).tree.current
    assert "the next question follows there" in llm(shell, f"conversations branch {name} {first.id[:6]} side")[1]
    ask(shell, f"-c {name}", "Or a gas?")
    assert path(shell, name) == ["Name a metal.", "Or a gas?"]
    _, drawn = llm(shell, f"conversations tree {name}")
    assert all(word in drawn for word in (first.id, second.id, "[main]", "[side]", "Or a gas?"))
    llm(shell, f"conversations switch {name} main")
    assert path(shell, name) == ["Name a metal.", "And another?"]
    listed, _ = llm(shell, "conversations")
    assert listed.set_index("conversation")["turns"][name] == 3
    llm(shell, f"conversations export {name} {tmp_path}/it.md")
    llm(shell, f"conversations export {name} {tmp_path}/all.json")
    assert "Or a gas?" not in (tmp_path / "it.md").read_text()
    _, said = llm(shell, f"conversations import {tmp_path}/all.json {name}2")
    assert "3 turns" in said
    assert path(shell, f"{name}2") == path(shell, name)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-c talk sonnet flash", "one answer. Name one model"),
        ("-c talk anthropic/*", "one answer. Name one model"),
        ("-c talk sonnet --repeat 2", "This means 2 calls: leave --over, --grid and --repeat out"),
        ("-c talk sonnet --grid a=[1,2]", "This means 2 calls"),
        ("-c a/b sonnet", "'a/b' is no name for a conversation"),
    ],
)
def test_a_cell_that_is_no_one_question_is_refused_before_anything_is_sent(shell, line, says):
    before = len(shell.session.simulator.requests)
    with pytest.raises(UserError, match=says):
        ask(shell, line, "How {{ '?' }}")
    assert len(shell.session.simulator.requests) == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("conversations tree nothing", "there is no conversation 'nothing'"),
        ("conversations tree", "write it as: %llm conversations"),
        ("conversations swich a b", "did you mean 'switch'"),
        ("conversations import nothing.json", "cannot be read"),
        ("tree metals", "write %llm conversations tree"),
    ],
)
def test_a_command_that_is_wrong_says_what_to_write(shell, line, says):
    with pytest.raises(UserError, match=says):
        llm(shell, line)


def test_a_dry_run_says_what_stands_before_and_changes_nothing(shell, request):
    name = request.node.name
    ask(shell, f"sonnet -c {name}", "Name a metal.")
    with capture_output() as shown:
        shell.run_cell_magic("llm", f"-c {name} --dry-run", "And another?")
    assert "2 messages of the conversation" in shown.stdout
    assert path(shell, name) == ["Name a metal."]


CURRENT = "[turn.prompt for turn in __import__('orchestrator_nb').session().conversation('metals').tree.current]"
TURNS = "len(__import__('orchestrator_nb').session().conversation('metals').tree.turns)"
AT_ONCE = "__import__('orchestrator_nb').session().simulator._world.lively = False"


def cells(kernel, *pairs):
    for name, words in pairs:
        shown = kernel.run(f"%%llm sonnet -c metals\n{words}", cell=name)
        assert shown.status == "ok", shown.error
    return kernel.value(CURRENT)


@pytest.mark.slow
def test_a_cell_that_runs_again_asks_from_where_it_stood_also_after_kill_9(tmp_path):
    from kernels import kernel as fresh

    def begin(kernel):
        assert kernel.run("%load_ext orchestrator_nb\n%llm simulate on", timeout=60).status == "ok"
        kernel.run(AT_ONCE)

    with fresh(tmp_path) as kernel:
        begin(kernel)
        assert cells(kernel, ("a", "one"), ("b", "two"), ("c", "three")) == ["one", "two", "three"]
        assert cells(kernel, ("b", "two, anew")) == ["one", "two, anew"]
        assert cells(kernel, ("c", "three")) == ["one", "two, anew", "three"]
        assert cells(kernel, ("a", "zero"), ("b", "two"), ("c", "three")) == ["zero", "two", "three"]
        loop = "for n in range(2):\n    get_ipython().run_cell_magic('llm', '-c metals', f'loop {n}')"
        for _ in range(2):
            assert kernel.run(loop, cell="d").status == "ok"
            assert kernel.value(CURRENT) == ["zero", "two", "three", "loop 0", "loop 1"]
        kernel.run(AT_ONCE.replace("lively = False", "pace = 0.3"))
        stopped = kernel.run(
            "%%llm deepseek -c metals\nTell a long story.", cell="s", interrupt_when=lambda shown: "story" in shown.text
        )
        assert "KeyboardInterrupt" in stopped.error
        assert kernel.value(CURRENT)[-1] == "loop 1", "what was cut off stands beside the path"
        assert "(stopped before the answer was whole" in kernel.run("%llm conversations tree metals").text
        turns = kernel.value(TURNS)
        os.kill(kernel.value("__import__('os').getpid()"), signal.SIGKILL)
    with fresh(tmp_path) as kernel:
        begin(kernel)
        assert kernel.value(TURNS) == turns == 13
        assert kernel.value(CURRENT) == ["zero", "two", "three", "loop 0", "loop 1"]
        assert cells(kernel, ("c", "three, anew"), ("e", "four")) == ["zero", "two", "three, anew", "four"]
        sent = "[m['role'] for m in __import__('orchestrator_nb').session().simulator.requests[-1].body['messages']]"
        assert kernel.value(sent) == ["user", "assistant"] * 3 + ["user"]
        assert kernel.value(TURNS) == 15


@pytest.mark.slow
def test_the_shell_has_the_same_words(tmp_path):
    from click.testing import CliRunner

    from orchestrator_nb.cli import main

    def onb(*words, code=0):
        done = CliRunner().invoke(main, words, env={"ORCHESTRATOR_NB_HOME": str(tmp_path)})
        assert done.exit_code == code, done.output
        return done.output

    for words in ("Name a metal.", "And another?"):
        onb("ask", words, "-m", "sonnet", "-c", "metals", "--simulate")
    assert "metals" in onb("conversations")
    [listed] = onb("conversations", "list", "--json").splitlines()
    assert json.loads(listed) == {"conversation": "metals", "turns": 2, "branch": "main", "branches": ["main"]}
    first = onb("conversations", "tree", "metals").split()[1]
    onb("conversations", "branch", "metals", first, "side")
    assert "And another?" not in onb("conversations", "export", "metals")
    onb("conversations", "switch", "metals", "main")
    assert "And another?" in onb("conversations", "export", "metals")
    onb("conversations", "export", "metals", str(tmp_path / "all.json"))
    assert "2 turns" in onb("conversations", "import", str(tmp_path / "all.json"), "copy")
    assert "there is no conversation 'nope'" in onb("conversations", "tree", "nope", code=2)
    assert "Name one model" in onb("ask", "How?", "-m", "sonnet", "-m", "flash", "-c", "metals", code=2)
