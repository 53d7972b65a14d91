"""What hides a value shows its repr and nothing else, even in the frame of an interrupted constructor."""

import copy
import pickle

import pytest

from orchestrator_nb.secret import Hidden, Opaque, Secret, Veiled

MADE = [Secret("lab", "sk-canary", frozenset()), Hidden("sk-canary"), Veiled({"LAB_KEY": "sk-canary"})]


@pytest.mark.parametrize("kind", Opaque.__subclasses__())
def test_one_that_was_interrupted_while_it_was_made_can_still_be_shown(kind):
    assert repr(kind.__new__(kind)) in {f"<{kind.__name__.lower()}, not made>", "<hidden>"}


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_none_shows_its_value(made):
    assert "canary" not in f"{made!r} {made} {made:>40} {dir(made)}"


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_none_can_be_pickled_and_a_copy_is_the_same_one(made):
    assert copy.copy(made) is made
    assert copy.deepcopy([made])[0] is made
    with pytest.raises(TypeError, match="cannot be pickled") as refused:
        pickle.dumps(made)
    assert "canary" not in str(refused.value)


def test_every_one_is_looked_at():
    assert {type(made) for made in MADE} == set(Opaque.__subclasses__())
