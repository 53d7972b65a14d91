"""Every run is written down as it happens, comes back as it was, and can go on where it broke off."""

import sqlite3
import threading

import pandas as pd
import pytest

from orchestrator_nb import UserError
from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.owners import Owners

ONE = ["lab/one"]


def test_a_run_is_shown_as_it_was(opened, lab):
    lab.broken.add("Say no, dry!")
    session = opened()
    frame = session.run(
        session.plan(
            "{{ text }}, {{ tone }}!",
            ["lab/*"],
            system="Be {{ tone }}.",
            over=pd.DataFrame({"text": ["Say yes", "Say no"], "n": [1, None], "k": [2, 3]}),
            grid={"tone": ["dry", "warm"]},
            repeat=2,
            options={"temperature": 0.5, "stop": ["END"]},
        )
    )
    frame = session._frame(frame)
    assert frame["error"].notna().sum() == 4
    shown = opened().show(frame["run_id"][0])
    pd.testing.assert_frame_equal(frame, shown)
    assert frame.attrs == shown.attrs


def test_a_cached_run_is_shown_as_it_was(opened):
    session = opened()
    session.compare("How?", ONE)
    frame = session.compare(["How?", "Why?"], ONE)
    pd.testing.assert_frame_equal(frame, opened().show())


def test_a_replayed_run_is_shown_as_it_was(opened):
    session = opened()
    session.compare("How?", ONE, source="record tape.jsonl")
    frame = session.compare("How?", ONE, source="replay tape.jsonl")
    assert frame["source"].tolist() == ["replay"]
    pd.testing.assert_frame_equal(frame, opened().show())


def test_a_run_with_a_schema_keeps_its_columns(opened):
    session = opened()
    session.simulate(True)
    frame = session.compare("Who wrote Middlemarch?", ["sonnet", "gpt"], schema="author, year int")
    pd.testing.assert_frame_equal(frame, session.show())


def test_runs_are_listed_with_what_they_cost_and_saved(opened):
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    session.compare("How?", ["lab/one", "lab/two"])
    runs = session.runs()
    assert runs["calls"].tolist() == [2, 2]
    assert runs["cost_usd"].tolist() == pytest.approx([0.0, 0.01])
    assert runs["saved_usd"].tolist() == pytest.approx([0.005, 0.0])
    assert runs["models"][0] == ["lab/one", "lab/two"]
    assert session.runs(days=1).equals(runs)
    assert session.runs(days=1e-9).empty


def test_costs_are_summed_by_what_one_asks_for(opened):
    session = opened()
    session.compare(["How?", "Why?"], ["lab/one", "lab/two"])
    costs = session.costs().set_index("model")
    assert costs.loc["lab/one", "billed_usd"] == pytest.approx(0.01)
    assert costs.loc["lab/two", "unpriced"] == 2
    assert len(session.costs("day")) == len(session.costs("run")) == len(session.costs("notebook")) == 1
    with pytest.raises(UserError, match="by model, day, run, notebook, not by 'week'"):
        session.costs("week")


@pytest.mark.parametrize(("name", "says"), [("2", "2 runs begin with"), ("x", "there is no run 'x'"), ("", "2 runs")])
def test_a_name_that_is_none_or_several_is_a_sentence(opened, name, says):
    session = opened()
    session.ask("How?", "lab/one")
    session.ask("Why?", "lab/one")
    with pytest.raises(UserError, match=says):
        session.show(name)


def test_an_attempt_stands_on_disk_before_its_first_byte(opened, home, lab):
    found = []

    def look(_prompt):
        with sqlite3.connect(f"file:{home / 'data' / 'store.db'}?mode=ro", uri=True) as store:
            found.append(
                store.execute("SELECT (SELECT count(*) FROM attempts), (SELECT count(*) FROM settlements)").fetchone()
            )
        store.close()

    lab.heard = look
    opened().ask("How?", "lab/one")
    assert found == [(1, 0)]


def test_what_was_answered_is_on_disk_when_the_cell_returns(opened, home):
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    with sqlite3.connect(f"file:{home / 'data' / 'store.db'}?mode=ro", uri=True) as store:
        counts = [
            store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("calls", "answers", "ends")
        ]
    store.close()
    assert counts == [2, 2, 1]


def test_a_run_knows_versions_models_parameters_and_template(opened):
    session = opened()
    session.run(session.plan("How, {{ n }}?", ONE, over=[{"n": 1}], options={"seed": 7}), about={"notebook": "a.ipynb"})
    about = session.store.ledger.runs()[0].about
    assert about["versions"]["orchestrator-nb"]
    assert (about["models"], about["params"], about["notebook"]) == (ONE, {"seed": 7}, "a.ipynb")
    assert about["template"]["prompt"] == "How, {{ n }}?"


def test_without_prompts_the_file_holds_none_of_them(opened, home):
    secret = "the colour of the heron"
    session = opened(ORCHESTRATOR_NB_STORE__KEEP_PROMPTS="digest")
    session.run(session.plan("Say {{ what }}", ["lab/one", "lab/two"], over=[{"what": secret}], system=secret))
    shown = session.show()
    session.close()
    files = b"".join(path.read_bytes() for path in (home / "data").iterdir())
    assert files.count(secret.encode()) == 2  # in the two answers, which repeat it; the control is that they are found
    assert shown["key"].notna().all()
    assert shown["text"].str.contains("heron").all()


def test_without_prompts_a_run_cannot_be_resumed_and_says_why(opened, lab):
    lab.broken.add("How?")
    session = opened(ORCHESTRATOR_NB_STORE__KEEP_PROMPTS="digest")
    session.compare("How?", ONE)
    with pytest.raises(UserError, match="keep_prompts is digest"):
        session.resume(errors=True)


def test_where_no_file_can_be_the_run_works_and_says_so_once(opened, home):
    (home / "data").write_text("in the way")
    session = opened()
    assert session.ask("How?", "lab/one").text
    assert sum("in memory only" in notice for notice in session.last.notices) == 1
    assert session.ask("Why?", "lab/one").text
    assert not any("in memory only" in notice for notice in session.last.notices)
    assert len(session.runs()) == 2


def full(session, more):
    """The disk takes ``more`` pages and then says that it is full: SQLite's own words and ways."""

    def limit(connection):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + more}").fetchall()

    session.store.database.transact(limit).result()


def test_a_full_disk_ends_the_run_with_a_sentence_and_loses_no_row(opened, lab):
    session = opened()
    session.ask("before", "lab/one")
    full(session, more=10)
    run = session.run(session.plan("huge {{ n }}", ONE, over=[{"n": n} for n in range(30)]), parallel=2)
    frame = session._frame(run)
    answered = frame["error"].isna()
    assert 2 <= answered.sum() == len(lab.asked) - 1 < 30
    assert set(frame["error_kind"].dropna()) == {"store"}
    assert frame["error"].dropna().str.contains("the disk is full").all()
    [told] = [notice for notice in session.last.notices if "not in the store" in notice]
    assert "the disk is full" in told
    session.close()
    shown = opened().show(frame["run_id"][0])
    kept = shown["text"].notna()
    assert kept.sum() >= answered.sum() - 2  # those whose rows were under way
    assert shown["text"][kept].tolist() == frame["text"][kept].tolist()


def test_a_disk_that_is_full_from_the_start_costs_nothing(opened, lab):
    session = opened()
    session.ask("before", "lab/one")
    full(session, more=0)
    first = session.run(session.plan("x" * 200_000, ONE))  # found when its first row is to be on disk
    assert first.calls[0].error.kind == "store"
    with pytest.raises(StoreError, match="the disk is full"):
        session.run(session.plan("y" * 200_000, ONE))
    assert lab.asked == ["before"]


def test_a_broken_off_run_is_resumed_where_it_stood(opened, lab):
    session = opened()
    lab.heard = lambda prompt: job.stop() if prompt == "4" else None
    job = session.start(session.plan("{{ n }}", ONE, over=[{"n": n} for n in range(10)]), parallel=1)
    broken = job.result()
    assert any(f"%llm resume {broken.id}" in notice for notice in broken.notices)
    lab.heard = lambda prompt: None
    asked = len(lab.asked)
    again = opened()
    frame = again.resume(broken.id[:-2])
    assert sorted(lab.asked[asked:]) == [str(n) for n in range(4, 10)]
    assert frame["error"].isna().all()
    assert frame["call_id"].tolist() == [f"{broken.id}-{n}" for n in range(10)]
    assert frame["text"][:4].tolist() == [call.response.text for call in broken.calls[:4]]
    pd.testing.assert_frame_equal(frame, opened().show(broken.id))
    with pytest.raises(UserError, match="nothing is left to ask"):
        again.resume(broken.id)


def test_failed_rows_are_kept_until_they_succeed(opened, lab):
    lab.broken |= {"1", "2"}
    session = opened()
    first = session.compare(["0", "1", "2"], ONE)
    with pytest.raises(UserError, match="add --errors"):
        session.resume()
    lab.broken -= {"1"}
    second = session.resume(errors=True)
    assert sorted(lab.asked) == ["0", "1", "1", "2", "2"]
    assert second["error"].isna().tolist() == [True, True, False]
    pd.testing.assert_frame_equal(first.iloc[[0, 2]], second.iloc[[0, 2]])
    pd.testing.assert_frame_equal(second, opened().show())


def test_a_run_is_not_resumed_at_another_address(opened, home, lab):
    lab.broken.add("How?")
    opened().compare("How?", ONE)
    (home / "config" / "models.yaml").write_text(
        "lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', models: [{name: one}]}\n"
    )
    with pytest.raises(UserError, match="another address"):
        opened().resume(errors=True)


def under_way(session, lab):
    """A run of three that waits at its second question, and what lets it go on."""
    reached, go = threading.Event(), threading.Event()
    lab.heard = lambda prompt: (reached.set(), go.wait(10)) if prompt == "1" else None
    job = session.start(session.plan("{{ n }}", ONE, over=[{"n": n} for n in range(3)]), parallel=1)
    assert reached.wait(10)
    return job, go


def test_a_run_under_way_is_not_taken_up_by_another_kernel(opened, lab):
    job, go = under_way(opened(), lab)
    other = opened()
    with pytest.raises(StoreError, match=r"still under way in .*; wait for its end, or interrupt it there"):
        other.resume()
    plan = other.rest()
    go.set()
    job.result()
    with pytest.raises(StoreError, match="has gone on since you looked; resume it again"):
        other.run(plan)
    assert sorted(lab.asked) == ["0", "1", "2"]
    with pytest.raises(UserError, match="nothing is left to ask"):
        other.resume()


def test_without_an_owner_it_would_be_and_its_questions_asked_twice(opened, lab, monkeypatch):
    monkeypatch.setattr(Owners, "take", lambda _self, _run: None)
    job, go = under_way(opened(), lab)
    other = opened()
    second = other.start(other.rest(), parallel=1)
    go.set()
    job.result(), second.result()
    assert lab.asked.count("1") == 2


def test_a_run_that_could_not_begin_belongs_to_nobody(opened, lab, monkeypatch):
    session = opened()
    lab.broken.add("0")
    session.compare(["0"], ONE)
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "resume", lambda _self, _run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            session.resume(errors=True)
    lab.broken.clear()
    assert opened().resume(errors=True)["error"].isna().all()


def test_a_run_of_models_and_one_of_the_simulator_are_not_mixed(opened, lab):
    lab.broken.add("How?")
    session = opened()
    live = session.run(session.plan("How?", ONE))
    session.simulate(True)
    with pytest.raises(UserError, match=r"asked of models, .* to go on as it began: %llm simulate off"):
        session.resume(live.id, errors=True)
    played = session.run(session.plan("How?", ["mistral/sim-400"]))
    session.simulate(False)
    with pytest.raises(UserError, match=r"asked of the simulator, .* to go on as it began: %llm simulate on"):
        session.resume(played.id, errors=True)
    assert lab.asked == ["How?"]
    lab.broken.clear()
    assert session.resume(live.id, errors=True)["source"].tolist() == ["live"]
