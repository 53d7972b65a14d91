"""Answers are judged in a session, and next month's session knows it."""

import pandas as pd
import pytest

from orchestrator_nb import UserError
from orchestrator_nb.marks import Mark

TWO = ["lab/one", "lab/two"]


def judged(session):
    frame = session.compare(["How?", "Why?"], TWO)
    first, second, *_ = frame["call_id"]
    session.mark(first, best=True, rating=5, note="short")
    session.mark(second, thumbs="down")
    return frame, first, second


def test_marks_are_there_in_the_next_session(opened):
    frame, first, second = judged(opened())
    again = opened()
    expected = {first: Mark(True, 5, note="short"), second: Mark(thumbs="down")}
    assert again.marks() == again.marks(frame["run_id"][0]) == again.marks(frame["run_id"][0][:12]) == expected
    again.mark(second, best=True)
    assert opened().marks()[first] == Mark(rating=5, note="short")


def test_a_run_that_is_not_there_is_named(opened):
    session = opened()
    session.compare("How?", ["lab/one"])
    assert session.marks() == {}
    with pytest.raises(UserError, match="no run 'other'"):
        session.marks("other")


def test_a_frame_is_marked_when_it_is_new_and_when_it_comes_from_the_store(opened):
    session = opened()
    frame, *_ = judged(session)
    marked = frame.llm.marked(session)
    assert marked.columns.tolist() == [*frame.columns, "best", "rating", "thumbs", "note"]
    assert marked[["best", "rating", "thumbs", "note"]].dtypes.astype(str).tolist() == [
        "bool",
        "Int64",
        "string",
        "string",
    ]
    assert marked["best"].tolist() == [True, False, False, False]
    later = opened()
    pd.testing.assert_frame_equal(later.show().llm.marked(later), marked)


def test_without_the_store_the_last_run_is_judged_for_as_long_as_the_session_lives(opened, home, lab):
    lab.settings(home, "store: {enabled: false}\n")
    session = opened()
    assert session.store is None
    frame, first, second = judged(session)
    session.mark(second, best=True)
    assert (
        session.marks(frame["run_id"][0])
        == session.marks()
        == {
            first: Mark(rating=5, note="short"),
            second: Mark(True, thumbs="down"),
        }
    )
    assert frame.llm.marked(session)["best"].tolist() == [False, True, False, False]
    session.compare("When?", TWO)
    with pytest.raises(UserError, match="last run"):
        session.mark(first, rating=1)


def test_a_store_in_memory_keeps_marks_until_the_session_ends(opened, home):
    session = opened()
    session.config.paths.store.parent.mkdir(parents=True, exist_ok=True)
    session.config.paths.store.mkdir()
    _, first, _ = judged(session)
    assert session.marks()[first].best
    assert any("in memory" in notice for notice in session.last.notices)


def test_where_prompts_are_not_kept_notes_are_not_either(opened, home, lab):
    lab.settings(home, "store: {keep_prompts: digest}\n")
    session = opened()
    call = session.compare("How?", ["lab/one"])["call_id"][0]
    with pytest.raises(UserError, match="keep_prompts is digest"):
        session.mark(call, note="about that question")
    assert session.mark(call, rating=2) == Mark(rating=2)
