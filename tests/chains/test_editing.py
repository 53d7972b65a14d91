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


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts(), st.data())
def test_any_operations_give_the_value_that_was_meant_and_keep_every_comment_that_they_do_not_touch(given_text, data):
    text, root = given_text
    draft, said = Manuscript(text, root), 0
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
        said += 1
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
