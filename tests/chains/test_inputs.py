"""What a chain is given is checked against what it declares, all at once."""

import pytest

from orchestrator_nb.chains import bind, load
from orchestrator_nb.errors import ChainError

CHAIN = load(
    """
inputs:
  topic: text
  words: {type: integer, default: 200}
  tone: {choices: [plain, warm], default: plain}
  docs: {type: list, default: null}
  anything: {type: any, default: null}
steps: [{prompt: "{{ topic }}"}]
""",
    file="c.yaml",
)


def test_defaults_fill_what_is_not_given():
    assert bind(CHAIN, {"topic": "t"}) == {"topic": "t", "words": 200, "tone": "plain", "docs": None, "anything": None}


def test_everything_that_does_not_fit_is_told_at_once_with_its_line():
    with pytest.raises(ChainError) as failure:
        bind(CHAIN, {"words": 2.5, "tone": "cold", "docs": "d", "topik": 1, "anything": object()})
    messages = [str(problem) for problem in failure.value.problems]
    assert [message.split(":")[1] for message in messages] == ["2", "3", "4", "5", "6", "7"]
    for part in (
        "did you mean 'topic'?",
        "'topic' is missing",
        "a whole number, not a number",
        "one of 'plain', 'warm', not 'cold'",
        "a list, not a text",
        "any JSON value",
    ):
        assert any(part in message for message in messages), part


@pytest.mark.parametrize("value", [True, "5", None, [5]])
def test_a_number_is_no_truth_and_no_text(value):
    with pytest.raises(ChainError):
        bind(CHAIN, {"topic": "t", "words": value})
