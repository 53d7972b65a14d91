"""``%%chain`` and ``%chain`` in a shell: what runs, what is bound and kept, what fails the cell, and what is never asked."""

import threading

import pandas as pd
import pytest
from IPython.utils.capture import capture_output

from orchestrator_nb.errors import ChainError, OrchestratorError, UserError
from orchestrator_nb.magics.chain_args import ChainLine
from orchestrator_nb.magics.chaining import begin
from orchestrator_nb.magics.outcome import Interrupted

REVIEW = """inputs: {topic: {type: text, description: what to write about}, words: {type: integer, default: 20}}
steps:
  - {id: draft, prompt: "Write {{ words }} words about {{ topic }}."}
  - {id: better, prompt: "Make it better: {{ draft }}"}
"""
FAILING = "anthropic/sim-400"


@pytest.fixture
def shell(shell):
    shell.session.simulator._world.lively = False
    shell.session.use(shell.session.config.with_cell({"model": "sonnet"}))
    return shell


def cell(shell, line, body=REVIEW):
    """Runs a cell as a user does; what it showed."""
    with capture_output() as shown:
        result = shell.run_cell(f"%%chain {line}\n{body}", store_history=True)
    result.raise_error()
    return shown.stdout


def say(shell, line):
    with capture_output() as shown:
        result = shell.run_line_magic("chain", line)
    return result, shown.stdout


def asked_of(shell):
    return [request.path for request in shell.session.simulator.requests]


def refused(shell, line, body=REVIEW):
    """The sentences of a cell that must fail before anything is asked."""
    before = len(shell.session.simulator.requests)
    with capture_output():
        result = shell.run_cell(f"%%chain {line}\n{body}")
    error = result.error_before_exec or result.error_in_exec
    assert isinstance(error, UserError), error
    assert error._render_traceback_() == [f"{type(error).__name__}: {error}"]
    assert len(shell.session.simulator.requests) == before
    return str(error)


def next_cell(shell):
    return shell.rl_next_input


# Running


def test_a_chain_runs_and_its_frame_is_in_name_and_in_the_underscore(shell):
    shown = cell(shell, "out << --input topic='sea ice'")
    frame = shell.user_ns["out"]
    assert frame is shell.user_ns["_"]
    assert frame["prompt"][0] == "Write 20 words about sea ice."
    assert frame["prompt"][1] == f"Make it better: {frame['text'][0]}"
    assert frame["text"][1].split()[0] in shown
    assert "2 calls: 2 simulated" in shown


def test_called_from_python_the_magic_returns_the_frame_and_one_line_is_a_chain_too(shell):
    shell.user_ns["notes"] = "We grew yeast."
    with capture_output():
        frame = shell.run_cell_magic("chain", "--input input={{ notes }}", "analyze:researcher@flash | summarize")
    assert list(frame["prompt"]) == ["We grew yeast.", frame["text"][0]]
    assert list(frame["provider"]) == ["gemini", "anthropic"]


def test_the_default_model_is_that_of_the_line_and_may_be_a_variable(shell):
    shell.user_ns["picked"] = "flash"
    cell(shell, "--input topic=x -m {{ picked }}")
    assert set(shell.user_ns["_"]["provider"]) == {"gemini"}


def test_over_runs_it_for_each_row_with_the_columns_as_inputs(shell):
    shell.user_ns["papers"] = pd.DataFrame({"topic": ["a", "b"], "more": [1, 2]})
    cell(shell, "out << --over papers --input words=3")
    assert list(shell.user_ns["out"]["row"]) == [0, 0, 1, 1]
    assert shell.user_ns["out"]["prompt"][2] == "Write 3 words about b."


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("text", "2026", "2026"),
        ("text", "true", "true"),
        ("text", "'sea ice'", "sea ice"),
        ("text", "{{ year }}", "2026"),
        ("text", "'ice in {{ year }}'", "ice in 2026"),
        ("number", "2.5", 2.5),
        ("integer", "{{ year }}", 2026),
        ("boolean", "true", True),
        ("list", "[a, 'b c', 3]", ["a", "b c", 3]),
        ("list", "{{ names }}", ["x", "y"]),
        ("list", "{{ frame }}", [{"a": 1}, {"a": 2}]),
        ("object", "{a: 1, b: [2]}", {"a": 1, "b": [2]}),
        ("any", "null", None),
        ("any", "names", "names"),
        ("any", "{{ hostile }}", "{{ year }}"),
    ],
)  # fmt: skip
def test_an_input_is_what_the_chain_declares_and_braces_mean_a_variable(shell, kind, written, value):
    from orchestrator_nb.chains.chain import Input
    from orchestrator_nb.magics.chain_args import parse
    from orchestrator_nb.magics.chain_values import value_of

    names = {"year": 2026, "names": ("x", "y"), "frame": pd.DataFrame({"a": [1, 2]}), "hostile": "{{ year }}"}
    assert value_of(Input("x", kind), parse(f"--input x={written}").inputs["x"], names) == value


def test_no_notebook_variable_is_taken_for_its_name(shell):
    shell.user_ns["topic"] = "a secret"
    said = refused(shell, "")
    assert said == (
        "the input 'topic' is missing (a text: what to write about): add --input topic=…, or --input topic={{ topic }} "
        "for the notebook variable."
    )


# What is wrong


def test_all_problems_are_shown_at_once_with_the_lines_of_the_cell(shell):
    body = 'steps:\n  - {id: a, promt: Hi}\n  - role: critque\n  - prompt: "{{ drft }}"\n'
    lines = refused(shell, "", body).split("\n")
    assert lines[0] == "3 problems in this chain; nothing was asked."
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "line 3, step 'a', 'promt'", "line 4, step 'critque', 'role'", "line 5, step 'step_3', 'prompt'"
    ]  # fmt: skip
    assert "did you mean 'prompt'?" in lines[1]


CANNOT_RUN = [
    ("--input topic=x review", "'review' is no option"),
    ("topic=x", "write --input topic=x"),
    ("--input topic", "--input takes NAME=VALUE"),
    ("--input topic = x", "--input takes NAME=VALUE"),
    ("--inptu topic=x", "did you mean '--input'"),
    ("--input topc=x", "did you mean 'topic'? It takes topic, words."),
    ("--input topic=x --input words=many", "the input 'words' is a whole number, not a text."),
    ("--input topic=x --input words=count", "The notebook variable is written --input words={{ count }}."),
    ("--input topic=…", "write its value in the place of the dots"),
    ("--input topic={{ tpic }}", "'tpic' is not defined; did you mean 'topic'?"),
    ("--input topic={{ os }}", "'os' holds a module"),
    ("--input topic=x --input words=[1", "unclosed '['"),
    ("--over nothing", "--over: 'nothing' is not defined"),
    ("--over papers --input topic=x", "both given by --input and a column of --over"),
    ("--over wrong", "the input 'topic' is missing"),
    ("--over count", "--over takes a DataFrame"),
    ("--input topic=x -m sonet", "unknown model 'sonet'"),
    ("--input topic=x -m anthropic/*", "a step names one"),
    ("--input topic=x --on-error stop", "its own on_error says"),
    ("--input topic=x --source replay=none.jsonl", "none.jsonl"),
    ("--input topic=x --fresh --source replay=none.jsonl", "--fresh asks a model"),
    ("--replace", "--replace goes with --save NAME"),
    ("--save 'no name'", "no chain's name"),
    ("out = --input topic=x", "write << instead of ="),
]


def test_what_cannot_run_says_what_to_write_and_nothing_is_asked(shell):
    shell.user_ns.update(topic="t", count=3, os=threading, papers=[{"topic": "a"}], wrong=[{"title": "a"}])
    for line, says in CANNOT_RUN:
        assert says in refused(shell, line), line


BROKEN = [
    ("", "there is no chain"),
    ("   \n", "there is no chain"),
    ("analyse", "did you mean 'analyze'"),
    ("just some words here", "unknown role"),
    ("steps: []", "line 2"),
    ("steps:\n\t- prompt: a", "indented by a tab"),
    ("steps: [{id: a, prompt: a}, {id: a, prompt: b}]", "line 2"),
    ("steps: [{use: nothing}]", "nothing"),
    ("steps: [{python: nothing}]", "register it in the notebook"),
    ("steps: [{prompt: '{{ cycler.__init__ }}'}]", "line 2"),
    ("steps: &a [{prompt: a}]", "anchor"),
    ("chains: {}", "line 2"),
]


def test_a_broken_chain_of_every_kind_fails_the_cell(shell):
    for body, says in BROKEN:
        assert says in refused(shell, "", body), body


def test_several_wrong_inputs_are_said_together(shell):
    said = refused(shell, "--input a=1 --input words=x")
    assert said.count("\n") == 3
    assert all(part in said for part in ("--input a:", "--input words:", "'topic' is missing"))


def test_a_name_that_only_the_notebook_knows_is_told_how_it_comes_in(shell):
    shell.user_ns.update(notes="text", rows=[{"title": "a"}])
    said = refused(shell, "--over rows", "steps: [{id: a, prompt: '{{ notes }}'}, {id: b, prompt: '{{ title }}'}]")
    assert "inputs: {notes: any}, and --input notes={{ notes }} on the first line." in said
    assert "a column of --over is declared too: inputs: {title: any}." in said


# Failing and going on


def test_a_failed_chain_fails_the_cell_when_all_is_assigned_and_says_how_to_go_on(shell):
    with pytest.raises(OrchestratorError) as failed:
        cell(shell, f"out << -m {FAILING} --input topic=x")
    frame = shell.user_ns["out"]
    assert str(failed.value).startswith("draft: anthropic/sim-400 answered 400")
    assert f"%chain resume {frame['run_id'][0]} " in str(failed.value)
    assert len(frame) == 1


def test_return_lets_the_cell_pass(shell):
    assert "✗ draft" in cell(shell, f"-m {FAILING} --input topic=x --on-error return")


def test_rows_that_fail_are_counted(shell):
    shell.user_ns["rows"] = [{"topic": "a"}, {"topic": "b"}]
    with pytest.raises(OrchestratorError, match=r"the chain failed on 2 of 2 rows; out\.llm\.outputs has them"):
        cell(shell, f"out << -m {FAILING} --over rows")


def test_resume_keeps_what_is_answered_and_asks_the_rest(shell):
    shell.session.simulator.fail("400", times=1, match="Make it better")
    with pytest.raises(OrchestratorError):
        cell(shell, "--input topic=x")
    run, before = shell.user_ns["_"]["run_id"][0], len(shell.session.simulator.requests)
    frame, shown = say(shell, f"resume {run}")
    assert len(shell.session.simulator.requests) == before + 1
    assert frame["error"].isna().all()
    assert "1 answers kept" in shown or "1 answer kept" in shown
    with pytest.raises(UserError, match="nothing is left to ask"):
        say(shell, f"resume {run}")


def test_an_interrupt_keeps_what_is_done_and_names_the_way_on(shell):
    reached = threading.Event()
    shell.session.chains.register(reached.set, "reached")
    shell.session.simulator.say("Make it better", "late", delay=60)
    body = f"{REVIEW}  - {{python: reached, when: length(draft) > 0}}\n"
    asked = begin(ChainLine(inputs={"topic": "x"}, quiet=True), body, shell.session, shell)
    assert reached.wait(20)
    asked.job.stop()
    assert asked.job.job.wait(20)
    frame, error = asked.end(), asked.error(stopped=True)
    assert list(frame["error_kind"].fillna("")) == ["", "cancelled"]
    assert isinstance(error, Interrupted)
    assert str(error) == f"stopped; 1 answer kept, all rows are in _; %chain resume {asked.run.id} goes on."
    shell.session.simulator.clear()
    assert say(shell, f"resume {asked.run.id}")[0]["error"].isna().all()
    assert len(asked_of(shell)) == 1


def test_a_stopped_chain_that_does_not_come_to_rest_gives_the_cell_back_and_says_how_to_have_the_rows(shell):
    shell.session.simulator.say("Make it better", "late", delay=60)
    asked = begin(ChainLine(name="out", inputs={"topic": "x"}, quiet=True), REVIEW, shell.session, shell)
    with pytest.raises(
        Interrupted, match="still coming to rest and out is not assigned; when they have: out = %llm show last"
    ):
        asked.end()
    asked.job.stop()
    assert asked.job.job.wait(20)
    assert asked.end()["error_kind"].iloc[-1] == "cancelled"


def test_many_calls_ask_for_yes_as_far_as_they_are_known(shell):
    shell.session.use(shell.session.config.with_cell({"limits.confirm_calls": 5, "model": "sonnet"}))
    shell.user_ns["names"] = list("abcdef")
    body = "inputs: {names: list}\nsteps: [{id: a, each: names, prompt: 'Who is {{ item }}?'}]"
    assert "this chain means 6 calls, more than limits.confirm_calls (5)" in refused(
        shell, "--input names={{ names }}", body
    )
    cell(shell, "--input names={{ names }} --yes --quiet", body)
    assert len(shell.user_ns["_"]) == 6
    loop = "steps: [{id: a, repeat: {max: 9, until: \"current == 'x'\"}, prompt: a}]"
    assert "up to 9 calls" in refused(shell, "", loop)


# Looking first, and keeping


def test_a_dry_run_says_what_would_be_asked_and_asks_nothing(shell):
    body = "inputs: {papers: list}\nsteps:\n  - {id: notes, each: papers, prompt: 'Note: {{ item }}'}\n  - {id: all, when: \"length(notes) > 1\", prompt: 'Sum up {{ notes }}', model: flash}\n"
    before = len(shell.session.simulator.requests)
    shown = cell(shell, "--input papers=[a,b,c] --dry-run --max-cost 2", body)
    assert "3 to 4; the simulator" in shown
    assert "anthropic/" in shown
    assert "gemini/" in shown
    assert " for the 3 calls that can be told now" in shown
    assert "$2: what does not fit is not asked" in shown
    assert "notes" in shown
    assert len(shell.session.simulator.requests) == before
    assert shell.session.last is None


def test_save_keeps_a_sound_chain_and_a_cell_without_its_inputs_only_keeps(shell):
    shown = cell(shell, "--save review")
    assert "review is kept in" in shown
    assert "%chain run review --input topic=…" in shown
    assert shell.session.last is None
    assert cell(shell, "--save review --input topic=x --quiet") == "", "the same again is no other chain"
    other = REVIEW.replace("better:", "much better:")
    assert "add --replace, or take another name" in refused(shell, "--save review", other)
    cell(shell, "--save review --replace", other)
    assert "much better" in say(shell, "show review")[1]
    assert "line 2" in refused(shell, "--save review --replace", "stps: []")
    assert "much better" in say(shell, "show review")[1]


def test_a_chain_with_a_name_can_be_used_by_the_next_cell(shell):
    cell(shell, "--quiet", "name: short\nsteps: [{id: a, prompt: Say a word.}]")
    cell(shell, "--quiet", "steps: [{id: b, use: short}, {id: c, prompt: 'And {{ b }}?'}]")
    assert len(shell.user_ns["_"]) == 2


# The verbs


def test_the_verbs_do_what_they_say(shell, tmp_path):
    with capture_output():
        shell.run_cell(f"%%chain --save review\n{REVIEW}")
    listed = say(shell, "list")[0].set_index("chain")
    assert listed["inputs"]["review"] == "topic, [words]"
    assert listed["problems"]["review"] == 0
    assert say(shell, "check review")[1] == "review: no problems; 2 steps.\n"
    frame, shown = say(shell, "run review --input topic=x")
    assert len(frame) == 2
    assert shell.user_ns["_"] is frame
    assert "2 calls" in shown
    assert "draft" in repr(say(shell, "draw review")[0])
    assert "draft" in repr(say(shell, "profile")[0])
    assert "stands in" in say(shell, "edit review")[1]
    say(shell, "edit review --cell")
    assert next_cell(shell) == f"%%chain --save review --replace\n{REVIEW.strip()}"
    assert set(say(shell, "roles")[0]["kind"]) == {"role", "persona"}
    assert "refine" in set(say(shell, "templates")[0]["template"])
    assert "turns" in set(say(shell, "templates refine")[0]["parameter"])
    assert "%chain run mine --input task=…" in say(shell, "new mine --from refine --set turns=1 --set writer=flash")[1]
    assert "flash" in say(shell, "show mine")[1]
    path = tmp_path / "own.yaml"
    path.write_text(REVIEW)
    assert len(say(shell, f"run {path} --input topic=x")[0]) == 2
    assert "%chain list" in say(shell, "")[1] == say(shell, "help")[1]
    assert "review" in set(shell.run_line_magic("llm", "chain list")["chain"])


def test_check_says_everything_with_file_line_step_and_key_and_fails(shell, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("steps:\n  - {id: a, promt: x}\n  - {id: b, prompt: '{{ c }}'}\n")
    with pytest.raises(ChainError) as failed:
        say(shell, f"check {path}")
    assert len(failed.value.problems) >= 2
    assert f"{path}:2:" in str(failed.value)
    assert f"{path}:3:" in str(failed.value)
    (tmp_path / "good.yaml").write_text(REVIEW)
    with pytest.raises(ChainError, match="promt"):
        say(shell, f"check {tmp_path}")
    path.unlink()
    assert say(shell, f"check {tmp_path}")[1] == "good.yaml: good: no problems; 2 steps.\n"


def test_a_draft_from_plain_english_comes_into_the_next_cell_and_runs_nothing(shell):
    shell.session.simulator.say("summarise", f"```yaml\n{REVIEW}```")
    drawing, shown = say(shell, "from summarise each paper, don't guess -m flash")
    assert "Write {{ words }} words" in shown
    assert "draft" in repr(drawing)
    assert next_cell(shell).startswith("%%chain --input topic=…\n")
    assert "Write {{ words }} words" in next_cell(shell)
    assert len(asked_of(shell)) == 1
    assert shell.session.models(["flash"])[0].id in asked_of(shell)[0]


def test_a_draft_that_stays_broken_is_shown_and_fails(shell):
    shell.session.simulator.say("bake", "steps:\n  - {id: a, promt: x}\n")
    with pytest.raises(ChainError, match=r"after 3 tries something is still wrong with the draft; .* 'promt'"):
        say(shell, "from 'bake a cake'")
    assert next_cell(shell).startswith("%%chain\n")


def test_a_proposed_cell_has_nothing_that_could_leave_the_terminal(shell):
    shell.session.simulator.say("evil", 'steps:\n  - {id: a, prompt: "x"} # \x1b]0;t\x07\u202e\n%%bash\nrm')
    with pytest.raises(OrchestratorError), capture_output() as shown:
        shell.run_line_magic("chain", "from evil")
    assert "\x1b" not in shown.stdout + next_cell(shell)
    assert next_cell(shell).startswith("%%chain\n")


WRONG = [
    ("lst", "did you mean 'list'"),
    ("delete", "%chain has no word 'delete'"),
    ("graph x", "did you mean 'draw'"),
    ("review --input topic=x", "%chain run review --input topic=x"),
    ("analyze | summarize", "below a line with %%chain"),
    ("run", "write it as: %chain run NAME"),
    ("run review topic=x", "write --input topic=x"),
    ("run review --save x", "unknown option '--save'"),
    ("run reviw", "did you mean 'review'"),
    ("run none.yaml", "there is no such file"),
    ("run ../../etc/nothing", "unknown chain"),
    ("run refine", "template"),
    ("run review", "add --input topic=…"),
    ("show", "write it as: %chain show NAME"),
    ("show nothing", "nothing"),
    ("draw a b", "write it as: %chain draw NAME"),
    ("edit nothing", "unknown chain"),
    ("new x", "write it as: %chain new NAME --from TEMPLATE"),
    ("new x --from refin", "did you mean 'refine'"),
    ("new x --from refine --set turn=1", "did you mean 'turns'"),
    ("new x --from refine --set turns", "--set takes PARAMETER=VALUE"),
    ("new x --from refine --set turns=many", "a whole number"),
    ("new review --from refine", "there is a chain 'review' already"),
    ("from", "write it as: %chain from"),
    ("from -m sonnet", "write it as: %chain from"),
    ("templates nothing", "unknown template"),
    ("resume", "no run is written down yet"),
    ("profile a b", "write it as: %chain profile"),
    ("roles x", "write it as: %chain roles"),
    ("show 'half", "unclosed"),
]


def test_a_wrong_word_is_one_sentence_that_says_what_to_do(shell):
    with capture_output():
        shell.run_cell(f"%%chain --save review\n{REVIEW}")
    for line, says in WRONG:
        with pytest.raises(UserError) as failed:
            say(shell, line)
        assert says in str(failed.value), line


def test_the_profile_is_of_a_chains_run_alone(shell):
    with capture_output():
        shell.run_cell_magic("llm", "sonnet", "hello")
    with pytest.raises(UserError, match="is no chain's"):
        say(shell, "profile")


def test_where_the_name_is_taken_the_magics_have_another(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    from orchestrator_nb.magics.extension import load, unload

    made = InteractiveShell()
    made.register_magic_function(lambda line, cell: "theirs", "cell", "chain")
    load(made)
    assert made.find_cell_magic("onb_chain") is not None
    assert "use %%onb_chain" in capsys.readouterr().out
    unload(made)
    assert made.find_cell_magic("onb_chain") is None
    assert made.find_cell_magic("chain") is not None


def test_the_help_pages_have_every_option_and_verb(shell):
    from orchestrator_nb.magics.chain_args import OPTIONS
    from orchestrator_nb.magics.chain_words import _VERBS
    from orchestrator_nb.magics.manual import CHAIN

    page = shell.object_inspect_text("%%chain")
    assert all(flag in page for option in OPTIONS for flag in option.flags)
    assert [command.name for command in CHAIN] == list(_VERBS)
    assert all(f"%chain {command.usage}" in shell.object_inspect_text("%chain") for command in CHAIN)
