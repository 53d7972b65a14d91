"""What a plan will ask at least and at most, before anything is asked."""

import pytest

from orchestrator_nb.chains import load, plan
from orchestrator_nb.chains.counts import by_step, count, depends_on_inputs
from orchestrator_nb.chains.world import World

ALONE = World()


def counted(text, world=ALONE, **given):
    found = count(plan(load(text), world), given)
    return found.least, found.most


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("analyze | summarize", {}, (2, 2)),
        ("steps: [{prompt: a, model: [sonnet, flash], samples: 3}]", {}, (6, 6)),
        ("steps: [{id: a, prompt: a}, {when: \"contains(a, 'x')\", prompt: b}]", {}, (1, 2)),
        ("steps: [{repeat: 4, prompt: a}]", {}, (4, 4)),
        ("steps: [{repeat: {max: 4, until: \"current == 'x'\"}, prompt: a}]", {}, (1, 4)),
        ("inputs: {l: list}\nsteps: [{each: l, prompt: '{{ item }}'}]", {"l": [1, 2, 3]}, (3, 3)),
        ("inputs: {l: {type: list, default: [1, 2]}}\nsteps: [{each: l, prompt: '{{ item }}'}]", {}, (2, 2)),
        ("inputs: {t: text}\nsteps: [{each: 'lines(t)', steps: [{prompt: '{{ item }}'}, {prompt: b}]}]", {"t": "aaaa\n\nbbbb"}, (4, 4)),
        ("inputs: {input: text}\nsteps: [{each: 'lines(input)', prompt: c}]", {"input": "a\nb"}, (2, 2)),
        ("inputs: {input: text}\nsteps: [{prompt: a}, {each: 'lines(input)', prompt: c}]", {"input": "a\nb"}, (1, None)),
        ("steps: [{id: a, prompt: a}, {each: 'lines(a)', prompt: b}]", {}, (1, None)),
        ("inputs: {l: list}\nsteps: [{each: {over: l, as: k}, steps: [{each: k, prompt: b}]}]", {"l": [1]}, (0, None)),
        ("steps: [{parallel: {a: {prompt: a}, b: [{prompt: b}, {prompt: c}]}}]", {}, (3, 3)),
        ("steps: [{switch: {ask: a, cases: {x: {prompt: a}, y: [{prompt: b}, {prompt: c}]}}}]", {}, (1, 3)),
        ("steps: [{switch: {ask: a, cases: {x: {prompt: a}}, default: {prompt: b}}}]", {}, (2, 2)),
        ("steps: [{python: f}]", {}, (0, 0)),
    ],
)  # fmt: skip
def test_questions_are_counted_as_far_as_the_inputs_tell(text, given, expected):
    assert counted(text, **given) == expected


def test_a_chain_in_use_counts_with_what_it_is_given():
    inner = load("inputs: {l: list}\nsteps: [{each: l, prompt: '{{ item }}'}]", name="inner")
    world = World(chains={"inner": inner})
    assert counted("steps: [{use: inner, with: {l: [1, 2, 3]}}]", world) == (3, 3)
    assert counted("inputs: {n: list}\nsteps: [{use: inner, with: {l: '{{ n }}'}}]", world, n=[1]) == (1, 1)
    assert counted("steps: [{id: a, prompt: a}, {use: inner, with: {l: '{{ lines(a) }}'}}]", world) == (1, None)


def test_models_and_steps_are_told_apart_and_a_count_says_itself():
    made = plan(load("steps: [{id: a, prompt: a, model: flash}, {id: b, repeat: 3, prompt: b}]"))
    found = count(made, {})
    assert dict(found.models) == {"flash": 1, None: 3}
    assert {name: str(part) for name, part in by_step(made, {}).items()} == {"a": "1", "b": "3"}
    assert not depends_on_inputs(made)
    assert str(count(plan(load("steps: [{id: a, prompt: a}, {each: 'lines(a)', prompt: b}]")), {})).startswith(
        "at least 1;"
    )
