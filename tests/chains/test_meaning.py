"""What a chain means, run by hand from its plan: inputs, turns, items, branches, and the ready chains from question to outputs."""

from by_hand import ByHand

from orchestrator_nb.chains import load, plan
from orchestrator_nb.chains.templates import template


def run(text, answer=lambda path, prompt, system: f"<{prompt}>", **given):
    return ByHand(plan(load(text)), answer).outputs(**given)


def test_a_step_without_a_prompt_is_asked_what_the_step_before_it_said():
    seen = []
    run(
        "analyze:researcher | summarize",
        lambda path, prompt, system: seen.append((path, prompt, system[:9])) or "A",
        input="Q",
    )
    assert seen == [("analyze", "Q", "You are a"), ("summarize", "A", "Summarize")]


def test_the_input_comes_from_the_nearest_step_that_was_not_skipped():
    text = "inputs: {go: boolean}\nsteps: [{id: a, prompt: x}, {id: b, prompt: y, when: go}, {id: c, prompt: '{{ input }}'}]"
    assert run(text, go=True) == {"c": "<<y>>"}
    assert run(text, go=False) == {"c": "<<x>>"}


def test_turns_see_what_the_turn_before_gave_and_the_first_sees_the_input():
    text = (
        "steps: [{id: a, prompt: x}, {id: b, prompt: '{{ previous }}{{ turn }}', repeat: {max: 9, until: turn == 3}}]"
    )
    assert run(text) == {"b": "<<<<x>1>2>3>"}


def test_items_have_turns_of_their_own():
    text = "inputs: {d: list}\nsteps: [{id: a, each: d, repeat: 2, prompt: '{{ index }}{{ item }}{{ input }}'}]"
    assert run(text, d=["p", "q"]) == {"a": ["<0p<0pp>>", "<1q<1qq>>"]}


def test_what_a_branch_saves_is_known_later_and_branches_are_joined_by_name():
    text = "steps:\n- id: s\n  parallel: {p: {prompt: x, save: k}, q: [{id: i, prompt: y}, {prompt: '{{ i }}'}]}\n- {id: t, prompt: '{{ k }}{{ s.p }}{{ s.q }}'}\n"
    assert run(text) == {"t": "<<x><x><<y>>>"}


def test_a_loop_ends_when_a_turn_changes_nearly_nothing():
    drafts = iter(["one two three four", "one two three four five six", "one two three four five six."])
    asked = []

    def answer(path, prompt, system):
        asked.append(path)
        return "more" if path.endswith("critique") else next(drafts)

    made = plan(template("refine").chain(values={"converged": 0.9}))
    assert ByHand(made, answer).outputs(task="count") == {
        "text": "one two three four five six.",
        "first_draft": "one two three four",
    }
    assert asked == ["draft", *["polished.critique", "polished.revise"] * 2]


def test_a_long_document_is_read_in_pieces_and_summed_up():
    made = plan(template("summarize").chain(values={"size": 20}))
    found = ByHand(made, lambda path, prompt, system: prompt[-12:].strip() if path == "notes" else prompt).outputs(
        document="First paragraph.\n\nSecond one here.\n\nThird."
    )
    assert len(found["notes"]) == 3
    assert all(note in found["summary"] for note in found["notes"])


def test_a_message_goes_to_the_branch_of_its_kind():
    made = plan(template("route").chain())
    for verdict, path in (
        ("Complaint.", "answer.complaint"),
        ("It is a hard one", "answer.hard.full"),
        ("?", "answer.default"),
    ):
        found = ByHand(
            made, lambda here, prompt, system, verdict=verdict: verdict if here == "answer" else here
        ).outputs(message="m")
        assert found == {"answer": path}


def test_a_debate_ends_with_a_verdict():
    made = plan(template("debate").chain())
    asked = []

    def answer(path, prompt, system):
        asked.append(path)
        return {"winner": "for", "sure": 0.8, "reason": "r"} if path == "verdict" else path

    assert ByHand(made, answer).outputs(claim="c") == {
        "winner": "for",
        "sure": 0.8,
        "reason": "r",
        "minutes": "debate.minutes",
    }
    assert asked.count("debate.minutes") == 2


def test_votes_are_counted():
    votes = iter(["42", "41", "42.", " 42", "7"])
    made = plan(template("vote").chain())
    found = ByHand(made, lambda *_: {"reasoning": "…", "answer": next(votes)}).outputs(question="?")
    assert found == {"answer": "42", "agreement": 0.6, "sure": True, "votes": ["42", "41", "42.", " 42", "7"]}


def test_what_a_checker_confirms_stays_and_what_it_refutes_is_extracted_again():
    made = plan(template("extract").chain())
    for correct in (True, False):
        answers = {
            "found": {"name": "A"},
            "verdict": {"correct": correct, "problems": [] if correct else ["p"]},
            "corrected": {"name": "B"},
        }
        found = ByHand(made, lambda path, prompt, system, answers=answers: answers[path]).outputs(text="t")
        assert found["values"] == {"name": "A" if correct else "B"}


def test_a_translation_is_repaired_only_where_meaning_was_lost():
    made = plan(template("translate").chain())
    answers = {
        "translation": "T",
        "back": "the text",
        "losses": {"faithful": False, "differences": ["d"]},
        "repaired": "R",
    }
    play = ByHand(made, lambda path, prompt, system: answers[path])
    assert play.outputs(text="the text", language="French") == {
        "translation": "T",
        "back_translation": "the text",
        "similarity": 1.0,
        "differences": [],
    }
    assert play.outputs(text="another thing", language="French")["translation"] == "R"
    answers["losses"] = {"faithful": True, "differences": []}
    assert play.outputs(text="another thing", language="French")["translation"] == "T"
