"""How long answers will be: by what is known, never above their limit, and narrower the more is known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Params, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.estimates.lengths import is_telling, length, shape_of
from orchestrator_nb.store.lookback import Template, Used

PLAIN = ModelSpec(Vendor("lab", "openai", "https://lab.example"), "one", features=frozenset({"text"}))
THINKER = replace(PLAIN, thinking="effort", features=frozenset({"text", "thinking"}))
ASKED = Template("Describe {{ x }}.", None)


def earlier(*outputs, template=ASKED, params=None, finish="stop", run="1", reasoning=None):
    return [
        Used("lab/one", run, template, params or {}, None, Response("one", finish=finish, usage=Usage(10, out, reasoning=reasoning)))
        for out in outputs
    ]  # fmt: skip


def width(found):
    return found.tokens[2] / found.tokens[0]


outputs = st.lists(st.integers(0, 5_000), max_size=20)


@given(
    outputs,
    st.sampled_from([None, 1, 50, 3_000]),
    st.sampled_from(["Why?", "{{ x }}", "Say {{ x }} in two words."]),
    st.booleans(),
    st.integers(1, 500),
)
def test_the_range_is_in_order_and_below_the_limit(outputs, limit, prompt, thinks, prompts):
    model, params = THINKER if thinks else PLAIN, Params(max_tokens=limit)
    for template in (ASKED, Template(prompt, None)):
        low, likely, high = length(
            model, params, Template(prompt, None), prompts, earlier(*outputs, template=template)
        ).tokens
        assert 0 < low <= likely <= high
        assert limit is None or high <= limit


def test_answers_to_the_same_template_count_first_then_the_models_others():
    history = [
        *earlier(100, 110, 90),
        *earlier(1_000, 1_100, template=Template("Write a book on {{ x }}.", None), run="2"),
    ]
    alike = length(PLAIN, Params(), ASKED, 20, history)
    assert "of this template" in alike.why
    assert 60 < alike.tokens[0] < 100 < alike.tokens[2] < 160
    other = length(PLAIN, Params(), Template("Draw {{ x }}.", None), 20, history)
    assert "other prompts" in other.why
    assert other.tokens[0] < 330 < other.tokens[2]
    assert width(other) > width(alike)


def test_what_is_known_of_many_answers_is_narrower_than_of_one():
    assert width(length(PLAIN, Params(), ASKED, 50, earlier(*range(90, 111)))) < width(
        length(PLAIN, Params(), ASKED, 50, earlier(100))
    )
    assert width(length(PLAIN, Params(), ASKED, 50, earlier(100))) < width(length(PLAIN, Params(), ASKED, 50, []))


@pytest.mark.parametrize(
    "params", [Params(effort="high"), Params(thinking=True), Params(json=True), Params(schema={"type": "object"})]
)
def test_answers_of_another_form_or_effort_tell_nothing(params):
    assert "no earlier run" in length(PLAIN, params, ASKED, 5, earlier(100, 100)).why
    assert shape_of({"temperature": 1, "max_tokens": 3, "json": False}) == shape_of({})


def test_without_history_a_model_that_may_think_is_wide_and_one_that_will_not_is_not():
    def high(model, **params):
        return length(model, Params(**params), ASKED, 5, []).tokens[2]

    assert high(PLAIN) < high(THINKER) < high(THINKER, effort="high")
    assert high(THINKER, effort="none") == high(THINKER, thinking=False) == high(PLAIN)
    always = replace(THINKER, refuses=frozenset({"thinking_off"}))
    assert high(always, thinking=False) == high(always) > high(THINKER)
    assert high(THINKER, thinking=8_000) > 8_000


def test_the_prompt_and_the_schema_may_say_how_long_an_answer_is():
    def likely(prompt, **params):
        return length(PLAIN, Params(**params), Template(prompt, None), 5, []).tokens[1]

    assert likely("Is {{ x }} good? Answer yes or no.") < 10
    assert likely("{{ x }}: what is it in one word?") < 10
    assert 30 < likely("Describe {{ x }} in two sentences.") < 100
    assert likely("Write 400 words on {{ x }}.") == 600
    assert likely("Give 12 reasons for {{ x }}.") > 200
    fields = {name: {"type": "string"} for name in "abc"}
    assert likely("{{ x }}", schema={"type": "object", "properties": fields}) == 45
    nested = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": "object", "properties": fields}}},
    }
    assert likely("{{ x }}", schema=nested) == 135
    assert likely("In {{ words }} words, please.") == likely("Anything at all?")


def test_a_wish_in_the_prompt_says_more_than_answers_to_other_prompts():
    history = earlier(2, 2, 2, template=Template("Yes or no: {{ x }}?", None))
    wished = length(PLAIN, Params(), Template("Give five reasons for {{ x }}.", None), 5, history)
    assert wished.tokens[0] <= 140 <= wished.tokens[2]
    thinking = earlier(802, 802, template=Template("Yes or no: {{ x }}?", None), reasoning=800)
    assert length(THINKER, Params(), Template("Give five reasons for {{ x }}.", None), 5, thinking).tokens[1] == 940


def test_answers_that_were_cut_off_may_go_on_when_the_limit_is_higher():
    cut = earlier(100, 100, 100, params={"max_tokens": 100}, finish="length")
    assert length(PLAIN, Params(max_tokens=100), ASKED, 9, cut).tokens[2] == 100
    assert length(PLAIN, Params(max_tokens=1_000), ASKED, 9, cut).tokens[2] > 350


@pytest.mark.parametrize(
    ("prompt", "telling"),
    [("{{ prompt }}", False), (" {{ a }}\n{{ b }} ", False), ("Say {{ a }}", True), ("Hello", True)],
)
def test_a_template_of_variables_alone_tells_nothing(prompt, telling):
    template = Template(prompt, None)
    assert is_telling(template) is telling
    assert ("of this template" in length(PLAIN, Params(), template, 3, earlier(5, 6, template=template)).why) is telling
