"""A switch goes by a word: capitals, blanks and signs make no difference, and a model may talk around it."""

import pytest

from orchestrator_nb.chains.verdict import chosen, question

CASES = ["yes", "no", "not sure", "Order 66"]


@pytest.mark.parametrize(
    ("value", "case"),
    [
        ("yes", "yes"),
        (" Yes. ", "yes"),
        ("**NO**", "no"),
        ("not  sure!", "not sure"),
        ("order 66", "Order 66"),
        ("maybe", None),
        (None, None),
        ("", None),
        (["yes"], None),
    ],
)
def test_a_value_chooses_its_case(value, case):
    assert chosen(value, CASES) == case


def test_true_false_and_numbers_choose_by_their_words():
    assert chosen(True, ["true", "false"]) == "true"
    assert chosen(3, ["1", "3"]) == "3"


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ("The answer is: yes.", "yes"),
        ("yes or no", None),
        ("I know nothing", None),
        ("It is an Order 66!", "Order 66"),
        ("eyes", None),
    ],
)
def test_a_models_answer_with_exactly_one_case_in_it_chooses_that(answer, case):
    assert chosen(answer, CASES, asked=True) == case
    assert chosen("The answer is: yes.", CASES) is None


def test_the_model_is_told_what_it_may_answer():
    assert question("Is it?\n", ["yes", "no"]) == "Is it?\n\nAnswer with one word, one of: yes, no."
