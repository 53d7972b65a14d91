"""Where answers come from, as a value: what the setting ``source``, ``%llm source``, ``--source`` and `Session.source` say.

``auto`` and ``live`` ask; ``record PATH`` asks and writes the answers to a tape; ``replay PATH`` answers from the tape alone. ``replay-only`` is for whoever runs a
notebook that somebody else wrote: whatever its cells say, nothing is asked, and a tape that a cell would record to is replayed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

Mode = Literal["auto", "live", "record", "replay", "replay-only"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
FOR_CELLS: Final[tuple[Mode, ...]] = MODES[:-1]
NAME_A_TAPE: Final = "name a tape, a file beside the notebook: %llm record study.jsonl, then %llm replay study.jsonl."


@dataclass(frozen=True, slots=True)
class AnswersFrom:
    """A mode, and the tape as the user wrote it."""

    mode: Mode = "auto"
    tape: str | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads ``replay study.jsonl`` or ``replay=study.jsonl``. Raises `ValueError` with a sentence."""
        word, rest = _WORDS.fullmatch(text.strip()).groups()  # type: ignore[union-attr]  # it matches any text
        mode, tape = _MODE_OF.get(word), rest or None
        if mode is None:
            raise ValueError(f"{word!r} is no source; write auto, live, record PATH or replay PATH.")
        if tape and mode in {"auto", "live"}:
            raise ValueError(f"{mode} takes no file; write record {tape} or replay {tape}.")
        if tape and "\0" in tape:
            raise ValueError("a file's name holds no NUL.")
        return cls(mode, tape)

    def __str__(self) -> str:
        return f"{self.mode} {self.tape}" if self.tape else self.mode


_WORDS: Final = re.compile(r"([^\s=]*)(?:\s*=\s*|\s*)(.*)", re.DOTALL)
_MODE_OF: Final[Mapping[str, Mode]] = {mode: mode for mode in MODES}


def decided(cell: AnswersFrom | None, notebook: AnswersFrom | None, setting: AnswersFrom) -> AnswersFrom:
    """What holds for a cell: its own word, else the notebook's, else the setting's; the tape is the first that one of them names.

    Only ``replay-only`` in the setting stands above them. Raises `ValueError` when a tape is needed and nobody names one.
    """
    wishes = [wish for wish in (cell, notebook, setting) if wish]
    mode = wishes[0].mode
    if setting.mode == "replay-only":
        mode, wishes = "replay", [setting, *wishes]
    if mode in {"auto", "live"}:
        return AnswersFrom(mode)
    tape = next((wish.tape for wish in wishes if wish.tape), None)
    if tape is None:
        raise ValueError(NAME_A_TAPE)
    return AnswersFrom("replay" if mode == "replay-only" else mode, tape)
