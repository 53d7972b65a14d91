"""How many tokens a question is: a question and its record have one size, and a model's own way to count is learned from earlier calls."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Params, Request, Response, Tool, Usage
from orchestrator_nb.canonical import canonical
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.estimates.reckon import Asked, answering_names, shared
from orchestrator_nb.estimates.sizes import AN_IMAGE, Size, learned, size_of, size_of_record
from orchestrator_nb.messages import Image, Message, Text, ToolCall, ToolResult
from orchestrator_nb.records import request_record
from orchestrator_nb.store.lookback import Used

MODEL = ModelSpec(Vendor("lab", "openai", "https://lab.example"), "one")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
parts = st.one_of(
    texts.map(Text),
    st.just(Image(b"\x89PNG", "image/png")),
    st.builds(ToolCall, st.just("id"), texts, st.dictionaries(texts, texts, max_size=3)),
    st.builds(ToolResult, st.just("id"), texts, texts),
)
messages = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), st.lists(parts, max_size=3).map(tuple)), max_size=3
).map(tuple)
params = st.sampled_from(
    [Params(), Params(schema={"type": "object", "title": "ä"}), Params(tools=(Tool("f", "does", {"a": [1]}),))]
)


@given(messages, st.none() | texts, params)
def test_a_question_and_its_record_have_one_size(messages, system, params):
    request = Request(MODEL, messages, system, params)
    assert size_of(request) == size_of_record(json.loads(canonical(request_record(request))))


def earlier(count, turn=0.0, lengths=(40, 400, 900, 1600)):
    """Calls of a model that takes ``count`` bytes for a token."""

    def call(size):
        request = Request(MODEL, (Message.user("a" * size),))
        return Used(
            "lab/one",
            "1",
            None,
            {},
            request_record(request),
            Response("one", usage=Usage(round(size / count + turn), 5)),
        )

    return [call(size) for size in lengths]


@given(st.floats(2.0, 8.0), st.floats(0, 60), st.integers(100, 5_000))
def test_how_a_model_counts_is_learned_from_its_calls(count, turn, size):
    counting = learned("openai", earlier(count, turn))
    truth = size / count + turn
    tokens = counting(Size(ascii=size))
    assert tokens.low - 1 <= truth <= tokens.high + 1
    assert tokens.high <= 1.45 * tokens.low + 4
    assert counting.calls == 4


def test_without_calls_to_go_by_the_range_is_what_is_usual():
    for few in ([], earlier(4)[:2]):
        counting = learned("anthropic", few)
        assert counting.calls == 0
        low, likely, high = counting(Size(ascii=3_500))
        assert likely == 1_008
        assert low < 800
        assert high > 1_300


def test_calls_whose_question_was_not_kept_or_holds_pictures_are_left_out():
    unkept = [Used("lab/one", "1", None, {}, None, call.answer) for call in earlier(4)]
    pictured = Request(MODEL, (Message.user("a", Image(b"x", "image/png")),))
    seen = [Used("lab/one", "1", None, {}, request_record(pictured), Response("one", usage=Usage(900, 1)))] * 5
    silent = [Used("lab/one", "1", None, {}, call.asked, Response("one")) for call in earlier(4)]
    assert learned("openai", [*unkept, *seen, *silent]).calls == 0


def test_pictures_are_counted_apart():
    low, likely, high = learned("openai", [])(Size(ascii=10, images=2))
    assert low >= 2 * AN_IMAGE.low
    assert likely >= 2 * AN_IMAGE.likely
    assert high >= 2 * AN_IMAGE.high


@given(st.integers(0, 10**7), st.lists(st.integers(0, 1_000), min_size=1, max_size=20))
def test_a_part_that_was_looked_at_grows_to_the_whole(total, weights):
    parts = shared(total, weights)
    assert sum(parts) == (total if sum(weights) else 0)
    assert all(
        abs(part - total * weight / sum(weights)) <= 1
        for part, weight in zip(parts, weights, strict=True)
        if sum(weights)
    )


def test_grown_keeps_kinds_and_sizes_in_proportion():
    grown = Asked(MODEL, Params(), new=6, cached=4, prompts={1}, sizes=Counter({Size(1): 3, Size(9): 3})).grown(1_000)
    assert (grown.new, grown.cached) == (600, 400)
    assert grown.sizes == {Size(1): 300, Size(9): 300}


@pytest.mark.parametrize(
    ("id_", "answered", "names"),
    [
        ("large-latest", [], ("large-latest", "large-2512", "large-4-0")),
        ("large-latest", ["large-4-0", "large-4-0"], ("large-4-0",)),
        ("large-2512", [], ("large-2512",)),
        ("small", [], ("small",)),
    ],
)
def test_a_moving_name_is_priced_as_what_it_may_stand_for(id_, answered, names):
    assert (
        answering_names(id_, answered, ["large-2512", "large-4-0", "large-turbo", "larger-1", "small-1", "large-"])
        == names
    )
