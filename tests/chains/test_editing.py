"""A chain's YAML under operations: each gives the value that was meant, and every byte that it does not concern stays."""

import re
from importlib import resources

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains import ready, template, to_yaml
from orchestrator_nb.chains.changing import Refused, alike, applied
from orchestrator_nb.chains.editing import changes_of, edited, value_in
from orchestrator_nb.chains.manuscript import Manuscript
from orchestrator_nb.chains.page import Page
from orchestrator_nb.chains.problems import at, steps_along
from orchestrator_nb.chains.spots import spots
from orchestrator_nb.config.yaml import read

FILES = {
    name: (resources.files("orchestrator_nb.chains") / "templates" / f"{name}.yaml").read_text() for name in ready()
}
TEXTS = {name: to_yaml(template(name).chain(name)) for name in ready()}


def edit(text, root=(), **op):
    return edited(text, op, root).text


def move(source, to, at):
    return {"do": "move", "from": source, "to": to, "at": at}


# Laws, over the templates


def commented(text, every):
    """The text with a comment before and behind some of its lines, none inside a text of several lines."""
    document = read(text.encode(), "x")
    columns = {}
    for place, line in document.lines.items():
        columns[line] = min(columns.get(line, 99), document.columns[place])
    out = []
    for number, line in enumerate(text.split("\n"), 1):
        if number in columns and number % every == 0:
            out.append(f"{' ' * (columns[number] - 1)}# note {number}.")
        fits = number in columns and number % every == 1 and not line.endswith(("|-", "|", ">"))
        out.append(f"{line}  # tail {number}." if fits else line)
    made = "\n".join(out)
    return made if read(made.encode(), "x").value == document.value else text


def notes(text):
    return re.findall(r"# (?:note|tail) \d+\.", text)


def texts():
    """The templates' own files, and what is made from them; plain, with comments, and with the line ends of Windows."""
    kept = [*((text, ("chain",)) for text in FILES.values()), *((text, ()) for text in TEXTS.values())]

    def dressed(chosen, every, windows):
        text = commented(chosen[0], every) if every else chosen[0]
        return text.replace("\n", "\r\n") if windows else text, chosen[1]

    return st.builds(dressed, st.sampled_from(kept), st.sampled_from([0, 2, 3]), st.sampled_from([False, False, True]))


_steps = st.sampled_from(
    [
        {"prompt": "Say {{ input }}"},
        {"id": "mine", "role": "analyze", "model": ["a", "b"]},
        {"steps": [{"prompt": "a\nb\n"}, {"use": "x", "with": {"k": 1}}]},
        {"parallel": {"one": {"prompt": "x"}, "two": [{"prompt": "y"}]}},
    ]
)
_values = st.sampled_from(
    [None, True, 0, 1.5, "", "plain words", "a: b # c", "yes", "two\nlines\n", " odd ", "{{ x }}", "\u2028", 'say "it\'s"', [], {}, ["a", "b"], {"max": 3}, {"a": {"b": [1, {"c": None}]}}]
)  # fmt: skip


def places(value, place=()):
    yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*place, key))


def ops(chain):
    """Any operation that a browser could send for this chain."""
    found = spots(chain)
    all_places = [list(place) for place in places(chain) if place]
    step_places = [list(spot.place) for spot in found] or [["steps", 0]]
    lists = [
        list(place)
        for place in places(chain)
        if isinstance(at(chain, place), list) and steps_along((*place, 0))[-1:] == ((*place, 0),)
    ]
    anywhere, steps = st.sampled_from(all_places), st.sampled_from(step_places)
    keys = st.sampled_from(["when", "model", "id", "repeat", "options", "on_error"])
    index = st.integers(0, 4)
    return st.one_of(
        st.builds(lambda place, value: {"do": "set", "place": place, "value": value}, anywhere, _values),
        st.builds(lambda step, key, value: {"do": "set", "place": [*step, key], "value": value}, steps, keys, _values),
        st.builds(lambda step, value: {"do": "set", "place": [*step, "retry", "wait_s"], "value": value}, steps, _values),
        st.builds(lambda place: {"do": "unset", "place": place}, anywhere),
        st.builds(lambda place: {"do": "remove", "place": place}, anywhere),
        st.builds(lambda place, at, value: {"do": "add", "place": place, "at": at, "value": value}, st.sampled_from(lists or [["steps"]]), index, _steps),
        st.builds(move, steps, st.sampled_from(lists or [["steps"]]), index),
        st.builds(lambda step, name: {"do": "rename", "place": step, "name": name}, steps, st.sampled_from(["renamed", "draft", "x y", "other"])),
        st.builds(lambda one, other: {"do": "connect", "source": one, "target": other}, steps, steps),
        st.builds(lambda one, other: {"do": "disconnect", "source": one, "target": other}, steps, steps),
    )  # fmt: skip


def meant(chain, op):
    for change in changes_of(chain, op):
        chain = applied(chain, change)
    return chain


def spans(text, op, root):
    """The notes that stand inside of what an operation touches."""
    found = set()
    for key in ("place", "from", "target"):
        if key in op:
            place = (*root, *op[key])
            try:
                page = Page(text)
                spot = page.spot((*place, "input") if key == "target" else place)
                begin = page._line((spot.key or spot.node).start_mark.index)
                found |= set(notes(text[begin : page._line_end(page.end(spot.node))]))
            except (LookupError, IndexError):
                pass
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts(), st.data())
def test_any_operations_give_the_value_that_was_meant_and_keep_every_comment_that_they_do_not_touch(given_text, data):
    keeps_the_law(*given_text, data)


@pytest.mark.soak
@pytest.mark.timeout(900)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(texts(), st.data())
def test_so_do_very_many(given_text, data):
    keeps_the_law(*given_text, data)


def keeps_the_law(text, root, data):
    draft = Manuscript(text, root)
    for _ in range(data.draw(st.integers(1, 5))):
        chain, before = draft.value, draft.text
        if not isinstance(chain, dict) or not chain:
            break
        op = data.draw(ops(chain))
        try:
            note = draft.do(op)
        except Refused:
            assert draft.text == before
            continue
        assert alike(draft.value, meant(chain, op))
        outside = value_in(before) if root else None
        if root:
            assert {key: value for key, value in value_in(draft.text).items() if key != root[0]} == {
                key: value for key, value in outside.items() if key != root[0]
            }
        left, stayed = notes(draft.text), notes(before)
        if note == "":
            gone = set(stayed) - set(left)
            touched = spans(before, op, root)
            assert gone <= touched, (op, gone)
        if op["do"] != "move":
            assert left == [one for one in stayed if one in left]
        assert ("\r\n" in draft.text) == ("\r\n" in before)
    while draft.past:
        draft.undo()
    assert draft.text == text
    while draft.future:
        draft.redo()


@pytest.mark.parametrize("name", ready())
def test_a_template_that_nothing_happens_to_stays_byte_for_byte(name):
    for text, root in ((FILES[name], ("chain",)), (TEXTS[name], ())):
        chain = value_in(text, root)
        for spot in spots(chain):
            assert edited(text, {"do": "set", "place": list(spot.place), "value": spot.value}, root).text == text
            assert edited(text, {"do": "unset", "place": [*spot.place, "nothing"]}, root).text == text


# One by one

SMALL = """\
# a chain of mine
inputs: {topic: text}

steps:
  # first of all
  - id: draft   # by the cheap one
    prompt: |-  # the question
      Write about {{ topic }}.

      Be short.
    model: 'haiku'

  - id: sides
    parallel:
      pro: {prompt: "For: {{ draft }}", model: sonnet}  # in one line
      con:
        - role: critique
        - prompt: "{{ critique }}"

  # at the end
  - prompt: Judge {{ sides.pro }} and {{ sides["con"] }}.
outputs: [draft, step_3]
"""


def test_a_value_is_changed_where_it_stands_in_its_own_quotes():
    assert edit(SMALL, do="set", place=["steps", 0, "model"], value="it's") == SMALL.replace("'haiku'", "'it''s'")
    assert edit(SMALL, do="set", place=["steps", 1, "parallel", "pro", "model"], value="a, b") == SMALL.replace(
        "sonnet", '"a, b"'
    )
    assert edit(SMALL, do="set", place=["steps", 0, "prompt"], value="One.\nTwo.\n") == SMALL.replace(
        "|-  # the question\n      Write about {{ topic }}.\n\n      Be short.\n",
        "|  # the question\n      One.\n      Two.\n",
    )
    assert edit(SMALL, do="set", place=["steps", 0, "id"], value="x") == SMALL.replace("id: draft   #", "id: x   #")


def test_a_key_goes_and_comes_where_it_belongs():
    assert edit(SMALL, do="unset", place=["steps", 0, "model"]) == SMALL.replace("    model: 'haiku'\n", "")
    assert edit(SMALL, do="set", place=["steps", 1, "when"], value="true") == SMALL.replace(
        "    parallel:", '    when: "true"\n    parallel:'
    )
    assert edit(SMALL, do="set", place=["description"], value="d") == SMALL.replace(
        "inputs:", "description: d\ninputs:"
    )
    assert edit(SMALL, do="set", place=["steps", 2, "id"], value="x") == SMALL.replace(
        "- prompt: J", "- id: x\n    prompt: J"
    )


def test_a_step_comes_and_goes_and_the_comments_beside_it_stay():
    added = edit(SMALL, do="add", place=["steps"], at=1, value={"role": "analyze"})
    named = SMALL.replace("- prompt: J", "- id: step_3\n    prompt: J")  # so that the outputs still name it
    assert added == named.replace("  - id: sides", "  - id: analyze\n    role: analyze\n\n  - id: sides")
    assert edit(added, do="remove", place=["steps", 1]) == named.replace("  - id: sides", "\n  - id: sides")
    last = '  # at the end\n  - prompt: Judge {{ sides.pro }} and {{ sides["con"] }}.\n'
    moved = edit(SMALL.replace("- prompt: J", "- id: step_3\n    prompt: J"), **move(["steps", 2], ["steps"], 0))
    assert moved.index("# at the end\n  - id: step_3") < moved.index("# first of all\n  - id: draft")
    assert last.splitlines()[0] in moved
    assert edit("steps:\n  # only\n  - prompt: a  # b\n", do="remove", place=["steps", 0]) == "steps: []\n  # only\n"
    assert (
        edit("steps: []  # none\n", do="add", place=["steps"], at=0, value={"id": "a", "prompt": "b"})
        == "steps:  # none\n- id: a\n  prompt: b\n"
    )


def test_a_step_without_an_id_keeps_the_name_under_which_others_know_it():
    text = edit(SMALL, do="remove", place=["steps", 0])
    assert "- id: step_3\n    prompt: Judge" in text
    assert value_in(text)["outputs"] == ["draft", "step_3"]


def test_every_text_that_names_a_step_follows_it():
    text = edit(SMALL, do="rename", place=["steps", 0], name="first")
    assert text == SMALL.replace("id: draft   #", "id: first   #").replace("{{ draft }}", "{{ first }}").replace(
        "[draft,", "[first,"
    )
    branch = edit(SMALL, do="rename", place=["steps", 1, "parallel", "con"], name="against")
    assert branch == SMALL.replace("con:", "against:").replace('["con"]', '["against"]')
    assert edit(SMALL, do="rename", place=["steps", 2], name="verdict") == SMALL.replace(
        "- prompt: J", "- id: verdict\n    prompt: J"
    ).replace("step_3]", "verdict]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ a.a }} a {{ 'a' }} {{ b.a }} {{ a | join(a) }}", "{{ z.a }} a {{ 'a' }} {{ b.a }} {{ z | join(z) }}"),
        ("{% for x in a %}{{ a }}{% endfor %}", "{% for x in z %}{{ z }}{% endfor %}"),
        ("{% raw %}{{ a }}{% endraw %}{{ a }}", "{% raw %}{{ a }}{% endraw %}{{ z }}"),
        ("{{ a }} {{", "{{ a }} {{"),
    ],
)  # fmt: skip
def test_a_name_is_told_from_a_word(text, expected):
    chain = "steps: [{id: a, prompt: x}, {id: b, prompt: y}]\n"
    chain = edit(chain, do="set", place=["steps", 1, "prompt"], value=text)
    assert value_in(edit(chain, do="rename", place=["steps", 0], name="z"))["steps"][1]["prompt"] == expected


REFUSED = [
    ({"do": "rename", "place": ["steps", 0], "name": "sides"}, "'sides' is taken already"),
    ({"do": "rename", "place": ["steps", 0], "name": "a b"}, "'a b' is no name"),
    ({"do": "rename", "place": ["steps", 0], "name": "input"}, "a meaning of its own"),
    ({"do": "connect", "source": ["steps", 2], "target": ["steps", 0]}, "they would wait for each other"),
    ({"do": "connect", "source": ["steps", 1, "parallel", "con", 0], "target": ["steps", 2]}, "connect 'con'"),
    ({"do": "connect", "source": ["steps", 0], "target": ["steps", 0]}, "cannot wait for itself"),
    ({"do": "connect", "source": ["steps", 1, "parallel", "pro"], "target": ["steps", 1]}, "is a part of 'sides'"),
    ({"do": "disconnect", "source": ["steps", 0], "target": ["steps", 1, "parallel", "pro"]}, "in its 'prompt'"),
    (move(["steps", 1], ["steps", 1, "parallel", "con"], 0), "into itself"),
    ({"do": "set", "place": ["steps", 9, "id"], "value": "x"}, "no 'steps.9' in the chain"),
    ({"do": "set", "place": ["steps", 0, "id"], "value": float("nan")}, "no value that a file can hold"),
    ({"do": "set", "place": ["steps", 0, "id"], "value": "\ud800"}, "half a sign"),
    ({"do": "remove", "place": ["steps", 7]}, "nothing at 'steps.7'"),
    ({"do": "fly", "place": []}, "no operation 'fly'"),
    ({"do": "add", "place": ["steps"], "value": {}}, "says nothing of 'at'"),
    ({"do": "set", "place": "steps", "value": 1}, "a place is a list"),
]


@pytest.mark.parametrize(("op", "why"), REFUSED)
def test_what_cannot_be_done_is_refused_with_its_reason(op, why):
    with pytest.raises(Refused, match=re.escape(why)):
        edited(SMALL, op)


@pytest.mark.parametrize(
    ("op", "why"),
    [
        ({"do": "rename", "place": ["steps", 1], "name": "b"}, "this is no step yet, so it has no name"),
        ({"do": "connect", "source": ["steps", 0], "target": ["steps", 1]}, "is no step yet, so it takes no input"),
        ({"do": "disconnect", "source": ["steps", 0], "target": ["steps", 1]}, "takes the value of the step before"),
    ],
)
def test_an_empty_line_among_the_steps_is_no_step_yet(op, why):
    with pytest.raises(Refused, match=re.escape(why)):
        edited("steps:\n  - {id: a, prompt: x}\n  -\n", op)


def test_an_arrow_is_an_input_and_taken_away_again():
    text = edit(SMALL, do="connect", source=["steps", 0], target=["steps", 2])
    assert value_in(text)["steps"][2]["input"] == "{{ draft }}"
    assert edit(text, do="disconnect", source=["steps", 0], target=["steps", 2]) == SMALL
    branch = edit(SMALL, do="connect", source=["steps", 1, "parallel", "con"], target=["steps", 2])
    assert value_in(branch)["steps"][2]["input"] == "{{ sides.con }}"


def test_a_chain_on_one_line_becomes_yaml_with_the_first_edit_and_that_is_said():
    made = edited(
        "analyze:researcher@sonnet | summarize", {"do": "set", "place": ["steps", 1, "model"], "value": "haiku"}
    )
    assert "written as YAML" in made.note
    assert value_in(made.text)["steps"] == [
        {"role": "analyze", "persona": "researcher", "model": ["sonnet"]},
        {"role": "summarize", "model": "haiku"},
    ]
    several = "# both\nchains:\n  one: analyze | summarize  # short\n  two: {steps: [{prompt: a}]}\n"
    made = edited(several, {"do": "remove", "place": ["steps", 0]}, ("chains", "one"))
    assert made.text.startswith("# both\nchains:\n  one:  # short\n")
    assert made.text.endswith("  two: {steps: [{prompt: a}]}\n")


def test_short_forms_are_widened_when_a_part_is_added():
    text = "steps:\n- {id: a, prompt: x, each: '[1]', retry: 2}\n"
    text = edit(
        edit(text, do="set", place=["steps", 0, "each", "parallel"], value=3),
        do="set",
        place=["steps", 0, "retry", "wait_s"],
        value=1,
    )
    assert text == 'steps:\n- {id: a, prompt: x, each: {over: "[1]", parallel: 3}, retry: {times: 2, wait_s: 1}}\n'


def test_an_edit_of_what_is_no_yaml_is_refused_and_the_text_can_be_mended_by_hand():
    draft = Manuscript("steps: [")
    with pytest.raises(Refused, match="cannot be read"):
        draft.do({"do": "remove", "place": ["steps"]})
    draft.do({"do": "text", "text": "steps: [{prompt: a}]"})
    draft.do({"do": "set", "place": ["steps", 0, "prompt"], "value": "b"})
    assert draft.text == "steps: [{prompt: b}]"
    draft.undo()
    draft.undo()
    assert draft.text == "steps: ["
    with pytest.raises(Refused, match="nothing to undo"):
        draft.undo()
