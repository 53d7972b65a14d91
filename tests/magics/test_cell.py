"""``%%llm`` in a plain shell, as a terminal or a script has it: what is asked, what is bound, what fails the cell."""

import os
import traceback

import pandas as pd
import pytest

from orchestrator_nb.config import choose_profile
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.magics.args import parse
from orchestrator_nb.magics.asking import begin
from orchestrator_nb.magics.outcome import Interrupted


def run(shell, text):
    """Runs a cell that must succeed."""
    result = shell.run_cell(text, store_history=True)
    result.raise_error()
    return result


def fail(shell, text):
    """The error of a cell that must fail; it is one line however IPython shows it."""
    result = shell.run_cell(text, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    assert isinstance(error, OrchestratorError), error
    assert "\n" not in str(error)
    assert error._render_traceback_() == [f"{type(error).__name__}: {error}"]
    return str(error)


def test_an_answer_is_shown_and_the_frame_is_in_the_underscore_but_not_echoed(shell, capsys):
    result = run(shell, "%%llm sonnet\nWhy is the sky blue?")
    frame = shell.user_ns["_"]
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 1
    assert frame.source[0] == "simulated"
    assert result.result is None
    said = capsys.readouterr().out
    assert frame.text[0].strip()[:40] in said
    assert "· simulated ·" in said
    assert "Out[" not in said


def test_name_gets_the_frame_and_so_does_the_underscore(shell):
    run(shell, "%%llm ans << flash\nhello")
    assert shell.user_ns["ans"] is shell.user_ns["_"]
    assert shell.user_ns["Out"][1] is shell.user_ns["ans"]


def test_called_from_python_the_magic_returns_the_frame(shell):
    frame = shell.run_cell_magic("llm", "sonnet flash", "hello")
    assert list(frame.model) == [spec.id for spec in shell.session.models(["sonnet", "flash"])]
    run(shell, "def ask():\n    return get_ipython().run_cell_magic('onb', 'sonnet', 'hello')\ngot = ask()")
    assert len(shell.user_ns["got"]) == 1


def test_the_grid_is_rows_by_axes_by_models_by_repeats_in_order(shell):
    shell.user_ns["papers"] = pd.DataFrame({"title": ["A", "B"]})
    shell.user_ns["tones"] = ["dry", "warm"]
    run(
        shell,
        "%%llm g << sonnet flash --over papers --grid tone=tones --grid n=[1, 2] --repeat 2\n{{ title }} {{ tone }} {{ n }}",
    )
    frame = shell.user_ns["g"]
    assert len(frame) == 2 * 2 * 2 * 2 * 2
    assert list(frame.title) == ["A"] * 16 + ["B"] * 16
    assert frame.prompt[0] == "A dry 1"
    assert list(frame.repeat[:4]) == [0, 1, 0, 1]


def test_braces_work_in_option_values_too(shell):
    shell.user_ns.update(t=0.5, who="a pirate", picked="flash")
    run(shell, "%%llm o << {{ picked }} -s 'You are {{ who }}.' -o temperature {{ t }} -o max_tokens 40\nhello")
    call = shell.session.last.calls[0]
    assert call.item.request.params.temperature == 0.5
    assert call.item.request.system == "You are a pirate."
    assert call.item.request.model.id == shell.session.models(["flash"])[0].id


def test_schema_fields_become_columns(shell):
    run(shell, '%%llm s << sonnet --schema "name, age int"\nInvent a person.')
    assert {"name", "age"} <= set(shell.user_ns["s"].columns)


def test_quiet_shows_nothing_and_dry_run_asks_nothing(shell, capsys):
    run(shell, "%%llm q << sonnet --quiet\nhello")
    assert capsys.readouterr().out == ""
    assert len(shell.user_ns["q"]) == 1
    before = shell.session.last
    run(shell, "%%llm d << sonnet flash --repeat 3 --dry-run -s Kindly\nhello there")
    said = capsys.readouterr().out
    assert all(part in said for part in ("6", "anthropic/", "gemini/", "Kindly", "hello there"))
    assert shell.session.last is before
    assert "d" not in shell.user_ns


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%llm sonet\nhi", "unknown model 'sonet'; did you mean 'sonnet'"),
        ("%%llm sonnet --tempreature 1\nhi", "unknown option '--tempreature'"),
        ("%%llm sonnet -s 'half\nhi", "unclosed"),
        ("%%llm sonnet", "the prompt is empty"),
        ("%%llm sonnet\n   \n", "the prompt is empty"),
        ("%%llm sonnet -o temperature hot\nhi", "temperature takes"),
        ("%%llm sonnet -o temprature 1\nhi", "did you mean 'temperature'"),
        ("%%llm sonnet\n{{ abstrct }}", "did you mean 'abstract'"),
        ("%%llm sonnet -s '{{ abstrct }}'\nhi", "did you mean 'abstract'"),
        ("%%llm sonnet --over paper\n{{ title }}", "--over: 'paper' is not defined; did you mean 'papers'"),
        ("%%llm sonnet --over papers\n{{ titel }}", "'titel' in the prompt is not defined"),
        ("%%llm sonnet --over papers[0]\n{{ title }}", "--over takes the name of a notebook variable"),
        ("%%llm sonnet --over empty\nhi", "no rows"),
        ("%%llm sonnet --grid x=[]\n{{ x }}", "'x' has no values"),
        ("%%llm sonnet --grid x=nowhere\n{{ x }}", "'nowhere' is not defined"),
        ("%%llm sonnet --grid x=open('f')\n{{ x }}", "a literal list"),
        ("%%llm sonnet --grid x=abstract\n{{ x }}", "wants a list of values"),
        ("%%llm sonnet --grid x=many --grid y=many\n{{ x }} {{ y }}", "1,000,000 calls"),
        ("%%llm sonnet -f no/such/file.png\nhi", "no/such/file.png"),
        ("%%llm sonnet --schema 'name, age whole'\nhi", "whole"),
        ("%llm modles", "did you mean 'models'"),
        ("%llm sonnet --repeat 3", "write %%llm"),
        ("%llm why limits.paralel", "did you mean 'parallel'"),
        ("%llm simulate maybe", "%llm simulate on [SCRIPT]|off"),
        ("%llm config limits.parallel many", "limits.parallel"),
        ("%llm last", "nothing has been asked yet"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence_and_nothing_is_sent(shell, cell, says):
    shell.user_ns.update(
        abstract="text", papers=pd.DataFrame({"title": ["A"]}), empty=pd.DataFrame({"title": []}), many=range(1000)
    )
    assert says in fail(shell, cell)
    assert shell.session.last is None


def test_a_large_grid_says_its_count_and_runs_with_yes(shell):
    shell.session.use(shell.session.config.with_cell({"limits.confirm_calls": 3}))
    assert "this grid means 4 calls" in fail(shell, "%%llm sonnet --repeat 4\nhi")
    run(shell, "%%llm sonnet --repeat 4 --yes --quiet\nhi")
    assert len(shell.user_ns["_"]) == 4


FAILING = "anthropic/sim-400"


def test_one_failed_call_fails_the_cell_with_its_own_sentence_and_the_frame_is_assigned(shell):
    said = fail(shell, f"%%llm f << {FAILING}\nhi")
    assert said == shell.user_ns["f"].error[0]


def test_continue_runs_everything_and_then_fails_with_a_count(shell):
    said = fail(shell, f"%%llm f << flash {FAILING} sonnet\nhi")
    assert said.startswith("1 of 3 calls failed (1 invalid_request)")
    assert "f.llm.errors" in said
    assert list(shell.user_ns["f"].error.isna()) == [True, False, True]


def test_return_lets_the_cell_pass_with_failures_as_rows(shell):
    run(shell, f"%%llm f << flash {FAILING} --on-error return\nhi")
    assert list(shell.user_ns["f"].error.isna()) == [True, False]


def test_stop_starts_nothing_after_the_first_failure(shell):
    fail(shell, f"%%llm f << {FAILING} flash --repeat 5 --max-parallel 1 --on-error stop\nhi")
    assert "skipped" in set(shell.user_ns["f"].error_kind)


def test_without_a_key_the_error_names_the_ways_out(shell):
    shell.session.simulate(False)
    said = fail(shell, "%%llm sonnet\nhi")
    assert "ANTHROPIC_API_KEY" in said
    assert "simulate on" in said


def test_a_server_that_is_not_there_is_one_sentence(shell):
    shell.session.simulate(False)
    said = fail(shell, "%%llm ollama/llama3.2\nhi")
    assert "127.0.0.1:11434" in said or "ollama" in said


def test_line_commands_answer(shell, capsys):
    models = run(shell, "%llm models anthropic/*").result
    assert set(models.model.str.split("/").str[0]) == {"anthropic"}
    assert len(run(shell, "%llm models").result) > len(models)
    assert "limits.parallel" in set(run(shell, "%llm config").result.setting)
    capsys.readouterr()
    for line, says in {
        "%llm config limits.parallel": "limits.parallel = 64",
        "%llm config limits.parallel 7": "limits.parallel = 7",
        "%llm why limits.parallel": "limits.parallel = 7",
        "%llm simulate on": "simulator on at http://127.0.0.1",
        "%llm simulate off": "simulator off",
        "%llm doctor": "ok",
        "%llm help": "%llm why KEY",
        "%llm": "%llm why KEY",
    }.items():
        run(shell, line)
        assert says in capsys.readouterr().out


def test_a_profile_is_made_written_to_switched_and_listed_in_a_running_session(shell, capsys):
    before = shell.session.config
    for line, says in {
        "%llm config profile work --new": "profile = 'work'",
        "%llm config model haiku --profile work": "model = 'haiku'",
        "%llm why model": "profile, ",
        "%llm config profile default": "profile = 'default'",
        "%llm config model sonnet --profile work": "model = 'sonnet' in profile work",
        "%llm config migrate --dry-run": "+version: 2",
        "%llm config migrate": "config.yaml.v1",
    }.items():
        capsys.readouterr()
        run(shell, line)
        assert says in capsys.readouterr().out
    listed = run(shell, "%llm config profiles").result
    assert listed.to_dict("list") == {
        "profile": ["default", "work"],
        "active": [True, False],
        "sets": ["", "model = 'sonnet'"],
        "vault": [False, False],
    }
    assert "did you mean 'work'" in fail(shell, "%llm config profile wrok")
    assert "%llm config [KEY" in fail(shell, "%llm config model --new")
    assert shell.session.config is not before


def test_a_cell_says_how_to_leave_a_profile_that_is_not_there_and_that_works(shell, monkeypatch):
    home = shell.session.config.paths.settings
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("profile: ghost\n")
    said = fail(shell, "%%llm sonnet\nhi")
    assert "config.yaml:1: profile: unknown profile 'ghost'" in said
    assert "%llm config profile default" in said

    run(shell, "%llm config profile default")

    run(shell, "%%llm sonnet --quiet\nhi")


def test_no_frame_of_a_failing_switch_shows_the_environment(shell, monkeypatch):
    """It may hold keys, and a traceback can show the values of variables."""
    monkeypatch.setenv("SOME_API_KEY", "sk-canary-0123456789")
    failure = shell.run_cell("%llm config profile wrok").error_in_exec
    with pytest.raises(OrchestratorError) as control:
        choose_profile("wrok", shell.session.config.paths, None, os.environ)

    assert "sk-canary" in shown(control.value)
    assert "sk-canary" not in shown(failure)


def shown(error):
    """The variables of our frames, as a verbose traceback prints them."""
    frames = [
        frame for frame, _ in traceback.walk_tb(error.__traceback__) if "/orchestrator_nb/" in frame.f_code.co_filename
    ]
    assert len(frames) > 2
    return repr([frame.f_locals for frame in frames])


def test_last_shows_the_run_again_and_trace_the_whole_stack(shell, capsys):
    run(shell, "%%llm sonnet\nhello")
    text = shell.user_ns["_"].text[0]
    capsys.readouterr()
    run(shell, "%llm last")
    assert text.strip()[:40] in capsys.readouterr().out
    fail(shell, "%%llm sonet\nhello")
    capsys.readouterr()
    run(shell, "%llm last --trace")
    assert "Traceback" in capsys.readouterr().out


@pytest.mark.parametrize("outer", ["%%time", "%%capture cap", "%%timeit -n1 -r1"])
def test_magics_that_wrap_a_cell_wrap_ours(shell, outer):
    run(shell, f"{outer}\n%%llm w << sonnet\nhello")
    assert len(shell.user_ns["w"]) == 1


def test_a_terminal_shows_model_text_without_control_sequences(shell, capsys):
    shell.session.simulator.say("evil", "a\x1b]0;title\x07b\x1b[2Jc\u202ed")
    run(shell, "%%llm sonnet\nevil")
    assert "\x1b" not in capsys.readouterr().out


def test_the_failure_of_an_only_call_is_said_once(shell, capsys):
    sentence = fail(shell, "%%llm anthropic/sim-quota\nhi")
    assert "quota" in sentence
    said = capsys.readouterr().out
    assert "anthropic/sim-quota · failed ·" in said
    assert said.count("usage limits") == 1  # by IPython, below the line
    run(shell, "%%llm anthropic/sim-quota --on-error return\nhi")
    assert "usage limits" in capsys.readouterr().out


def test_a_dry_run_says_what_the_run_would_notice(shell, capsys):
    shell.user_ns["rows"] = pd.DataFrame({"text": ["a", None]})
    run(shell, "%%llm sonnet --over rows --dry-run\nGood? {{ text }}")
    assert "1 of 2 rows have no value for 'text'" in capsys.readouterr().out


def test_a_dry_run_shows_a_table_of_calls_tokens_and_money_with_what_it_leans_on(shell, capsys):
    run(shell, "%%llm sonnet flash --repeat 3 --dry-run -o max_tokens 100\nName a metal.")
    said = capsys.readouterr().out
    heads = next(line for line in said.splitlines() if line.startswith("model "))
    assert heads.split() == ["model", "new", "cached", "replayed", "input", "tokens", "output", "tokens", "cost"]
    for model in ("anthropic/claude-sonnet", "gemini/gemini", "all"):
        assert any(line.startswith(model) and " to $" in line for line in said.splitlines())
    assert "no earlier run to go by" in said
    assert "nothing is paid" in said


def test_above_a_large_grid_stands_what_it_will_take(shell, capsys):
    run(shell, "%%llm flash --repeat 61 -o max_tokens 20\nName a metal.")
    said = capsys.readouterr().out
    assert said.startswith("estimate: 61 calls: 61 new · ")
    assert "simulated, would cost $" in said.splitlines()[0]
    run(shell, "%%llm flash --repeat 60 -o max_tokens 20\nName a metal.")
    run(shell, "%%llm flash --repeat 61 --quiet -o max_tokens 20\nName a metal.")
    assert "estimate:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "cell",
    ["%%llm sonet --dry-run\nhi", "%%llm sonnet --dry-run", "%%llm sonnet --dry-run --source replay=none.jsonl\nhi"],
)
def test_a_dry_run_of_what_cannot_be_asked_is_one_sentence(shell, cell):
    assert fail(shell, cell).count("\n") == 0


def test_a_stopped_cell_that_does_not_come_to_rest_is_given_back_and_says_how_to_have_the_rows(shell):
    shell.session.simulator.say("slowly", "late", delay=60)
    asked = begin(parse("rows << sonnet"), "Tell it slowly.", shell.session, shell)
    with pytest.raises(
        Interrupted, match="still coming to rest and rows is not assigned; when they have: rows = %llm show last"
    ):
        asked.end()
    asked.job.stop()
    assert asked.job.wait(20)
    run(shell, "rows = %llm show last")
    assert shell.user_ns["rows"].error_kind.tolist() == ["cancelled"]
