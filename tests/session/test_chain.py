"""Chains over a real vendor on loopback: what is asked, what is kept, what is asked again."""

import json
import threading

import pytest

from orchestrator_nb.chains import Ask, Chain, Each, Input, Python, Repeat, Step
from orchestrator_nb.errors import ChainError, UserError

REVIEW = """
name: review
inputs: {topic: text, papers: {type: list, default: [a, b]}}
defaults: {model: lab/one}
steps:
  - id: draft
    prompt: Write about {{ topic }}.
  - id: notes
    each: papers
    steps:
      - {id: facts, prompt: "Facts of {{ item }}"}
      - {id: check, prompt: "Check {{ facts }}"}
  - id: report
    prompt: "Report {{ draft }} {{ notes }}"
outputs: {text: "{{ report }}", notes: "{{ notes }}"}
"""
NO_NUMBER = float("nan")


def chain(*steps, **more):
    return Chain("made", tuple(steps), **more)


def ask(name, prompt, **more):
    return Step(name, Ask(prompt, model=("lab/one",)), **more)


@pytest.fixture
def session(opened):
    return opened()


def asked(lab):
    found, lab.asked[:] = sorted(lab.asked), []
    return found


def test_every_call_is_a_row_with_its_place_in_the_order_of_the_chain(session, lab):
    frame = session.run_chain(REVIEW, {"topic": "tides"})
    assert frame["step"].tolist() == ["draft", *["notes.facts", "notes.check"] * 2, "report"]
    assert frame["item"].tolist()[1:5] == [0, 0, 1, 1]
    assert set(frame["chain"]) == {"review"}
    assert frame["error"].isna().all()
    outputs = session.last.chained.outputs[0]
    assert outputs["text"] == frame["text"].iloc[-1]
    assert outputs["notes"] == frame["text"][frame["step"] == "notes.check"].tolist()


def test_the_store_tells_the_same_run(session):
    frame = session.run_chain(REVIEW, {"topic": "tides"})
    again, before = session.retold().chained, session.last.chained
    assert again == before
    assert json.dumps(again.outputs) == json.dumps(before.outputs), "also the order of names is the same"
    assert json.dumps(again.definition) == json.dumps(before.definition)
    assert session.show()["text"].tolist() == frame["text"].tolist()
    assert session.show()["step"].tolist() == frame["step"].tolist()


def test_the_same_chain_again_asks_nothing_and_a_changed_step_asks_it_and_what_follows_from_it(session, lab):
    session.run_chain(REVIEW, {"topic": "tides"})
    asked(lab)
    assert set(session.run_chain(REVIEW, {"topic": "tides"})["source"]) == {"cache"}
    assert asked(lab) == []
    session.run_chain(REVIEW.replace("Write about", "Rhyme about"), {"topic": "tides"})
    assert [prompt.split()[0] for prompt in asked(lab)] == ["Report", "Rhyme"]


def test_equal_questions_of_several_turns_are_several_questions_and_are_found_again(session, lab):
    loop = chain(ask("more", "Tell me another.", repeat=Repeat(3)))
    assert session.run_chain(loop)["text"].nunique() == 3
    assert session.run_chain(loop)["source"].tolist() == ["cache"] * 3
    assert len(asked(lab)) == 3


def test_a_loop_whose_turns_are_over_before_its_condition_is_met_says_so(session):
    session.run_chain(chain(ask("more", "Another.", repeat=Repeat(2, "turn == 3"))))
    assert "more: the condition of its loop was not met in 2 turns." in session.last.notices
    session.run_chain(chain(ask("more", "Another.", repeat=Repeat(2, "turn == 2"))))
    assert not [notice for notice in session.last.notices if "condition" in notice]


def test_a_chain_that_broke_goes_on_at_the_step_that_failed(session, lab):
    lab.broken.add("Facts of b")
    frame = session.run_chain(REVIEW, {"topic": "tides"})
    assert frame["error_kind"].notna().sum() == 1
    assert "notes.facts (item 1)" in session.last.chained.errors[0]
    run, before = session.last.id, set(asked(lab))
    lab.broken.clear()
    resumed = session.resume(run)
    again = asked(lab)
    assert [prompt.split()[0] for prompt in again] == ["Check", "Facts", "Report"]
    assert set(again) & before == {"Facts of b"}
    assert resumed["error"].isna().all()
    assert set(resumed["run_id"]) == {run}
    assert resumed["step"].tolist() == ["draft", *["notes.facts", "notes.check"] * 2, "report"]
    assert session.last.chained.outputs[0]["text"] == resumed["text"].iloc[-1]
    assert session.show(run)["text"].tolist() == resumed["text"].tolist()
    with pytest.raises(UserError, match="nothing is left"):
        session.rest_of_chain(run)


def test_a_chain_that_is_stopped_keeps_what_is_done_and_goes_on_later(session, lab):
    reached, let_go = threading.Event(), threading.Event()

    def heard(prompt):
        if prompt.startswith("Check"):
            reached.set()
            let_go.wait(20)

    lab.heard = heard
    job = session.start_chain(session.plan_chain(REVIEW, {"topic": "tides"}))
    assert reached.wait(20)
    job.stop()
    run = job.result()
    let_go.set()
    assert run.chained.outputs == (None,)
    assert {step["step"]: step["outcome"] for step in run.chained.steps}["notes"] == "stopped"
    done = [call for call in run.calls if call.error is None]
    assert done
    lab.heard = lambda _prompt: None
    asked(lab)
    session.resume(run.id)
    assert not {call.item.request.prompt for call in done} & set(asked(lab))
    assert session.last.chained.errors == (None,)


def test_what_was_stopped_and_fails_when_it_goes_on_says_its_failure(session, lab):
    reached, let_go = threading.Event(), threading.Event()

    def heard(prompt):
        if prompt.startswith("Report"):
            reached.set()
            let_go.wait(20)

    lab.heard = heard
    job = session.start_chain(session.plan_chain(REVIEW, {"topic": "tides", "papers": []}))
    assert reached.wait(20)
    job.stop()
    run = job.result()
    let_go.set()
    lab.heard = lambda _prompt: None
    lab.broken.add(run.calls[-1].item.request.prompt)
    frame = session.resume(run.id)
    assert frame["error"].tolist()[-1] == session.show(run.id)["error"].tolist()[-1]
    assert frame["error_kind"].tolist()[-1] == "invalid_request"


def test_over_a_frame_it_runs_for_each_row_and_one_failure_is_one_row(session, lab):
    lab.broken.add("Write about b.")
    rows = [{"topic": topic, "papers": [], "more": number} for number, topic in enumerate("abc")]
    frame = session.run_chain(REVIEW, over=rows)
    chained = session.last.chained
    assert [outputs is None for outputs in chained.outputs] == [False, True, False]
    assert [row["more"] for row in chained.rows] == [0, 1, 2]
    assert frame["row"].tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize(
    ("given", "over", "words"),
    [
        ({}, None, "'topic' is missing"),
        ({"topic": 3}, None, "'topic' is a text"),
        ({"topic": "x", "tropic": 1}, None, "tropic.*did you mean 'topic'"),
        ({}, [{"topic": "a"}, {"topic": None}], "row 1: .*null. Fill or drop such rows"),
        ({}, [{"other": 1}], "no column of the frame is an input"),
        ({}, [], "no rows"),
    ],
)
def test_inputs_that_do_not_fit_are_told_before_anything_is_asked(session, lab, given, over, words):
    with pytest.raises(UserError, match=words):
        session.plan_chain(REVIEW, given, over=over)
    assert asked(lab) == []


def test_all_that_is_wrong_with_a_chain_is_told_at_once(session):
    with pytest.raises(ChainError) as caught:
        session.run_chain("steps:\n  - {id: a, prompt: '{{ b }}', model: labb/one}\n  - {id: c, promt: Hi}\n")
    assert len(caught.value.problems) >= 3


def test_a_steps_budget_refuses_what_does_not_fit_and_leaves_the_other_steps_alone(session, lab):
    dear = chain(ask("cheap", "One."), ask("dear", "Two.", budget_usd=0.000001), ask("last", "Three {{ cheap }}"))
    frame = session.run_chain(dear).set_index("step")
    assert frame.loc["dear", "error_kind"] == "budget"
    assert "budget of dear" in frame.loc["dear", "error"]
    assert asked(lab)[0] == "One."


def test_a_tape_replays_a_chain_without_asking(session, lab, home):
    tape = home / "chain.jsonl"
    first = session.run_chain(REVIEW, {"topic": "tides"}, source=f"record {tape}")
    asked(lab)
    again = session.run_chain(REVIEW, {"topic": "tides"}, source=f"replay {tape}")
    assert again["text"].tolist() == first["text"].tolist()
    assert set(again["source"]) == {"replay"}
    assert asked(lab) == []


def test_python_steps_are_the_notebooks_functions_and_a_failing_one_is_a_sentence(session):
    session.chains.register(lambda text: {"words": len(text.split())}, "count")
    session.chains.register(lambda: 1 / 0, "broken")
    session.chains.register(lambda: {"gap": NO_NUMBER}, "odd")
    counted = chain(ask("a", "Hi"), Step("n", Python("count", {"text": "{{ a }}"})))
    session.run_chain(counted)
    assert session.last.chained.outputs[0]["n"]["words"] >= 1
    session.run_chain(chain(Step("n", Python("odd"))))
    assert session.last.chained.outputs[0]["n"] == {"gap": None}
    session.run_chain(chain(Step("n", Python("broken"))))
    assert "ZeroDivisionError" in session.last.chained.errors[0]


def test_where_prompts_are_not_kept_the_chain_is_neither_and_says_so(opened, lab, home):
    lab.settings(home, "store: {keep_prompts: digest}\n")
    session = opened()
    lab.broken.add("Write about secret-topic.")
    session.run_chain(REVIEW, {"topic": "secret-topic"})
    kept = b"".join(path.read_bytes() for path in home.rglob("store.db*"))
    assert b"secret-topic" not in kept
    with pytest.raises(UserError, match="was not kept"):
        session.rest_of_chain()


def test_where_prompts_are_not_kept_no_output_and_no_reason_brings_an_input_back(opened, lab, home):
    lab.settings(home, "store: {keep_prompts: digest}\n")
    session = opened()
    session.chains.register(lambda text: {}[text], "number")  # whose error says what it was given
    topic = (Input("topic", "text"),)
    echo = Chain("echo", (ask("a", "Hi"),), inputs=topic, outputs={"topic": "{{ topic }}"})
    failing = Chain("failing", (Step("n", Python("number", {"text": "{{ topic }}"})),), inputs=topic)
    for made in (echo, failing):
        session.run_chain(made, {"topic": "secret-topic"})
    assert session.retold().chained.errors[0].startswith("failed; why was not kept")
    session.close()
    kept = b"".join(path.read_bytes() for path in home.rglob("store.db*"))
    assert b"answer 1" in kept
    assert b"secret-topic" not in kept


def test_a_grids_run_is_no_chains(session):
    session.compare("Hi", ["lab/one"])
    with pytest.raises(UserError, match="no chain's"):
        session.rest_of_chain()


def test_a_chains_run_is_no_grids(session, lab):
    lab.broken.add("Write about tides.")
    session.run_chain(REVIEW, {"topic": "tides"})
    with pytest.raises(UserError, match="%chain resume"):
        session.rest()


async def awaited(session):
    return await session.arun_chain(REVIEW, {"topic": "tides"})


def test_the_awaitable_twin_gives_the_same(session):
    import asyncio

    assert (
        asyncio.run(awaited(session))["text"].tolist() == session.run_chain(REVIEW, {"topic": "tides"})["text"].tolist()
    )


def test_a_map_as_wide_as_its_places_asks_each_item_once(session, lab):
    wide = chain(
        Step("notes", Ask("Note {{ item }}", model=("lab/one",)), each=Each("things", parallel=3)),
        inputs=(Input("things", "list"),),
    )
    things = [f"thing {number}" for number in range(50)]
    frame = session.run_chain(wide, {"things": things})
    assert frame["item"].tolist() == [*range(50)]
    assert json.loads(json.dumps(session.last.chained.outputs))[0]["notes"] == frame["text"].tolist()
    assert asked(lab) == sorted(f"Note {thing}" for thing in things)
