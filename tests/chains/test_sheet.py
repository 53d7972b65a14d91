"""The graph that a front end draws: every step with its place, whatever is wrong with the chain."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains import ready, template, to_yaml
from orchestrator_nb.chains.problems import at
from orchestrator_nb.chains.sheet import Sheet
from orchestrator_nb.chains.spots import spots
from orchestrator_nb.chains.world import World

TEXTS = {name: to_yaml(template(name).chain(name)) for name in ready()}


def sheet(text, **how):
    return Sheet.of(text, name="x", **how)


def nodes(made):
    return {node["path"]: node for node in made.graph()["nodes"]}


@pytest.mark.parametrize("name", ready())
def test_every_step_of_a_template_is_a_node_where_it_stands_and_inside_its_parent(name):
    made = sheet(TEXTS[name])
    assert made.problems == ()
    found = nodes(made)
    assert [tuple(node["place"]) for node in found.values()] == [spot.place for spot in spots(made.value)]
    for node in found.values():
        assert at(made.value, tuple(node["place"])) is not None
        room = (
            found[node["parent"]]
            if node["parent"]
            else made.graph() | {"w": made.graph()["width"], "h": made.graph()["height"]}
        )
        assert 0 <= node["x"] <= node["x"] + node["w"] <= room["w"] + 1
        assert 0 <= node["y"] <= node["y"] + node["h"] <= room["h"] + 1
        assert all(isinstance(at(made.value, tuple(slot["place"])), list | dict) for slot in node["slots"])
    assert {end for edge in made.graph()["edges"] for end in (edge["source"], edge["target"])} <= found.keys()
    assert json.loads(json.dumps(made.graph())) == made.graph()


BROKEN = [
    ("steps: 3", 0),
    ("", 0),
    ("a: [", 0),
    ("- x", 0),
    ("steps: [1, {a: 2}, [x], null, {steps: 7}]", 6),
    ("steps:\n- {id: a, input: '{{ b }}', prompt: '{{ input }}'}\n- {id: b, prompt: '{{ a }}'}\n", 2),
    ("steps:\n- parallel: {b: {promt: x}, '1 2': [{prompt: y}, {}]}\n  switch: 4\n", 5),
    (
        "steps:\n- switch: {on: 5, cases: {a: null}, default: x}\n  when: [1]\n  each: 4\n  repeat: {max: many, until: 3}\n",
        3,
    ),
]


@pytest.mark.parametrize(("text", "many"), BROKEN)
def test_a_broken_chain_is_drawn_as_far_as_it_is_written_and_says_what_is_wrong(text, many):
    made = sheet(text)
    assert made.problems
    assert len(made.graph()["nodes"]) == many
    assert sum(node["problems"] for node in made.graph()["nodes"]) <= len(made.problems)
    json.dumps([told.message() for told in made.problems])


def test_a_problem_has_the_place_of_its_key_and_counts_at_its_step():
    text = TEXTS["refine"].replace("role: critique", "role: critiqe").replace("{{ critique }}", "{{ critque }}")
    made = sheet(text, world=World(model_problem=lambda _name: ""))
    assert {told.place for told in made.problems} == {
        ("steps", 1, "steps", 0, "role"),
        ("steps", 1, "steps", 1, "prompt"),
    }
    found = nodes(made)
    assert [found[path]["problems"] for path in ("draft", "polished", "polished.critique", "polished.revise")] == [
        0,
        0,
        1,
        1,
    ]


def test_one_of_several_chains_has_places_of_its_own():
    text = "chains:\n  one: {steps: [{id: a, prompt: x, model: 3}]}\n  two: analyze\n"
    made = Sheet.of(text, name="one", root=("chains", "one"))
    assert [told.place for told in made.problems] == [("steps", 0, "model")]
    assert nodes(made)["a"]["place"] == ["steps", 0]
    assert list(nodes(Sheet.of(text, name="two", root=("chains", "two")))) == ["analyze"]


def test_a_chain_in_use_is_opened_but_has_no_place_here():
    inner = template("vote").chain("vote")
    made = sheet(
        "inputs: {question: text}\nsteps: [{id: all, use: vote, with: {question: '{{ question }}'}}]\n",
        world=World(chains={"vote": inner}),
    )
    assert made.problems == ()
    found = nodes(made)
    assert found["all"]["place"] == ["steps", 0]
    assert [(path, node["place"], node["parent"]) for path, node in found.items() if "/" in path] == [
        (f"all/{inner.steps[0].id}", None, "all")
    ]


def test_names_and_texts_are_shown_as_one_harmless_line():
    made = sheet('steps:\n- prompt: "a\\n\\u202e<img src=x> b"\n  when: "\\e[31m"\n')
    [node] = made.graph()["nodes"]
    assert node["lines"][1] == "a <img src=x> b"
    assert "\x1b" not in json.dumps(node["marks"])


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "{{ a }}", "", "one: two"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "prompt", "steps", "parallel", "switch", "cases", "default", "when", "each", "repeat", "use", "plan", "on_error", "goto", "model"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(_json)
def test_whatever_stands_in_the_steps_is_drawn(value):
    made = sheet(json.dumps({"steps": value}))
    assert len(made.graph()["nodes"]) >= len(spots(made.value))
    made.drawing()
