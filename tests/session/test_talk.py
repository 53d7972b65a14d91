"""A conversation in Python: what follows what, what stands in the tree when something goes wrong, and who remembers it."""

import asyncio
import json
import threading

import pytest

from orchestrator_nb import UserError
from orchestrator_nb.errors import OrchestratorError, StoreError

SAID = "Name a metal."


def begun(session, name="metals"):
    talk = session.conversation(name)
    talk.ask(SAID, "lab/one", system="Be brief.", temperature=0)
    return talk


def outcomes(talk):
    return [turn.outcome for turn in talk.tree.turns.values()]


def prompts(talk):
    return [turn.prompt for turn in talk.tree.current]


def test_each_question_follows_what_was_said_before(opened):
    session = opened()
    talk = begun(session)
    reply = talk.ask("And another?")
    request = reply.call.item.request
    assert [message.text for message in request.messages] == [SAID, f"answer 1 to {SAID}", "And another?"]
    assert (request.system, request.model.ref, request.params.given) == ("Be brief.", "lab/one", {})
    assert talk.ask("Why?", "lab/two", system="Be long.").call.item.request.system == "Be long."
    assert [turn.model for turn in talk.tree.current] == ["lab/one", "lab/one", "lab/two"]
    assert [message.role for message in talk.messages] == ["user", "assistant"] * 3
    assert session.conversation(" metals ") is talk


def test_an_inherited_system_prompt_is_no_template(opened):
    talk = opened().conversation("braces")
    talk.ask("How?", "lab/one", system="{{ word }}", namespace={"word": "Say {{ nothing }}."})
    assert talk.ask("And?").call.item.request.system == "Say {{ nothing }}."


def test_all_four_ways_of_asking_do_the_same(opened):
    talk = begun(opened())
    whole = "".join(talk.stream("And?"))
    later = asyncio.run(talk.aask("Then?")).text

    async def pieces():
        return "".join([piece async for piece in talk.astream("Last?")])

    last = asyncio.run(pieces())
    assert [message.text for message in talk.messages][1::2] == [f"answer 1 to {SAID}", whole, later, last]


def test_another_session_goes_on_where_the_first_stopped(opened):
    talk = begun(opened())
    talk.ask("And another?")
    talk.branch(talk.tree.current[0].id, "side")
    again = opened().conversation("metals")
    assert again.tree == talk.tree
    assert again.tree.branch == "side"
    again.ask("Or?")
    assert prompts(again) == [SAID, "Or?"]
    again.switch("main")
    assert prompts(again) == [SAID, "And another?"]
    assert opened().talks.names() == ["metals"]


def test_two_kernels_lose_no_turn_and_each_goes_on_with_its_own(opened):
    one, other = begun(opened()), opened().conversation("metals")
    assert prompts(other) == [SAID]
    for talk, words in ((one, "one"), (other, "other"), (one, "one again"), (other, "other again")):
        talk.ask(words)
    assert prompts(one) == [SAID, "one", "one again"]
    assert prompts(other) == [SAID, "other", "other again"]
    third = opened().conversation("metals").tree
    assert third.turns == one.tree.turns == other.tree.turns
    assert len(third.turns) == 5


def test_many_threads_on_one_conversation_lose_no_turn(opened):
    talk = begun(opened())
    threads = [threading.Thread(target=talk.ask, args=(f"question {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(talk) == ["answered"] * 9
    assert opened().conversation("metals").tree.turns == talk.tree.turns


def test_a_failed_turn_stands_beside_the_path(opened, lab):
    talk = begun(opened())
    lab.broken.add("Say no.")
    with pytest.raises(OrchestratorError):
        talk.ask("Say no.")
    assert outcomes(talk) == ["answered", "failed"]
    assert [message.text for message in talk.ask("And?").call.item.request.messages][::2] == [SAID, "And?"]
    failed = next(turn for turn in talk.tree.turns.values() if turn.outcome == "failed")
    assert "lab/one" in failed.why
    with pytest.raises(UserError, match="has no answer that could be followed"):
        talk.switch(failed.id)


@pytest.mark.parametrize(("words", "outcome"), [("long story", "answered"), ("bad story", "failed")])
def test_a_long_answer_goes_on_and_a_refused_one_does_not(opened, words, outcome):
    talk = begun(opened())
    talk.ask(words)
    assert outcomes(talk) == ["answered", outcome]
    assert prompts(talk) == [SAID, words] if outcome == "answered" else [SAID]


def test_an_answer_that_is_left_early_is_kept_and_can_be_followed(opened):
    session = opened()
    session.simulate(True)
    world = session.simulator._world
    world.lively, world.pace = False, 0.05
    talk = session.conversation("early")
    talk.ask("How?", "deepseek", thinking=False)
    stream = talk.stream("Tell me a long story about rain.")
    first = next(stream)
    stream.close()
    [_, cut] = talk.tree.turns.values()
    assert (cut.outcome, prompts(talk)) == ("cut", ["How?"])
    assert cut.answer.text.startswith(first)
    talk.switch(cut.id)
    sent = talk.ask("Go on.").call.item.request.messages
    assert [message.role for message in sent] == ["user", "assistant"] * 2 + ["user"]
    assert sent[3].text == cut.answer.text


def test_what_is_drawn_does_not_steer_the_terminal(opened):
    talk = opened().conversation("steer")
    talk.ask("Clear \x1b[2J and \u202eturn", "lab/one")
    assert "Clear" in str(talk)
    assert not {"\x1b", "\u202e"} & set(f"{talk}{talk!r}{talk.export()}")


def test_a_key_in_a_prompt_reaches_neither_the_store_nor_a_file(opened, home):
    key = "sk-ant-0123456789abcdefghij"
    talk = opened(ANTHROPIC_API_KEY=key).conversation("leak")
    talk.ask(f"Is {key} a key?", "lab/one", system=f"Never say {key}.")
    talk.ask("And?")
    assert key in talk.messages[0].text, "what is sent is what was said"
    assert key not in talk.export("leak.json") + talk.export("leak.md")
    again = opened(ANTHROPIC_API_KEY=key).conversation("leak")
    assert [message.text for message in again.messages][::2] == ["Is [key] a key?", "And?"]
    files = [file for file in home.rglob("*") if file.is_file()]
    assert len(files) > 4
    assert not any(key.encode() in file.read_bytes() for file in files)


def test_what_the_user_should_know_of_what_is_sent_is_said(opened, home):
    session = opened()
    session.simulate(True)
    session.simulator._world.lively = False
    session.conversation("played").ask("How?", "deepseek", thinking=False)
    session.simulate(False)
    played = session.conversation("played").ask("And?", "lab/one").run.notices
    assert "1 of the answers that lab/one is shown as its own are the simulator's." in played
    chat = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So.", "model": "elsewhere/one"}]
    (home / "chat.json").write_text(json.dumps(chat))
    with pytest.raises(UserError, match="no model is named"):
        session.talks.import_file("chat.json").ask("And?")


def test_a_turn_without_an_answer_is_resumed_into_its_place(opened, lab):
    session = opened()
    talk = begun(session)
    lab.broken.add("Say no.")
    with pytest.raises(OrchestratorError):
        talk.ask("Say no.")
    lab.broken.clear()
    session.resume(errors=True)
    assert (outcomes(talk), prompts(talk)) == (["answered", "failed", "answered"], [SAID, "Say no."])
    assert opened().conversation("metals").tree == talk.tree


def test_a_run_that_cannot_begin_leaves_no_turn(opened):
    talk = begun(opened())
    for wrong in ({"source": "replay nowhere.jsonl"}, {"temperature": "hot"}, {"repeat": 2}):
        with pytest.raises((UserError, StoreError)):
            talk.ask("How?", **wrong)
    with pytest.raises(UserError, match="a conversation goes on with one answer"):
        talk.next_of("How?", ["lab/*"])
    assert outcomes(talk) == ["answered"]


def test_the_same_question_from_the_store_is_the_same_turn(opened, lab):
    session = opened()
    talk = begun(session)
    for cell in ("a", "b", "a", "b"):
        session.run(talk.next(f"cell {cell}", cell=cell))
    assert len(lab.asked) == 3
    assert prompts(talk) == [SAID, "cell a", "cell b"]
    assert len(talk.tree.turns) == 3
    session.run(talk.next("cell a", cell="a", source="live"))
    assert [len(talk.tree.turns), prompts(talk)] == [4, [SAID, "cell a"]]


def test_a_recorded_conversation_is_replayed_where_nobody_knows_it(opened, lab, home):
    def speak(session, source, name):
        talk = session.conversation(name)
        return [talk.ask(words, "lab/one", source=source).text for words in ("How?", "And?", "Why?")]

    told = speak(opened(), "record talk.jsonl", "first")
    lab.close()
    assert speak(opened(), "replay talk.jsonl", "second") == told
    only = opened(ORCHESTRATOR_NB_SOURCE="replay-only talk.jsonl")
    assert speak(only, None, "first") == told, "what this reader said before does not count"
    assert len(opened().conversation("first").tree.turns) == 3


@pytest.mark.parametrize("setting", ["enabled: false", "keep_prompts: digest"])
def test_where_nothing_may_be_kept_it_lives_as_long_as_the_session_and_says_so_once(opened, lab, home, setting):
    lab.settings(home, f"store: {{{setting}}}\n")
    talk = opened().conversation("secret")
    first = talk.ask(SAID, "lab/one", system="Classified.").run.notices
    assert sum("'secret' ends with this session" in notice for notice in first) == 1
    assert setting.split(":")[0] in " ".join(first)
    assert not any("ends with this session" in notice for notice in talk.ask("And?").run.notices)
    assert prompts(talk) == [SAID, "And?"]
    assert opened().conversation("secret").tree.turns == {}
    assert not any(b"Classified." in file.read_bytes() for file in (home / "data").glob("*") if file.is_file())


def test_a_store_that_cannot_be_used_keeps_it_in_memory(opened, home):
    (home / "data").mkdir()
    (home / "data" / "store.db").write_bytes(b"something else, for certain" * 100)
    talk = begun(opened())
    assert prompts(talk) == [SAID]
    assert talk.ask("And?").call.item.request.messages[0].text == SAID


def test_an_export_is_imported_under_another_name_and_goes_on(opened, home):
    session = opened()
    talk = begun(session)
    talk.branch(None, "side")
    talk.export("talk.json")
    talk.export(home / "talk.md")
    with pytest.raises(UserError, match="there is a conversation 'metals' already"):
        session.talks.import_file("talk.json")
    copy = session.talks.import_file("talk.json", "copy")
    assert copy.tree == talk.tree == opened().conversation("copy").tree
    copy.switch("main")
    assert copy.ask("And?").call.item.request.messages[0].text == SAID
    assert (home / "talk.md").read_text().startswith("# metals")
    assert json.loads(talk.export("json"))["name"] == "metals"
    talk.export("talk.json")
    for name in ("mine.md", "mine.json"):
        (home / name).write_text("# metals\n\nMine.")
        with pytest.raises(UserError, match="is no export of the conversation 'metals'; name another file"):
            talk.export(name)
        assert (home / name).read_text() == "# metals\n\nMine."
    with pytest.raises(UserError, match="neither markdown nor json"):
        talk.export("talk.pdf")
    with pytest.raises(UserError, match="cannot be written"):
        talk.export("nowhere/talk.md")


def test_a_chat_of_the_predecessor_is_imported_and_goes_on(opened, home):
    chat = [
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "So.", "provider": "lab", "model": "two"},
    ]
    (home / "chat_20240501_101500.json").write_text(json.dumps(chat))
    talk = opened().talks.import_file("chat_20240501_101500.json")
    request = talk.ask("And?").call.item.request
    assert (talk.name, request.model.ref) == ("chat_20240501_101500", "lab/two")
    assert [message.text for message in request.messages] == ["How?", "So.", "And?"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[" * 100_000, "it nests too deeply|it is no JSON"),
        (b'[{"role": "boss"}]', "message 1 has the role 'boss'"),
        (b'{"format": "orchestrator-nb conversation", "version": 1}', "it has no turns"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused_with_a_sentence(opened, home, data, says):
    if data is not None:
        (home / "x.json").write_bytes(data)
    with pytest.raises(UserError, match=says):
        opened().talks.import_file("x.json")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\nb", "x" * 101, "\x1b[2J"])
def test_a_name_is_a_name(opened, name):
    with pytest.raises(UserError, match="is no name for a conversation"):
        opened().conversation(name)
