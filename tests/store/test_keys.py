"""The key of a question: whatever changes what a vendor is sent changes it, and nothing else does; no secret is part of it."""

import json
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator_nb.calls import Params, Request, Tool
from orchestrator_nb.catalog import Limits, ModelSpec, Price, Vendor
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.records import canonical, digest, request_record

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
schemas = st.builds(
    lambda name, kind: {"type": "object", "properties": {name: {"type": kind}}},
    st.sampled_from("ab"),
    st.sampled_from(["integer", "string"]),
)
tools = st.builds(Tool, st.sampled_from(["look", "find"]), text, schemas)
VALUES = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(1, 9),
    "max_tokens": st.integers(1025, 9999),
    "stop": st.lists(text, max_size=2).map(tuple),
    "seed": st.integers(0, 9),
    "effort": st.sampled_from(["low", "high"]),
    "thinking": st.booleans() | st.just(1024),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "schema": schemas,
    "json": st.booleans(),
    "tools": st.lists(tools, max_size=2, unique_by=lambda tool: tool.name).map(tuple),
    "tool_choice": st.sampled_from(["auto", "any", "none", "look"]),
    "extra": st.dictionaries(st.sampled_from(["top_a", "user"]), st.integers(0, 3), max_size=2),
}
images = st.builds(Image, st.sampled_from([b"\x89PNG1", b"\x89PNG2"]), st.just("image/png"))
talks = st.one_of(
    st.builds(lambda parts: (Message("user", tuple(parts)),), st.lists(st.builds(Text, text) | images, min_size=1, max_size=3)),
    st.builds(
        lambda asked, thought, said, told, more: (
            Message.user(asked),
            Message("assistant", (Thinking(thought, "c2VhbA=="), Text(said), ToolCall("call_1", "look", {"at": told}))),
            Message("tool", (ToolResult("call_1", "look", told),)),
            Message.user(more),
        ),
        *[text] * 5,
    ),
)  # fmt: skip


@st.composite
def pairs(draw):
    """Two questions to a model of one kind that differ in a field or a few."""
    kind = draw(st.sampled_from(sorted(PROVIDERS)))
    vendor = Vendor("lab", kind, "https://lab.example/v1")
    ids, systems = st.sampled_from(["one", "two"]), st.none() | text

    def change(request):
        names = draw(st.sets(st.sampled_from([*VALUES, "messages", "system", "model"]), max_size=3))
        given = {name: draw(VALUES[name]) for name in names if name in VALUES}
        others = {"messages": talks, "system": systems, "model": ids.map(lambda id_: ModelSpec(vendor, id_))}
        rest = {name: draw(others[name]) for name in names if name in others}
        return replace(request, params=replace(request.params, **given), **rest)

    first = change(Request(ModelSpec(vendor, "one"), draw(talks), stream=draw(st.booleans())))
    return first, change(first)


def wire(request):
    """What goes out, but for what tells how the answer shall travel."""
    sent = PROVIDERS[request.model.vendor.kind].encode(replace(request, stream=False))
    return sent.path, sent.headers, sent.body


def test_every_parameter_is_tried():
    assert VALUES.keys() == {field.name for field in fields(Params)}


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_two_questions_with_one_key_are_sent_in_the_same_bytes(pair):
    first, second = pair
    try:
        one, other = wire(first), wire(second)
    except OrchestratorError:
        assume(False)
    if one != other:
        assert first.key != second.key
    if first.key == second.key:
        assert digest(canonical(request_record(first))) == second.key


ONE = Request(ModelSpec(Vendor("lab", "openai-compatible", "https://lab.example/v1"), "one"), (Message.user("How?"),))


@pytest.mark.parametrize(
    ("left_out", "change"),
    [
        ("messages", {"messages": (Message.user("Why?"),)}),
        ("model", {"model": replace(ONE.model, id="two")}),
        ("params", {"params": Params(seed=1)}),
        ("system", {"system": "Be brief."}),
    ],
)
def test_a_key_that_leaves_a_field_out_would_be_found_out(left_out, change):
    """The control: such a key is the same for questions that are sent in other bytes."""
    one, other = (request_record(request) for request in (ONE, replace(ONE, **change)))
    assert {**one, left_out: None} == {**other, left_out: None}
    assert wire(ONE) != wire(replace(ONE, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"stream": False},
        {"tags": {"cell": "1"}},
        {"resume": "token"},
        {"model": replace(ONE.model, aliases=("uno",), price=Price(Decimal(1), Decimal(2)), context=10)},
        {"model": replace(ONE.model, vendor=replace(ONE.model.vendor, name="mine", key_name="A_KEY", limits=Limits(60)))},
        {"model": replace(ONE.model, vendor=replace(ONE.model.vendor, base_url="http://127.0.0.1:9", own_url="https://lab.example/v1", simulated=True))},
    ],
    ids=["stream", "tags", "resume", "prices", "names", "simulator"],
)  # fmt: skip
def test_what_changes_no_answer_changes_no_key(change):
    assert replace(ONE, **change).key == ONE.key


@pytest.mark.parametrize(
    "change",
    [
        {"sample": 1},
        {"model": replace(ONE.model, vendor=replace(ONE.model.vendor, base_url="https://lab.example/v2"))},
        {"model": replace(ONE.model, vendor=replace(ONE.model.vendor, kind="openai"))},
        {"model": replace(ONE.model, id="two")},
        {"system": ""},
    ],
    ids=["sample", "address", "dialect", "model", "system"],
)
def test_a_repeat_and_another_address_are_another_question(change):
    assert replace(ONE, **change).key != ONE.key


def test_the_fields_of_a_key_and_their_version_are_these():
    """Whoever changes this list changes every key: tapes of readers no longer answer. Then the version goes up."""
    assert sorted(json.loads(ONE.canonical)) == [
        "kind",
        "messages",
        "model",
        "origin",
        "params",
        "sample",
        "system",
        "v",
    ]
    assert ONE.key == "6a7beb57421fbc482ba0640f36fe209b9109dd872269c90a3f406baf7c5a69c3"
