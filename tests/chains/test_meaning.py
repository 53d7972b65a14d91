"""What a chain means, run by hand from its plan: inputs, turns, items, branches."""

from by_hand import ByHand

from orchestrator_nb.chains import load, plan


def run(text, answer=lambda path, prompt, system: f"<{prompt}>", **given):
    return ByHand(plan(load(text)), answer).outputs(**given)


def test_a_step_without_a_prompt_is_asked_what_the_step_before_it_said():
    seen = []
    run(
        "analyze:researcher | summarize",
        lambda path, prompt, system: seen.append((path, prompt, system[:9])) or "A",
        input="Q",
    )
    assert seen == [("analyze", "Q", "You are a"), ("summarize", "A", "Summarize")]


def test_the_input_comes_from_the_nearest_step_that_was_not_skipped():
    text = "inputs: {go: boolean}\nsteps: [{id: a, prompt: x}, {id: b, prompt: y, when: go}, {id: c, prompt: '{{ input }}'}]"
    assert run(text, go=True) == {"c": "<<y>>"}
    assert run(text, go=False) == {"c": "<<x>>"}


def test_turns_see_what_the_turn_before_gave_and_the_first_sees_the_input():
    text = (
        "steps: [{id: a, prompt: x}, {id: b, prompt: '{{ previous }}{{ turn }}', repeat: {max: 9, until: turn == 3}}]"
    )
    assert run(text) == {"b": "<<<<x>1>2>3>"}


def test_items_have_turns_of_their_own():
    text = "inputs: {d: list}\nsteps: [{id: a, each: d, repeat: 2, prompt: '{{ index }}{{ item }}{{ input }}'}]"
    assert run(text, d=["p", "q"]) == {"a": ["<0p<0pp>>", "<1q<1qq>>"]}


def test_what_a_branch_saves_is_known_later_and_branches_are_joined_by_name():
    text = "steps:\n- id: s\n  parallel: {p: {prompt: x, save: k}, q: [{id: i, prompt: y}, {prompt: '{{ i }}'}]}\n- {id: t, prompt: '{{ k }}{{ s.p }}{{ s.q }}'}\n"
    assert run(text) == {"t": "<<x><x><<y>>>"}
