"""Steps that a model proposes, and chains that it drafts, over a real vendor on loopback."""

import pytest

from orchestrator_nb.errors import UserError

PLANNED = """
name: adaptive
inputs: {topic: text}
steps:
  - {id: facts, prompt: 'facts of {{ topic }}', model: lab/one}
  - id: p
    plan: {task: 'Work on {{ topic }}', model: lab/one, allow: [lab/two, lab/one]TRUST}
  - {id: end, prompt: 'end {{ p }}', model: lab/one}
"""
TRUSTED, SHOWN = PLANNED.replace("TRUST", ", trusted: true"), PLANNED.replace("TRUST", "")
STEPS = "```yaml\nsteps:\n- {id: a, prompt: 'a {{ facts }}'}\n- {id: b, each: [1, 2], prompt: 'b {{ item }} {{ a }}', model: lab/one}\n```"


@pytest.fixture
def session(opened):
    return opened()


@pytest.fixture
def says(lab):
    """What the vendor says to prompts that begin so; the prompt itself to all others. Each is remembered."""
    answers = {"The task": [STEPS], "Write a chain": []}

    def answer(prompt):
        lab.asked.append(prompt)
        if prompt in lab.broken:
            return 400, None
        said = next((texts for start, texts in answers.items() if prompt.startswith(start)), None)
        text = prompt if said is None else said.pop(0) if len(said) > 1 else said[0]
        return 200, {"message": {"content": text}, "finish_reason": "stop"}

    lab.answer = answer
    return answers


def test_proposed_steps_are_rows_under_the_step_that_planned_them(session, says):
    frame = session.run_chain(TRUSTED, {"topic": "tides"})
    assert frame["error"].isna().all()
    assert frame["step"].tolist() == ["facts", "p", "p.a", "p.b", "p.b", "end"]
    assert frame["model"].tolist()[2:5] == ["two", "one", "one"]
    assert frame["item"].tolist()[3:5] == [0, 1]
    steps = {step["step"]: step["outcome"] for step in session.last.chained.steps}
    assert steps == dict.fromkeys(["facts", "p", "p.a", "p.b", "end"], "done")
    assert session.retold().chained == session.last.chained


def test_a_run_that_broke_off_behind_a_proposal_goes_on_with_the_same_one(session, says, lab):
    broken = 'end ["b 1 a facts of tides", "b 2 a facts of tides"]'
    lab.broken.add(broken)
    session.run_chain(TRUSTED, {"topic": "tides"})
    assert session.last.chained.errors[0]
    lab.broken.clear()
    lab.asked.clear()
    says["The task"][:] = ["steps: [{id: other, prompt: other}]"]  # which nobody asks for
    frame = session.resume()
    assert lab.asked == [broken]
    assert frame["step"].tolist() == ["facts", "p", "p.a", "p.b", "p.b", "end"]


def test_steps_that_nobody_approves_do_not_run_unless_plans_are_trusted(session, says, lab):
    session.run_chain(SHOWN, {"topic": "tides"})
    assert "nobody is here to approve" in session.last.chained.errors[0]
    assert not [prompt for prompt in lab.asked if prompt.startswith(("a ", "b "))]
    session.run_chain(SHOWN, {"topic": "tides"}, trust_plans=True)
    assert session.last.chained.errors[0] is None


@pytest.mark.parametrize("how", ["plain", "awaited", "an object"])
@pytest.mark.parametrize("word", [True, False, "no"])
def test_whoever_approves_may_be_any_function_and_only_true_is_a_yes(session, says, how, word):
    async def awaited(_proposal):
        return word

    class Asked:
        async def __call__(self, _proposal):
            return word

    approve = {"plain": lambda _proposal: word, "awaited": awaited, "an object": Asked()}[how]
    session.start_chain(session.plan_chain(SHOWN, {"topic": "tides"}), approve=approve).result()
    assert (session.last.chained.errors[0] is None) == (word is True)


def test_a_chain_is_drafted_from_plain_english_and_nothing_of_it_runs(session, says, lab):
    good = "inputs: {papers: list}\nsteps:\n- {id: notes, each: papers, prompt: 'Sum up: {{ item }}'}\n- {id: table, prompt: 'A table of {{ notes }}', model: lab/two}\n"
    says["Write a chain"][:] = ["I would ask a model.", f"```\n{good}```"]
    draft = session.draft_chain("summarise each paper {{ braces }}, compare, write a table", "lab/one")
    assert (draft.tries, draft.problems) == (2, ())
    assert [step.id for step in draft.chain.steps] == ["notes", "table"]
    assert session.chains.read(draft.text)[0].steps == draft.chain.steps
    assert len(lab.asked) == 2
    assert "summarise each paper {{ braces }}" in lab.asked[0]
    assert "expected 'key: value' lines" in lab.asked[1]


def test_a_draft_that_stays_broken_says_what_is_wrong(session, says):
    says["Write a chain"][:] = ["steps: [{id: a, prompt: '{{ b }}'}]"]
    draft = session.draft_chain("anything", "lab/one", tries=2)
    assert (draft.chain, draft.tries) == (None, 2)
    assert "'b' is not known here" in str(draft.problems[0])


def test_a_draft_by_an_unknown_model_is_told_so(session, says):
    with pytest.raises(UserError):
        session.draft_chain("anything", "lba/one")
