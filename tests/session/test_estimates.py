"""Before paying: what is said about a grid before it is asked is what becomes of it, and saying so sends nothing, asks for nothing and stops nothing."""

import sqlite3
import time
from decimal import Decimal
from statistics import median

import pytest
from grids import outcome
from relay import KEYS, Relay

from orchestrator_nb import Session, UserError
from orchestrator_nb.calls import Request, Response, Usage
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.pricing import Pricer
from orchestrator_nb.runs import Call
from orchestrator_nb.secret import Hidden

ONE, TWO = ["lab/one"], ["lab/one", "lab/two"]
ROWS = [{"n": n} for n in range(6)]


@pytest.fixture(scope="module")
def relay():
    made = Relay()
    yield made
    made.close()


@pytest.fixture
def real(relay, tmp_path):
    """A session whose vendors are known and whose answers count as live."""
    relay.settings(tmp_path)
    with Session.open(home=tmp_path, cwd=tmp_path, environ=KEYS) as session:
        yield session


# Against the truth


def judged(relay, folder, seeds):
    """Random grids, estimated and then asked over HTTP."""
    outcomes = []
    for seed in seeds:
        home = folder / str(seed)
        relay.settings(home)
        outcomes.append(outcome(home, KEYS, seed))
    for made in outcomes:
        assert not made.failed, made
        assert (made.estimate.cached, made.estimate.unknown) == (made.cached, ()), made
    return outcomes


def figures(outcomes):
    """Of some outcomes: how many, the share inside, and the median of highest to lowest."""
    return len(outcomes), sum(made.inside for made in outcomes) / len(outcomes), median(made.ratio for made in outcomes)


def required(outcomes):
    known, unknown = ([made for made in outcomes if (made.history == "none") is flag] for flag in (False, True))
    plain = [made for made in unknown if "thinking included" not in made.estimate.text]
    told = {"all": outcomes, "with history": known, "without": unknown, "without, no thinking": plain}
    for name, some in told.items():
        print("{:<22}{:>5} grids, {:.0%} inside, median ratio {:.1f}".format(name, *figures(some)) if some else name)  # noqa: T201  # the figures
    assert figures(outcomes)[1] >= 0.9
    assert figures(known)[2] <= 4
    assert figures(unknown)[2] <= 25
    return plain


@pytest.mark.slow
def test_what_a_grid_costs_lies_in_the_range_for_nine_of_ten(relay, tmp_path):
    required(judged(relay, tmp_path, range(18)))


@pytest.mark.soak
def test_what_a_grid_costs_lies_in_the_range_for_nine_of_ten_of_many(relay, tmp_path):
    plain = required(judged(relay, tmp_path, range(1_000, 1_300)))
    assert figures(plain)[2] <= 12


def test_the_control_a_range_that_ignores_history_or_length_misses(relay, tmp_path):
    """What the measure catches: with every likely figure taken for certain, hardly a grid is inside."""
    outcomes = judged(relay, tmp_path, range(2, 8))
    assert sum(float(made.estimate.usd.likely) == pytest.approx(made.cost, rel=0.001) for made in outcomes) < 3


# Where the answers come from


def test_new_and_cached_calls_are_counted_as_they_will_be(opened, lab):
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    session.compare(["long story"], ONE)  # cut off: never served
    plan = session.plan("{{ q }}", ONE, over=[{"q": q} for q in ("How?", "Why?", "When?", "When?", "long story")])
    estimate = session.estimate(plan)
    assert (estimate.new, estimate.cached, estimate.calls) == (2, 3, 5)
    asked = len(lab.asked)
    run = session.run(plan)
    assert len(lab.asked) - asked == 2
    assert sum(call.source == "cache" for call in run.calls) == 3


@pytest.mark.parametrize("source", ["live", "record tape.jsonl"])
def test_who_asks_anew_finds_nothing_cached(opened, source, home):
    session = opened()
    session.compare("How?", ONE)
    assert session.estimate(session.plan("How?", ONE, source=source)).new == 1
    assert session.estimate(session.plan("How?", ONE)).cached == 1
    assert not (home / "tape.jsonl").exists()


def test_a_replay_costs_nothing_and_says_what_is_not_on_the_tape(opened):
    session = opened()
    session.run(session.plan("{{ n }}", ONE, over=ROWS, source="record tape.jsonl"))
    plan = session.plan("{{ n }}", TWO, over=ROWS, source="replay tape.jsonl")
    estimate = session.estimate(plan)
    assert (estimate.new, estimate.replayed, estimate.missing) == (0, 6, 6)
    assert estimate.usd == (0, 0, 0)
    assert estimate.line == "12 calls: 6 replayed, 6 not on the tape · costs nothing"
    assert "Replayed from tape.jsonl" in estimate.text
    with pytest.raises(UserError, match="no tape"):
        session.estimate(session.plan("How?", ONE, source="replay other.jsonl"))


def test_the_simulator_is_said_and_its_answers_are_no_models(real):
    real.simulate(True)
    real.run(real.plan("Describe {{ n }}.", ["sonnet"], over=ROWS))
    simulated = real.estimate(real.plan("Describe {{ n }}.", ["sonnet"], over=ROWS))
    assert simulated.new == 6  # never served from the cache
    assert "simulated, would cost $" in simulated.line
    assert "nothing is paid" in simulated.text
    assert "earlier runs of this template" in simulated.text
    real.simulate(False)
    assert "no earlier run to go by" in real.estimate(real.plan("Describe {{ n }}.", ["sonnet"], over=ROWS)).text


def test_a_model_without_a_price_is_unknown_and_never_free(opened):
    session = opened()
    both = session.estimate(session.plan("How?", TWO))
    assert both.unknown == ("lab/two",)
    assert both.usd.high > 0
    assert "1 model without a known price" in both.line
    assert "No price is known for lab/two" in both.text
    alone = session.estimate(session.plan("How?", ["lab/two"]))
    assert alone.usd is None
    assert alone.line.endswith("cost unknown")


def test_the_price_is_the_users_own_where_there_is_one(home, opened):
    with (home / "config" / "config.yaml").open("a") as file:
        file.write("prices: {lab/two: {input: 0, output: 7}}\n")
    session = opened()
    estimate = session.estimate(session.plan("How?", ["lab/two"]))
    assert estimate.usd == tuple(Decimal(tokens) * 7 / 1_000_000 for tokens in estimate.output)


def test_a_cap_below_the_range_is_said(opened, home):
    session = opened()
    plan = session.plan("How?", ONE)
    assert session.estimate(plan).cap is None
    assert session.estimate(plan, max_cost="0.01").line.endswith(" · capped at $0.0100")
    assert session.estimate(session.plan("How?", ONE, max_cost=0.01)).is_capped
    assert "a cap holds" in session.estimate(plan, max_cost=0.01).text
    assert not session.estimate(plan, max_cost=1_000).is_capped
    with pytest.raises(UserError):
        session.estimate(plan, max_cost="much")


def test_figures_that_cannot_be_true_teach_nothing(opened, home, lab):
    session = opened()
    session.run(session.plan("Say {{ n }}.", ONE, over=ROWS))
    plan = session.plan("Say {{ n }}.", ONE, over=ROWS, source="live")
    assert session.estimate(plan).output.high < 30
    session.close()
    session = opened()
    run, answers = "20300101-000000-abcdef", [Usage(3, 10**12), Usage(-5, -5), Usage(None, 4)] * 9
    rows = [
        Call(item, f"{run}-{n}", Response("one", usage=usage))
        for n, (item, usage) in enumerate(zip([*plan.items] * 9, answers, strict=False))
    ]
    about = {"models": ["lab/one"], "params": {}, "template": {"prompt": "Say {{ n }}.", "system": None}}
    session.store.ledger.begin(run, [call.item for call in rows], about)
    for place, call in enumerate(rows):
        session.store.ledger.finished(run, place, call)
    session.store.ledger.ended(run)
    assert session.estimate(plan).output.high < 30


def test_money_is_what_the_pricer_of_the_calls_says(real):
    estimate = real.estimate(real.plan("Why?", ["openai/gpt-5.4"]))
    [model] = real.models(["openai/gpt-5.4"])
    for amount, sent, made in zip(estimate.usd, estimate.input, estimate.output, strict=True):
        assert amount == Pricer()(Request(model, ()), Response(model.id, usage=Usage(sent, made))).usd
        assert isinstance(amount, Decimal)


def test_the_rest_of_a_run_is_estimated_by_what_it_got_so_far(real):
    plan = real.plan("Describe {{ n }} in {{ n }} words.", ["openai/gpt-5.4", "openai/not-a-model"], over=ROWS)
    real.run(plan)
    estimate = real.estimate(real.rest(errors=True))
    assert estimate.calls == estimate.new == 6
    assert estimate.unknown == ("openai/not-a-model",)


# What it must not do


def test_nothing_is_sent_and_no_password_is_asked_for(home, lab, tmp_path):
    told = tmp_path / "asked-for-a-password"
    environ = {"ORCHESTRATOR_NB_HOME": str(home), "ORCHESTRATOR_NB_PASSWORD_COMMAND": f"touch {told}"}
    lab.settings(home, "vault: {iterations: 100000}\n")
    with (home / "config" / "models.yaml").open("a") as file:
        file.write(
            f"locked: {{kind: openai-compatible, base_url: '{lab.url}/locked/v1', api_key_name: A_KEY, models: [name: one]}}\n"
        )
    with Session.open(cwd=home, environ=environ) as session:
        session.vault.vault.create(Hidden("correct horse battery"))
        session.vault.vault.lock()
        assert session.estimate(session.plan("How?", ["locked/one", *ONE])).new == 2
        assert session.runs().empty
        assert not told.exists()
        with pytest.raises(OrchestratorError):  # the control: asking needs it
            session.ask("How?", "locked/one")
        assert told.exists()
    assert not lab.asked


def test_a_damaged_answer_is_not_counted_as_cached(opened, home):
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    session.close()
    path = next(home.rglob("store.db"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE answers SET payload = replace(payload, 'answer 1', 'answer 9')")
    again = opened()
    estimate = again.estimate(again.plan("{{ q }}", ONE, over=[{"q": "How?"}, {"q": "Why?"}]))
    assert (estimate.new, estimate.cached) == (1, 1)


def test_a_store_that_cannot_be_read_is_said_and_the_rest_is_estimated(opened, home):
    session = opened()
    session.compare("How?", ONE)
    session.close()
    path = next(home.rglob("store.db"))
    again = opened()
    assert again.store is not None
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE answers")
    estimate = again.estimate(again.plan("How?", ONE))
    assert estimate.new == 1
    assert "The store cannot be read" in estimate.text


@pytest.mark.parametrize("more", ["store: {enabled: false}\n", "store: {keep_prompts: digest}\n"])
def test_without_a_store_or_without_prompts_in_it_it_still_says_what_it_can(home, lab, opened, more):
    lab.settings(home, more)
    session = opened()
    session.compare(["How?", "Why?"], ONE)
    estimate = session.estimate(session.plan("{{ q }}", ONE, over=[{"q": "How?"}, {"q": "When?"}]))
    kept = "digest" in more
    assert (estimate.new, estimate.cached) == ((1, 1) if kept else (2, 0))
    assert ("earlier runs of the model" in estimate.text) is kept
    assert "usual bytes per token" in estimate.text


# How long it takes


def test_ten_thousand_calls_are_estimated_in_two_seconds(opened):
    session = opened()
    over = [{"n": f"{n} and some more words to read"} for n in range(5_000)]
    session.run(session.plan("{{ n }}", ONE, over=over[:50], stream=False))
    plan = session.plan("{{ n }}", TWO, over=over)
    began = time.process_time()
    estimate = session.estimate(plan)
    spent = time.process_time() - began
    print(f"10,000 calls estimated in {spent:.2f} s")  # noqa: T201  # the figure
    assert (estimate.new, estimate.cached, estimate.sampled) == (9_950, 50, False)
    assert spent <= 2


def test_of_a_million_calls_some_are_looked_at_and_it_says_about(opened):
    session = opened()
    over = [{"n": n} for n in range(125_000)]
    plan = session.plan("{{ n }}", TWO, over=over, repeat=4)
    began = time.process_time()
    estimate = session.estimate(plan, look=1_000)
    assert time.process_time() - began <= 2
    assert estimate.sampled
    assert estimate.calls == 1_000_000
    assert [share.new for share in estimate.shares] == [500_000, 500_000]
    assert "Reckoned from 1,000 of the 1,000,000 calls" in estimate.text
    whole = session.estimate(session.plan("{{ n }}", TWO, over=over[:250], repeat=4))
    assert estimate.input.likely == pytest.approx(1_000 / 2 * whole.input.likely, rel=0.2)
