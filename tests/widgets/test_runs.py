"""The run panel, as far as it is Python: which runs it finds, what it tells of them, and that nothing is asked before somebody saw what it takes and said yes."""

import json
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from orchestrator_nb.cli.outputs import difference
from orchestrator_nb.history import when
from orchestrator_nb.sessions import Session
from orchestrator_nb.store.told import RunTold, Spent
from orchestrator_nb.widgets.past_runs import PAGE, Wanted, days_of, fitting, shown_of
from orchestrator_nb.widgets.runs import RunPanel

sys.path.insert(0, str(Path(__file__).parents[1] / "magics"))
from kernels import kernel as fresh

PAYLOADS = json.loads((Path(__file__).parents[1] / "results/xss_payloads.json").read_text())["payloads"]
HOSTILE = next(iter(PAYLOADS.values()))
VIEW = "application/vnd.jupyter.widget-view+json"
CHAIN = "name: refine\nsteps:\n  - {id: a, prompt: How?}\n"
ALL = {"text": "", "notebook": "", "model": "", "state": "", "days": None}


@pytest.fixture
def session(tmp_path):
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as opened:
        opened.simulate(True)
        opened.simulator._world.lively = False
        yield opened


@pytest.fixture
def panel(session):
    made = RunPanel(session=session)
    made.sent = []
    made.send = lambda message, buffers=None: made.sent.append(json.loads(json.dumps(message)))  # the wire
    yield made
    made.close()


def hear(panel, **message):
    """What is answered, by kind."""
    panel.sent.clear()
    panel._handle_custom_msg({"view": "v", **message}, [])
    return {said["kind"]: said for said in panel.sent}


def listed(panel, first=0, **wanted):
    return hear(panel, kind="list", wanted={**ALL, **wanted}, **{"from": first})["runs"]


def failed_run(session):
    session.simulator.fail("400", times=1)
    return session.compare(["How?", "Why?"], ["sonnet"])["run_id"][0]


def test_what_the_store_has_is_told_to_the_view_that_asked_the_newest_first(panel, session):
    session.compare("Why is the sky blue?", ["sonnet"])
    failed = failed_run(session)
    told = listed(panel)
    assert (told["view"], told["total"], told["all"], told["from"]) == ("v", 2, 2, 0)
    newest, oldest = told["runs"]
    assert newest["id"] == failed
    assert (newest["state"], newest["calls"], newest["failed"]) == ("failed", 2, 1)
    assert (oldest["state"], oldest["prompt"], oldest["simulated"]) == ("answered", "Why is the sky blue?", True)
    assert told["models"] == ["anthropic/claude-sonnet-5-5"]


def test_other_kernels_runs_are_there_and_one_under_way_shows_how_far_it_is(panel, session, tmp_path):
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as other:
        other.simulate(True)
        other.simulator.say("slow", "word " * 4_000)
        job = other.start(other.plan("{{ p }}", ["sonnet"], over=[{"p": "slow"}, {"p": "quick"}]))
        while not (found := listed(panel)["runs"]) or found[0]["done"] == 0:
            assert not job.wait(0.05)
        assert (found[0]["state"], found[0]["done"], found[0]["calls"]) == ("running", 1, 2)
        assert "only what was begun here" in hear(panel, kind="stop", run=found[0]["id"])["said"]["text"]
        job.stop()
        assert job.wait(20)
    [stopped] = listed(panel)["runs"]
    assert (stopped["state"], stopped["done"], stopped["failed"]) == ("broken off", 1, 0)


def test_what_a_killed_kernel_left_is_offered_to_go_on_with(panel, session):
    plan = session.plan("{{ p }}", ["sonnet"], over=[{"p": "How?"}, {"p": "Why?"}])
    done = session.run(plan).calls[0]
    ledger = session.store.ledger
    ledger.begin("20991122-140500-abcdef", list(plan.items), {"models": ["lab/one"], "simulated": True})
    ledger.finished("20991122-140500-abcdef", 0, done)  # and then nothing more was heard of it
    session.store.database.flush()
    run = listed(panel)["runs"][0]
    assert (run["state"], run["done"], run["calls"]) == ("broken off", 1, 2)
    assert hear(panel, kind="estimate", run=run["id"], errors=False)["estimate"]["calls"] == 1
    hear(panel, kind="start", run=run["id"], errors=False, most="")
    assert panel._going[run["id"]].job.wait(20)
    assert listed(panel)["runs"][0]["state"] == "answered"


def a_run(number=0, about=None, **more):
    told = {"items": 2, "done": 2, "ended_at": 2.0, "about": {"models": ["lab/one"], **(about or {})}, **more}
    return shown_of(RunTold(f"run-{number}", float(number), **told), Spent(), {}, at_work=False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), "abcd"),
        (Wanted(text="TWO study"), "b"),
        (Wanted(text="run-3"), "d"),
        (Wanted(notebook="study.ipynb"), "b"),
        (Wanted(model="lab/two"), "b"),
        (Wanted(state="broken off"), "cd"),
        (Wanted(state="failed"), "a"),
        (Wanted(days=1), "cd"),
        (Wanted(text="refine", days=1), "c"),
        (Wanted(text="["), ""),
    ],
)
def test_runs_are_found_by_words_and_choices(wanted, found):
    chain = {"chain": {"name": "refine"}}
    runs = {
        "a": a_run(0, failed=1),
        "b": a_run(1, {"notebook": "study.ipynb", "models": ["lab/two"]}),
        "c": a_run(2 * 86_400, chain, done=1),
        "d": a_run(3, ended_at=None),
    }
    runs["d"] = shown_of(RunTold("run-3", 2 * 86_400.0, items=2, done=2), Spent(), {}, at_work=False)
    chosen = fitting(runs.values(), wanted, now=2.5 * 86_400)
    assert "".join(name for name, run in runs.items() if run in chosen) == found


def test_states_say_what_can_be_done():
    assert a_run().state == "answered"
    assert shown_of(RunTold("r", 0.0, items=2, ended_at=1.0, done=2), Spent(), {}, at_work=True).state == "running"
    assert a_run(told={"chain": {"errors": ["the step failed"]}}).state == "failed"


def test_thousands_come_page_by_page_and_a_page_that_is_gone_is_the_last(panel, session, monkeypatch):
    runs = [(RunTold(f"r{number}", float(number), 1.0, 1, 1), Spent()) for number in range(3_001)]
    monkeypatch.setattr(session, "told", lambda: runs)
    assert [len(listed(panel, first)["runs"]) for first in (0, PAGE, 3_000)] == [PAGE, PAGE, 1]
    assert listed(panel, 9_999)["from"] == 3_000
    assert listed(panel, -5)["from"] == 0


@pytest.mark.parametrize(
    "wrong", [{"days": -1}, {"days": True}, {"days": "7"}, {"text": 3}, {"text": "x" * 2_000}, {"notebook": None}]
)
def test_a_filter_that_makes_no_sense_is_said(panel, wrong):
    assert hear(panel, kind="list", wanted={**ALL, **wrong}, **{"from": 0})["said"]["problem"]


def test_messages_that_mean_nothing_do_nothing(panel, session):
    session.compare("How?", ["sonnet"])
    for message in ({}, {"kind": "open"}, {"kind": "cell", "run": "x", "what": "delete"}, {"kind": "start", "run": 3}):
        assert hear(panel, **message) == {}
    for kind in ({"kind": "open"}, {"kind": "cell", "what": "show"}, {"kind": "estimate", "errors": False}):
        assert "not in the store any more" in hear(panel, run=f"'; {HOSTILE}", **kind)["said"]["text"]


def test_a_run_is_opened_with_its_answers_and_what_was_thought_of_them(panel, session):
    session.simulator.say("How?", f"so {HOSTILE}")
    frame = session.compare(["How?", "Why?"], ["sonnet"])
    session.mark(frame["call_id"][0], best=True, rating=4, thumbs="up", note="short")
    opened = hear(panel, kind="open", run=frame["run_id"][0])["opened"]
    assert [row["prompt"] for row in opened["rows"]] == ["How?", "Why?"]
    assert opened["rows"][0]["text"] == f"so {HOSTILE}"  # the browser writes it as text
    assert opened["rows"][0]["mark"] == "best 4/5 thumbs up short"
    assert opened["more"] == 0


def test_a_cell_is_offered_for_each_thing_that_can_be_typed(panel, session):
    run = failed_run(session)
    for what, cell in {
        "show": "show {}",
        "grid": "grid {}",
        "resume": "resume {}",
        "errors": "resume {} --errors",
    }.items():
        assert hear(panel, kind="cell", run=run, what=what)["insert"]["cells"] == [f"%llm {cell.format(run)}"]
    chain = session.run_chain(CHAIN, model="sonnet")["run_id"][0]
    assert hear(panel, kind="cell", run=chain, what="resume")["insert"]["cells"] == [f"%chain resume {chain}"]
    assert listed(panel)["runs"][0]["chain"] == "refine"
    assert "cell of its own" in hear(panel, kind="estimate", run=chain, errors=False)["said"]["text"]


def test_nothing_is_asked_before_it_is_known_what_it_takes_and_then_exactly_that(panel, session):
    run = failed_run(session)
    start = {"kind": "start", "run": run, "errors": True, "most": ""}
    assert hear(panel, **start)["estimate"]["calls"] == 1  # nobody saw an estimate: it comes first
    told = hear(panel, kind="estimate", run=run, errors=True)["estimate"]
    assert "1 new" in told["text"]
    assert "would cost" in told["text"]
    assert set(hear(panel, **{**start, "errors": False})) == {"said"}  # another thing than was told of
    hear(panel, kind="estimate", run=run, errors=True)
    assert set(hear(panel, **start)) == {"said", "changed"}
    assert panel._going[run].job.wait(20)
    assert "has ended. %llm show" in hear(panel, kind="list", wanted=ALL, **{"from": 0})["said"]["text"]
    assert listed(panel)["runs"][0]["state"] == "answered"
    assert hear(panel, **start)["said"]["problem"]  # a yes is good for once


def test_a_cap_that_is_no_amount_and_a_run_with_nothing_left_are_said(panel, session):
    run = failed_run(session)
    hear(panel, kind="estimate", run=run, errors=True)
    assert hear(panel, kind="start", run=run, errors=True, most="much")["said"]["problem"]
    assert "nothing is left" not in hear(panel, kind="estimate", run=run, errors=False)["said"]["text"]


def test_what_was_begun_here_is_stopped_here(panel, session):
    run = failed_run(session)
    session.simulator.say("How?", "word " * 2_000)
    session.simulator._world.lively = True
    hear(panel, kind="estimate", run=run, errors=True)
    hear(panel, kind="start", run=run, errors=True, most="$1")
    assert listed(panel)["runs"][0]["mine"] == {"done": 0, "size": 1}
    assert "Stopping" in hear(panel, kind="stop", run=run)["said"]["text"]
    assert panel._going[run].job.wait(20)
    assert "has ended; 1 failed. %llm show" in hear(panel, kind="list", wanted=ALL, **{"from": 0})["said"]["text"]


def test_what_is_stopped_again_is_still_left_to_ask(panel, session):
    session.simulator.say("slow", "late", delay=600)
    job = session.start(session.plan("slow", ["sonnet"]))
    job.stop()
    assert job.wait(20)
    run = job.run.id
    hear(panel, kind="estimate", run=run, errors=False)
    hear(panel, kind="start", run=run, errors=False, most="")
    hear(panel, kind="stop", run=run)
    assert panel._going[run].job.wait(20)
    assert "has ended; 1 left to ask. %llm show" in hear(panel, kind="list", wanted=ALL, **{"from": 0})["said"]["text"]


def test_what_is_begun_here_asks_nobody_for_a_password_and_goes_where_the_run_began(panel, session, monkeypatch):
    run, threads = failed_run(session), []
    start = session.start
    monkeypatch.setattr(
        session, "start", lambda *a, **k: (threads.append(threading.current_thread()), start(*a, **k))[1]
    )
    hear(panel, kind="estimate", run=run, errors=True)
    hear(panel, kind="start", run=run, errors=True, most="")
    assert threads != [threading.main_thread()]  # only there a person is asked
    assert panel._going[run].job.wait(20)
    other = failed_run(session)
    session.simulate(False)
    assert "%llm simulate on" in hear(panel, kind="estimate", run=other, errors=True)["said"]["text"]


def test_days_keep_what_is_paid_what_may_be_what_was_saved_and_what_was_simulated_apart():
    billed = [Spent("2026-11-02", 2, Decimal("0.5"), Decimal("0.1"), Decimal("0.2"), 1, 1)]
    simulated = [Spent("2026-11-02", 3, Decimal("0.25")), Spent("2026-11-01", 1, Decimal("0.9"), Decimal("0.1"))]
    assert days_of(billed, simulated) == [
        {"day": "2026-11-01", "billed": 0.0, "possibly": 0.0, "saved": 0.0, "simulated": 1.0, "unpriced": 0},
        {"day": "2026-11-02", "billed": 0.5, "possibly": 0.1, "saved": 0.2, "simulated": 0.25, "unpriced": 1},
    ]


def test_the_cost_of_days_comes_with_the_day_of_today(panel, session):
    session.compare("How?", ["sonnet"])
    told = hear(panel, kind="days")["days"]
    assert told["today"] == when(datetime.now(UTC).timestamp())[:10]
    assert [day["billed"] for day in told["days"]] == [0.0]
    assert told["days"][0]["simulated"] > 0


def test_without_a_store_it_says_how_to_have_one(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("store: {enabled: false}\n")
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as session:
        panel = RunPanel(session=session)
        panel.sent = []
        panel.send = lambda message, buffers=None: panel.sent.append(message)
        assert "store.enabled true" in hear(panel, kind="list", wanted=ALL, **{"from": 0})["said"]["text"]
        panel.close()


def test_the_static_form_is_a_table_in_which_nothing_means_anything(panel, session):
    session.run(session.plan(HOSTILE, ["sonnet"]), about={"notebook": f"{HOSTILE}.ipynb"})
    failed_run(session)
    still = panel.still()
    assert HOSTILE not in still.html
    assert "2 runs" in still.text
    assert "failed" in still.text
    assert "simulated" in still.text
    assert "no value" not in json.dumps(panel.get_state(), default=str)
    assert HOSTILE not in json.dumps(panel.get_state(), default=str)


@pytest.mark.slow
def test_a_notebook_that_a_program_runs_has_the_frame_alone_and_one_that_a_person_runs_verifies_against_it(tmp_path):
    with fresh(tmp_path) as kernel:
        kernel.run(
            "%load_ext orchestrator_nb\n%llm simulate on\n_ = __import__('orchestrator_nb').session().compare('How?', ['sonnet'])",
            timeout=60,
        )
        alone, person = kernel.run("%llm runs", timeout=60), kernel.run("%llm runs", timeout=60, cell="one")
        assert (len(alone.outputs), len(alone.results)) == (0, 1)
        view, beside = person.outputs.values()
        assert VIEW in view
        assert beside["text/plain"] == ""
        assert "<table" in person.results[0]["text/html"]
        saved, replayed = (
            [{"output_type": "display_data", "data": data} for data in [*shown.outputs.values(), *shown.results]]
            for shown in (person, alone)
        )
        assert difference(saved, replayed) == []
        outputs = [nbformat.v4.new_output("display_data", data=data) for data in [view, beside, *person.results]]
        cell = nbformat.v4.new_code_cell("%llm runs", outputs=outputs)
        page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
        assert "possibly_usd</th>" in page
        assigned = kernel.run("frame = %llm runs\nlen(frame)", timeout=60, cell="two")
        assert (len(assigned.outputs), assigned.results[0]["text/plain"]) == (0, "1")
        later = kernel.run("frame", timeout=60, cell="three")
        assert (len(later.outputs), len(later.results)) == (0, 1)
