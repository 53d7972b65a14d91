"""What is wrong with a chain is told all at once, each with its line, column, step and key, and with what to write instead."""

import pytest

from orchestrator_nb.chains import check, load, schema
from orchestrator_nb.errors import ChainError

MANY = """\
version: 2
inputs:
  topic: txt
steps:
  - id: a
    promt: Write on {{ topic }}.
  - id: b-c
    prompt: See {{ aa }}.
    retry: often
  - id: s
    switch:
      on: a
      cases:
        x:
          - {prompt: 3}
          - {promtp: d}
        y: {id: z, prompt: q, each: {overr: x}}
  - parallel:
      p: {role: Critque}
      q: {prompt: k, system: l, persona: Tester}
    model: x
    on_error: {goto: x, default: 3}
  - id: last
    when: a.b
    prompt: |
      One line.
      {{ s.upper() }}
outputs: {a: b}
verion: 2
"""

FOUND = [
    (3, 3, "", "inputs.topic", "found 'txt', expected 'text'"),
    (6, 5, "a", "promt", "did you mean 'prompt'?"),
    (7, 5, "b-c", "id", "write 'b_c'"),
    (8, 5, "b_c", "prompt", "'aa' is not known here; did you mean 'a'?"),
    (9, 5, "b-c", "retry", "a number, or times and wait_s"),
    (15, 14, "s.x.step_1", "prompt", "found 3, expected text"),
    (16, 14, "s.x.step_2", "promtp", "did you mean 'prompt'?"),
    (17, 13, "s.y", "id", "a branch is called by its own name"),
    (17, 31, "s.y", "each.over", "'over' is missing"),
    (17, 38, "s.y", "each.overr", "did you mean 'over'?"),
    (19, 11, "step_4.p", "role", "did you mean 'critique'?"),
    (20, 22, "step_4.q", "system", "keep one of them"),
    (21, 5, "step_4", "model", "make them two steps"),
    (22, 5, "step_4", "on_error", "fail, skip, {default: value} or {goto: step}"),
    (24, 5, "last", "when", "'b' is a part of an object, and this is a text"),
    (27, 1, "last", "prompt", "only functions can be called"),
    (28, 11, "", "outputs.a", "write '{{ name }}'"),
    (29, 1, "", "verion", "did you mean 'version'?"),
]


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file():
    problems = check(MANY, file="my.yaml")
    told = [(p.line, p.column, p.key) for p in problems]
    assert [entry for entry in ((line, column, key) for line, column, _, key, _ in FOUND) if entry not in told] == []
    assert told == sorted(told, key=lambda entry: entry[:2])
    for line, column, _step, key, words in FOUND:
        assert any(words in p.message for p in problems if (p.line, p.column, p.key) == (line, column, key)), (
            line,
            key,
        )
    assert {p.file for p in problems} == {"my.yaml"}


def test_a_problem_reads_as_one_sentence_with_its_place():
    (problem,) = check("steps:\n  - {id: a, promt: Hi, role: plan}\n", file="my.yaml")
    assert str(problem).startswith(
        "my.yaml:2:13: step 'a', key 'promt': unknown key; did you mean 'prompt'? Accepted: "
    )


def test_the_error_carries_the_problems():
    with pytest.raises(ChainError) as failure:
        load("steps: []\nname: 'a b'\n")
    assert len(failure.value.problems) == 2
    assert str(failure.value) == "\n".join(map(str, failure.value.problems))


ONE = {
    "": "'steps' is missing",
    "steps: []": "at least one entry",
    "steps: {a: 1}": "expected a list",
    "[1]": "expected 'key: value' lines",
    "hello world, this is no chain!": "is no role",
    "analyze:@x | plan": "is no persona",
    "analyze | | plan": "a step is empty",
    "analyze@": "no model after '@'",
    "version: 1\nsteps: [{prompt: x}]": "expected 2",
    "version: 3\nsteps: [{prompt: x}]": "newer than this package",
    "steps: [{prompt: x}, 5]": "expected 'key: value' lines",
    "steps: [{id: a}]": "says nothing to do",
    "steps: [{prompt: ''}]": "empty text",
    "steps: [{prompt: x, use: y}]": "belongs to a step that asks",
    "steps: [{use: y, python: z}]": "two kinds of step",
    "steps: [{prompt: x, with: {a: 1}}]": "belongs to 'use' or 'python'",
    "steps: [{switch: {cases: {a: {prompt: x}}}}]": "either 'on' or 'ask'",
    "steps: [{switch: {on: '1', ask: x, cases: {a: {prompt: x}}}}]": "either 'on' or 'ask'",
    "steps: [{switch: {on: '1', model: x, cases: {a: {prompt: x}}}}]": "belongs to 'ask'",
    "steps: [{switch: {on: '1', cases: {default: {prompt: x}}}}]": "stands beside 'cases'",
    "steps: [{prompt: x, repeat: 0}]": "greater than or equal to 1",
    "steps: [{prompt: x, repeat: 5000}]": "less than or equal to 1000",
    "steps: [{prompt: x, retry: -1}]": "greater than or equal to 0",
    "steps: [{prompt: x, timeout: yes}]": "expected",
    "steps: [{prompt: x, timeout: 0}]": "greater than 0",
    "steps: [{prompt: x, budget: -1}]": "greater than or equal to 0",
    "steps: [{prompt: x, on_error: ignore}]": "'fail' or 'skip'",
    "steps: [{prompt: x, on_error: {}}]": "fail, skip",
    "steps: [{prompt: x, save: input}]": "a meaning of its own",
    "steps: [{prompt: x, id: turn}]": "a meaning of its own",
    "steps: [{prompt: x, id: _a}]": "is no name",
    "steps: [{prompt: x, each: 5}]": "expected",
    "steps: [{prompt: x, model: []}]": "at least one entry",
    "steps: [{prompt: x}]\ndefaults: {on_error: {goto: a}}": "belongs to one step",
    "steps: [{prompt: x}]\noutputs: [5]": "at least one entry",
    "steps: [{prompt: x}]\noutputs: {a: step_1}": "only the words",
    "steps: [{prompt: x, repeat: {until: similarity(a, b) > 1, max: 3}}]": "a text with a comma stands in quotes",
    "chains: {a: 5}": "a chain is",
    "chains: []": "expected chains by name",
    "a: 1\na: 2": "stands here again",
    "steps:\n  - &x {prompt: a}\n  - *x": "anchor &x",
    "steps: [!!python/object:os.system {prompt: a}]": "tag",
    "<<: {a: 1}": "merge key",
    "a: [": "expected",
    "x: " + "[" * 40 + "]" * 40: "nested more than 32 deep",
    "x: [" + "1," * 21_000 + "]": "more than 20,000 values",
    "# " + "x" * (1 << 20) + "\na: 1": "bytes",
}


@pytest.mark.parametrize("text", ONE, ids=lambda text: text[:40])
def test_a_chain_that_cannot_be_read_says_what_to_do(text):
    problems = check(text, file="f.yaml")
    assert any(ONE[text] in problem.message for problem in problems), [str(problem)[:200] for problem in problems]
    assert all(problem.line >= 1 for problem in problems)


@pytest.mark.parametrize("text", ["\ud800", "a: \x00", "\x07", "é" * 10, "{" * 5000, "- " * 5000, "a" * 100_000])
def test_no_text_at_all_makes_reading_fail_with_something_else(text):
    assert check(text)


def test_more_than_a_thousand_steps_are_too_many():
    assert "a chain may have 1,000" in check("steps:\n" + "- prompt: x\n" * 1001)[0].message
    assert not check("steps:\n" + "- prompt: x\n" * 1000)


def test_several_chains_need_a_name():
    text = "chains: {first: plan, second: {steps: [{role: plan}]}}"
    assert load(text, name="second").name == "second"
    assert "first, second" in check(text)[0].message
    assert "did you mean 'second'?" in check(text, name="secnd")[0].message


def test_a_chain_without_name_is_called_by_its_file():
    assert load("plan", file="chains/my_review.yaml").name == "my_review"
    assert load("plan", file="<cell 3>").name == "chain"


def test_the_json_schema_accepts_what_loads_and_refuses_an_unknown_key():
    import jsonschema_rs

    from orchestrator_nb.config.yaml import read

    validator = jsonschema_rs.validator_for(schema())
    good = read(
        b"steps: [{id: a, prompt: x, retry: 2, each: docs, repeat: 3, model: [a, b]}, {id: s, switch: {on: a, cases: {x: [{prompt: y}]}}}, {plan: more}, {plan: {task: more, allow: m, max_cost: 0.5, trusted: false}}]\noutputs: [a]",
        "f",
    ).value
    assert validator.is_valid(good)
    for wrong in (
        {"steps": []},
        {"steps": [{"promt": "x"}]},
        {"steps": [{"prompt": "x", "retry": "y"}]},
        {**good, "x": 1},
        {"steps": [{"plan": {"task": "x", "max_steps": 0}}]},
        {"steps": [{"plan": {"tsk": "x"}}]},
    ):
        assert not validator.is_valid(wrong)
