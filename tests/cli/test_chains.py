"""``onb chain``, as a user types it: what there is, what is wrong, running one, and going on with it."""

import json
import xml.etree.ElementTree as ET

import click
import pytest
from click.testing import CliRunner

from orchestrator_nb.cli import main

REVIEW = """\
description: Draft and shorten.
inputs:
  topic: text
  words: {type: integer, default: 20}
  tags: {type: list, default: []}
steps:
  - {id: draft, model: haiku, prompt: 'Write {{ words }} words about {{ topic }}.{% for tag in tags %} {{ tag }}{% endfor %}'}
  - {id: short, model: flash, prompt: 'Shorten: {{ draft }}'}
outputs: {text: '{{ short }}', words: '{{ words }}', tags: '{{ tags }}'}
"""
BAD = "steps:\n  - {id: a, promt: Hi}\n  - {id: b, model: haiku, prompt: 'See {{ aa }}.'}\n"


@pytest.fixture
def onb(tmp_path, monkeypatch):
    """The command in this process, in a folder of its own."""
    monkeypatch.setenv("ORCHESTRATOR_NB_HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*words, stdin=""):
        return CliRunner().invoke(main, ["chain", *map(str, words)], input=stdin, prog_name="onb")

    run.folder = folder
    return run


@pytest.fixture
def review(onb):
    path = onb.folder / "review.yaml"
    path.write_text(REVIEW)
    return path


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


# What there is


def test_a_chain_made_from_a_template_is_kept_listed_shown_checked_and_drawn(onb):
    made = onb("new", "essay", "--from", "refine", "--set", "turns=2", "--set", "writer=haiku")
    assert made.exit_code == 0, made.output
    assert made.stdout.splitlines()[0].endswith("chains/essay.yaml")
    assert onb("list").stdout.startswith("essay ")
    [facts] = rows(onb("list", "--json"))
    assert (facts["origin"], facts["trusted"], facts["problems"]) == ("user", True, [])
    assert "max: 2" in onb("show", "essay").stdout
    assert onb("check").exit_code == 0
    assert "├─ draft" in onb("draw", "essay").stdout
    picture = onb("draw", "essay", "--out", "essay.svg")
    assert picture.exit_code == 0, picture.output
    assert ET.parse(onb.folder / "essay.svg").getroot().tag.endswith("svg")
    again = onb("new", "essay", "--from", "vote")
    assert (again.exit_code, "already" in again.stderr) == (2, True)
    assert onb("new", "essay", "--from", "vote", "--replace").exit_code == 0


def test_a_template_can_be_printed_and_nothing_is_kept(onb):
    assert "name: x" in onb("new", "x", "--from", "vote", "--print").stdout
    assert onb("list").stdout == ""
    assert "templates" in onb("list").stderr


def test_templates_and_roles_are_listed_and_shown(onb):
    assert len(rows(onb("templates", "--json"))) == 7
    assert "turns" in onb("templates", "refine").stdout
    assert {fact["kind"] for fact in rows(onb("roles", "--json"))} == {"role", "persona"}
    assert "technical writer" in onb("roles", "TechnicalWriter").stdout
    assert "persona  poet" in onb("roles").stdout


WRONG = {
    ("show", "nothing"): "unknown chain 'nothing'",
    ("run", "refine"): "onb chain new NAME --from refine",
    ("roles", "poett"): "did you mean 'poet'",
    ("templates", "refin"): "did you mean 'refine'",
    ("new", "../x", "--from", "vote"): "no chain's name",
    ("new", "x", "--from", "vote", "--set", "turnips=3"): "unknown parameter",
    ("new", "x", "--from", "vote", "--set", "turns"): "--set takes NAME=VALUE",
    ("run", "nothing.yaml"): "no such file",
    ("run", "plan", "--input", "x"): "unknown chain 'plan'",
    ("run", "plan | summarize", "--input", "x"): "--input takes NAME=VALUE",
    ("run", "plan | summarize", "--input", "input=a", "--input", "input=b"): "given twice",
    ("run", "plan | summarize", "--input", "input=@none.txt"): "none.txt cannot be read: No such file",
    ("run", "plan | summarize", "--fresh", "--source", "replay=x"): "--fresh asks a model",
    ("run", "plan", "--over", "none.csv"): "does not exist",
    ("resume", "nothing"): "no run",
    ("check", "nothing"): "unknown chain",
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_word_is_one_sentence_and_exit_code_2(onb, words):
    done = onb(*words)

    assert done.exit_code == 2, done.output
    assert WRONG[words] in done.stderr
    assert "Traceback" not in done.output


# What is wrong


def test_everything_that_is_wrong_in_files_and_folders_is_told_with_its_place(onb, review):
    (onb.folder / "sub").mkdir()
    (onb.folder / "sub" / "bad.yml").write_text(BAD)
    (onb.folder / "sub" / "worse.yaml").write_text("a: [\n")
    (onb.folder / "sub" / "notes.txt").write_text("no chain")

    done = onb("check", ".")

    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert lines[0].startswith("sub/bad.yml:2:13: step 'a', key 'promt': unknown key; did you mean 'prompt'?")
    assert lines[1] == "sub/bad.yml:3:27: step 'b', key 'prompt': 'aa' is not known here; did you mean 'a'?"
    assert lines[2].startswith("sub/worse.yaml:")
    assert "3 chains, 3 problems." in done.stderr
    assert [(fact["file"], fact["line"], fact["step"]) for fact in rows(onb("check", "sub/bad.yml", "--json"))] == [
        ("sub/bad.yml", 2, "a"),
        ("sub/bad.yml", 3, "b"),
    ]
    assert onb("check", review).exit_code == 0
    assert onb("check", onb.folder / "none.yaml").exit_code == 1


def test_running_one_that_is_wrong_tells_everything_too_and_asks_nothing(onb):
    (onb.folder / "bad.yaml").write_text(BAD)

    done = onb("run", "bad.yaml", "--simulate")

    assert done.exit_code == 2
    assert "'promt'" in done.stderr
    assert "'aa' is not known here" in done.stderr


def test_chains_that_are_checked_together_may_use_each_other_and_functions_are_the_notebook_s(onb):
    (onb.folder / "one.yaml").write_text("steps:\n  - {use: two}\n  - {python: score}\n")
    (onb.folder / "two.yaml").write_text("steps:\n  - {prompt: Hi}\n")

    assert onb("check", "one.yaml", "two.yaml").exit_code == 0
    assert onb("check", "one.yaml").exit_code == 1


def test_a_project_s_chains_are_listed_and_say_what_needs_trust(onb):
    (onb.folder / "orchestrator-nb.yaml").write_text("model: haiku\n")
    (onb.folder / "chains").mkdir()
    (onb.folder / "chains/good.yaml").write_text("plan | summarize\n")
    (onb.folder / "chains/wild.yaml").write_text("steps:\n  - {python: score}\n")

    good, wild = onb("list").stdout.splitlines()
    assert good.split()[:4] == ["good", "project", "not", "trusted"]
    assert "onb trust shows what it asks for" in wild
    shown = onb("show", "wild")
    assert (shown.exit_code, "python: score" in shown.stdout, "onb trust shows" in shown.stderr) == (1, True, True)
    assert onb("show", "chains/good.yaml").stdout == "plan | summarize\n"
    assert onb("check", "chains").exit_code == 0
    refused = onb("run", "wild", "--simulate")
    assert refused.exit_code == 2
    assert "onb trust shows what it asks for" in refused.stderr
    assert onb("run", "-", "--dry-run", "--input", "input=tea", stdin="plan | summarize").exit_code == 0
    assert onb("run", "good", "--dry-run", "--input", "input=tea").exit_code == 0


def test_what_a_file_says_does_not_steer_the_terminal(onb):
    (onb.folder / "x.yaml").write_text(
        'description: "\\e]0;owned\\a\\u202e"\nsteps:\n  - {"\\e[2Jid": 1, prompt: Hi}\n'
    )

    for words in (("check", "x.yaml"), ("run", "x.yaml")):
        done = onb(*words)
        assert done.exit_code
        assert all(line.isprintable() for line in done.output.splitlines())


# Running


def test_what_a_chain_gives_is_printed_and_what_it_took_goes_to_standard_error(onb, review):
    done = onb("run", review, "--input", "topic=tea", "--simulate")

    assert done.exit_code == 0, done.output
    lines = click.unstyle(done.stdout).splitlines()
    assert (lines[0], lines[-4:]) == ("── text", ["── words", "20", "── tags", "[]"])
    assert "2 calls: 2 simulated" in done.stderr


def test_inputs_have_the_types_that_the_chain_wants_and_may_come_from_files(onb, review):
    (onb.folder / "topic.txt").write_text("007\n")
    given = ("--input", "topic=@topic.txt", "--input", "words=7", "--input", "tags=[a, 2]")

    [row] = rows(onb("run", review, *given, "--simulate", "--json"))

    assert (row["outputs"]["words"], row["outputs"]["tags"], row["error"]) == (7, ["a", 2], None)
    [row] = rows(
        onb("run", review, "--input", "topic=@@home", "--input", "tags=@-", "--simulate", "--json", stdin='["x"]')
    )
    assert row["outputs"]["tags"] == ["x"]
    wrong = onb("run", review, "--input", "topic=1", "--input", "words=many", "--simulate")
    assert (wrong.exit_code, "integer" in wrong.stderr or "whole number" in wrong.stderr) == (2, True)


def test_a_dry_run_says_how_much_would_be_asked_of_whom_and_asks_nothing(onb, review):
    done = onb("run", review, "--input", "topic=tea", "--dry-run")

    assert done.exit_code == 0
    assert "calls     2;" in done.stdout
    assert "├─ draft" in done.stdout
    [facts] = rows(onb("run", review, "--input", "topic=tea", "--dry-run", "--json"))
    assert (facts["least"], facts["most"]) == (2, 2)


def test_over_a_table_each_row_gives_its_own_and_many_calls_need_a_yes(onb, review):
    (onb.folder / "topics.csv").write_text("topic\ntea\nsnow\n")
    done = rows(onb("run", review, "--over", "topics.csv", "--simulate", "--json"))
    assert [(row["row"], row["given"]["topic"]) for row in done] == [(0, "tea"), (1, "snow")]

    (onb.folder / "topics.csv").write_text("topic\n" + "tea\n" * 501)
    many = onb("run", review, "--over", "topics.csv", "--simulate")
    assert (many.exit_code, "1,002 calls; add --yes" in many.stderr) == (2, True)


def test_a_chain_that_fails_exits_with_1_and_says_where(onb, review):
    failed = onb("run", review, "--input", "topic=tea")  # nobody has a key here
    assert failed.exit_code == 1
    assert "draft" in failed.stderr
    again = onb("resume", "--simulate")
    assert again.exit_code == 2  # it was asked of models
    assert "onb" in again.stderr


def test_a_run_that_was_stopped_goes_on(onb, review):
    stopped = onb("run", review, "--input", "topic=tea", "--simulate", "--timeout", "0.001")
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert "--timeout" in stopped.stderr

    done = onb("resume", "--simulate", "--json")
    assert done.exit_code == 0, done.output
    assert rows(done)[0]["outputs"]["words"] == 20


def test_the_profile_of_a_run_is_a_table(onb, review):
    assert onb("run", review, "--input", "topic=tea", "--simulate").exit_code == 0

    done = onb("profile")
    assert done.exit_code == 0, done.output
    assert "draft" in done.stdout
    assert "draft" in {row.get("step") for row in rows(onb("profile", "--json"))}
