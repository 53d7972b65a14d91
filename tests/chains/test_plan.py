"""What waits for what follows from the names that steps use; what cannot run is told before the first call."""

from graphlib import TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains import Ask, Chain, Input, Roles, Step, Use, World, check, load, plan
from orchestrator_nb.chains.room import Room
from orchestrator_nb.errors import ChainError


def waves(text, **more):
    return [[node.id for node in wave] for wave in plan(load(text), **more).graph.waves()]


def told(text, **world):
    return [problem.message for problem in check(text, world=World(**world))]


def test_steps_that_do_not_name_each_other_run_at_the_same_time():
    text = """
inputs: {t: text}
steps:
  - {id: a, prompt: "{{ t }}"}
  - {id: b, prompt: "{{ t }}"}
  - {id: c, prompt: "{{ a }} {{ b }}"}
  - {id: d, prompt: "{{ a }}"}
  - {id: e, role: summarize}
"""
    assert waves(text) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_step_may_name_one_that_stands_behind_it():
    assert waves("steps: [{id: a, prompt: '{{ b }}'}, {id: b, prompt: x}]") == [["b"], ["a"]]


def test_names_in_every_text_of_a_step_count():
    text = """
steps:
  - {id: w, prompt: x}
  - {id: e, prompt: x, schema: "docs list[str]"}
  - {id: u, prompt: x}
  - {id: i, prompt: x}
  - {id: s, prompt: x}
  - id: all
    when: w == 'x'
    each: e.docs
    repeat: {until: current == u}
    input: {a: "{{ i }}"}
    system: "{{ s }}"
    prompt: "{{ item }} {{ input }}"
"""
    assert plan(load(text)).graph["all"].needs == {"w", "e", "u", "i", "s"}


def test_a_step_takes_its_input_from_the_nearest_step_that_was_not_skipped():
    graph = plan(
        load(
            "steps: [{id: a, prompt: x}, {id: b, prompt: y, when: a == 'z'}, {id: c, prompt: y, on_error: skip}, {id: d, role: critique}]"
        )
    ).graph
    assert graph["d"].given_by == ("c", "b", "a")
    assert not graph["d"].from_outside


def test_behind_steps_that_may_all_be_skipped_a_step_may_have_no_input():
    text = "inputs: {t: text}\ndefaults: {on_error: skip}\nsteps: [{id: a, prompt: '{{ t }}'}, {id: b, role: critique}, {id: c, steps: [{role: plan}]}]"
    graph = plan(load(text)).graph
    assert [(node.given_by, node.from_outside) for node in graph.nodes] == [
        ((), False),
        (("a",), True),
        (("b", "a"), True),
    ]


def test_a_block_waits_for_what_its_parts_name_and_its_own_names_stay_inside():
    text = """
steps:
  - {id: a, prompt: x}
  - {id: b, prompt: x}
  - id: block
    steps:
      - {id: inner, prompt: "{{ a }}"}
      - {id: last, prompt: "{{ inner }}"}
  - {id: z, prompt: "{{ block }}"}
"""
    made = plan(load(text))
    assert made.graph["block"].needs == {"a"}
    assert made.graph["z"].needs == {"block"}
    assert [node.path for node in made.nodes] == ["a", "b", "block", "block.inner", "block.last", "z"]
    assert "'inner' is not known here" in told(text.replace("{{ block }}", "{{ inner }}"))[0]


def test_what_is_saved_inside_is_known_outside():
    text = "steps:\n  - id: b\n    parallel: {p: {prompt: x, save: kept}, q: {prompt: y}}\n  - {id: z, prompt: '{{ kept }}'}\n"
    assert plan(load(text)).graph["z"].needs == {"b"}


def test_the_first_turns_previous_is_the_steps_input_and_waited_for():
    text = "steps: [{id: a, prompt: x}, {id: b, prompt: 'Better: {{ previous }}', repeat: 2}]"
    assert plan(load(text)).graph["b"].given_by == ("a",)
    assert not check("steps: [{id: b, prompt: 'Better: {{ previous or turn }}', repeat: 2}]")


def test_a_goto_skips_what_stands_between_and_leads_to_its_step():
    text = "steps: [{id: a, prompt: x, on_error: {goto: d}}, {id: b, prompt: y}, {id: c, role: plan}, {id: d, prompt: '{{ error or c }}'}]"
    graph = plan(load(text)).graph
    assert graph["b"].skipped_by == graph["c"].skipped_by == {"a"}
    assert graph["d"].errors_of == {"a"}
    assert graph["d"].needs == {"a", "c"}


def test_defaults_are_filled_in_where_a_step_asks():
    text = """
inputs: {d: list}
defaults: {model: sonnet, persona: Tester, options: {temperature: 0, max_tokens: 9}, retry: 2, budget: 0.5}
steps:
  - {id: a, prompt: x, options: {temperature: 1}, each: d}
  - {id: b, prompt: x, system: mine, model: haiku, retry: 0}
  - {id: s, switch: {ask: which, cases: {p: {role: plan}}}}
"""
    graph = plan(load(text)).graph
    a, b, judge, inner = (graph["a"].step, graph["b"].step, graph["s"].step.do.ask, graph["s"].inside["p"]["p"].step)
    assert (a.do.model, a.do.persona, a.do.options, a.retry.times) == (
        ("sonnet",),
        "tester",
        {"temperature": 1, "max_tokens": 9},
        2,
    )
    assert (b.do.model, b.do.persona, b.retry.times) == (("haiku",), None, 0)
    assert (judge.model, judge.persona, inner.do.model) == (("sonnet",), None, ("sonnet",))
    assert graph["s"].step.budget_usd is None


WRONG = {
    "steps: [{id: a, prompt: '{{ b }}'}, {id: b, prompt: '{{ a }}'}]": "wait for each other: a → b → a",
    "steps: [{id: a, prompt: '{{ c }}'}, {id: b, role: plan}, {id: c, role: plan}]": "wait for each other",
    "steps: [{id: a, prompt: '{{ a }}'}]": "'a' is this step itself",
    "steps: [{id: a, prompt: '{{ a }}', repeat: 2}]": "called 'previous'",
    "steps: [{id: draft, prompt: x}, {id: b, prompt: '{{ darft }}'}]": "did you mean 'draft'?",
    "steps: [{id: a, prompt: '{{ topic }}'}]": "Declare what is given from outside under 'inputs'",
    "steps: [{id: a, prompt: x}, {id: a, prompt: y}]": "another step 'a'",
    "inputs: {a: text}\nsteps: [{id: a, prompt: x}]": "taken by a name around it",
    "steps: [{id: a, prompt: x}, {id: b, steps: [{id: a, prompt: x}]}]": "taken by a name around it",
    "steps: [{id: a, prompt: x, save: b}, {id: b, prompt: x}]": "already the name of a step",
    "steps: [{id: a, prompt: x, save: k}, {id: b, prompt: x, save: k}]": "saved twice",
    "inputs: {d: list}\nsteps: [{id: a, each: d, steps: [{prompt: x, save: k}]}]": "cannot save",
    "inputs: {}\nsteps: [{id: a, role: plan}]": "declare an input called 'input'",
    "inputs: {}\nsteps: [{steps: [{switch: {on: '1', cases: {a: [{role: plan}]}}}]}]": "declare an input called 'input'",
    "inputs: {}\nsteps: [{id: a, prompt: x, when: 1 > 2}, {id: b, role: plan}]": "never runs",
    "steps: [{role: plan, id: a}, {id: b, each: {over: lines(a), as: a}, prompt: x}]": "'a' is taken by a name around it",
    "steps: [{prompt: '{{ item }}'}]": "in a step with 'each' only",
    "steps: [{prompt: '{{ turn }}'}]": "in a step with 'repeat' only",
    "inputs: {d: list}\nsteps: [{prompt: '{{ item }}', each: d, when: item > 1}]": "in a step with 'each' only",
    "steps: [{prompt: '{{ error }}'}]": "a 'goto' leads to",
    "steps: [{prompt: '{{ current }}', repeat: 2}]": "in 'until' only",
    "steps: [{id: a, prompt: x, on_error: {goto: a}}]": "leads forward only",
    "steps: [{id: a, prompt: x, on_error: {goto: zz}}, {id: zz2, prompt: x}]": "no step 'zz' behind this one in its list; did you mean 'zz2'?",
    "steps: [{id: a, prompt: x, when: false}]": "never true",
    "steps: [{id: a, prompt: x, repeat: {until: true}}]": "no second turn",
    "steps: [{id: a, prompt: x, when: 'a ='}]": "one thing too many",
    "steps: [{id: a, prompt: '{% for %}'}]": "Expected an expression",
    "steps: [{id: a, prompt: x}]\noutputs: {o: '{{ b }}'}": "'b' is not known here",
    "steps: [{id: a, prompt: x}, {id: b, steps: [{id: c, prompt: '{{ nobody }}'}]}]": "known here: a, input.",
    "steps: [{id: a, prompt: x}]\noutputs: {o: '{{ a.b }}'}": "'schema'",
    "steps: [{role: critqu, prompt: x}]": "did you mean 'critique'?",
    "steps: [{persona: TechWriter, prompt: x}]": "did you mean 'technical_writer'?",
    "steps: [{prompt: x, options: {temprature: 1}}]": "did you mean 'temperature'?",
    "steps: [{prompt: x, options: {temperature: 9}}]": "a number from 0 to 2",
    "steps: [{prompt: x, schema: 'a flot'}]": "float",
    "steps: [{prompt: x, schema: {type: array}}]": "top level must be an object",
    "inputs: {n: {type: number, default: many}}\nsteps: [{prompt: x}]": "is a number, not a text",
    "inputs: {n: {choices: [a, 5]}}\nsteps: [{prompt: x}]": "is a text, not a number",
    "inputs: {n: {default: c, choices: [a, b]}}\nsteps: [{prompt: x}]": "one of 'a', 'b'",
    # kinds of values
    "steps: [{id: a, prompt: x}, {prompt: '{{ item }}', each: a}]": "each takes a list, and this is a text. A text becomes one by lines",
    "steps: [{id: a, prompt: x}, {prompt: y, when: a}]": "a condition is true or false, and this is a text",
    "steps: [{id: a, prompt: x}, {prompt: '{{ a.title }}'}]": "give the step that makes it a 'schema'",
    "steps: [{id: a, prompt: x, schema: 'title, score float'}, {prompt: '{{ a.titel }}'}]": "did you mean 'title'?",
    "steps: [{id: a, prompt: x, schema: 'title, score float'}, {prompt: x, when: a.title > 3 + a.title}]": "numbers can be counted with",
    "steps: [{id: a, prompt: x, model: [m, n], schema: 'title'}, {prompt: '{{ a.title }}'}]": "this is a list",
    "steps: [{id: a, prompt: x, samples: 3}, {prompt: '{{ lines(a) }}'}]": "'lines' takes a text, and this is a list",
    "steps: [{id: a, prompt: x, samples: 3, schema: answer}, {prompt: \"{{ pluck(a, 'anser') }}\"}]": "did you mean 'answer'?",
    "steps: [{id: a, parallel: {p: {prompt: x}, q: {prompt: y}}}, {prompt: '{{ a.r }}'}]": "there is no 'r' in it; there are p, q.",
    "inputs: {n: number}\nsteps: [{prompt: '{% for x in n %}{% endfor %}'}]": "'for' takes a list",
    "inputs: {d: list}\nsteps: [{id: a, prompt: '{{ item }}', each: d}, {prompt: '{{ a.x }}'}]": "this is a list",
    "steps: [{id: a, prompt: x, schema: 'mood enum(good|bad)'}, {switch: {on: a.mood, cases: {good: {prompt: x}, bda: {prompt: y}}}}]": "never reached",
    "steps: [{id: a, prompt: x}, {switch: {on: a == 'x', cases: {'yes': {prompt: x}}}}]": "never reached",
    "steps: [{id: a, prompt: x}, {switch: {on: a, cases: {'Yes': {prompt: x}, 'yes!': {prompt: y}}}}]": "never chosen",
    "steps: [{id: a, prompt: x, samples: 2}, {switch: {on: a, cases: {'Yes': {prompt: x}}}}]": "goes by a word",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:50])
def test_what_cannot_run_is_told_before_the_first_call(text):
    messages = told(text)
    assert any(WRONG[text] in message for message in messages), messages


def test_problems_of_the_language_and_of_the_plan_come_together():
    messages = told(
        "steps:\n  - {id: a, promt: Hi}\n  - {id: b, prompt: '{{ aa }}', rol: x}\n  - {id: c, role: plann}\n"
    )
    assert len(messages) == 4


def test_a_problem_inside_a_text_of_lines_names_its_line():
    text = "steps:\n  - prompt: |\n      one\n      {{ two.__class__ }}\n      {% set x = 1 %}\n"
    assert [(p.line, p.key) for p in check(text) if "not known" not in p.message] == [(4, "prompt"), (5, "prompt")]


def test_names_beyond_the_chain_are_checked_against_what_there_is():
    def models(name):
        return "" if name == "sonnet" else f"unknown model {name!r}; did you mean 'sonnet'?"

    text = "steps: [{prompt: x, model: [sonnet, sonet], fallback: soneet, mode: terse}, {python: f}, {use: other}]"
    messages = told(text, model_problem=models, modes=["brief"], functions=["g"], chains={"others": load("plan")})
    assert [message.split(";")[0] for message in messages] == [
        "unknown model 'sonet'",
        "unknown model 'soneet'",
        "unknown mode",
        "unknown function",
        "unknown chain",
    ]
    assert not told(text)


def test_a_chain_that_is_not_trusted_calls_no_python():
    text = "inputs: {d: list}\nsteps: [{id: a, each: d, steps: [{switch: {on: item, cases: {a: {python: f}}}}]}]"
    assert told(text, trusted=False) == ["a chain that is not trusted may not call Python functions."]
    assert told("steps: [{use: other}]", trusted=False, chains={"other": load("steps: [{python: f}]")})


def test_names_from_outside_need_not_be_declared():
    assert not told("steps: [{prompt: '{{ column }} {{ input }}'}]", names=frozenset({"column", "input"}))


# Chains that use chains

SHORT = "inputs: {text: text, words: {type: integer, default: 9}}\nsteps: [{prompt: '{{ words }} {{ text }}'}]\noutputs: {short: '{{ step_1 }}'}\n"


def test_what_another_chain_needs_and_gives_is_known():
    chains = {"short": load(SHORT)}
    used = "steps: [{id: a, prompt: x}, {id: b, use: short, with: WITH}, {id: c, prompt: '{{ b.OUT }}'}]"

    def told_of(given, out="short"):
        return told(used.replace("WITH", given).replace("OUT", out), chains=chains)

    assert not told_of("{text: '{{ a }}', words: 5}")
    assert "needs the input 'text'" in told_of("{words: 5}")[0]
    assert "did you mean 'words'?" in told_of("{text: x, word: 5}")[0]
    assert "is a number, and this is a text" in told_of("{text: x, words: many}")[0]
    assert "did you mean 'short'?" in told_of("{text: x}", "shrt")[0]


def test_chains_that_use_each_other_in_a_circle_are_refused():
    a, b = load("steps: [{use: b}]", name="a"), load("steps: [{use: a}]", name="b")
    with pytest.raises(ChainError, match="in a circle: a → b → a"):
        plan(a, World(chains={"a": a, "b": b}))


def test_chains_use_each_other_eight_deep_and_no_deeper():
    chains = {
        f"c{n}": load(f"steps: [{{use: c{n + 1}}}]" if n < 9 else "steps: [{prompt: x}]", name=f"c{n}")
        for n in range(10)
    }
    with pytest.raises(ChainError, match="more than 8 deep"):
        plan(chains["c0"], World(chains=chains))
    assert plan(chains["c1"], World(chains=chains))


def test_chains_that_many_others_use_are_planned_once():
    """Eight levels of ten chains, each using all ten below; planned anew for each it would be 10 ** 8 plans."""
    below = [f"use: c{{}}_{n}" for n in range(10)]
    chains = {
        f"c{level}_{n}": load(
            "steps: [" + ", ".join(f"{{{use.format(level + 1)}}}" for use in below) + "]", name=f"c{level}_{n}"
        )
        for level in range(7)
        for n in range(10)
    }
    chains |= {f"c7_{n}": load("steps: [{prompt: x}]", name=f"c7_{n}") for n in range(10)}
    made = plan(load("steps: [{use: c0_0}]"), World(chains=chains))
    assert made.depth == 8
    with pytest.raises(ChainError, match="more than 8 deep"):
        plan(
            load("steps: [{use: c0_0}, {use: top}]"),
            World(chains={**chains, "top": load("steps: [{use: c0_0}]", name="top")}),
        )


# By hand


def test_a_chain_written_by_hand_is_checked_like_a_file():
    bad = Chain("x", (Step("a-b", Ask(prompt="{{ nobody }}")), Step("c", Ask(prompt="x"), timeout_s=-1)))
    with pytest.raises(ChainError) as failure:
        plan(bad)
    assert {problem.key for problem in failure.value.problems} == {"id", "timeout"}
    with pytest.raises(ChainError, match="'nobody' is not known here"):
        plan(Chain("x", (Step("a", Ask(prompt="{{ nobody }}")),)))
    assert plan(Chain("x", (Step("a", Ask(role="plan")), Step("b", Use("y"))), inputs=(Input("input"),)))


def test_roles_of_ones_own_are_known():
    world = World(roles=Roles(user_roles={"Grade": "Grade it."}))
    assert plan(load("grade:tester@x"), world)


# Laws


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 8))
    edges = {(a, b) for a in range(count) for b in range(count) if a != b and draw(st.integers(0, 5)) == 0}
    return count, edges


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_every_step_begins_once_after_all_that_it_names_and_a_circle_is_always_found(drawn):
    count, edges = drawn
    steps = tuple(
        Step(f"s{n}", Ask(prompt=" ".join(f"{{{{ s{b} }}}}" for a, b in sorted(edges) if a == n) or "x"))
        for n in range(count)
    )
    sorter = TopologicalSorter({n: {b for a, b in edges if a == n} for n in range(count)})
    try:
        sorter.prepare()
        has_circle = False
    except ValueError:
        has_circle = True
    if has_circle:
        with pytest.raises(ChainError, match="wait for each other"):
            plan(Chain("x", steps))
        return
    graph = plan(Chain("x", steps)).graph
    room, begun = Room(graph, None), []
    running = room.ready()
    while running:
        node = running.pop()
        begun.append(node.id)
        room.end(node, None)  # one ends, the others are still running
        ready = room.ready()
        assert all({f"s{b}" for a, b in edges if f"s{a}" == node.id} <= room.values.keys() for node in ready)
        running += ready
    assert sorted(begun) == sorted(step.id for step in steps)
