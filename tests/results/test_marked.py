"""How answers were judged, as columns of their frame."""

import pandas as pd
import pytest

import orchestrator_nb.results.accessor  # noqa: F401
from orchestrator_nb import UserError
from orchestrator_nb.marks import Mark
from orchestrator_nb.results.marked import marked

FRAME = pd.DataFrame({"run_id": ["a", "a", "b"], "call_id": ["a-0", "a-1", "b-0"], "text": ["x", "y", "z"]})


def of(run):
    known = {"a": {"a-1": Mark(True, 3, "up", "<script>")}, "b": {}}
    if run not in known:
        raise UserError("no such run")
    return known[run]


def test_an_unmarked_answer_is_not_the_best_and_else_unknown():
    made = marked(FRAME, of)
    assert made["best"].tolist() == [False, True, False]
    assert made["rating"].isna().tolist() == [True, False, True]
    assert made.loc[1, ["thumbs", "note"]].tolist() == ["up", "<script>"]
    assert "best" not in FRAME


def test_again_is_the_same_and_so_is_a_filtered_frame_and_one_of_forgotten_runs():
    once = marked(FRAME, of)
    pd.testing.assert_frame_equal(marked(once, of), once)
    pd.testing.assert_frame_equal(marked(once.iloc[[1]], of), once.iloc[[1]])
    strange = FRAME.assign(run_id=["gone", pd.NA, pd.NA], call_id=["gone-0", pd.NA, pd.NA])
    assert not marked(strange, of)["best"].any()
    assert marked(FRAME.iloc[:0], of)["best"].dtype == bool


def test_columns_of_the_users_own_keep_their_names():
    made = marked(FRAME.assign(note="mine"), of)
    assert made["note"].tolist() == ["mine"] * 3
    assert made["note_mark"][1] == "<script>"
    pd.testing.assert_frame_equal(marked(made, of), made)


def test_a_frame_without_ids_says_what_it_needs():
    with pytest.raises(UserError, match="'call_id'"):
        FRAME.drop(columns="call_id").llm.marked()
