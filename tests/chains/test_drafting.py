"""A chain drafted from plain English: what the model is told, what becomes of its answers, and what a draft may not do."""

import pytest

from orchestrator_nb.chains import World, load, to_yaml
from orchestrator_nb.chains.drafting import Drafting

PRIVATE = load("steps: [{prompt: x}]", name="private")
GOOD = "steps: [{id: a, prompt: Hi}]"


def drafting(words="do it with sonnet", **more):
    return Drafting(words, ("haiku", "lab/one"), World(**more))


def test_the_model_is_told_the_language_and_everything_that_can_be_named():
    told = drafting(chains={"private": PRIVATE}, functions=["readability"]).system()
    for part in ("- each:", "similarity(a, b)", "- python:", "haiku, lab/one", "critique", "tester", "readability", "private"):  # fmt: skip
        assert part in told
    without = drafting(chains={}, functions=[]).system()
    assert not [key for key in ("- python:", "- use:", "- with:") if key in without]


def test_a_sound_answer_becomes_canonical_yaml():
    draft = drafting().read(f"Here:\n```yaml\n{GOOD}\n```")
    assert draft.text == to_yaml(load(GOOD, name="draft"))
    assert (draft.chain, draft.problems) == (load(GOOD, name="draft"), ())


@pytest.mark.parametrize("answer", [GOOD, "no", "steps: [{promt: x}]"])
def test_it_is_asked_again_with_its_problems_at_most_so_often(answer):
    asked = []

    def ask(prompt, _system):
        asked.append(prompt)
        return answer

    draft = drafting().draft(ask, tries=3)
    assert draft.tries == len(asked) == (1 if answer == GOOD else 3)
    assert all(str(problem) in asked[-1] for problem in draft.problems)
    assert bool(draft.chain) != bool(draft.problems)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("steps: [{prompt: x, model: gpt-9}]", "unknown model 'gpt-9'"),
        ("steps: [{prompt: x, fallback: gpt-9}]", "unknown model 'gpt-9'"),
        ("steps: [{switch: {ask: x, model: gpt-9, cases: {a: {prompt: x}}}}]", "unknown model 'gpt-9'"),
        ("steps: [{plan: {task: x, allow: [gpt-9]}}]", "unknown model 'gpt-9'"),
        ("steps: [{plan: {task: x, trusted: true}}]", "a draft does not trust"),
        ("steps: [{python: os.system}]", "unknown function"),
        ("steps: [{use: privat}]", "did you mean 'private'"),
        ("steps: [{prompt: '{{ topic }}'}]", "'topic' is not known here"),
        ("steps: &a [{prompt: x, each: *a}]", "anchor"),
        ("", "empty"),
    ],
)
def test_a_draft_names_only_what_there_is_and_trusts_nothing(answer, why):
    draft = drafting(chains={"private": PRIVATE}, functions=["readability"]).read(answer)
    assert draft.chain is None
    assert why in str(draft.problems[0])
    assert draft.text == answer


@pytest.mark.parametrize("model", ["haiku", "lab/one", "sonnet"])
def test_models_that_can_be_asked_or_were_spoken_of_are_taken(model):
    assert drafting().read(f"steps: [{{prompt: x, model: {model}}}]").problems == ()
