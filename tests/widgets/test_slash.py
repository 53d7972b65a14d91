"""What a chat takes for an order, and what for a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.errors import UserError
from orchestrator_nb.widgets.chat_head import Head
from orchestrator_nb.widgets.slash import WORDS, Order, read


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("/help", Order("help", "")),
        ("  /MODEL   sonnet ", Order("model", "sonnet")),
        ("/system Be brief.\nAlways.", Order("system", "Be brief.\nAlways.")),
        ("/persona", Order("persona", "")),
        ("/system", Order("system", "")),
        ("what is /help?", "what is /help?"),
        ("//etc/passwd holds what?", "/etc/passwd holds what?"),
    ],
)
def test_an_order_begins_with_one_slash(text, means):
    assert read(text) == means


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/modl x", "did you mean '/model'"),
        ("/", "/help lists"),
        ("/model", "/model NAME"),
        ("/clear all", "takes nothing"),
    ],
)
def test_what_is_no_order_is_refused_with_what_helps(text, says):
    with pytest.raises(UserError, match=says):
        read(text)


@given(st.text().filter(lambda text: not text.strip().startswith("/")))
def test_whatever_does_not_begin_with_a_slash_is_asked_as_it_is(text):
    assert read(text) == text.strip()


def test_each_order_is_one_that_the_chat_obeys():
    assert [word.name for word in WORDS if not hasattr(Head, f"_do_{word.name}")] == []
