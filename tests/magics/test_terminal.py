"""A frame in a terminal shows no control sequence, and looks otherwise as pandas shows it."""

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from orchestrator_nb.magics.extension import load, unload

HOSTILE = "\x1b]0;gone\x07\x1b[2J\u202ecnoc"


@pytest.fixture
def shell():
    made = InteractiveShell()
    load(made)
    yield made
    unload(made)


def shown(shell, value):
    return shell.display_formatter.format(value)[0]["text/plain"]


def test_frames_and_columns_show_no_control_sequence(shell):
    frame = pd.DataFrame({"text": [HOSTILE], HOSTILE: [1]})
    for value in (frame, frame["text"]):
        text = shown(shell, value)
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        assert "cnoc" in text


def test_a_harmless_frame_looks_as_ever(shell):
    frame = pd.DataFrame({"n": [1, 2], "text": ["a", "b"]})
    assert shown(shell, frame) == repr(frame)


def test_unloading_takes_it_back(shell):
    frame = pd.DataFrame({"text": [HOSTILE]})
    shown(shell, frame)
    unload(shell)
    assert "\x1b" in shown(shell, frame)
