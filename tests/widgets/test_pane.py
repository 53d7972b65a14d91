"""What every widget promises of its wire: a refusal and a mistake of ours are told where they were asked for, and to nobody else."""

import pytest

from orchestrator_nb.errors import UserError
from orchestrator_nb.widgets.pane import Pane


class Bell(Pane):
    instead = "The bell needs a front end with widgets."

    def __init__(self):
        self.sent = []
        super().__init__()

    def send(self, message, buffers=None):
        self.sent.append(message)

    def _act(self, message, _buffers):
        match message["kind"]:
            case "ring":
                self._say("ding")
            case "refuse":
                raise UserError("the bell is\x1b[31m broken.")
            case "stumble":
                raise KeyError("not for other people's eyes")


@pytest.fixture
def bell():
    made = Bell()
    yield made
    made.close()


def test_an_answer_goes_to_the_view_that_asked_and_to_all_where_none_did(bell):
    bell._handle_custom_msg({"kind": "ring", "view": "left"}, [])
    bell._handle_custom_msg({"kind": "ring"}, [])
    said = {"kind": "said", "text": "ding", "problem": False}
    assert bell.sent == [{**said, "view": "left"}, said]


def test_a_refusal_is_one_sentence_in_which_control_signs_are_shown(bell):
    bell._handle_custom_msg({"kind": "refuse", "view": "left"}, [])
    assert bell.sent == [{"kind": "said", "text": "the bell is\\x1b[31m broken.", "problem": True, "view": "left"}]


def test_a_mistake_of_ours_is_said_too_without_what_it_holds_and_the_log_has_it(bell):
    with pytest.raises(KeyError):
        bell._hear(bell, {"kind": "stumble"}, [])
    assert "KeyError" in bell.sent[-1]["text"]
    assert "other people" not in bell.sent[-1]["text"]
    bell._handle_custom_msg({"kind": "ring"}, [])
    assert bell.sent[-1]["text"] == "ding", "it goes on"


def test_a_closed_widget_tells_nobody(bell):
    bell.close()
    bell._say("ding")
    assert bell.sent == []


def test_where_no_widget_is_drawn_its_words_stand(bell):
    data, _ = bell._repr_mimebundle_()
    assert data["text/plain"] == Bell.instead
