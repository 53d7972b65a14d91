"""A question's key proves its record, an answer comes back as it was, and nothing else is taken for a record."""

import copy
import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Cost, Params, Request, Response, Tool, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall, ToolResult
from orchestrator_nb.records import REPLACED, canonical, digest, request_record, response_of, response_record

MODEL = ModelSpec(Vendor("lab", "openai", "http://127.0.0.1:1/v1"), "one")
any_text = st.text(st.characters(codec=None, categories=None), max_size=12)  # lone surrogates and NUL too
text = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(text, values, max_size=3)


def parts(said):
    return st.one_of(
        st.builds(Text, said),
        st.builds(Image, st.binary(max_size=9), st.just("image/png")),
        st.builds(Thinking, said, st.none() | said),
        st.builds(ToolCall, said, said, objects),
        st.builds(ToolResult, said, said, said, st.booleans()),
    )


money = st.decimals(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(0)
responses = st.builds(
    Response,
    model=text,
    parts=st.lists(parts(text), max_size=4).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", "pause", "error"]),
    finish_raw=st.none() | text,
    usage=st.builds(Usage, counts, counts, counts, counts, counts),
    raw_id=st.none() | text,
    complete=st.booleans(),
    cost_reported=st.none() | money,
    cost=st.builds(Cost, st.none() | money, text),
    source=st.sampled_from(["live", "cache", "replay", "simulated"]),
    resume=st.none() | text,
    parsed=values,
    notices=st.lists(text, max_size=3).map(tuple),
)
params = st.builds(
    Params,
    temperature=st.none() | st.floats(0, 2),
    stop=st.lists(text, max_size=2).map(tuple),
    thinking=st.none() | st.booleans() | st.integers(1),
    schema=st.none() | objects,
    tools=st.lists(st.builds(Tool, text, text, objects), max_size=2).map(tuple),
    extra=objects,
)
messages = st.builds(Message, st.sampled_from(["user", "assistant", "system", "tool"]), st.lists(parts(any_text)).map(tuple))  # fmt: skip
requests = st.builds(
    Request,
    model=st.just(MODEL),
    messages=st.lists(messages, max_size=3).map(tuple),
    system=st.none() | any_text,
    params=params,
    sample=st.integers(0, 9),
)


@given(requests)
def test_the_record_of_a_question_has_its_key_also_after_it_was_kept_as_text(request):
    written = canonical(request_record(request))
    assert written.isascii()
    assert digest(written) == request.key == digest(canonical(json.loads(written)))


def test_the_record_of_a_question_names_exactly_what_the_key_hashes():
    record = request_record(Request(MODEL, (Message.user("hi"),), stream=False, tags={"a": "b"}))
    assert sorted(record) == ["kind", "messages", "model", "origin", "params", "sample", "system", "v"]


@given(responses)
def test_an_answer_comes_back_as_it_was(response):
    written = canonical(response_record(response))
    read = response_of(json.loads(written))
    assert read == response
    assert canonical(response_record(read)) == written  # 1, 1.0 and True are equal in Python, and not the same here


@given(any_text, any_text)
def test_what_no_file_can_hold_is_replaced_and_said_once(said, name):
    response = Response("m", (Text(said), ToolCall("1", "f", {name: [said]})), parsed={name: said})
    record = response_record(response)
    canonical(record).encode()
    read = response_of(record)
    if any("\ud800" <= sign <= "\udfff" for sign in said + name):
        assert read.notices == (REPLACED,)
        assert "\ufffd" in read.text + "".join(read.parsed)
        assert len(read.text) == len(said)
        assert response_record(read) == record
    else:
        assert read == response


def test_nul_is_kept():
    assert response_of(response_record(Response("m", (Text("a\0b"),)))).text == "a\0b"


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}, {1: "a"}, {"a": {1, 2}}, b"bytes"])
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises(ValueError, match="cannot be kept"):
        response_record(Response("m", parsed=value))


@pytest.mark.parametrize("usd", [Decimal("NaN"), Decimal("Infinity")])
def test_money_that_is_no_number_is_refused(usd):
    with pytest.raises(ValueError, match="cannot be kept"):
        response_record(Response("m", cost_reported=usd))


def test_an_answer_that_nests_too_deeply_is_refused_in_a_sentence():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        response_record(Response("m", parsed=deep))
    with pytest.raises(ValueError, match="too deeply"):
        canonical(deep)


WHOLE = response_record(
    Response(
        "m",
        (Text("a"), Image(b"x", "image/png"), Thinking("b"), ToolCall("1", "f", {}), ToolResult("1", "f", "c")),
        usage=Usage(1, 2),
        cost=Cost(Decimal("0.1"), "user"),
        cost_reported=Decimal("0.1"),
        finish="length",
        notices=("n",),
    )
)


def places(value, path=()):
    """Every place in a record."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*path, name))


def with_value(record, path, value):
    changed = copy.deepcopy(record)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def test_a_value_of_a_wrong_type_is_refused_in_a_sentence():
    right = {(("notices",), "['a']"), (("parts", 3, "arguments"), "{'a': 1}"), (("parts", 4, "is_error"), "True")}
    for path in filter(None, places(WHOLE)):
        for value in (object, -1.5, True, ["a"], {"a": 1}):
            if (path, str(value)) not in right:
                with pytest.raises(ValueError, match=r"^(the answer|this answer)"):
                    response_of(with_value(WHOLE, path, value))


def test_a_field_more_is_refused():
    for path in places(WHOLE):
        inner = WHOLE
        for name in path:
            inner = inner[name]
        if isinstance(inner, dict) and path != ("parts", 3, "arguments"):
            with pytest.raises(ValueError, match="answer"):
                response_of(with_value(WHOLE, (*path, "more"), 1))


def test_an_unknown_field_is_named_and_another_version_is_said_to_be_one():
    with pytest.raises(ValueError, match="unknown field 'mood'"):
        response_of({**WHOLE, "mood": 1})
    with pytest.raises(ValueError, match="another version"):
        response_of({**WHOLE, "v": 2})
    with pytest.raises(ValueError, match="another version"):
        response_of({"model": "m"})
    with pytest.raises(ValueError, match="no model"):
        response_of({"v": 1})


def test_a_record_leaves_out_what_is_as_usual_and_what_that_is_never_changes():
    assert response_record(Response("m")) == {"v": 1, "model": "m"}
    assert response_of({"v": 1, "model": "m"}) == Response(
        "m", (), "stop", None, Usage(), None, True, None, Cost(), "live"
    )
