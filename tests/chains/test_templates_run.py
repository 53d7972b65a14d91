"""Every ready chain at work on the engine, with models that play their parts: what it is for is what it does."""

import asyncio
import json
import random
import re

import pytest

from orchestrator_nb.chains import plan
from orchestrator_nb.chains.engine import Engine
from orchestrator_nb.chains.templates import template
from orchestrator_nb.kernel.clock import SystemClock


class Models:
    """The models of one run: ``parts`` play each step by its path, each a value, or a function of the question."""

    def __init__(self, parts):
        self.parts, self.asked, self.now, self.most = parts, [], 0, 0

    async def __call__(self, question):
        self.asked.append(question)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        part = self.parts[question.where.step]
        return part(question) if callable(part) else part

    @property
    def paths(self):
        return [question.where.step for question in self.asked]


def run(name, parts, given, **values):
    """The outputs of a template that is made with these ``values``, and the models it asked."""
    models = Models(parts)
    made = plan(template(name).chain(values=values))
    return asyncio.run(Engine(models, SystemClock()).run(made, given)), models


# Draft, critique, revise

DRAFTS = ["one two three four", "one two three four five six", "one two three four five six.", "never asked for"]


def refined(drafts, **values):
    turns = iter(drafts[1:])
    parts = {"draft": drafts[0], "polished.critique": "more", "polished.revise": lambda _: next(turns)}
    return run("refine", parts, {"task": "count", "criteria": "order"}, **values)


def test_it_is_revised_until_a_turn_changes_nearly_nothing():
    found, models = refined(DRAFTS, converged=0.9)
    assert (found["text"], found["first_draft"]) == (DRAFTS[2], DRAFTS[0])
    assert found["kept"] < 0.9
    assert models.paths == ["draft", *["polished.critique", "polished.revise"] * 2]


def test_it_is_revised_so_often_at_most():
    found, models = refined(DRAFTS, converged=1, turns=1)
    assert found["text"] == DRAFTS[1]
    assert models.paths.count("polished.revise") == 1


def test_critic_and_writer_see_the_last_text_and_what_was_asked_for():
    _, models = refined(DRAFTS, converged=0.9, writer="w", critic="c")
    _, first, revised, second, _ = models.asked
    assert {question.model for question in (first, second)} == {"c"}
    assert "Critique the text" in first.system
    assert all(text in first.prompt for text in ("count", DRAFTS[0], "above all at this: order"))
    assert DRAFTS[1] in second.prompt
    assert all(text in revised.prompt for text in ("count", DRAFTS[0], "more"))


# Long documents


def document(facts, size):
    """``size`` signs with ``facts`` sentences that matter, spread over it."""
    chance = random.Random(5)
    paragraphs = ["And so it went on, day after day, as it had before. " * 6 for _ in range(size // 310)]
    for number in range(facts):
        paragraphs.insert(chance.randrange(len(paragraphs)), f"FACT-{number:03} was seen.")
    return "\n\n".join(paragraphs)


def facts_in(text):
    return re.findall(r"FACT-\d{3}", text)


def test_every_fact_of_a_document_of_100_kb_reaches_the_summary_and_no_piece_is_too_long():
    text = document(40, 100_000)
    parts = {
        "notes": lambda question: " ".join(facts_in(question.prompt)),
        "summary": lambda question: "; ".join(facts_in(question.prompt)),
    }
    found, models = run("summarize", parts, {"document": text}, parallel=4)
    assert len(text) >= 100_000
    assert facts_in(found["summary"]) == facts_in(text), "in the document's order"
    assert len(found["notes"]) == models.paths.count("notes") >= 9
    assert max(len(question.prompt) for question in models.asked) < 13_000
    assert models.most == 4


def test_notes_that_do_not_fit_are_made_shorter_until_they_do():
    def half(question):
        kept = question.prompt.rpartition("matters least")[2]
        return kept[: len(kept) // 2]

    parts = {"notes": lambda question: question.prompt, "shortened.shorter": half, "summary": "S"}
    found, models = run("summarize", parts, {"document": document(5, 30_000)}, size=4_000, fits=9_000)
    assert found["summary"] == "S"
    assert len(models.asked[-1].prompt) < 10_000
    turns = {question.where.turns for question in models.asked if question.where.step == "shortened.shorter"}
    assert 1 < len(turns) < 5


def test_the_readers_question_reaches_reader_and_writer_and_an_empty_document_asks_nobody():
    _, models = run("summarize", {"notes": "n", "summary": "s"}, {"document": "d", "question": "Who?"})
    assert all("Who?" in question.prompt for question in models.asked)
    found, models = run("summarize", {}, {"document": ""})
    assert (found, models.asked) == ({"summary": None, "notes": []}, [])


# Classify, route, answer


@pytest.mark.parametrize(
    ("kind", "path", "model"),
    [
        ("simple", "answer.simple", "small"),
        ("hard", "answer.hard.full", "large"),
        ("complaint", "answer.complaint", "large"),
        ("other", "answer.default", "small"),
        ("nonsense", "answer.default", "small"),
    ],
)
def test_a_message_is_answered_as_its_kind_deserves(kind, path, model):
    parts = {"sorted": {"reason": "r", "kind": kind}, "answer.hard.outline": "points", path: "A"}
    given = {"message": "Where is it?", "background": "It is late."}
    found, models = run("route", parts, given, router="tiny", simple="small", expert="large")
    assert found == {"answer": "A", "kind": kind, "reason": "r"}
    assert (models.paths[0], models.paths[-1], models.asked[-1].model) == ("sorted", path, model)
    assert len(models.asked) == (3 if kind == "hard" else 2)
    assert "Where is it?" in models.asked[-1].prompt
    assert "It is late." in models.asked[-1].prompt


# Debate


def test_both_sides_speak_at_once_the_minutes_are_carried_on_and_the_judge_decides():
    parts = {
        "opening.pro": "P0",
        "opening.con": "C0",
        "debate.replies.pro": lambda question: f"P{question.where.turns[0]}",
        "debate.replies.con": lambda question: f"C{question.where.turns[0]}",
        "debate.minutes": lambda question: f"M{question.where.turns[0]}",
        "verdict": {"winner": "against", "sure": 0.8, "reason": "no proof"},
    }
    found, models = run("debate", parts, {"claim": "Cats fly."}, pro="p", con="c", judge="j")
    assert found == {"winner": "against", "sure": 0.8, "reason": "no proof", "minutes": "M2"}
    assert models.most == 2
    assert [(question.model, question.where.branch) for question in models.asked[:2]] == [("p", "pro"), ("c", "con")]
    first, second = (question.prompt for question in models.asked if question.where.step == "debate.minutes")
    assert all(text in first for text in ("P0", "C0", "P1", "C1"))
    assert all(text in second for text in ("M1", "P2", "C2"))
    assert "M2" in models.asked[-1].prompt
    assert models.asked[-1].model == "j"


# Votes


def voted(answers, **values):
    votes = iter(answers)
    parts = {"votes": lambda _: {"reasoning": "…", "answer": next(votes)}}
    return run("vote", parts, {"question": "6 by 7?"}, **values)


def test_the_commonest_answer_wins_whatever_its_signs_and_says_how_sure_it_is():
    found, models = voted(["42", "41", "42.", " 42", "7"])
    assert found == {"answer": "42", "agreement": 0.6, "sure": True, "votes": ["42", "41", "42.", " 42", "7"]}
    assert [question.sample for question in models.asked] == [0, 1, 2, 3, 4]
    assert {question.ask.options["temperature"] for question in models.asked} == {0.8}


def test_several_models_vote_together():
    found, models = voted(["a", "b", "b", "c"], model=["x", "y"], samples=2)
    assert (found["answer"], found["agreement"], found["sure"]) == ("b", 0.5, False)
    assert [question.model for question in models.asked] == ["x", "x", "y", "y"]


# Extract, verify

LETTER = "Invoice of 3 May by Miller Ltd. To be paid: 120.50 EUR."


def verdict(question):
    """A checker that reads: every value must stand in the text."""
    values = json.loads(question.prompt.partition("VALUES:\n")[2].partition("\n\nTEXT:")[0])
    text = question.prompt.partition("TEXT:\n")[2]
    problems = [f"{name}: {value} is not in the text" for name, value in values.items() if str(value) not in text]
    return {"correct": not problems, "problems": problems}


def extracted(*tries):
    parts = {
        "found": tries[0],
        "verdict": verdict,
        "corrected": tries[-1],
        "second": verdict,
    }
    return run("extract", parts, {"text": LETTER}, extractor="e", checker="c")


def test_what_the_text_supports_is_confirmed_and_asked_for_once():
    found, models = extracted({"name": "Miller Ltd"})
    assert found == {
        "values": {"name": "Miller Ltd"},
        "confirmed": True,
        "problems": [],
        "left": [],
        "first_try": {"name": "Miller Ltd"},
    }
    assert [question.model for question in models.asked] == ["e", "c"]


def test_a_claim_that_the_text_does_not_support_is_found_and_corrected():
    found, models = extracted({"name": "Miller Ltd", "currency": "USD"}, {"name": "Miller Ltd", "currency": "EUR"})
    assert found["problems"] == ["currency: USD is not in the text"]
    assert found["values"]["currency"] == "EUR"
    assert (found["confirmed"], found["left"]) == (True, [])
    assert found["first_try"]["currency"] == "USD"
    assert "USD is not in the text" in models.asked[2].prompt


def test_a_claim_that_stays_wrong_is_not_confirmed():
    found, _ = extracted({"currency": "USD"}, {"currency": "GBP"})
    assert (found["confirmed"], found["left"]) == (False, ["currency: GBP is not in the text"])


# Translate, translate back

TEXT = "The patient must not take more than 5 mg."


def translated(back, differences=()):
    parts = {
        "translation": "T",
        "back": back,
        "losses": {"faithful": not differences, "differences": list(differences)},
        "repaired": "R",
    }
    return run("translate", parts, {"text": TEXT, "language": "French"}, translator="t", checker="c")


def test_a_translation_that_comes_back_as_it_was_needs_no_second_look():
    found, models = translated(TEXT)
    assert found == {
        "translation": "T",
        "back_translation": TEXT,
        "similarity": 1.0,
        "faithful": True,
        "differences": [],
    }
    assert [(question.where.step, question.model) for question in models.asked] == [("translation", "t"), ("back", "c")]


def test_other_words_with_the_same_meaning_are_left_as_they_are():
    found, models = translated("The patient should not exceed 5 mg.")
    assert (found["translation"], found["faithful"], found["differences"]) == ("T", True, [])
    assert models.paths == ["translation", "back", "losses"]


def test_what_was_lost_is_told_and_repaired():
    lost = "the second text says 50 mg, the first 5 mg"
    found, models = translated("The patient must not take more than 50 mg.", [lost])
    assert (found["translation"], found["faithful"], found["differences"]) == ("R", False, [lost])
    assert f"- {lost}" in models.asked[-1].prompt
    assert models.asked[-1].model == "t"
