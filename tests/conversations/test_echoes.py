"""What goes back over the wire with the next turn: what each vendor demands of its own, and nothing that another vendor made."""

import json
from dataclasses import replace

import pytest

from orchestrator_nb import Session, UserError
from orchestrator_nb.calls import Tool
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.conversations import Turn
from orchestrator_nb.echoes import BLIND, echoed, maker_of
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult

WEATHER = Tool("get_weather", "weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}})
MODELS = ("sonnet", "flash", "gpt", "deepseek", "mistral")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with Session.open(cwd=home, environ={"ORCHESTRATOR_NB_HOME": str(home)}) as opened:
        opened.simulate(True)
        opened.simulator._world.lively = False  # at once
        yield opened


def body(session):
    """What was sent last, as text and as JSON."""
    last = session.simulator.requests[-1].body
    return json.dumps(last), last


def with_a_tool(session, name, model):
    """A conversation whose model called a tool and was told the result; the body that told it."""
    talk = session.conversation(name)
    called = talk.ask("What is the weather in Oslo?", model, tools=[WEATHER])
    [call] = called.call.answer.tool_calls
    talk.ask("", tools=[WEATHER], results=[ToolResult(call.id, call.name, "4 degrees")])
    return talk, call, body(session)


def test_anthropic_gets_its_thoughts_with_their_seal_and_the_tools_ids(session):
    _, call, (_, sent) = with_a_tool(session, "a", "sonnet")
    blocks = [block for message in sent["messages"] for block in message["content"]]
    assert [block["type"] for block in blocks][-2:] == ["tool_use", "tool_result"]
    assert [block["id"] for block in blocks if block["type"] == "tool_use"] == [call.id]
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == [call.id]
    assert all(block["signature"] for block in blocks if block["type"] == "thinking")


def test_gemini_gets_the_seal_on_the_part_that_it_came_with(session):
    _, call, (_, sent) = with_a_tool(session, "g", "flash")
    parts = [part for content in sent["contents"] for part in content["parts"]]
    [called] = [part for part in parts if "functionCall" in part]
    assert called["thoughtSignature"]
    assert called["functionCall"]["id"] == call.id
    assert [part["functionResponse"]["id"] for part in parts if "functionResponse" in part] == [call.id]


def test_responses_gets_its_reasoning_item_before_the_call(session):
    _, call, (_, sent) = with_a_tool(session, "o", "gpt")
    kinds = [item.get("type", item.get("role")) for item in sent["input"]]
    assert kinds == ["user", "reasoning", "function_call", "function_call_output"]
    assert sent["input"][1]["encrypted_content"]
    assert sent["input"][3]["call_id"] == call.id


def test_deepseek_gets_the_thoughts_of_a_turn_with_tools(session):
    _, call, (_, sent) = with_a_tool(session, "d", "deepseek")
    [assistant] = [message for message in sent["messages"] if message["role"] == "assistant"]
    assert assistant["reasoning_content"]
    assert [message["tool_call_id"] for message in sent["messages"] if message["role"] == "tool"] == [call.id]


@pytest.mark.parametrize("first", MODELS)
def test_another_vendor_gets_the_words_and_nothing_that_only_the_first_understands(session, first):
    talk, call, _ = with_a_tool(session, f"from {first}", first)
    text = talk.tree.current[-1].answer.text
    for other in MODELS:
        talk.ask("And in Rome?", other)
        sent, _ = body(session)
        assert json.dumps(text)[1:-1] in sent
        assert "4 degrees" in sent
        if other != first:
            assert call.id not in sent
            assert not any(seal in sent for seal in ("U2ltdWxhdGVk", "c2ltdWxhdGVk")), "a seal went to another vendor"
        talk.switch(talk.tree.current[1].id)


def turn(model, *parts, question=None, **more):
    said = {"model": model.ref, "maker": maker_of(model), "outcome": "answered", **more}
    return Turn("t", None, (question or Message.user("How?"),), Message("assistant", parts), **said)


ONE = ModelSpec(Vendor("lab", "anthropic", "https://lab.example"), "one", features=frozenset({"text"}))
SEALED = (Thinking("hm", "seal"), Text("So."))


def test_thoughts_stay_where_what_stands_before_them_changed():
    assert echoed([turn(ONE, *SEALED)], ONE, None)[0][1].parts == SEALED
    for other, system in (
        (ONE, "Be brief."),
        (replace(ONE, id="two"), None),
        (replace(ONE, vendor=replace(ONE.vendor, base_url="https://elsewhere.example")), None),
        (replace(ONE, vendor=replace(ONE.vendor, simulated=True)), None),
    ):
        assert echoed([turn(ONE, *SEALED)], other, system)[0][1].parts == (Text("So."),)


def test_thoughts_of_a_call_stay_with_it_under_another_system_prompt():
    parts = (Thinking("hm", "seal"), ToolCall("c", "look", {}))
    assert echoed([turn(ONE, *parts)], ONE, "Be brief.")[0][1].parts == parts


def test_of_an_answer_that_was_cut_off_only_the_text_goes_on():
    cut = turn(ONE, Thinking("hm", "half a se"), Text("So it"), ToolCall("c", "look", {}), outcome="cut")
    assert echoed([cut], ONE, None)[0][1].parts == (Text("So it"),)


def test_a_model_that_cannot_see_gets_no_images_of_earlier_turns_and_the_user_is_told():
    shown = turn(ONE, Text("A cat."), question=Message.user("What is it?", Image(b"x", "image/png")))
    messages, notices = echoed([shown], ONE, None)
    assert Text(BLIND) in messages[0].parts
    assert "lab/one cannot see images" in notices[0]
    seeing = replace(ONE, features=frozenset({"text", "vision"}))
    assert echoed([shown], seeing, None) == (shown.messages, ())


def test_a_call_that_nobody_answered_is_asked_for(session):
    talk = session.conversation("waiting")
    talk.ask("What is the weather in Oslo?", "sonnet", tools=[WEATHER])
    with pytest.raises(UserError, match="waits for what get_weather returns: give results="):
        talk.ask("Well?")
    with pytest.raises(UserError, match="nobody called a tool with the id 'x'"):
        session.conversation("new").ask("", "sonnet", results=[ToolResult("x", "look", "4")])
