"""`similarity` is the number that the page defines, and takes time that grows with the text alone."""

import time
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.chains import similarity


def by_the_page(a, b):
    """The definition, word by word."""

    def bag(text):
        text = f" {' '.join(text.casefold().split())} "
        return Counter(text[place : place + 3] for place in range(len(text) - 2))

    first, second = bag(a), bag(b)
    total = sum(first.values()) + sum(second.values())
    return 2 * sum(min(first[part], second[part]) for part in first) / total if total else 1.0


@given(st.text(max_size=30), st.text(max_size=30))
def test_it_is_what_the_page_says(a, b):
    assert abs(similarity(a, b) - by_the_page(a, b)) < 1e-12


@given(st.text(max_size=30), st.text(max_size=30))
def test_it_lies_between_0_and_1_and_has_no_direction(a, b):
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, b) == similarity(b, a)
    assert similarity(a, a) == 1


def test_small_changes_are_near_1_and_other_texts_near_0():
    text = "The committee met on Monday and agreed on the budget for the coming year, after a long debate about the costs of the new building."
    assert similarity(text, text.replace("Monday", "Tuesday")) > 0.9
    assert similarity(text, "Trees grow slowly in cold soil.") < 0.2
    assert similarity("abc", "xyz") == 0


def test_its_time_grows_with_the_text_and_not_with_its_square():
    def seconds(size):
        a, b = "abcdefgh " * size, "abdcefgh " * size
        began = time.process_time()
        similarity(a, b)
        return time.process_time() - began

    seconds(1000)
    assert seconds(40_000) < 60 * max(seconds(4_000), 0.002)  # the square would be 100 times


def test_of_a_huge_text_both_ends_count():
    big = "word " * 400_000
    assert similarity(big, big[:-5] + "else ") < 1
    assert similarity(big, big) == 1
