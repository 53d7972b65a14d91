"""The picture of a plan: everything is in it, it is XML that does nothing, hostile names stay text, and a big one is small and quick."""

import json
import time
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import chains as drawn

from orchestrator_nb.chains import Ask, Block, Chain, Each, Input, Step, World, load, plan, ready
from orchestrator_nb.chains.drawing import State, draw, outline, svg
from orchestrator_nb.chains.layout import BETWEEN, Edge, lay, spread
from orchestrator_nb.chains.planning import planned
from orchestrator_nb.chains.scene import OPENED, scene, walk

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {f"{SVG}{name}" for name in ("svg", "title", "desc", "g", "rect", "path", "text")}
ATTRIBUTES = {
    *("role", "width", "height", "viewBox", "x", "y", "rx", "d", "transform", "fill", "stroke", "stroke-width"),
    *("stroke-dasharray", "font-family", "font-size", "font-weight", "font-style"),
}
ALL = """
inputs: {papers: list, words: {type: integer, default: 200}}
defaults: {model: sonnet}
steps:
  - id: notes
    each: {over: papers, as: paper, parallel: 8}
    steps:
      - {id: facts, prompt: "List the facts.{{ paper }}"}
      - {id: checked, prompt: "Check {{ facts }}", retry: 2, timeout: 60, budget: 0.05}
  - {id: risky, prompt: "{{ notes }}", on_error: {goto: rescue}, fallback: [flash]}
  - {id: fine, prompt: "{{ risky }}", when: length(papers) > 2}
  - {id: rescue, prompt: "{{ error }}"}
  - id: sides
    parallel:
      pro: {prompt: "{{ notes }}", role: analyze, persona: researcher}
      con:
        - {id: risks, prompt: "{{ notes }}"}
        - {id: deep, repeat: {max: 3, until: "similarity(previous, current) > 0.9"}, prompt: "{{ risks }}{{ previous }}"}
  - {id: counted, python: readability, with: {text: "{{ sides.con }}"}}
  - {id: short, use: refine, with: {task: "{{ sides.pro }}"}}
  - id: answer
    switch:
      ask: "A complaint? {{ short }}"
      model: haiku
      cases: {complaint: {prompt: "{{ short }}"}}
      default: {prompt: "{{ counted }}"}
  - {id: report, prompt: "{{ notes }}{{ answer }}{{ fine }}{{ rescue }}", save: kept}
outputs: {text: "{{ report }}"}
"""


def everything():
    return plan(load(ALL, name="everything"), World(chains={"refine": ready()["refine"].chain("refine")}))


def texts(picture):
    return [element.text for element in ET.fromstring(picture).iter(f"{SVG}text")]


def titles(picture):
    return [element.text for element in ET.fromstring(picture).iter(f"{SVG}title")]


def test_every_step_is_there_also_those_of_a_chain_in_use():
    made = everything()
    paths = [part.path for part in walk(scene(made))]
    assert {"notes.checked", "sides.con.deep", "short/polished.critique", "answer.default"} < set(paths)
    told = [title.splitlines()[0] for title in titles(svg(made))]
    for path in paths:
        assert path in told
        assert path.split(".")[-1].split("/")[-1] in texts(svg(made))


def test_every_arrow_is_there_and_says_what_it_is():
    told = titles(svg(everything()))
    for arrow in (
        "notes → risky", "notes → sides", "notes → report", "risky → fine", "answer → report", "facts → checked", "risks → deep",
        "risky → rescue on error", "sides → short", "sides → counted", "critique → revise", "counted → answer",
    ):  # fmt: skip
        assert arrow in told, arrow
    assert "on error" in texts(svg(everything()))


def test_conditions_items_turns_cases_and_limits_are_said():
    told = "\n".join(titles(svg(everything())))
    for words in (
        "when length(papers) > 2", "for each paper in papers, 8 at a time", "up to 3 turns, until similarity(previous, current) > 0.9",
        "tried 2 times more · ≤ 60 s · ≤ $0.05", "else flash · on error go to rescue", "switch: a model chooses @ haiku", "use refine",
        "python readability", "analyze · researcher @ sonnet", "saved as kept",
    ):  # fmt: skip
        assert words in told, words
    shown = texts(svg(everything()))
    assert "if complaint" in shown
    assert "otherwise" in shown
    assert "given: papers, words = 200" in shown
    assert "gives: text" in shown


@pytest.mark.parametrize("name", ready())
def test_the_ready_chains_have_a_picture_and_a_tree(name):
    made = plan(ready()[name].chain(name))
    picture = draw(made)
    assert set(picture._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
    for node in made.nodes:
        assert node.id in picture.text
        assert node.id in texts(picture.svg)


STATES = {
    "notes": State("done", 12, 0.0123, 4.13, critical=True),
    "risky": State("failed", 1, None, 0.5, "it broke <b>badly</b>"),
    "fine": State("skipped"),
    "sides": State("running", 2),
    "report": State("stopped", 1, 0.0, 61.0, critical=True),
}


def test_after_a_run_each_step_says_what_became_of_it():
    shown = texts(svg(everything(), STATES))
    assert "done · 12 calls · $0.0123 · 4.1 s" in shown
    assert "failed · 1 call · 0.50 s" in shown
    assert "skipped" in shown
    assert "running · 2 calls" in shown
    assert "stopped · 1 call · $0 · 1 min 01 s" in shown
    assert "not reached" in shown
    assert "critical path" in shown
    assert any("it broke <b>badly</b>" in title for title in titles(svg(everything(), STATES)))
    assert "not reached" not in texts(svg(everything()))


def test_it_is_told_to_whoever_does_not_see_it():
    root = ET.fromstring(svg(everything(), STATES))
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == "Chain everything"
    lines = root[1].text.splitlines()
    assert "checked ask @ sonnet (tried 2 times more · ≤ 60 s · ≤ $0.05) [not reached]" in lines


def test_the_tree_says_what_waits_for_what():
    assert outline(
        plan(load("steps:\n- {id: a, prompt: x}\n- {id: b, prompt: y}\n- {id: c, prompt: '{{ a }} {{ b }}'}\n"))
    ) == ("chain\n├─ a  ask\n├─ b  ask\n└─ c  ask  ← a, b\ngives: c")
    lines = outline(everything(), STATES).splitlines()
    assert (
        "├─ notes  block  (for each paper in papers, 8 at a time)  [done · 12 calls · $0.0123 · 4.1 s, critical]"
        in lines
    )
    assert "│  └─ con  block  [not reached]" in lines
    assert (
        "│     └─ deep  ask @ sonnet  (up to 3 turns, until similarity(previous, current) > 0.9)  [not reached]"
        in lines
    )


def test_the_same_plan_has_the_same_picture():
    assert svg(everything(), STATES) == svg(everything(), dict(reversed(STATES.items())))


# Hostile names: they come from files, models and stores

EVIL = [
    "</text><script>alert(1)</script>",
    '"/><image href="https://evil.example/x" onload="alert(1)"/>',
    "]]><!--",
    "&lt;&#x3c;&xxe;",
    "a\x1b[2Jb\x00\x9b31m\u202ec\ud800\uffff\u2028d",
    "<foreignObject><iframe src=javascript:alert(1)>",
    "z" * 5_000,
]


def harmless(picture):
    root = ET.fromstring(picture)
    assert {element.tag for element in root.iter()} <= TAGS
    assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
    for element in root.iter():
        assert not any("url(" in value or "javascript" in value for value in element.attrib.values())
    picture.encode()
    assert not any(ord(sign) < 32 and sign != "\n" for sign in picture)
    assert "\u202e" not in picture


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_words_stay_words(evil):
    ask = Ask(prompt=evil, role=None, model=(evil,), fallback=(evil,))
    inside = Step("in", ask, when=None)
    steps = (Step("a", ask, save=None), Step("b", Block((inside,)), each=Each([evil, evil])))
    chain = Chain("x", steps, (Input("i", "any", evil, evil),), {"o": evil}, description=evil)
    made, _ = planned(chain)
    made = made or plan(Chain("x", (Step("a", Ask(prompt="x", model=(evil.encode(errors="replace").decode(),))),)))
    states = {"a": State("failed", 1, 0.1, 2.0, evil)}
    harmless(svg(made, states, title=evil))
    tree = outline(made, states)
    assert not any(sign in tree for sign in "\x1b\x9b\x00\u202e")
    assert max(map(len, tree.splitlines())) < 1_000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn)
def test_whatever_can_be_planned_can_be_drawn(chain):
    made, _ = planned(chain)
    if made is None:
        return
    harmless(svg(made, {node.path: State("done", 1, 0.5, 1.0) for node in made.nodes}))
    assert len(outline(made).splitlines()) >= len(made.nodes)


# Size and speed


def long_chain(size):
    words = "A question that goes on for a good while, so that it has to be cut somewhere before its end, as the questions of a chain so often do."
    steps = [
        {"id": f"step_{i}", "prompt": f"{words} {'' if not i else f'{{{{ step_{i // 2} }}}} {{{{ step_{i - 1} }}}}'}"}
        for i in range(size)
    ]
    return plan(load(json.dumps({"steps": steps, "defaults": {"model": "sonnet"}})))


def test_two_hundred_steps_are_small_and_at_once():
    made = long_chain(200)
    states = {node.path: State("done", 3, 0.0123, 2.5, critical=True) for node in made.nodes}
    began = time.process_time()
    picture = svg(made, states)
    assert time.process_time() - began < 5
    assert len(picture.encode()) < 300_000
    harmless(picture)


def test_chains_that_use_chains_do_not_grow_without_bounds():
    chains = {"c0": load("steps: [{id: a, prompt: x}]", name="c0")}
    for depth in range(1, 7):
        steps = [{"id": f"u{i}", "use": f"c{depth - 1}"} for i in range(40)]
        chains[f"c{depth}"] = load(json.dumps({"steps": steps}), name=f"c{depth}")
    made = plan(chains["c6"], World(chains=chains))
    parts = list(walk(scene(made)))
    assert len(parts) <= OPENED + 40
    assert any(part.closed == 40 for part in parts)
    assert "(40 steps)" in outline(made)
    assert "use c5 (40 steps)" in texts(svg(made))


# Layout


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(10, 300)), min_size=1, max_size=12))
def test_boxes_of_a_row_keep_their_order_and_do_not_touch(row):
    middles = spread([wish for wish, _ in row], [wide for _, wide in row], BETWEEN)
    for (left, one), (right, other) in pairwise(zip(middles, [wide for _, wide in row], strict=True)):
        assert right - left >= (one + other) / 2 + BETWEEN - 1e-6


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_boxes_do_not_overlap_and_arrows_end_at_their_boxes(data):
    size = data.draw(st.integers(1, 12))
    sizes = data.draw(st.lists(st.tuples(st.floats(50, 400), st.floats(20, 200)), min_size=size, max_size=size))
    level = data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    waves = [[i for i in range(size) if level[i] == number] for number in sorted(set(level))]
    pairs = [(a, b) for a in range(size) for b in range(size) if level[a] < level[b]]
    edges = (
        [
            Edge(a, b, aside)
            for (a, b), aside in data.draw(st.lists(st.tuples(st.sampled_from(pairs), st.booleans()), max_size=15))
        ]
        if pairs
        else []
    )
    laid = lay(sizes, waves, edges, 900)
    spans = [(x, y, x + wide, y + high) for (x, y), (wide, high) in zip(laid.at, sizes, strict=True)]
    for number, one in enumerate(spans):
        assert one[0] >= -0.01
        assert one[2] <= laid.width + 0.01
        assert one[3] <= laid.height + 0.01
        for other in spans[number + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for edge, end in zip(edges, laid.ends, strict=True):
        assert spans[edge.target][0] <= end[0] <= spans[edge.target][2]
        assert end[1] == spans[edge.target][1]
