"""A change of one step makes that step and its dependants undone, and nothing else."""

from orchestrator_nb.chains import World, load, plan
from orchestrator_nb.chains.changes import changed

TEXT = """
inputs: {t: text, u: {default: x}}
defaults: {model: m}
steps:
  - {id: a, prompt: "{{ t }}"}
  - {id: b, prompt: "{{ t }} {{ u }}"}
  - {id: c, prompt: "{{ a }}"}
  - id: d
    parallel:
      p: {prompt: "{{ c }}"}
      q: [{id: q1, prompt: one}, {id: q2, prompt: "{{ q1 }}"}]
  - {id: e, prompt: "{{ d.p }}"}
  - {id: r, repeat: 2, steps: [{id: r1, prompt: x}, {id: r2, prompt: y}]}
"""


def again(old, new, text=TEXT):
    return changed(plan(load(text)), plan(load(text.replace(old, new))))


def test_nothing_changed_is_nothing_undone():
    assert again("", "") == set()
    assert again("inputs: {t", "# a comment\ndescription: other\ninputs: {t") == set()


def test_a_changed_step_and_what_waits_for_it_run_again():
    assert again('"{{ a }}"', '"More {{ a }}"') == {"c", "d", "d.p", "d.q", "d.q.q1", "d.q.q2", "e"}
    assert again("{{ t }} {{ u }}", "{{ u }}") == {"b"}


def test_inside_a_step_only_the_part_that_is_concerned_runs_again():
    assert again("prompt: one", "prompt: two") == {"d", "d.q", "d.q.q1", "d.q.q2", "e"}


def test_a_turn_depends_on_the_turn_before_so_a_repeated_step_runs_again_as_a_whole():
    assert again("prompt: y", "prompt: z") == {"r", "r.r1", "r.r2"}


def test_another_default_or_input_concerns_the_steps_that_use_it():
    assert again("default: x", "default: y") == {"b"}
    assert again("model: m", "model: n") == {node.path for node in plan(load(TEXT)).nodes}


def test_another_chain_in_use_concerns_the_step_that_uses_it():
    text = "steps: [{id: a, prompt: x}, {id: b, use: other}, {id: c, prompt: '{{ a }}'}]"
    worlds = [World(chains={"other": load(f"steps: [{{prompt: {word}}}]", name="other")}) for word in ("one", "two")]
    assert changed(*(plan(load(text), world) for world in worlds)) == {"b"}
