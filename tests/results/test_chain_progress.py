"""A chain while it runs, drawn from what has been heard; and what it shows in the end."""

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from shapes import ONE, TWO, answer, call, failed, item, run

from orchestrator_nb.calls import Delta, Retrying, Started, Waiting
from orchestrator_nb.chains import load, plan
from orchestrator_nb.chains.walk import Began, Ended, Mapped, Proposed, Where
from orchestrator_nb.chains.world import World
from orchestrator_nb.results.chain_eta import roughly
from orchestrator_nb.results.chain_lines import ChainLines
from orchestrator_nb.results.chain_picture import LINES
from orchestrator_nb.results.chain_progress import ChainProgress
from orchestrator_nb.results.chain_sketch import sketch
from orchestrator_nb.results.chain_state import STREAMS, TAIL
from orchestrator_nb.results.chain_view import chain_view
from orchestrator_nb.results.safe_text import TAGS
from orchestrator_nb.runs import Chained

PAYLOADS = json.loads(Path(__file__).with_name("xss_payloads.json").read_text())["payloads"]
REVIEW = """
name: review
inputs: {topic: text}
steps:
  - id: draft
    prompt: "{{ topic }}"
  - id: polish
    repeat: {until: "similarity(previous, current) > 0.9", max: 4}
    steps:
      - {id: critique, prompt: "{{ input }}"}
      - {id: revise, prompt: "{{ critique }}"}
  - id: ending
    prompt: "{{ polish }}"
    on_error: skip
"""
MAPPED = "inputs: {papers: list}\nsteps: [{id: notes, each: papers, prompt: '{{ item }}'}, {id: report, prompt: '{{ notes }}'}]"


OURS = {
    "div",
    "style",
    "details",
    "summary",
    "table",
    "progress",
    "ul",
    "li",
    "th",
    "td",
    "tr",
    "thead",
    "tbody",
    "span",
}
HARMLESS = {"href", "title", "rel", "start", "class", "dir", "scope", "role", "aria-live", "colspan"}


class Seen(HTMLParser):
    """What a browser would act on."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.links = set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name == "href"]

    def handle_comment(self, data):
        self.tags.add("!--")


class Run:
    """A chain whose news a test tells, and whose clock it moves."""

    def __init__(self, text=REVIEW, rows=1, chains=None):
        self.s, self.numbers = 0.0, 0
        made = plan(load(text), World(chains=chains) if chains else World())
        self.live = ChainProgress(made.chain.name, sketch(made), rows=rows, now=lambda: self.s)

    def begin(self, step, row=0, **where):
        self.live.told(row, Began(Where(step, **where), self.s))

    def end(self, step, outcome="done", row=0, why="", **where):
        self.live.told(row, Ended(Where(step, **where), self.s, outcome, None, why))

    def items(self, step, total, done=0):
        self.live.told(0, Mapped(Where(step), self.s, total, done))

    def ask(self, step, *events, row=0, model=ONE, **at):
        """A question arises; its number."""
        self.numbers += 1
        self.live.heard(self.numbers, replace(item("hi", model, row=row), at={"chain": "c", "step": step, **at}))
        self.hear(self.numbers, *(events or (Started(),)))
        return self.numbers

    def hear(self, number, *events):
        for event in events:
            self.live.heard(number, event)

    def answered(self, number, **how):
        self.live.heard(number, call(response=answer(), **how))

    def once(self, step, seconds=2.0, **how):
        """A step with one call, from its beginning to its end."""
        self.begin(step)
        number = self.ask(step)
        self.s += seconds
        self.answered(number, **how)
        self.end(step)

    def line(self, step):
        """The line of one step."""
        return next(line for line in self.live.text().splitlines() if line.strip().startswith(f"{step}:")).strip()


def test_each_step_has_a_line_that_says_whether_it_waits_runs_or_is_over():
    chain = Run()
    assert chain.line("draft") == "draft: ○ waiting"
    chain.once("draft")
    chain.begin("polish")
    assert chain.line("draft") == "draft: ✓ done · 1 live · 2.0 s · $0.0100"
    assert chain.line("polish") == "polish: ▶ running · 0.00 s"
    chain.end("polish", "skipped")
    chain.begin("ending")
    chain.end("ending", "failed", why="lab/one: slow down")
    assert chain.line("polish").startswith("polish: – skipped")
    assert "✗ failed" in chain.line("ending")
    assert "lab/one: slow down (on_error: skip)" in chain.line("ending")
    assert "review · 3 of 3 steps · 1 call: 1 live · $0.0100 · 2.0 s" in chain.live.text()


def test_steps_inside_others_are_shown_while_these_run_with_the_turn():
    chain = Run()
    chain.begin("polish")
    chain.begin("polish.critique", turns=(2,))
    chain.ask("polish.critique", turn=2)
    assert "polish: ▶ running · turn 2 of at most 4 · 1 running" in chain.line("polish")
    assert chain.line("critique").startswith("critique: ▶ running")
    assert chain.line("revise") == "revise: ○ waiting"
    chain.end("polish.critique", turns=(2,))
    chain.end("polish")
    assert "critique" not in chain.live.text()


def test_a_map_counts_its_items_and_what_its_calls_wait_for():
    chain = Run(MAPPED)
    chain.begin("notes")
    chain.items("notes", 5)
    numbers = [chain.ask("notes", item=n) for n in range(3)]
    chain.ask("notes", Waiting("the rate limit of lab/one", 3.0), item=3)
    chain.ask("notes", Started(), Retrying(1, 2.0, "overloaded"), item=4)
    chain.answered(numbers[0], source="cache")
    chain.live.heard(numbers[1], failed())
    chain.items("notes", 5, done=1)
    told = chain.line("notes")
    assert "1 of 5 items" in told
    for part in (
        "1 cached",
        "1 failed",
        "1 running",
        "1 waiting: the rate limit of lab/one",
        "1 retrying (overloaded)",
    ):
        assert part in told


def test_a_step_that_runs_again_tells_of_this_time():
    chain = Run("steps: [{id: a, repeat: 3, steps: [{id: b, each: [1, 2], prompt: x}]}]")
    chain.begin("a")
    for turn in (1, 2):
        chain.s += 10
        chain.begin("a.b", turns=(turn,))
        chain.items("a.b", 2)
        chain.ask("a.b", item=0, turn=turn)
        chain.s += 1
        if turn == 1:
            chain.end("a.b", turns=(turn,))
    assert "a: ▶ running · turn 2 of 3" in chain.live.text()
    assert "b: ▶ running, 1 done · 0 of 2 items" in chain.live.text()
    assert chain.line("b").endswith("1.0 s")


def test_a_step_of_a_chain_in_use_stands_inside_the_step_that_uses_it():
    inner = load("name: short\nsteps: [{id: cut, prompt: x}]")
    chain = Run("steps: [{id: a, use: short}]", chains={"short": inner})
    chain.begin("a")
    chain.begin("a/cut", chain="a/")
    chain.ask("a/cut")
    assert chain.line("cut").startswith("cut: ▶ running · 1 running")
    assert chain.line("a").startswith("a: ▶ running · 1 running")


def test_of_a_switch_only_the_chosen_case_is_shown_and_a_step_that_nobody_planned_is_too():
    chain = Run("steps: [{id: s, switch: {on: 1 == 1, cases: {'true': {prompt: t}, 'false': {prompt: f}}}}]")
    chain.begin("s")
    assert "false" not in chain.live.text()
    chain.begin("s.true", branch="true")
    assert chain.line("true").startswith("true: ▶ running")
    chain.begin("s.made_up")
    assert chain.line("made_up").startswith("made_up: ▶ running")


def test_refused_proposals_are_not_silent():
    chain = Run()
    chain.begin("draft")
    chain.live.told(0, Proposed(Where("draft"), "steps: <b>", ("<b>no such key</b>",)))
    assert "proposed steps are refused: &lt;b&gt;no such key" in chain.live.html()
    chain.live.told(0, Proposed(Where("draft"), "steps: []"))
    assert "refused" not in chain.live.html()


def test_over_many_rows_the_steps_are_sums_and_the_rows_are_counted():
    chain = Run(MAPPED, rows=100)
    for row in range(3):
        chain.begin("notes", row=row)
        chain.end("notes", row=row)
    for row in range(2):
        chain.begin("report", row=row)
    chain.end("report", row=0)
    chain.end("report", "failed", row=1, why="no")
    assert "2 of 100 rows, 1 failed" in chain.live.text()
    assert chain.line("notes").startswith("notes: ○ 3 done of 100")
    assert "1 done, 1 failed of 100" in chain.line("report")


# What streams


def test_the_texts_that_arrive_are_shown_escaped_by_their_end_and_a_retry_begins_anew():
    chain = Run()
    chain.begin("draft")
    number = chain.ask("draft", Started(), Delta("<b>bold"))
    assert "&lt;b&gt;bold" in chain.live.html()
    assert "draft · lab/one · answering" in chain.live.html()
    chain.hear(number, Delta("x" * 3 * TAIL + "the end"))
    assert "the end" in chain.live.html()
    assert "bold" not in chain.live.html()
    assert len(chain.live.html()) < TAIL + 6000
    chain.hear(number, Retrying(1, 2.0, "overloaded"))
    assert "the end" not in chain.live.html()
    assert "retrying in 2.0 s (overloaded)" in chain.live.html()


def test_a_few_calls_are_seen_until_they_end_and_then_others_take_their_place():
    chain = Run(MAPPED)
    chain.begin("notes")
    numbers = [chain.ask("notes", Started(), Delta(f"text {n}!"), item=n) for n in range(STREAMS + 1)]
    page = chain.live.html()
    assert [n for n in range(STREAMS + 1) if f"text {n}!" in page] == list(range(STREAMS))
    chain.answered(numbers[0])
    chain.hear(numbers[-1], Delta("more"))
    page = chain.live.html()
    assert "text 0!" not in page
    assert "… more" in page


def test_between_two_calls_the_last_text_stays():
    chain = Run()
    chain.begin("draft")
    number = chain.ask("draft", Started(), Delta("all of it"))
    chain.answered(number)
    assert "all of it" in chain.live.html()


# How long it takes


def test_the_time_left_is_that_of_the_calls_to_come_one_after_the_other():
    chain = Run(
        "steps: [{id: a, prompt: x}, {id: b, prompt: '{{ input }}'}, {id: c, prompt: y}, {id: d, prompt: '{{ b }}{{ c }}'}]"
    )
    assert "left" not in chain.live.line()
    chain.once("a", 4.0)
    assert "about 8 s left" in chain.live.line()  # b, then d; c beside b
    chain.once("c", 4.0)
    chain.begin("b")
    chain.s += 3
    assert "about 5 s left" in chain.live.line()


def test_where_turns_may_end_early_it_is_the_most_that_it_may_be():
    chain = Run()
    chain.once("draft", 2.0)
    assert "at most 20 s left" in chain.live.line()  # 4 turns of 2 calls, and the ending
    chain.begin("polish")
    chain.begin("polish.critique", turns=(2,))
    chain.s += 6  # in the midst of the second turn: 4 s each
    assert "at most 10 s left" in chain.live.line()  # two and a half, and the ending


def test_a_map_takes_for_the_rest_as_long_as_it_took_and_says_nothing_before():
    chain = Run(MAPPED)
    chain.begin("notes")
    chain.items("notes", 10)
    numbers = [chain.ask("notes", item=n) for n in range(2)]
    assert "left" not in chain.live.line()
    chain.s = 10.0
    for done, number in enumerate(numbers, 1):
        chain.answered(number)
        chain.items("notes", 10, done)
    assert "about 50 s left" in chain.live.line()  # 8 items, and the report


def test_over_rows_the_time_left_follows_the_share_that_is_done():
    chain = Run(MAPPED, rows=10)
    chain.s = 5.0
    for row in range(5):
        for step in ("notes", "report"):
            assert row >= 2 or "left" not in chain.live.line()
            chain.begin(step, row=row)
            chain.end(step, row=row)
    assert "about 5 s left" in chain.live.line()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (7.4, "7 s"), (41, "40 s"), (59, "1 min"), (100, "2 min"), (3599, "1 h"), (4300, "1 h 10 min")],
)
def test_a_guess_is_told_as_one(seconds, words):
    assert roughly(seconds) == words


# Bounds


def test_ten_thousand_calls_cost_no_more_to_draw_than_a_few():
    chain = Run(MAPPED)
    chain.begin("notes")
    chain.items("notes", 10_000)
    start, sizes, drawing = time.process_time(), [], 0.0
    for n in range(0, 10_000, 200):
        numbers = [chain.ask("notes", Started(), *[Delta("word ")] * 10, item=n + k) for k in range(200)]
        began = time.process_time()
        sizes.append(len(chain.live.html()))
        drawing += time.process_time() - began
        for done, number in enumerate(numbers, n + 1):
            chain.answered(number)
            chain.items("notes", 10_000, done)
    assert max(sizes) < 10_000
    assert "10,000 live" in chain.line("notes")
    assert not chain.live._open
    assert drawing / len(sizes) < 0.02
    assert time.process_time() - start < 12.0


def test_a_long_chain_shows_what_runs_and_counts_the_rest():
    chain = Run("steps: [" + ", ".join(f"{{id: s{n}, prompt: '{{{{ input }}}}', input: x}}" for n in range(100)) + "]")
    for n in range(60):
        chain.begin(f"s{n}")
        chain.end(f"s{n}")
    chain.begin("s60")
    lines = chain.live.text().splitlines()
    assert len(lines) == LINES + 3
    assert "… 58 steps before these" in lines[1]
    assert "… 12 more steps" in lines[-1]
    assert "s60: ▶ running" in chain.live.text()
    assert "58 steps before these" in chain.live.html()


# Who looks at it


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_names_texts_and_sentences_mean_nothing(name):
    hostile = PAYLOADS[name].replace("{K}", "7").replace("{B}", "http://127.0.0.1:9")
    chain = Run()
    chain.live.name = hostile
    chain.begin(hostile)
    chain.ask(hostile, Started(), Delta(hostile), model=replace(TWO, id=hostile))
    chain.begin("ending")
    chain.end("ending", "failed", why=hostile)
    assert Seen(chain.live.html()).tags <= OURS
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", chain.live.text() + chain.live.line()
    )
    told = chained({"a": hostile, hostile: [hostile], "c": {hostile: 1}})
    over = chained({"a": hostile}, None, over=True, errors=(None, hostile), rows=({"topic": hostile}, {}))
    for each in (told, over, chained(None, errors=(hostile,)), chained({"a": hostile})):
        shown = chain_view(run(chained=each))
        assert Seen(shown.html).tags <= OURS | TAGS
        assert Seen(shown.html).attributes <= HARMLESS
        assert all(re.match(r"(https?:|mailto:)", link) for link in Seen(shown.html).links)
        assert not set(shown.text) & {"\x1b", "\x07", "\u202e"}


def test_a_log_has_a_line_for_each_step_that_ended_and_now_and_then_how_it_stands():
    chain = Run()
    lines = ChainLines(chain.live, every_s=10.0)
    assert list(lines.fresh()) == []
    chain.once("draft")
    assert list(lines.fresh()) == ["draft: ✓ done · 1 live · 2.0 s · $0.0100"]
    chain.begin("polish")
    chain.s += 11
    assert [line.startswith("review · 1 of 3 steps") and "polish" in line for line in lines.fresh()] == [True]
    assert list(lines.fresh()) == []


# In the end


def chained(*outputs, over=False, errors=None, rows=None):
    given = {"topic": "the sea", "unused": "x"}
    return Chained(
        {"name": "c", "inputs": {"topic": "text"}},
        {},
        over,
        rows or tuple(given for _ in outputs),
        outputs,
        errors or tuple(None if each is not None else "notes: it failed." for each in outputs),
    )


def test_one_output_stands_alone_as_readable_text_with_the_summary_below():
    shown = chain_view(run(call(), chained=chained({"text": "**bold**"})))
    assert "<strong>bold</strong>" in shown.html
    assert "<table" not in shown.html
    assert shown.text.startswith("**bold**\n\nc · 1 call: 1 live")


def test_several_outputs_are_a_small_table():
    shown = chain_view(
        run(call(), chained=chained({"text": "hello", "score": 3, "points": ["one", "two"], "data": {"a": [1]}}))
    )
    for part in ('<th scope="row">', "hello", "score", "one", "&quot;a&quot;"):
        assert part in shown.html
    assert "▸ score\n3" in shown.text


def test_a_chain_over_rows_shows_a_line_for_each_with_what_it_was_given_and_failures_in_their_place():
    shown = chain_view(run(call(), chained=chained({"text": "calm"}, None, over=True)))
    assert "topic: the sea" in shown.html
    assert "unused" not in shown.html
    assert "✗ notes: it failed." in shown.html
    assert "▸ 1  topic: the sea\n  ✗ notes: it failed." in shown.text
    many = chain_view(run(chained=chained(*[{"text": "x"}] * 60, over=True)))
    assert "… 10 more rows" in many.html


def test_a_failure_that_is_raised_is_not_said_twice():
    failure = run(call(), chained=chained(None))
    assert "it failed" in chain_view(failure).html
    assert "it failed" not in chain_view(failure, told=True).html
