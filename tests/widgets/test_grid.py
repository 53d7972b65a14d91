"""The live grid, as far as it is Python: what it tells the browser and when, and what a notebook holds that no browser looks at."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator_nb.calls import Delta, Retrying, Started, ThinkingDelta, Waiting
from orchestrator_nb.cli.outputs import difference
from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.gridded import Gridded, fits
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.grid import RunGrid
from orchestrator_nb.widgets.grid_feed import FULL, SHOWN, STATES, Feed

sys.path.insert(0, str(Path(__file__).parents[1] / "magics"))
from kernels import kernel as fresh

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with Session.open(home=folder, cwd=folder, environ={}) as opened:
        opened.simulate(True)
        yield opened


@pytest.fixture(scope="module")
def run(session):
    session.simulator.say("first", "one two three")
    session.simulator.say("second", "one 2 three")
    rows = [{"p": "first"}, {"p": "second"}]
    return session.run(session.plan("{{ p }}", ["sonnet", "flash"], over=rows, stream=False))


def plan_of(session, prompts=("first", "second"), repeat=1):
    rows = [{"p": text} for text in prompts]
    return session.plan("{{ p }}", ["sonnet", "flash"], over=rows, repeat=repeat)


@pytest.fixture
def grid(session, run):
    made = wired(RunGrid(run, session=session))
    yield made
    made.close()


def wired(grid):
    grid.sent = []
    grid.send = lambda message, buffers=None: grid.sent.append(
        json.loads(json.dumps(message))
    )  # the wire to the browser
    return grid


def hear(grid, kind, **more):
    """What the grid answers."""
    grid.sent.clear()
    grid._handle_custom_msg({"kind": kind, **more}, [])
    return grid.sent


def told(message):
    """The states of a message by place."""
    values = message["s"]
    return {values[at]: values[at + 1 : at + 5] for at in range(0, len(values), 5)}


def texts(message, name):
    return dict(zip(message[name][::2], message[name][1::2], strict=True))


# A run that goes on


def test_only_what_has_changed_is_told_and_text_only_of_cells_that_are_seen(session):
    feed = Feed(plan_of(session).items)
    whole = feed.grid()
    assert (len(whole["rows"]), len(whole["columns"]), whole["at"]) == (2, 2, [0, 0, 0, 1, 1, 0, 1, 1])
    assert [STATES[state] for state, *_ in told(whole).values()] == ["queued"] * 4
    feed.watch("v", [0])
    feed.tick()
    for number in (0, 3):
        feed.hear(number, Started())
        feed.hear(number, Delta("Hello "))
    told_ = feed.tick()
    assert set(told(told_)) == {0, 3}
    assert texts(told_, "x") == {0: "Hello "}
    feed.hear(0, Delta("you"))
    feed.hear(3, Delta("you"))
    told_ = feed.tick()
    assert (told(told_), texts(told_, "x")) == ({}, {0: "you"})
    assert feed.tick() is None
    feed.watch("v", [3])
    assert texts(feed.tick(), "r") == {3: "Hello you"}
    feed.hear(3, Retrying(1, 0.5, "overloaded"))
    told_ = feed.tick()
    assert texts(told_, "r") == {3: ""}
    assert told_["names"][told(told_)[3][0]] == "retrying (overloaded)"


def test_a_long_stream_and_a_hostile_one_reach_the_browser_bounded_and_without_control_characters(session):
    feed = Feed(plan_of(session).items)
    feed.hear(0, Delta("x" * 50_000 + "\x1b[2J\u202eend\ud800"))
    feed.watch("v", range(4))
    [text] = [text for text in texts(feed.tick(), "r").values() if text]
    assert len(text) <= SHOWN
    assert text.endswith("end\ufffd")
    assert "\x1b" not in text
    for number in range(200):  # a vendor that invents reasons
        feed.hear(0, Waiting(f"reason {number}", 1.0))
    assert len(feed.grid()["names"]) < 100


def test_an_opened_cell_gets_all_of_its_text_and_then_what_comes(session):
    feed = Feed(plan_of(session).items)
    feed.hear(1, ThinkingDelta("hm"))
    feed.hear(1, Delta("Hello "))
    full = feed.full(1)
    assert (full["text"], full["thinking"], full["running"], full["size"]) == ("Hello ", "hm", True, 6)
    feed.hear(1, Delta("you"))
    assert (feed.full(1, 6)["text"], feed.full(1, 6)["since"]) == ("you", 6)
    feed.hear(1, Delta("y" * (FULL + 10)))
    assert len(feed.full(1)["text"]) == FULL
    assert feed.full(1)["more"] == 19


def test_hearing_costs_the_same_however_large_the_run_is(session):
    feed = Feed(plan_of(session, [f"p{number}" for number in range(1000)]).items)
    began = time.thread_time()
    for turn in range(20_000):
        feed.hear(turn % 2000, Delta("word "))
    assert time.thread_time() - began < 0.5  # 2 µs each are usual
    began = time.thread_time()
    assert len(told(feed.tick())) == 2000
    assert time.thread_time() - began < 0.1


def test_repeats_and_calls_that_share_a_place_get_columns_of_their_own(session, run):
    columns = Feed(plan_of(session, repeat=2).items).grid()["columns"]
    assert [name.rpartition(" ")[2] for name in columns] == ["1", "2", "1", "2"]
    twice = Feed([call.item for call in (*run.calls, *run.calls)]).grid()
    assert len(twice["columns"]) == 4
    assert len({tuple(twice["at"][at : at + 2]) for at in range(0, 16, 2)}) == 8


def test_of_a_run_that_is_resumed_the_whole_is_shown_and_what_is_asked_stands_in_its_places(session):
    session.simulator.fail("401", times=1, match="gemini")
    rows = [{"p": "first"}, {"p": "second"}]
    run = session.run(session.plan("{{ p }} again", ["sonnet", "flash"], over=rows, source="live"))
    [failed] = [place for place, call in enumerate(run.calls) if call.error]
    plan = session.rest(run.id, errors=True)
    screen = Gridded(Progress(plan.items), 1.0, plan, session, None)
    states = told(screen._feed.grid())
    assert [STATES[states[place][0]] for place in range(4) if place != failed] == ["simulated"] * 3
    assert STATES[states[failed][0]] == "queued"
    again = session.run(plan, progress=screen.hear)
    assert screen._feed.call(failed).id == again.calls[failed].id == f"{run.id}-{failed}"
    assert screen._feed.grid()["ended"] == {"simulated": 4}


# One that has ended


def test_a_finished_run_is_looked_at_searched_and_opened(grid, run):
    sent = hear(grid, "ready")
    assert sent[0]["kind"] == "grid"
    assert (sent[0]["over"], sent[0]["ended"], sent[0]["stoppable"]) == (True, {"simulated": 4}, False)
    [tick] = hear(grid, "watch", view="a", cells=[0, 2, 99, -1, "x"])
    assert texts(tick, "r") == {0: "one two three", 2: "one 2 three"}
    assert hear(grid, "find", text="ONE 2")[0]["cells"] == [2, 3]
    assert hear(grid, "find", text=" ")[0]["cells"] is None
    [full] = hear(grid, "full", cell=2, since=0)
    assert (full["text"], full["prompt"], full["facts"]["call"]) == ("one 2 three", "second", run.calls[2].id)
    assert hear(grid, "cancel")[0]["text"] == "the run has ended already."
    for strange in ({"cell": 99, "since": 0}, {"cell": "0", "since": 0}, {}):
        assert hear(grid, "full", **strange) == []


def test_a_part_of_a_frame_is_shown_as_a_grid_and_several_runs_are_not(session, run, monkeypatch):
    monkeypatch.setattr("orchestrator_nb.sessions._notebook", session)
    frame = session.show(run.id)
    grid = frame[frame["row"] == 1].llm.grid()
    assert [call.item.row for call in grid._run.calls] == [1, 1]
    grid.close()
    other = frame.assign(run_id="another")
    with pytest.raises(UserError, match="of 2; filter by run_id"):
        __import__("pandas").concat([frame, other]).llm.grid()
    with pytest.raises(UserError, match="no calls"):
        RunGrid(replace(run, calls=()), session=session)


def test_no_trait_holds_anything_of_the_run(grid):
    hear(grid, "ready")
    assert "three" not in repr(
        {name: value for name, value in grid.get_state().items() if name not in ("_esm", "_css")}
    )


def test_the_static_form_is_the_comparison(grid):
    assert "one 2 three" in grid.still().html
    assert "4 calls: 4 simulated" in grid.still().text


# What a notebook holds


CELLS = [
    "%load_ext orchestrator_nb\n%llm simulate on",
    "%%llm a << sonnet flash\nSay: one.",
]


@pytest.mark.slow
def test_a_notebook_that_a_program_runs_or_a_front_end_without_widgets_holds_the_static_result_alone(tmp_path):
    loaded = "'orchestrator_nb.widgets.grid' in __import__('sys').modules"
    with fresh(tmp_path) as kernel:
        kernel.run(CELLS[0], timeout=60)
        for cell, has_widget in ((None, False), ("a-cell", True)):
            shown = kernel.run(CELLS[1], timeout=60, cell=cell)
            assert kernel.value(loaded) == has_widget
            [data] = shown.outputs.values()
            assert set(data) == {"text/html", "text/plain"}
            assert "onb-before-view" not in data["text/html"]


def test_the_grid_is_for_fan_outs_of_a_front_end_that_says_which_cell_asks_and_can_be_switched_off(tmp_path):
    def shown(place={"cell": "a"}, **how):  # noqa: B006  # read only
        return fits(plan_of(session, **how), session, place)

    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as session:
        assert shown()
        assert not shown({})
        assert not shown(prompts=["p"] * 5001)
        assert not fits(session.plan("p", ["sonnet"]), session, {"cell": "a"})
        session.use(session.config.set_user("display.grid", "off"))
        assert not shown()


def test_verify_takes_no_notice_of_widgets_and_of_what_hides_their_place():
    html = '<div class="onb-box">three</div>'
    saved = [
        {"output_type": "display_data", "data": {"text/html": html + still.AFTER, "text/plain": "three"}},
        {"output_type": "display_data", "data": {VIEW: {"model_id": "1"}, "text/plain": ""}},
    ]
    fresh_ = [{"output_type": "display_data", "data": {"text/html": html, "text/plain": "three"}}]
    assert difference(saved, fresh_) == []
    assert difference(saved, [{**fresh_[0], "data": {"text/html": html + "!", "text/plain": "three"}}])
