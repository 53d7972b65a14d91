"""The chat, as far as it is Python: what it asks, what it keeps, what it tells the browser, and that nothing the user typed is lost."""

import json
import threading
from dataclasses import replace

import pytest

from orchestrator_nb.conversations import Turn
from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Image, Message
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets.chat import Chat
from orchestrator_nb.widgets.chat_told import PAGE
from orchestrator_nb.widgets.nodes import nodes_of

KEY = "sk-ant-api03-" + "a1B2" * 24
MANY = 500


@pytest.fixture
def session(tmp_path):
    with Session.open(home=tmp_path / "home", cwd=tmp_path, environ={}) as opened:
        opened.simulate(True)
        opened.simulator._world.lively = False
        yield opened


@pytest.fixture
def chat(session):
    made = opened(session)
    yield made
    made.close()


def opened(session, name="metals", model="sonnet"):
    made = Chat(name, model, session=session)
    made.sent = []
    made.send = lambda message, buffers=None: made.sent.append(json.loads(json.dumps(message)))  # the wire
    return made


def hear(chat, **message):
    """What the browser hears when it says this and the answer, if one comes, is there."""
    chat.sent.clear()
    chat._handle_custom_msg(message, [])
    assert chat.wait(20)
    return chat.sent


def said(chat, text):
    return [told["text"] for told in hear(chat, kind="send", text=text, n=1) if told["kind"] == "said"][-1]


def path(chat):
    return [turn.prompt for turn in chat.conversation.tree.current]


def kinds(told):
    return [one["kind"] for one in told]


def test_a_question_is_taken_asked_and_answered_in_the_conversation_that_cells_see(chat, session):
    told = hear(chat, kind="send", text="Name a metal.", n=7)
    assert kinds(told)[:2] == ["path", "asking"]
    assert {"kind": "taken", "n": 7} in told
    arrived = "".join(one["text"] for one in told if one["kind"] == "answer")
    (turn,) = session.conversation("metals").tree.current
    assert turn.answer.text.startswith(arrived.strip()[:20])
    shown = [one for one in told if one["kind"] == "path"][-1]["turns"][0]
    assert (shown["question"], shown["model"], shown["outcome"]) == (
        "Name a metal.",
        "anthropic/claude-sonnet-5-5",
        "answered",
    )
    assert shown["facts"]["source"] == "simulated"
    assert shown["facts"]["usd"] > 0


def test_braces_mean_themselves(chat):
    hear(chat, kind="send", text="What is {{ x }} and {% y %} in Jinja?", n=1)
    assert path(chat) == ["What is {{ x }} and {% y %} in Jinja?"]


def test_an_edited_question_is_a_branch_and_the_way_back_stays(chat):
    for text in ("one", "two", "three"):
        hear(chat, kind="send", text=text, n=1)
    second = chat.conversation.tree.current[1].id
    told = hear(chat, kind="edit", turn=second, text="zwei", n=1)
    assert path(chat) == ["one", "zwei"]
    last = [one for one in told if one["kind"] == "path"][-1]
    assert (last["from"], last["turns"][-1]["beside"][0]) == (1, second)
    hear(chat, kind="go", turn=second)
    assert path(chat) == ["one", "two", "three"]


def test_asking_again_asks_the_model_anew_at_the_same_place(chat, session):
    hear(chat, kind="send", text="one", n=1)
    first = chat.conversation.tree.current[0]
    hear(chat, kind="again", turn=first.id)
    assert path(chat) == ["one"]
    assert len(session.simulator.requests) == 2, "and not the store's"


def test_a_stopped_answer_keeps_what_came_and_can_be_asked_again(chat, session):
    session.simulator._world.pace = 0.05
    here = threading.Event()
    send = chat.send

    def hearing(message, buffers=None):
        send(message)
        if message["kind"] == "answer" and message["text"]:
            here.set()

    chat.send = hearing
    chat._handle_custom_msg({"kind": "send", "text": "Tell me a very long story of two hundred words.", "n": 1}, [])
    assert here.wait(20)
    chat._handle_custom_msg({"kind": "stop"}, [])
    assert chat.wait(20)
    shown = [one for one in chat.sent if one["kind"] == "path"][-1]["turns"][-1]
    assert (shown["outcome"], path(chat)) == ("cut", [])
    assert shown["text"]


def test_a_failed_question_stays_in_the_pane_with_the_reason(chat, session):
    session.simulator.fail("400", times=1)
    told = hear(chat, kind="send", text="one", n=1)
    shown = [one for one in told if one["kind"] == "path"][-1]["turns"][-1]
    assert (shown["question"], shown["outcome"]) == ("one", "failed")
    assert [one["problem"] for one in told if one["kind"] == "said"] == [True]
    hear(chat, kind="again", turn=shown["id"])
    assert path(chat) == ["one"]


def test_where_the_key_is_missing_the_question_comes_back(tmp_path):
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as session:
        chat = opened(session)
        told = hear(chat, kind="send", text="one", n=1)
        problems = [one["text"] for one in told if one["kind"] == "said" and one["problem"]]
        assert "ANTHROPIC_API_KEY" in problems[-1]
        assert path(chat) == []
        chat.close()


def test_a_key_is_not_sent_and_not_said_again(chat):
    told = hear(chat, kind="send", text=f"is {KEY} valid?", n=1)
    assert [one for one in told if "n" in one] == [{"kind": "refused", "n": 1}]
    assert KEY not in json.dumps(told)
    assert "nothing was sent" in told[-1]["text"]
    assert hear(chat, kind="send", text=f"/system {KEY}", n=1)[-1]["problem"]
    assert path(chat) == []


def test_while_an_answer_arrives_no_second_question_is_taken(chat, session):
    session.simulator._world.pace = 0.05
    chat._handle_custom_msg({"kind": "send", "text": "a long story of two hundred words", "n": 1}, [])
    chat._handle_custom_msg({"kind": "send", "text": "two", "n": 2}, [])
    assert {"kind": "refused", "n": 2} in chat.sent
    assert any("stop it" in one.get("text", "") for one in chat.sent)
    chat._handle_custom_msg({"kind": "stop"}, [])
    assert chat.wait(20)


def test_the_model_the_provider_and_the_persona_change_midway(chat):
    hear(chat, kind="send", text="one", n=1)
    assert "haiku" in said(chat, "/model haiku")
    assert "researcher" in said(chat, "/persona researcher")
    assert said(chat, "/system Be brief.") == "That is the system prompt from now on, in the place of researcher's."
    assert "researcher" in said(chat, "/persona researcher")
    hear(chat, kind="send", text="two", n=1)
    assert said(chat, "/provider gemini").startswith("gemini/")
    assert said(chat, "/persona") == "Nobody in particular answers from now on."
    hear(chat, kind="send", text="three", n=1)
    first, second, third = chat.conversation.tree.current
    assert [turn.model.split("/")[0] for turn in (first, second, third)] == ["anthropic", "anthropic", "gemini"]
    assert "careful researcher" in second.system
    assert not third.system


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/model nothing", "nothing"),
        ("/provider gemni", "did you mean 'gemini'"),
        ("/persona researchr", "researcher"),
        ("/load nowhere", "there is no conversation 'nowhere'"),
        ("/export notes", "FILE.md"),
        ("/export notes.txt", "neither markdown nor json"),
        ("/save other", "nothing was said"),
        ("  ", "write a question"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_not_taken(chat, text, says):
    told = hear(chat, kind="send", text=text, n=1)
    assert {"kind": "refused", "n": 1} in told
    assert says in told[-1]["text"]
    assert told[-1]["problem"]


def test_a_path_is_saved_loaded_cleared_and_exported(chat, session, tmp_path):
    hear(chat, kind="send", text="one", n=1)
    assert "kept" in said(chat, "/save other").lower()
    said(chat, "/clear")
    assert path(chat) == []
    assert len(chat.conversation.tree.turns) == 1, "what was said stays"
    said(chat, "/load other")
    assert (chat.name, path(chat)) == ("other", ["one"])
    said(chat, "/export talk.md")
    assert "one" in (tmp_path / "talk.md").read_text()
    (tmp_path / "mine.md").write_text("mine")
    assert "is there already" in said(chat, "/export mine.md")


def test_cells_of_a_path_ask_the_same_again(chat, session):
    hear(chat, kind="send", text="What is {{ x }}?", n=1)
    (told,) = hear(chat, kind="cells")
    (cell,) = told["cells"]
    line, body = cell.split("\n", 1)
    assert line == "%%llm anthropic/claude-sonnet-5-5 -c metals-cells"
    assert session.plan(body, ["sonnet"]).items[0].request.prompt == "What is {{ x }}?"


def test_a_second_view_is_told_all_also_in_the_middle_of_an_answer(chat, session):
    hear(chat, kind="send", text="one", n=1)
    session.simulator._world.pace = 0.05
    chat._handle_custom_msg({"kind": "send", "text": "a long story of two hundred words", "n": 2}, [])
    chat.sent.clear()
    chat._handle_custom_msg({"kind": "ready"}, [])
    told = chat.sent[:5]
    chat._handle_custom_msg({"kind": "stop"}, [])
    assert chat.wait(20)
    assert kinds(told) == ["offers", "head", "path", "asking", "answer"]
    assert [turn["question"] for turn in told[2]["turns"]] == ["one"]
    assert told[4]["anew"]


def test_of_a_long_conversation_the_end_is_told_and_the_rest_when_it_is_wanted(chat):
    turns, parent = {}, None
    for number in range(MANY):
        name = f"t{number:04}"
        answer = Message("assistant", Message.user(f"answer {number}").parts)
        turns[name] = Turn(name, parent, (Message.user(f"question {number}"),), answer, "answered")
        parent = name
    chat.conversation._tree = replace(chat.conversation._tree, turns=turns, heads={"main": parent})
    shown = [one for one in hear(chat, kind="ready") if one["kind"] == "path"][-1]
    assert (shown["from"], shown["total"], len(shown["turns"])) == (MANY - PAGE, MANY, PAGE)
    (earlier,) = hear(chat, kind="earlier", before=MANY - PAGE)
    assert (earlier["from"], earlier["turns"][0]["question"]) == (MANY - 2 * PAGE, f"question {MANY - 2 * PAGE}")
    told = hear(chat, kind="send", text="and now?", n=1)
    assert sum(len(one["turns"]) for one in told if one["kind"] == "path") == 1


def test_nothing_that_was_said_is_in_a_synchronised_state(chat):
    hear(chat, kind="send", text="a very private question", n=1)
    assert "private" not in json.dumps(chat.get_state(), default=str)


def test_the_static_form_holds_the_end_of_what_was_said(chat):
    hear(chat, kind="send", text="<b>one</b>", n=1)
    still = chat.still()
    assert "You: <b>one</b>" in still.text
    assert "&lt;b&gt;one" in still.html


def test_an_unknown_model_is_refused_at_once(session):
    with pytest.raises(UserError, match="nothing"):
        Chat("metals", "nothing", session=session)


def test_markdown_becomes_elements_of_the_list_and_html_stays_text():
    assert nodes_of("# *a*\n\n- `b`") == [
        ["h1", {}, [["em", {}, ["a"]]]],
        "\n",
        ["ul", {}, ["\n", ["li", {}, [["code", {}, ["b"]]]], "\n"]],
        "\n",
    ]
    flat = json.dumps(nodes_of("<script>x</script> [y](javascript:z) ![i](http://e.com/i.png)"))
    assert '"script"' not in flat
    assert '"img"' not in flat
    assert '"javascript' not in flat


def test_an_answer_of_any_depth_can_be_shown():
    deep = nodes_of("*" * 1200 + "x" + "*" * 1200)
    assert "x" in json.dumps(deep)


def test_what_is_asked_again_goes_to_the_same_model_with_the_same_system_prompt(chat, session):
    said(chat, "/persona poet")
    hear(chat, kind="send", text="one", n=1)
    asked = chat.conversation.tree.current[0]
    other = opened(session, model=None)
    hear(other, kind="again", turn=asked.id)
    hear(other, kind="edit", turn=asked.id, text="eins", n=1)
    assert {(turn.model, turn.system) for turn in other.conversation.tree.turns.values()} == {
        (asked.model, asked.system)
    }
    other.close()


def test_a_question_with_files_is_not_asked_again_without_them(chat):
    question = Message("user", (*Message.user("look").parts, Image(b"x", "image/png")))
    turn = Turn("t1", None, (question,), Message("assistant", Message.user("a cat").parts), "answered")
    chat.conversation._tree = chat.conversation._tree.with_turn(turn)
    for message in ({"kind": "again", "turn": "t1"}, {"kind": "edit", "turn": "t1", "text": "see", "n": 1}):
        assert "more than text" in hear(chat, **message)[-1]["text"]
    assert list(chat.conversation._tree.turns) == ["t1"]


def test_where_a_tape_answers_nothing_is_asked_live(chat, session, tmp_path):
    session.source("record", tmp_path / "talk.jsonl")
    hear(chat, kind="send", text="one", n=1)
    session.source("replay", tmp_path / "talk.jsonl")
    asked = len(session.simulator.requests)
    hear(chat, kind="again", turn=chat.conversation.tree.current[0].id)
    assert len(session.simulator.requests) == asked


def test_another_conversation_is_told_from_its_beginning_and_replaces_what_is_shown(chat, session):
    hear(chat, kind="send", text="one", n=1)
    said(chat, "/save other")
    hear(chat, kind="send", text="two", n=1)
    told = [one for one in hear(chat, kind="send", text="/load other", n=1) if one["kind"] == "path"][-1]
    assert (told["anew"], told["from"]) == (True, 0)


def test_a_bug_on_the_way_leaves_the_chat_usable(chat, session, monkeypatch):
    def broken(*_, **__):
        raise OSError("no more files")

    monkeypatch.setattr(session, "start", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # it is still told where bugs are told
    told = hear(chat, kind="send", text="one", n=1)
    assert [one["back"] for one in told if one["kind"] == "ended"] == ["one"]
    monkeypatch.undo()
    hear(chat, kind="send", text="one", n=2)
    assert path(chat) == ["one"]


def test_long_branches_are_gone_to_and_a_home_that_is_not_there_is_said(chat):
    turns, parent = {}, None
    for number in range(1_500):
        name = f"t{number:04}"
        turns[name] = Turn(
            name, parent, (Message.user("q"),), Message("assistant", Message.user("a").parts), "answered"
        )
        parent = name
    chat.conversation._tree = replace(chat.conversation._tree, turns=turns, heads={"main": "t0000"})
    hear(chat, kind="go", turn="t0001")
    assert chat.conversation._tree.head == "t1499"
    assert "is not there" in said(chat, "/export ~nobody-here/x.md")


def arrives(chat, what):
    """The browser is told so when everybody has been told who watches."""
    for thread in threading.enumerate():
        if thread.name == "orchestrator-nb watchers":
            thread.join(20)
    assert any(what(one) for one in chat.sent)


def test_what_is_said_in_a_cell_or_in_another_pane_is_shown_at_once(chat, session):
    other = opened(session)
    try:
        hear(other, kind="ready")
        hear(chat, kind="ready")
        hear(chat, kind="send", text="one", n=1)
        arrives(other, lambda told: told["kind"] == "path" and [turn["question"] for turn in told["turns"]] == ["one"])
        told = next(one for one in other.sent if one["kind"] == "path" and one["turns"])
        assert told["turns"][0]["facts"]["source"] == "simulated", "what is known of it, too"
        session.conversation("metals").ask("two")
        for pane in (chat, other):
            arrives(
                pane, lambda told: told["kind"] == "path" and [turn["question"] for turn in told["turns"]] == ["two"]
            )
        other.sent.clear()
        hear(chat, kind="send", text="/clear", n=2)
        arrives(other, lambda told: told["kind"] == "path" and told["total"] == 0)
    finally:
        other.close()


def test_a_look_tells_only_what_is_new(chat):
    hear(chat, kind="send", text="one", n=1)
    hear(chat, kind="ready")
    assert hear(chat, kind="look") == []


def test_a_pane_that_is_no_more_is_not_told(session):
    talk = session.conversation("metals")
    chat = opened(session)
    chat.close()
    talk.ask("one", "sonnet")
    chat.look()
    assert chat.sent == []


def test_a_chat_of_another_day_shows_what_its_answers_took(session):
    session.conversation("metals").ask("one", "sonnet")
    with Session.open(home=session.config.paths.data.parent, cwd=session.config.cwd, environ={}) as later:
        chat = opened(later, model=None)
        (turn,) = [one for one in hear(chat, kind="ready") if one["kind"] == "path"][-1]["turns"]
        chat.close()
    assert turn["facts"]["source"] == "simulated"
    assert turn["facts"]["seconds"] >= 0
