"""The laws of the tree: a path is one that a vendor takes, a cell that runs again never appends twice, and nothing ever disappears."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Params
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.chronicle import Mark, event_of, events_of, of_json, record_of, retold, to_json
from orchestrator_nb.conversations import Tree, Turn, drawn
from orchestrator_nb.echoes import echoed
from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Message, Text, Thinking

MODEL = ModelSpec(Vendor("lab", "openai", "https://lab.example/v1"), "one")
CELLS = st.sampled_from(["a", "b", "c", "d", None])
OUTCOMES = st.sampled_from(["answered"] * 5 + ["cut", "failed", "asked"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), CELLS, OUTCOMES),
        st.tuples(st.just("switch"), st.integers(0, 30)),
        st.tuples(st.just("branch"), st.integers(0, 30)),
    ),
    max_size=30,
)


def turn(number, parent=None, **more):
    given = {"answer": Message.assistant(f"answer {number}"), "outcome": "answered", "model": "lab/one", **more}
    return Turn(f"t{number}", parent, (Message.user(f"question {number}"),), **given)


def asked(tree, number, cell, outcome):
    """What a session does with a question of this cell."""
    parent = tree.stand(cell, f"press {number}")
    answer = {"failed": None, "asked": None}.get(outcome, Message.assistant(f"answer {number}"))
    made = turn(number, parent, outcome=outcome, answer=answer, cell=cell, execution=f"press {number}")
    return tree.with_turn(replace(made, branch=tree.branch_of(parent, cell)))


def grown(steps):
    """The trees after each step, with the step."""
    tree = Tree()
    for number, (what, *more) in enumerate(steps):
        open_turns = [name for name, one in tree.turns.items() if one.can_go_on]
        if what == "ask":
            tree = asked(tree, number, *more)
        elif what == "switch" and open_turns:
            tree = tree.switched(open_turns[more[0] % len(open_turns)])
        elif what == "branch" and open_turns:
            tree = tree.branched(open_turns[more[0] % len(open_turns)], f"branch {number}")
        yield number, what, more, tree


@given(STEPS)
def test_nothing_disappears_and_nothing_changes(steps):
    before = Tree()
    for *_, tree in grown(steps):
        assert before.turns.items() <= tree.turns.items()
        assert before.heads.keys() <= tree.heads.keys()
        before = tree
    assert drawn(before).count("\n") + 1 == max(1, len(before.turns))


@given(STEPS)
def test_every_path_is_one_that_a_vendor_takes(steps):
    for *_, tree in grown(steps):
        for name in [None, *(one.id for one in tree.turns.values() if one.can_go_on)]:
            path = tree.path(name)
            assert [one.parent for one in path] == [None, *(one.id for one in path)][: len(path)]
            messages, _ = echoed(path, MODEL, None)
            assert [m.role for m in messages] == ["user", "assistant"] * len(path)
            assert all(part != Text("") for m in messages for part in m.parts)
        assert tree.head is None or tree.turns[tree.head].can_go_on


@given(STEPS)
def test_a_cell_that_runs_again_stands_once_on_the_path(steps):
    for number, what, more, tree in grown(steps):
        if what == "ask" and more[0] is not None and more[1] == "answered":
            assert tree.head == f"t{number}", "the new answer is the current one"
            assert [one.cell for one in tree.current].count(more[0]) == 1


@given(STEPS)
def test_a_cell_that_fails_leaves_the_path_as_it_was(steps):
    before = Tree()
    for _number, what, more, tree in grown(steps):
        if what == "ask" and more[1] != "answered":
            assert tree.current == before.current
        before = tree


@given(STEPS)
def test_what_is_written_down_makes_the_same_tree(steps):
    events, tree = [], Tree()
    for number, what, _, after in grown(steps):
        tree = after
        events.append(tree.turns[f"t{number}"] if what == "ask" else Mark(tree.branch, tree.head))
    told = [event_of(record_of(event)) for event in events]
    assert retold(told) == tree
    assert retold([*told, *told[:0]]) == retold(events_of(tree))
    assert of_json(__import__("json").loads(to_json("x", tree))) == ("x", tree)


@given(STEPS, STEPS)
def test_two_kernels_keep_each_others_turns_and_their_own_place(mine, theirs):
    begun = Tree().with_turn(turn("0", cell="a"))
    one, other = begun, begun
    for _, what, more, tree in grown(mine):
        one = asked(one, f"m{len(tree.turns)}", more[0], more[1]) if what == "ask" else one
    for _, what, more, tree in grown(theirs):
        other = asked(other, f"o{len(tree.turns)}", more[0], more[1]) if what == "ask" else other
    both = one.merged(other)
    assert both.turns.keys() == one.turns.keys() | other.turns.keys()
    assert both.current == one.current


def test_running_all_again_gives_one_new_path_through_the_same_cells():
    tree = Tree()
    for number, cell in enumerate("abcabc"):
        tree = asked(tree, number, cell, "answered")
    assert [one.id for one in tree.current] == ["t3", "t4", "t5"]
    tree = asked(tree, 6, "c", "answered")
    assert [one.id for one in tree.current] == ["t3", "t4", "t6"]


def test_a_loop_in_one_cell_appends_and_runs_again_from_where_it_stood():
    tree = Tree().with_turn(turn(0, cell="a", execution="1"))
    for press in ("2", "3"):
        for number in range(3):
            name = f"{press}-{number}"
            tree = tree.with_turn(turn(name, tree.stand("b", press), cell="b", execution=press))
        assert [one.id for one in tree.current] == ["t0", *(f"t{press}-{number}" for number in range(3))]


def test_a_cell_goes_back_to_its_branch_and_leaves_the_other_alone():
    tree = asked(asked(Tree(), 0, "a", "answered"), 1, "b", "answered").with_turn(turn(2, "t1"))
    tree = tree.branched("t0", "side")
    tree = asked(tree, 3, "c", "answered")
    assert tree.heads == {"main": "t2", "side": "t3"}
    back = asked(tree.switched("main").switched("side"), 4, "b", "answered")
    assert back.heads == {"main": "t2", "side": "t4"}, "its place is on this path"
    far = asked(asked(back.switched("main"), 5, "e", "answered").switched("t3"), 6, "e", "answered")
    assert (far.branch, far.turns["t6"].parent) == ("main", "t2")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda tree: tree.switched("nope"), "there is no turn 'nope'"),
        (lambda tree: tree.switched(""), "there is no turn ''"),
        (lambda tree: tree.switched("t"), "2 turns begin with 't'"),
        (lambda tree: tree.switched("t1"), "the turn t1 has no answer that could be followed; go to t0"),
        (lambda tree: tree.branched("t0", "main"), "there is a branch 'main' already"),
        (lambda tree: tree.branched("t0", "../x"), "'../x' is no name for a branch"),
        (lambda tree: tree.branched("t0", "a\nb"), "is no name for a branch"),
    ],
)
def test_what_cannot_be_done_is_said(act, says):
    tree = Tree().with_turn(turn(0)).with_turn(turn(1, "t0", outcome="failed", answer=None))
    with pytest.raises(UserError, match=says):
        act(tree)


def test_an_answer_that_comes_again_word_for_word_is_the_same_turn():
    tree = Tree().with_turn(turn(0))
    again = replace(turn(0), id="t9", at=5.0, call="run-0")
    assert tree.twin(again).id == "t0"
    assert tree.twin(replace(again, system="Be brief.")) is None
    assert tree.twin(replace(again, params={"temperature": 0})) is None
    assert tree.twin(replace(again, answer=Message.assistant("another"))) is None
    assert Params().given == {}


def test_thoughts_are_drawn_nowhere():
    shown = drawn(Tree().with_turn(turn(0, answer=Message("assistant", (Thinking("hidden", "seal"), Text("seen"))))))
    assert "seen" in shown
    assert "hidden" not in shown
