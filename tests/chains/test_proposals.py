"""Steps that a model proposes are hostile text: what is refused says why and asks nobody, and what runs stays within its limits.

`proposals.yaml` has the answers. The last tests show that an engine which believes its models would not pass.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from by_hand import ByHand
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains import Ask, Block, Parallel, Propose, Switch, adaptive, load, plan
from orchestrator_nb.chains.engine import Engine
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.walk import Ended, Proposed, Where
from orchestrator_nb.chains.world import World
from orchestrator_nb.errors import ChainError, OrchestratorError
from orchestrator_nb.kernel.clock import SystemClock

CASES = {case["name"]: case for case in yaml.safe_load((Path(__file__).parent / "proposals.yaml").read_text())}
REFUSED = {name: case for name, case in CASES.items() if "refused" in case}
ASKED = {name: case for name, case in CASES.items() if "asked" in case}
PRIVATE = load("inputs: {topic: {default: x}}\nsteps: [{prompt: 'the private {{ topic }}'}]", name="private")
AROUND = """
inputs: {topic: text, papers: list}
steps:
  - {id: known, prompt: k}
  - id: p
    budget: 1
    timeout: 20
    plan: {task: 'About {{ topic }}', model: m, allow: [m, n], max_cost: 0.5, repair: 0, trusted: true}
  - {id: later, prompt: '{{ p }}'}
  - {id: beside, prompt: b}
"""
GIVEN = {"topic": "{{ known }}", "papers": [str(number) for number in range(30)]}


class Far:
    """The models: ``answers`` to the step p, one after the other, and each prompt itself to all others. Remembers what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.called = list(answers), [], []

    async def __call__(self, question):
        self.asked.append(question)
        await asyncio.sleep(0)
        return self.answers.pop(0) if question.where.step == "p" else question.prompt

    @property
    def proposed(self):
        """The paths of what was asked beyond the chain itself, each once."""
        paths = [question.where.step for question in self.asked]
        return list(dict.fromkeys(path for path in paths if path not in {"known", "p", "later", "beside"}))


def answer_of(case):
    return case["answer"] * case.get("times", 1)


def run(far, news=None, text=AROUND, values=None, world=None, **how):
    functions = dict.fromkeys(("f", "os.system"), lambda **given: far.called.append(given))
    world = world or World(chains={"private": PRIVATE}, functions=functions)
    tell = news.append if news is not None else lambda _: None
    engine = Engine(far, SystemClock(), functions=functions, tell=tell, **how)
    return asyncio.run(engine.run(plan(load(text), world), GIVEN if values is None else values))


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_proposed_is_refused_with_the_reason_and_asks_nobody(name):
    far, news, began = Far(answer_of(REFUSED[name])), [], time.process_time()
    with pytest.raises(OrchestratorError, match="p: steps were proposed once and refused") as failure:
        run(far, news)
    assert REFUSED[name]["refused"] in str(failure.value)
    assert (far.proposed, far.called) == ([], [])
    assert {question.where.step for question in far.asked} <= {"known", "p", "beside"}
    (told,) = (item for item in news if isinstance(item, Proposed))
    assert told.problems
    assert all(isinstance(problem, Problem) for problem in told.problems)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("name", ASKED)
def test_what_may_be_proposed_runs_within_the_limits_of_its_step(name):
    far = Far(answer_of(ASKED[name]))
    outputs = run(far)
    assert far.proposed == ASKED[name]["asked"]
    inside = [question for question in far.asked if question.where.step.startswith("p.")]
    assert {question.model for question in inside} <= {"m", "n"}
    assert all([float(cap.limit) for cap in question.budgets][:2] == [1.0, 0.5] for question in inside)
    assert "{{ known }}" in outputs["beside"] or outputs == {"beside": "b"}


def test_there_are_enough_of_them():
    assert (len(REFUSED) >= 100, len(ASKED) >= 12) == (True, True)


def test_a_value_that_was_put_into_a_proposed_prompt_is_not_read_again():
    far = Far("steps: [{id: a, prompt: '{{ topic }}'}]")
    run(far)
    assert [question.prompt for question in far.asked if question.where.step == "p.a"] == ["{{ known }}"]


ODD = ["{{", "}}", "{%", "'", '"', ":", "- ", "[", "]", "{", "}", "#", "|", "&a", "*a", "!!x", "\n", "```", "null", "1e400", "each", "steps", "plan", "_", "input", "python", "\u202e", "💥"]  # fmt: skip
BRIEF = adaptive.Brief(Where("p"), "p", Propose(Ask("x", model=("m",))), {"topic": "x", "papers": ["a"]})


@st.composite
def damaged(draw):
    text = draw(st.sampled_from([case["answer"] for case in CASES.values() if "times" not in case]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 9)))
        text = text[:start] + draw(st.sampled_from(["", *ODD]) | st.text(max_size=3)) + text[end:]
    return text


def stays_inside(answer):
    proposal = BRIEF.read(answer)
    assert bool(proposal.plan) != bool(proposal.problems)
    for node in proposal.plan.nodes if proposal.plan else ():
        assert isinstance(node.step.do, Ask | Block | Parallel | Switch)
        assert set(getattr(node.step.do, "model", ())) <= {"m"}
        assert node.path.startswith("p.")
    assert proposal.calls <= 20


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_a_damaged_proposal_is_refused_or_stays_inside_its_limits(answer):
    stays_inside(answer)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None)
@given(damaged())
def test_twenty_thousand_damaged_proposals_are_refused_or_stay_inside_their_limits(answer):
    stays_inside(answer)


def test_a_model_that_answers_nothing_proposes_nothing():
    with pytest.raises(OrchestratorError, match="the answer is empty"):
        run(Far(None))


# Limits that only the run can hold


@pytest.mark.parametrize(
    "answer",
    [
        'steps: [{id: a, prompt: one}, {each: \'split(chunks(a, 1)[0] ~ "-1-2-3-4-5-6-7-8-9-0-1-2-3-4-5-6-7-8-9-0-1-2-3", "-")\', prompt: x}]',
        'steps: [{id: a, prompt: one}, {each: \'split(a ~ "-1-2-3-4-5-6-7-8-9-0-1-2-3-4-5-6-7-8-9-0-1-2-3", "-")\', on_error: skip, prompt: x}, {prompt: y, on_error: skip}]',
    ],
)
def test_a_list_that_only_the_run_knows_ends_the_step_at_the_first_call_too_many(answer):
    far = Far(answer)
    with pytest.raises(OrchestratorError, match="p: the proposed steps ask more often than max_calls allows"):
        run(far)
    assert sum(question.where.step.startswith("p.") for question in far.asked) <= 20


@pytest.mark.parametrize("length", [30, 4000])
def test_loops_that_ask_nothing_end_as_well(length):
    many = "-" * length
    answer = f"""
steps:
  - {{id: a, prompt: x}}
  - id: loops
    each: {{over: "split(a ~ '{many}', '-')", as: b}}
    steps:
      - each: "split(a ~ b ~ '{many}', '-')"
        switch: {{on: topic, cases: {{never: {{prompt: x}}}}}}
"""
    far, began = Far(answer), time.process_time()
    with pytest.raises(OrchestratorError, match="ask more often"):
        run(far)
    assert far.proposed == ["p.a"]
    assert time.process_time() - began < 5


def test_the_timeout_of_the_step_holds_for_what_is_proposed():
    async def never(question):
        if question.where.step == "p":
            return "steps: [{id: a, prompt: x, timeout: 3600}]"
        if question.where.step == "p.a":
            await asyncio.Event().wait()
        return "k"

    made = plan(load(AROUND.replace("timeout: 20", "timeout: 0.05")))
    with pytest.raises(OrchestratorError, match="p took longer than its timeout"):
        asyncio.run(Engine(never, SystemClock()).run(made, GIVEN))


# Repair


def test_what_is_refused_goes_back_with_the_reasons_until_it_is_sound():
    far, news = Far("steps: [{prompt: x, model: z}]", "Sorry!", "steps: [{id: a, prompt: x}]"), []
    run(far, news, AROUND.replace("repair: 0", "repair: 3"))
    tries = [question for question in far.asked if question.where.step == "p"]
    assert [question.sample for question in tries] == [0, 1, 2]
    assert "model 'z' is not allowed" in tries[1].prompt
    assert "Sorry!" in tries[2].prompt
    assert [bool(item.problems) for item in news if isinstance(item, Proposed)] == [True, True, False]


def test_after_so_many_repairs_the_step_has_failed_and_its_on_error_holds():
    far = Far(*["no steps"] * 4)
    text = AROUND.replace("repair: 0", "repair: 3").replace("timeout: 20", "on_error: {default: nothing}")
    run(far, None, text)
    assert [question.prompt for question in far.asked if question.where.step == "later"] == ["nothing"]
    assert far.answers == []


# Approval

SHOWN = AROUND.replace(", trusted: true", "")
GOOD = "steps: [{id: a, prompt: 'x {{ known }}', model: n}, {id: b, each: [1, 2], prompt: y}]"


def test_nothing_that_is_proposed_runs_before_it_was_shown_and_approved():
    for says in (True, False):
        far, seen = Far(GOOD), []

        async def approve(proposal, seen=seen, far=far, says=says):
            seen.append((proposal, list(far.proposed)))
            return says

        if says:
            run(far, None, SHOWN, approve=approve)
        else:
            with pytest.raises(OrchestratorError, match="p: the proposed steps were not approved"):
                run(far, None, SHOWN, approve=approve)
        ((proposal, before),) = seen
        assert before == []
        assert far.proposed == (["p.a", "p.b"] if says else [])
        assert (proposal.where.step, proposal.calls, proposal.models) == ("p", 3, ("m", "n"))
        assert load(proposal.text).steps == proposal.plan.chain.steps


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (GOOD, 3),
        ("steps: [{each: 'papers[0:4]', samples: 2, prompt: x}]", 8),
        ("steps: [{id: a, prompt: x}, {each: lines(a), prompt: y}]", 20),
    ],
)
def test_who_approves_is_told_how_often_the_steps_can_ask(answer, calls):
    seen = []

    async def approve(proposal):
        seen.append(proposal.calls)
        return True

    run(Far(answer), None, SHOWN, approve=approve)
    assert seen == [calls]


def test_where_nobody_can_approve_the_step_says_what_to_do():
    far = Far(GOOD)
    with pytest.raises(
        OrchestratorError, match=r"nobody is here to approve them; run the chain where .* 'trusted: true'"
    ):
        run(far, None, SHOWN)
    assert far.proposed == []


def test_a_chain_that_is_not_trusted_cannot_trust_what_is_proposed():
    with pytest.raises(ChainError, match="cannot trust what a model proposes"):
        plan(load(AROUND), World(trusted=False))
    made = plan(load(AROUND))
    stolen = plan(load(SHOWN), World(trusted=False))
    forged = replace(stolen, chain=made.chain, graph=made.graph)  # even if it came so far
    far = Far(GOOD)
    with pytest.raises(OrchestratorError, match="nobody is here to approve"):
        asyncio.run(Engine(far, SystemClock()).run(forged, GIVEN))
    assert far.proposed == []


# What it sees, and that it is the same each time


def test_the_model_is_told_the_names_that_it_may_use_with_their_kinds_and_never_a_value():
    far = Far(GOOD)
    run(far, values={"topic": "SECRET", "papers": [{"title": "HIDDEN"}]})
    (question,) = (question for question in far.asked if question.where.step == "p")
    assert "- known: a text of 1 signs" in question.system
    assert "- papers: a list of 1, each: object" in question.system
    assert "later" not in question.system.partition("Names that your steps may use")[2].partition("Limits")[0]
    assert "HIDDEN" not in question.system + question.prompt
    assert "SECRET" not in question.system
    assert not {"- python:", "- use:", "- plan:", "- mode:", "- inputs:"} & set(question.system.split("\n"))


def test_the_same_answers_lead_the_same_way_however_long_each_took():
    runs = []
    for slow in ("known", "beside", ""):
        far = Far(GOOD)

        async def late(question, slow=slow, far=far):
            for _ in range(5 if question.where.step == slow else 0):
                await asyncio.sleep(0)
            return await far(question)

        asyncio.run(Engine(late, SystemClock()).run(plan(load(AROUND)), GIVEN))
        runs.append({(q.where, q.model, q.prompt, q.system, q.sample) for q in far.asked})
    assert runs[0] == runs[1] == runs[2]


NESTED = """
inputs: {d: list}
steps:
  - {id: first, prompt: f}
  - id: outer
    each: {over: d, as: thing}
    steps:
      - {id: inner, prompt: 'i {{ thing }}'}
      - {id: p, plan: {task: 'About {{ thing }}', trusted: true}}
      - {id: after, prompt: '{{ p }}'}
  - {id: last, prompt: '{{ outer }}'}
"""


def test_a_proposal_in_a_block_sees_what_ended_before_it_there_and_around_it():
    answer = "steps: [{id: a, prompt: '{{ first }} {{ inner }} {{ thing }} {{ index }} {{ input }}'}]"

    def models(path, prompt, _system):
        return answer if path.endswith("p") else prompt

    async def far(question):
        return models(question.where.step, question.prompt, "")

    made, news = plan(load(NESTED)), []
    found = asyncio.run(Engine(far, SystemClock(), tell=news.append).run(made, {"d": ["x", "y"]}))
    assert found == {"last": '["f i x x 0 i x", "f i y y 1 i y"]'}
    assert found == ByHand(made, models).outputs(d=["x", "y"])
    ended = [(item.where.step, item.where.items) for item in news if isinstance(item, Ended)]
    assert {("outer.p.a", (0,)), ("outer.p.a", (1,))} <= set(ended)


def test_each_turn_may_be_planned_anew_by_what_the_turn_before_gave():
    text = "steps: [{id: p, repeat: {max: 3, until: \"current == 'done'\"}, plan: {task: 'Next, after {{ previous }}', trusted: true}}]"
    far = Far("steps: [{id: a, prompt: half}]", "steps: [{id: b, when: previous == 'half', prompt: done}]")
    assert run(far, None, text, {}) == {"p": "done"}
    assert far.proposed == ["p.a", "p.b"]


# Controls: an engine that believes its models


class Naive(adaptive.Brief):
    """Takes what it is told for a chain of the user's own."""

    def read(self, answer):
        text = answer.replace("\r", "").strip().removeprefix("```yaml\n").removesuffix("```")
        try:
            value = yaml.unsafe_load(text) if "python/object" not in text else None
            chain = adaptive.read_value(value, "proposal", origin=adaptive.Origin("x")).chain
            inputs = tuple(adaptive.Input(name, "any") for name in [*self.names, "later", "beside", "p"])
            chain = adaptive.replace(chain, inputs=inputs)
            made, _ = adaptive.planned(chain, World(chains={"private": PRIVATE}))
            return adaptive.Proposal(self.where, text, adaptive.replace(made, graph=made.graph.under(self.path)))
        except Exception as error:  # noqa: BLE001  # whatever it is
            return adaptive.Proposal(self.where, text, None, (Problem("x", 1, 1, "", "", str(error)),))


def test_an_engine_that_believes_its_models_would_ask_and_call_what_it_must_not(monkeypatch):
    monkeypatch.setattr("orchestrator_nb.chains.engine.Brief", Naive)
    monkeypatch.setattr("orchestrator_nb.chains.engine.Tally.call", lambda _self: None)
    monkeypatch.setattr("orchestrator_nb.chains.engine.Tally.deed", lambda _self: None)
    small = {
        name for name, case in REFUSED.items() if "times" not in case and "numbers" not in name and "turns" not in name
    }
    did = set()
    for name in sorted(small):
        far = Far(answer_of(REFUSED[name]))
        with suppress(Exception):  # it may well break
            run(far)
        if far.proposed or far.called:
            did.add(name)
    assert {"a private chain", "a function of Python", "another model", "a billion laughs", "saving over an input", "a key twice", "inputs with values of its own"} <= did  # fmt: skip
    assert len(did) > 25
