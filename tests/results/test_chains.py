"""What a chain's frame tells: places, outputs, profile, picture; after files and filters too, and with attributes that somebody has changed."""

import copy
import json
import math
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import pandas as pd
import pytest
from shapes import call, failed, item, run

from orchestrator_nb.errors import UserError
from orchestrator_nb.results.frames import COLUMNS, PLACES, frame
from orchestrator_nb.results.summary import summary
from orchestrator_nb.runs import Chained

DEFINITION = {
    "name": "review",
    "inputs": {"topic": "text", "papers": "list"},
    "steps": [
        {"id": "draft", "prompt": "About {{ topic }}"},
        {"id": "notes", "each": "papers", "steps": [{"id": "facts", "prompt": "{{ item }}"}, {"id": "check", "prompt": "{{ facts }}"}]},
        {"id": "never", "when": "topic == ''", "prompt": "Hi"},
        {"id": "report", "role": "my_own_role", "prompt": "{{ draft }}{{ notes }}"},
    ],
    "outputs": {"text": "{{ report }}"},
}  # fmt: skip
T0 = 1_700_000_000.0


def step(path, began, ended, *needs, outcome="done", times=1, why="", row=0):
    return {
        "row": row,
        "step": path,
        "began": began,
        "ended": ended,
        "outcome": outcome,
        "times": times,
        "needs": list(needs),
        "why": why,
    }


STEPS = (
    step("draft", 0.0, 2.0),
    step("notes", 0.0, 8.0),
    step("notes.facts", 0.0, 6.0, times=2),
    step("notes.check", 2.0, 8.0, "notes.facts", times=2),
    step("never", 0.0, 0.0, outcome="skipped", times=0),
    step("report", 8.0, 10.0, "draft", "notes"),
)


def asked(number, path, began, took, *, row=0, usd="0.01", **at):
    place = replace(item(row=row), at={"chain": "review", "step": path, **at})
    from shapes import answer

    return call(place, answer(usd=usd), id=f"c{row}.{number}", started_at=T0 + began, latency_s=took)


def calls(row=0):
    return [
        asked(0, "draft", 0, 2, row=row),
        asked(1, "notes.facts", 0, 2, row=row, item=0),
        asked(2, "notes.check", 2, 2, row=row, item=0, usd=""),
        asked(3, "notes.facts", 4, 2, row=row, item=1),
        asked(4, "notes.check", 6, 2, row=row, item=1),
        asked(5, "report", 8, 2, row=row),
    ]


def chained(**more):
    made = {
        "definition": DEFINITION,
        "used": {},
        "over": False,
        "rows": ({"topic": "tides", "papers": ["a", "b"]},),
        "outputs": ({"text": "# All of it"},),
        "errors": (None,),
        "steps": STEPS,
        "calls": tuple({"call_id": f"c0.{n}", "waited_s": 4.0 if n == 3 else 0.0} for n in range(6)),
    }
    return Chained(**{**made, **more})


def shown(*outcomes, **more):
    return frame(run(*(outcomes or calls()), chained=chained(**more), wall_s=10.0))


def over():
    rows = ({"topic": "tides", "papers": [], "text": "own"}, {"topic": "moon", "papers": [], "text": "own too"})
    steps = (*STEPS, step("draft", 0.0, 12.0, row=1), step("notes", 0.0, None, row=1, outcome="failed", why="no"))
    return shown(
        *calls(0),
        *calls(1)[:1],
        over=True,
        rows=rows,
        outputs=({"text": "T"}, None),
        errors=(None, "notes: no"),
        steps=steps,
    )


# Places


def test_a_call_of_a_chain_has_its_place_behind_repeat():
    columns = list(shown().columns)
    start = columns.index("repeat") + 1
    assert columns[start : start + 5] == ["chain", "step", "turn", "item", "branch"]
    assert "outer" not in columns
    made = shown(asked(0, "a", 0, 1, turn=2, item=1, branch="pro", outer="item 3"), asked(1, "b", 0, 1))
    assert {name: str(made[name].dtype) for name in PLACES} == dict(PLACES)
    assert made["outer"].tolist() == ["item 3", pd.NA]
    assert made["turn"].tolist() == [2, pd.NA]


def test_other_runs_have_the_columns_of_the_contract_alone():
    assert list(frame(run(call())).columns) == list(COLUMNS)
    assert "chain" not in frame(run(call())).attrs["orchestrator_nb"]


def test_a_chain_that_asked_nothing_has_the_columns_too():
    empty = frame(run(chained=chained()))
    assert str(empty["step"].dtype) == "string"
    assert str(empty["item"].dtype) == "Int64"


def test_what_stands_in_the_attributes_is_plain_json():
    about = shown().attrs["orchestrator_nb"]["chain"]
    assert json.loads(json.dumps(about)) == about
    assert set(about) == {"definition", "used", "over", "rows", "outputs", "errors", "steps", "calls"}


def test_columns_of_a_frame_with_a_thousand_rows_are_taken_at_once():
    rows = tuple({"topic": "x", "papers": []} for _ in range(1_000))
    steps = tuple({**told, "row": row} for row in range(1_000) for told in STEPS)
    made = shown(over=True, rows=rows, outputs=({"text": "T"},) * 1_000, errors=(None,) * 1_000, steps=steps)
    began = time.process_time()
    for _ in range(20):
        _ = made[["text"]]["text"]
    assert time.process_time() - began < 2  # with attributes that are copied each time: several seconds
    assert made[["text"]].llm.outputs["text"].nunique() == 1


# Outputs


def test_outputs_are_a_dict_that_reads_well():
    outputs = shown().llm.outputs
    assert outputs == {"text": "# All of it"}
    assert repr(outputs) == "# All of it"
    assert "<h1>All of it</h1>" in outputs._repr_mimebundle_()["text/html"]
    several = shown(outputs=({"a": "one", "b": [1, 2]},)).llm.outputs
    assert several["b"] == [1, 2]
    assert "▸ a\none" in repr(several)


def test_outputs_over_a_frame_are_that_frame_with_the_outputs_beside_it():
    joined = over().llm.outputs
    assert list(joined.columns) == ["topic", "papers", "text", "text_out", "error"]
    assert joined["text"].tolist() == ["own", "own too"]
    assert joined["text_out"].tolist() == ["T", pd.NA]
    assert joined["error"].tolist() == [pd.NA, "notes: no"]
    assert str(joined["error"].dtype) == "string"


def test_a_frame_with_a_column_called_error_keeps_it():
    made = shown(over=True, rows=({"topic": "x", "error": "mine"},), outputs=({"error": "the model's"},)).llm.outputs
    assert made.to_dict("list") == {
        "topic": ["x"],
        "error": ["mine"],
        "error_out": ["the model's"],
        "error_out_out": [None],
    }


def test_a_chain_that_gave_nothing_says_why_and_how_it_goes_on():
    with pytest.raises(
        UserError, match=r"'review' gave nothing: notes: it broke\. %chain resume 20261122-101010-abcdef"
    ):
        _ = shown(outputs=(None,), errors=("notes: it broke.",)).llm.outputs


# Profile


def test_the_profile_has_every_step_in_the_order_of_the_plan():
    made = shown().llm.profile()
    assert made["step"].tolist() == ["draft", "notes", "notes.facts", "notes.check", "never", "report"]
    rows = made.set_index("step")
    assert rows["calls"].to_dict() == {
        "draft": 1,
        "notes": 4,
        "notes.facts": 2,
        "notes.check": 2,
        "never": 0,
        "report": 1,
    }
    assert rows.loc["notes", ["times", "wall_s", "waiting_s", "model_s"]].tolist() == [1, 8.0, 4.0, 8.0]
    assert rows.loc["notes", ["input_tokens", "output_tokens", "cost_usd"]].tolist() == [12, 16, 0.03]
    assert math.isnan(rows.loc["never", "cost_usd"])
    assert pd.isna(rows.loc["never", "input_tokens"])
    assert rows["outcome"].tolist() == ["done", "done", "done", "done", "skipped", "done"]


def test_the_profile_says_what_decided_and_what_more_parallelism_would_gain():
    made = shown().llm.profile()
    assert made.critical_path == ["notes", "report"]
    assert made.set_index("step")["share"].dropna().to_dict() == {
        "draft": 0.0,
        "notes": 0.8,
        "never": 0.0,
        "report": 0.2,
    }
    assert made.loc[made["critical"], "step"].tolist() == ["notes", "notes.facts", "notes.check", "report"]
    assert made.wall_s == 10.0
    assert made.gain_s == pytest.approx(4.0)  # the second item waited 4 s for the first; side by side they take 4
    assert "critical path: notes → report, 10.0 s." in made.notes[0]
    assert "about 6.0 s, 4.0 s less" in made.notes[1]
    assert repr(made).splitlines()[3].startswith("  facts  done")


def test_without_waiting_more_parallelism_gains_nothing_and_the_words_say_so():
    quick = [asked(0, "draft", 0, 2), asked(5, "report", 2, 2)]
    steps = (step("draft", 0.0, 2.0), step("report", 2.0, 4.0, "draft"))
    made = shown(*quick, steps=steps, calls=()).llm.profile()
    assert made.gain_s == 0
    assert "next to nothing; draft takes 50% of it" in made.notes[1]


def test_a_step_that_failed_still_stands_in_its_place_of_the_path():
    steps = (step("draft", 0.0, 2.0), step("report", 2.0, 4.0, outcome="failed", why="no"))
    assert shown(*calls()[:1], steps=steps).llm.profile().critical_path == ["draft", "report"]


def test_of_several_rows_the_slowest_decides_and_the_rest_is_added_up():
    made = over().llm.profile()
    rows = made.set_index("step")
    assert made.critical_path == ["draft"]
    assert rows.loc["draft", ["calls", "wall_s", "cost_usd"]].tolist() == [2, 14.0, 0.02]
    assert rows.loc["notes", "outcome"] == "failed"
    assert "row 1, the slowest of 2" in made.notes[0]


def test_what_cache_and_tape_answered_cost_nothing():
    free = [replace(outcome, source="cache") for outcome in calls()]
    assert shown(*free).llm.profile()["cost_usd"].dropna().tolist() == [0.0] * 5


def test_proposed_steps_stand_behind_the_step_they_were_proposed_for():
    steps = (*STEPS[:1], step("draft.extra", 0.0, 1.0), *STEPS[1:])
    assert shown(steps=steps).llm.profile()["step"].tolist()[:3] == ["draft", "draft.extra", "notes"]


def test_the_profile_is_a_frame_and_what_is_made_of_it_an_ordinary_one():
    made = shown().llm.profile()
    assert isinstance(made, pd.DataFrame)
    assert type(made[made["critical"]]) is pd.DataFrame
    assert made.to_csv().count("\n") == 7
    assert "critical path" in made._repr_html_()


# Picture


def test_the_picture_says_what_became_of_each_step():
    picture = shown().llm.draw()
    ET.fromstring(picture._repr_svg_())
    assert "├─ notes  block  (for each item in papers)  [done · 4 calls · $0.0300 · 8.0 s, critical]" in picture.text
    assert "├─ never  ask  (when topic == '')  [skipped]" in picture.text
    assert "report  my_own_role" in picture.text
    assert "2 rows together" in over().llm.draw().svg


def test_after_a_filter_the_rest_is_told():
    made = over()
    one = made[made["row"] == 1]
    assert one.llm.profile().set_index("step").loc["draft", ["calls", "wall_s"]].tolist() == [1, 12.0]
    assert "together" not in one.llm.draw().svg
    assert shown().query("step == 'draft'").llm.draw().text.count("done") == 5


def test_after_files_it_is_all_there(tmp_path):
    made = shown()
    made.to_csv(tmp_path / "run.csv", index=False)
    (tmp_path / "run.json").write_text(json.dumps(made.attrs))
    back = pd.read_csv(tmp_path / "run.csv")
    back.attrs = json.loads((tmp_path / "run.json").read_text())
    assert back.llm.draw().svg == made.llm.draw().svg
    assert repr(back.llm.profile()) == repr(made.llm.profile())
    assert back.llm.outputs == made.llm.outputs


# Frames that are no chain's, and attributes that somebody has changed


LOOKS = {
    "outputs": lambda made: made.llm.outputs,
    "profile": lambda made: made.llm.profile(),
    "draw": lambda made: made.llm.draw(),
}


@pytest.mark.parametrize("what", LOOKS)
def test_a_frame_that_is_no_chains_says_so(what):
    plain = frame(run(call()))
    with pytest.raises(UserError, match=rf"df\.llm\.{what}.* is for the frame of a chain"):
        LOOKS[what](plain)
    assert "draw" not in repr(plain.llm)
    assert ".draw()" in repr(shown().llm)


def test_without_the_column_that_is_needed_the_error_names_it():
    with pytest.raises(UserError, match="'step' is not in this frame"):
        shown().drop(columns="step").llm.profile()


def changed(**parts):
    made = shown()
    made.attrs = copy.deepcopy(made.attrs)
    made.attrs["orchestrator_nb"]["chain"] |= parts
    return made


@pytest.mark.parametrize(
    "parts",
    [
        {"steps": "many"}, {"steps": [None]}, {"steps": [{"row": "x"}]}, {"steps": [{**STEPS[0], "row": math.inf}]}, {"outputs": {}}, {"outputs": ["x"]},
        {"calls": [{"call_id": 1}]}, {"rows": 3}, {"definition": None}, {"used": []}, {"errors": 1},
    ],
)  # fmt: skip
def test_damaged_attributes_are_one_sentence(parts):
    for ask in LOOKS.values():
        with pytest.raises(UserError, match="is damaged; %llm show 20261122-101010-abcdef"):
            ask(changed(**parts))


def test_a_chain_that_is_not_an_object_is_damaged_too():
    made = shown()
    made.attrs = {"orchestrator_nb": {"chain": ["x"]}}
    with pytest.raises(UserError, match="is damaged; %llm show RUN"):
        made.llm.draw()


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"steps": []},
        {"name": "x", "steps": [{"id": "a", "prompt": "{{ b }}"}]},
        {"steps": [{"id": "a", "use": "x", "evil": "<script>"}]},
    ],
)
def test_a_definition_that_is_none_any_more_is_one_sentence_and_the_profile_goes_without(definition):
    made = changed(definition=definition)
    with pytest.raises(UserError, match="that stands with this frame cannot be read any more"):
        made.llm.draw()
    assert made.llm.profile()["calls"].sum() == 10


def test_hostile_names_stay_text():
    evil = "<img src=x onerror=alert(1)>\x1b[2J"
    made = changed(
        definition={**DEFINITION, "description": evil},
        outputs=[{evil: evil}],
        steps=[*STEPS, step(evil, 0.0, 1.0, why=evil)],
    )
    pages = [made.llm.profile()._repr_html_(), made.llm.draw().svg, made.llm.outputs._repr_mimebundle_()["text/html"]]
    texts = [repr(made.llm.profile()), made.llm.draw().text, repr(made.llm.outputs)]
    assert not any("<img" in page for page in pages)
    assert not any("\x1b" in text for text in [*texts, *pages])


# The line below


def line(**more):
    made = summary(run(*calls(), chained=chained(**more), wall_s=10.0))
    return made.line, list(made.notes)


def test_the_line_says_how_far_the_chain_came():
    said, notes = line()
    assert said.startswith("review: 5 steps done, 1 skipped · 6 calls: 6 live · ")
    assert notes == []
    assert line(over=True)[0].startswith("review on 1 row: 1 done · ")


def test_a_chain_that_failed_says_where_why_and_how_it_goes_on():
    steps = (STEPS[0], step("report", 2.0, 3.0, outcome="failed", why="report: slow down"))
    outcomes = [*calls()[:1], failed(replace(item(), at={"step": "report"}), "slow down")]
    made = summary(
        run(*outcomes, chained=chained(steps=steps, outputs=(None,), errors=("report: lab/one: slow down",)))
    )
    assert made.line.startswith("review: 1 step done, 1 failed · ")
    assert made.notes == ("report: lab/one: slow down", "%chain resume 20261122-101010-abcdef goes on from there.")


def test_a_chain_that_was_stopped_says_where():
    steps = (STEPS[0], step("notes", 0.0, None, outcome="stopped"), step("notes.facts", 0.0, None, outcome="stopped"))
    said, notes = line(steps=steps, outputs=(None,), errors=("stopped before its end.",))
    assert said.startswith("review: 1 step done, 2 stopped · ")
    assert notes[0] == "stopped before its end, in notes.facts."
    assert "%chain resume" in notes[1]


def test_of_many_rows_that_failed_a_few_are_told():
    rows = tuple({"topic": str(number)} for number in range(9))
    said, notes = line(over=True, rows=rows, outputs=(None,) * 9, errors=("no",) * 9, steps=())
    assert said.startswith("review on 9 rows: 9 stopped · ")
    assert notes[:4] == [
        "row 0: no",
        "row 1: no",
        "row 2: no",
        "and 6 more rows without outputs; df.llm.outputs has the reasons.",
    ]
