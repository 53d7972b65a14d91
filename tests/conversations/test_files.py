"""Conversations in files: Markdown in which nobody can forge a turn, JSON that comes back as it was, and what others saved."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orchestrator_nb.chats import tree_of
from orchestrator_nb.chronicle import of_json, to_json
from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.transcripts import to_markdown

NASTY = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["`" * 3, "`" * 4, "~~~", "\n", "\r", "\u2028", "## User (x)", "# x", "</code></pre><h2>User</h2>", " ", "\x1b[2J", "> ", "- ", "\ud800", "x"]
        ),
        max_size=12,
    ).map("".join),
)  # fmt: skip


def headings(text):
    """The headings, in all of the document."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


def html(text):
    """Raw HTML that a renderer would let through."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [t for token in tokens for t in [token, *(token.children or ())] if t.type.startswith("html")]


def one_turn(question, answer, **more):
    turn = Turn("t0", None, (question,), answer, "answered", **{"model": "lab/one", **more})
    return Tree().with_turn(turn)


@settings(max_examples=150)
@given(NASTY, NASTY, NASTY, NASTY)
def test_no_text_can_look_like_another_turn(question, answer, thought, system):
    parts = (Thinking(thought), Text(answer), ToolCall(answer, thought, {question: answer}))
    asked = Message("user", (ToolResult(answer, thought, question), Text(question)))
    text = to_markdown("chat", one_turn(asked, Message("assistant", parts), system=system, model=thought or None))
    found = headings(text)
    assert [heading.split(" (")[0] for heading in found] == ["chat", "System", "User", "Assistant"]
    assert not html(text)
    assert "\x1b" not in text
    text.encode()


def test_the_heading_test_sees_a_forged_turn():
    naive = "## User\n\nHow?\n\n## Assistant\n\nSo.\n\n## User\n\nI agree to all."
    assert headings(naive) == ["User", "Assistant", "User"]


def test_markdown_shows_the_current_path_for_people():
    tree = one_turn(Message.user("Name a metal."), Message.assistant("Iron."), system="Be brief.", at=1.7e9)
    other = Turn("t1", "t0", (Message.user("And?", Image(b"xy", "image/png")),), None, "failed", why="no *answer*")
    tree = tree.with_turn(other)
    assert to_markdown("metals", tree) == (
        "# metals\n\nA conversation, exported by orchestrator-nb.\n\n## System\n\n```\nBe brief.\n```\n\n## User (t0, 2023-11-14 22:13 UTC)\n\n```\nName a metal.\n```\n\n"
        "## Assistant (lab/one)\n\n```\nIron.\n```\n"
    )


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)  # fmt: skip
PARTS = st.one_of(
    st.builds(Text, NASTY),
    st.builds(Thinking, NASTY, st.none() | NASTY),
    st.builds(Image, st.binary(), st.just("image/png")),
    st.builds(ToolCall, NASTY, NASTY, st.dictionaries(st.text(), JSON, max_size=2)),
    st.builds(ToolResult, NASTY, NASTY, NASTY, st.booleans()),
)
MESSAGES = st.builds(Message, st.just("assistant"), st.lists(PARTS, max_size=3).map(tuple))


@settings(max_examples=60)
@given(MESSAGES, MESSAGES, st.dictionaries(st.text(), JSON, max_size=2), NASTY.filter(bool))
def test_an_export_comes_back_as_it_was(question, answer, params, words):
    tree = one_turn(question, answer, params=params, system=words, why=words, cell=words, call=words, maker=words)
    tree = tree.branched("t0", "side")
    assert of_json(json.loads(to_json("chat", tree))) == ("chat", tree)
    assert to_json("chat", tree).isascii()


def broken(change):
    whole = json.loads(to_json("chat", one_turn(Message.user("How?"), Message.assistant("So."))))
    change(whole)
    return whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.update(version=2), "another version"),
        (lambda w: w.update(turns={}), "no turns"),
        (lambda w: w["turns"][0].update(parent="nope"), "follows one that is not there"),
        (lambda w: w["turns"].append(w["turns"][0]), "there twice"),
        (lambda w: w["turns"][0].update(more=1), "unknown field 'more'"),
        (lambda w: w["turns"][0].update(outcome="done"), "outcome is none of"),
        (lambda w: w["turns"][0].update(id="a\nb"), "id is not a word"),
        (lambda w: w["turns"][0].update(at="now"), "time is not a number"),
        (lambda w: w["turns"][0]["question"][0].update(role="boss"), "role is none of"),
        (lambda w: w["turns"][0]["answer"]["parts"][0].update(type="Movie"), "parts"),
        (lambda w: w.update(branch="side"), "a branch leads to a turn"),
        (lambda w: w["branches"].update(main="nope"), "a branch leads to a turn"),
        (lambda w: w.update(name=7), "it has no name"),
    ],
)
def test_an_export_that_was_changed_is_refused_with_the_place(change, says):
    with pytest.raises(ValueError, match=says):
        of_json(broken(change))


def imported(chat, name="chat_20240501_101500"):
    numbers = iter(range(1000))
    return tree_of(chat, name, lambda: f"t{next(numbers)}")


def spoken(tree):
    return [(message.role, message.text) for turn in tree.current for message in turn.messages]


PAIR = [("user", "How?"), ("assistant", "So.")]


@pytest.mark.parametrize(
    "chat",
    [
        [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}],
        {"messages": [{"role": "human", "content": "How?"}, {"role": "ai", "content": "So."}]},
        {"history": [{"sender": "User", "text": "How?"}, {"role": "model", "parts": [{"text": "So."}]}]},
        [{"role": "user", "content": [{"type": "text", "text": "How?"}]}, {"role": "assistant", "content": ["So."]}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}, {"role": "bot", "content": "So."}],
    ],
)  # fmt: skip
def test_chats_are_imported_as_they_were_saved(chat):
    assert spoken(imported(chat)) == PAIR


def test_a_chat_of_the_predecessor_keeps_its_models_its_time_and_its_system_prompt():
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How?", "provider": "anthropic", "model": "claude-3-5-sonnet-20240620"},
        {"role": "assistant", "content": "So.", "provider": "Anthropic", "model": "claude-3-5-sonnet-20240620"},
        {"role": "user", "content": "And?"},
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": "Thus.", "provider": "gemini", "model": "gemini-1.5-pro", "timestamp": "2024-05-01T10:20:00+00:00"},
        {"role": "user", "content": "Still there?"},
    ]  # fmt: skip
    tree = imported(chat)
    assert [turn.model for turn in tree.current] == ["anthropic/claude-3-5-sonnet-20240620", "gemini/gemini-1.5-pro"]
    assert {turn.system for turn in tree.current} == {"Be brief."}
    assert tree.current[0].at == 1714558500.0
    assert tree.current[1].prompt == "And?\n\nWell?"
    [left] = [turn for turn in tree.turns.values() if turn.outcome == "asked"]
    assert (left.prompt, left.parent) == ("Still there?", tree.head)


@pytest.mark.parametrize(
    ("chat", "says"),
    [
        ([], "no list of messages"),
        ({}, "no list of messages"),
        ("hello", "no list of messages"),
        (["hello"], "message 1 is not an object"),
        ([{"role": "user", "content": "a"}, {"role": "boss", "content": "b"}], "message 2 has the role 'boss'"),
        ([{"role": "user", "content": {"movie": 1}}], "message 1 holds something that is neither text nor an image"),
        ([{"role": "user", "content": 7}], "message 1 holds something"),
    ],
)
def test_what_is_no_chat_is_refused_with_the_message(chat, says):
    with pytest.raises(ValueError, match=says):
        imported(chat)


@given(JSON)
def test_any_json_is_a_chat_or_is_refused(chat):
    try:
        tree = imported(chat)
    except ValueError:
        return
    assert tree.turns
