"""``%llm runs | show | cost | resume`` and ``--fresh`` in a shell."""

import pandas as pd
import pytest
from IPython.utils.capture import capture_output

from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.magics.args import parse
from orchestrator_nb.magics.asking import source_of
from orchestrator_nb.magics.place import place_of


def llm(shell, line):
    with capture_output() as shown:
        result = shell.run_line_magic("llm", line)
    return result, shown.stdout


def ask(shell, line, body):
    with capture_output():
        shell.run_cell_magic("llm", line, body)
    return shell.user_ns["_"]


def test_a_run_is_listed_and_shown_again(shell):
    frame = ask(shell, "answers << sonnet flash", "Name a {{ 'metal' }}.")
    runs, _ = llm(shell, "runs --days 1")
    assert runs["run"].tolist() == [frame["run_id"][0]]
    assert runs["calls"].tolist() == [2]
    shown, text = llm(shell, f"show {frame['run_id'][0][:-3]}")
    pd.testing.assert_frame_equal(shown, frame)
    assert "2 calls: 2 simulated" in text
    assert frame["text"][0].split()[0] in text


def test_cost_has_a_row_for_each_of_what_was_asked_for(shell):
    ask(shell, "sonnet", "Name a metal.")
    for by in ("model", "day", "run", "notebook"):
        assert by in llm(shell, f"cost --by {by}")[0].columns


def test_failed_calls_are_asked_again_with_errors(shell):
    shell.session.simulator.fail("429", times=3)
    with pytest.raises(OrchestratorError), capture_output():
        shell.run_cell_magic("llm", "sonnet", "Name a metal.")
    with pytest.raises(UserError, match="add --errors"):
        llm(shell, "resume")
    frame, text = llm(shell, "resume last --errors")
    assert frame["error"].isna().all()
    assert "resumed: 1 asked now, 0 kept" in text
    assert shell.user_ns["_"] is frame


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("runs --days none", "write it as: %llm runs"),
        ("show nothing", "no run is written down yet"),
        ("show", "no run is written down yet"),
        ("cost --by week", "write it as: %llm cost"),
        ("resume nothing", "no run is written down yet"),
    ],
)
def test_a_wrong_word_is_one_sentence_that_says_what_to_do(shell, line, says):
    with pytest.raises(UserError, match=says):
        llm(shell, line)


def test_without_a_store_the_words_say_how_to_switch_it_on(shell, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_NB_STORE__ENABLED", "false")
    shell.session.refresh()
    shell.session.use(shell.session.config.refreshed())
    ask(shell, "sonnet", "Name a metal.")
    with pytest.raises(UserError, match=r"%llm config store.enabled true"):
        llm(shell, "runs")


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("sonnet", None),
        ("sonnet --fresh", "live"),
        ("sonnet --source auto --fresh", "live"),
        ("--source record=t --fresh", "record=t"),
    ],
)
def test_fresh_asks_anew_and_still_records(shell, line, means):
    given = parse(line)
    assert source_of(given.source, given.fresh, shell.session, {}) == means


def test_fresh_and_replay_contradict_each_other(shell):
    with pytest.raises(UserError, match="--fresh asks a model"):
        source_of("replay=t", True, shell.session, {})


def test_a_place_is_only_what_the_front_end_tells(shell, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert place_of(shell) == {}
    monkeypatch.setenv("JPY_SESSION_NAME", "work/a.ipynb")
    assert place_of(shell) == {"notebook": "work/a.ipynb"}
    shell.user_ns["__vsc_ipynb_file__"] = "b.ipynb"
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert place_of(shell) == {"notebook": "b.ipynb"}


@pytest.mark.slow
def test_the_cell_of_a_kernel_stands_with_its_run(kernel):
    content = {
        "code": "%%llm sonnet\nHello",
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": "cell-7"})
    kernel.client.shell_channel.send(message)
    while kernel.client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") != message["header"]["msg_id"]:
        """Another cell's reply."""
    assert kernel.value("__import__('orchestrator_nb').session().store.ledger.runs()[0].about['cell']") == "cell-7"


def test_where_nothing_was_spent_it_says_why(shell):
    frame, text = llm(shell, "cost")
    assert (len(frame), text) == (0, "nothing was spent yet.\n")
    ask(shell, "sonnet", "Name a metal.")
    assert llm(shell, "cost")[1] == "nothing was spent yet: the simulator answered in 1 run.\n"
