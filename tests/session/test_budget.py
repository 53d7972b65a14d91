"""What a run may cost holds whatever it asks; what the cap left out is asked by resuming. A call of lab/one can cost $0.24 and costs $0.005."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import warm

from orchestrator_nb import UserError
from orchestrator_nb.errors import LimitError
from orchestrator_nb.results.summary import summary

ONE = ["lab/one"]
COST = Decimal("0.005")


@pytest.fixture
def questions():
    return [f"How much is {n}?" for n in range(12)]


def kinds(frame):
    return frame["error_kind"].value_counts().to_dict()


def test_a_run_stops_at_its_cap_and_says_so_and_resuming_asks_the_rest(opened, lab, questions):
    session = opened()
    plan = session.plan("{{ q }}", ONE, over=[{"q": q} for q in questions], max_cost=0.26)
    run = session.run(plan)
    frame = session._frame(run)

    assert 1 <= len(lab.asked) < 12
    assert kinds(frame) == {"budget": 12 - len(lab.asked)}
    assert frame["cost_usd"].sum() <= 0.26
    told = summary(run)
    assert f"{12 - len(lab.asked)} over budget" in told.line
    assert "and of the cap of $0.26 (--max-cost) $0.0" in told.notes[0]
    assert any(f"%llm resume {run.id} asks only for these" in note for note in told.notes)

    whole = session.resume(run.id, max_cost=5)
    assert whole["error"].isna().all()
    assert sorted(lab.asked) == sorted(questions)  # none of them twice


def test_a_cap_that_the_simulator_passes_by_is_said_and_no_other_run_is_told_of_it(opened):
    session = opened()
    session.simulate(True)
    said = [
        notice for notice in session.run(session.plan("How?", ["sonnet"], max_cost=0.000001)).notices if "cap" in notice
    ]
    assert said == ["the simulator's answers cost nothing, so the cap on cost stopped none."]
    with session.budget(usd=1):
        assert any("cap on cost" in notice for notice in session.run(session.plan("Why?", ["sonnet"])).notices)
    assert not any("cap on cost" in notice for notice in session.run(session.plan("Who?", ["sonnet"])).notices)


def test_the_settings_cap_holds_unless_the_cell_says_another(opened, lab, home, questions):
    (home / "config" / "config.yaml").write_text("limits: {attempts: 1, max_cost_usd: 0.1}\n")
    session = opened()
    with pytest.raises(LimitError, match=r"of the cap of \$0.10 \(limits.max_cost_usd\) \$0.00 is spent"):
        session.ask("How?", "lab/one")
    assert lab.asked == []
    assert session.ask("How?", "lab/one", max_cost=1).text
    with pytest.raises(LimitError, match="--max-cost"):
        session.ask("Why?", "lab/one", max_cost="0.01")


def test_a_cap_for_each_call_holds_whatever_a_cell_says(opened, lab, home):
    (home / "config" / "config.yaml").write_text("limits: {max_cost_call_usd: 0.15}\n")
    session = opened()
    with pytest.raises(LimitError, match=r"one call may cost \$0.15 \(limits.max_cost_call_usd\)"):
        session.ask("How?", "lab/one", max_cost=5)
    assert session.ask("How?", "lab/one", options={"max_tokens": 5}, max_cost=5).text


def test_a_retried_attempt_is_reserved_and_settled_each_time(opened, lab, home):
    (home / "config" / "config.yaml").write_text("limits: {attempts: 3}\n")
    lab.broken.add("How?")
    session = opened()
    with session.budget(usd=1) as budget:
        frame = session.compare("How?", ONE)
    assert kinds(frame) == {"invalid_request": 1}
    assert (budget.spent, budget.reserved) == (0, 0)


def test_budgets_nest_and_what_is_inside_counts_outside_too(opened, lab):
    session = opened()
    with session.budget(usd=2) as outer:
        session.ask("One?", "lab/one")
        with session.budget(usd="0.5") as inner:
            session.ask("Two?", "lab/one")
            assert (inner.spent, inner.left) == (COST, Decimal("0.5") - COST)
        assert (outer.spent, outer.left) == (2 * COST, 2 - 2 * COST)
        session.ask("Three?", "lab/one")
    session.ask("Four?", "lab/one")
    assert (outer.spent, inner.spent) == (3 * COST, COST)
    with session.budget(usd=0), pytest.raises(LimitError, match=r"of the cap of \$0.00 \(session.budget\)"):
        session.ask("Five?", "lab/one")


def test_two_runs_at_once_share_a_budget(opened, lab, questions):
    lab.pause_s = 0.02
    session = opened()
    with session.budget(usd=0.26) as budget:
        jobs = [session.start(session.plan(q, ONE)) for q in questions]
        runs = [job.result() for job in jobs]
    billed = sum(call.response.cost.usd for run in runs for call in run.calls if call.response)
    assert billed == budget.spent <= Decimal("0.26")
    assert any(call.error for run in runs for call in run.calls)


def test_threads_share_the_budget_around_them(opened, questions):
    session = opened()

    def spend(number):
        with session.budget(usd=1):
            frame = session.compare(questions[3 * number : 3 * number + 3], ONE)
        return Decimal(str(round(frame["cost_usd"].sum(), 6)))

    with session.budget(usd="0.27") as outer, ThreadPoolExecutor(4) as pool:
        spent = sum(pool.map(spend, range(4)))
    assert outer.spent == spent <= Decimal("0.27")
    assert session._budgets._open == []


def test_what_costs_nothing_passes_every_cap(opened, lab, home):
    session = opened()
    session.ask("How?", "lab/one", source="record tape.jsonl")
    with session.budget(usd=0):
        assert session.ask("How?", "lab/one", max_cost=0).frame["source"].tolist() == ["cache"]
        assert session.ask("How?", "lab/one", source="replay tape.jsonl").text
        assert session.ask("How?", "lab/two").text  # local, and without a price
        session.simulate(True)
        assert session.ask("How?", "sonnet", max_cost=0).text
    assert len(lab.asked) == 2


def test_an_unknown_price_is_not_let_through(opened, home):
    (home / "config" / "models.yaml").write_text(
        "far: {kind: openai-compatible, base_url: 'https://far.invalid/v1', models: [{name: x, max_output: 10}]}\n"
    )
    session = opened()
    with pytest.raises(LimitError, match=r'prices: \{"far/x": \{input: 1.0, output: 4.0\}\}'):
        session.ask("How?", "far/x", max_cost=1)


def test_a_wrong_amount_is_a_sentence(opened):
    session = opened()
    for call in (lambda: session.budget(usd="much"), lambda: session.ask("How?", "lab/one", max_cost=-1)):
        with pytest.raises(UserError, match="an amount in USD"):
            call()


# The day


def of_day(home, usd, more=""):
    (home / "config" / "config.yaml").write_text(f"limits: {{attempts: 1, max_cost_day_usd: {usd}}}\n{more}")


def test_the_day_s_cap_holds_over_sessions(opened, lab, home, questions):
    of_day(home, 0.26)
    for session in (opened(), opened()):
        session.compare(questions, ONE)
    assert 1 <= len(lab.asked) < 12
    spent = len(lab.asked) * COST
    assert spent <= Decimal("0.26")
    with pytest.raises(LimitError, match=r"of the cap of \$0.26 \(limits.max_cost_day_usd\) .* the next day begins in"):
        opened().ask("One more question, and a longer one?", "lab/one")


def test_without_a_store_the_day_s_cap_says_that_it_is_this_session_s_alone(opened, lab, home):
    of_day(home, 0.25, "store: {enabled: false}\n")
    session = opened()
    run = session.run(session.plan("How?", ONE))
    alone = "the cap of $0.25 a day (limits.max_cost_day_usd) counts this session alone, from now on, for store.enabled is false."
    assert alone in run.notices
    assert alone not in session.run(session.plan("How?", ONE)).notices
    frame = session.compare([f"{n}?" for n in range(12)], ONE)
    assert kinds(frame)["budget"] >= 1


def test_no_cap_writes_no_spending(opened, home):
    session = opened()
    session.ask("How?", "lab/one")
    with session.store.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM days").fetchone() == (0,)


def test_a_killed_kernel_s_reservation_counts(opened, lab, home, tmp_path):
    of_day(home, 0.4)
    lab.pause_s = 30
    code = f"""
from orchestrator_nb import Session
with Session.open(cwd={str(home)!r}, environ={{"ORCHESTRATOR_NB_HOME": {str(home)!r}}}) as session:
    session.ask("How?", "lab/one")
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ})
    while not lab.asked:
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    lab.pause_s = 0
    with pytest.raises(LimitError, match=r"\(limits.max_cost_day_usd\) \$0\.\d+ is spent"):
        opened().ask("And now?", "lab/one")


def test_a_budget_is_the_session_s_own(opened):
    one, other = opened(), opened()
    with one.budget(usd=0):
        assert other.ask("How?", "lab/one").text


# The faces


def onb(home, *words):
    environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(home)}
    return subprocess.run(
        [*warm.onb(), *words], env=environ, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )


def test_in_the_shell(home, lab):
    asked = onb(home, "ask", "How?", "-m", "lab/one", "--max-cost", "0.1", "--json")
    assert asked.returncode == 1
    assert '"error_kind":"budget"' in asked.stdout
    assert "1 over budget" in asked.stderr
    assert "onb runs resume" in asked.stderr
    assert lab.asked == []
    resumed = onb(home, "runs", "resume", "--max-cost", "$1")
    assert resumed.returncode == 0, resumed.stderr
    assert lab.asked == ["How?"]
    assert "an amount in USD" in onb(home, "ask", "How?", "-m", "lab/one", "--max-cost", "much").stderr


def test_in_a_cell(home, lab, opened, monkeypatch, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    from orchestrator_nb import sessions
    from orchestrator_nb.magics.extension import load, unload

    session = opened()
    monkeypatch.setattr(sessions, "session", lambda: session)
    shell = InteractiveShell()
    load(shell)
    try:
        over = shell.run_cell("%%llm some << lab/one --max-cost 0.1\nHow?")
        assert isinstance(over.error_in_exec, LimitError)
        assert "(--max-cost)" in str(over.error_in_exec)
        assert shell.user_ns["some"]["error_kind"].tolist() == ["budget"]
        assert "lab/one · over budget" in capsys.readouterr().out
        shell.run_cell("rest = %llm resume --max-cost 1").raise_error()
        assert shell.user_ns["rest"]["text"].notna().all()
        assert "an amount in USD" in str(shell.run_cell("%%llm lab/one --max-cost -1\nHow?").error_in_exec)
    finally:
        unload(shell)
