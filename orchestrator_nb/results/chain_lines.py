"""A chain's progress as lines that stay, for a terminal that is also a log: one for each step that has ended, and now and then how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator_nb.results import chain_picture
from orchestrator_nb.results.chain_progress import ChainProgress

EVERY_S: Final = 10.0
"""After so long without a line there is one that says how it stands."""


class ChainLines:
    """``fresh`` gives what there is to say since the last time; ask it a few times a second."""

    def __init__(self, progress: ChainProgress, *, every_s: float = EVERY_S) -> None:
        self._progress, self._every_s = progress, every_s
        self._told, self._last = 0, progress.now()

    def fresh(self) -> Iterator[str]:
        """New lines, safe for a terminal."""
        with self._progress.lock:
            ended = self._progress.ended[self._told :]
            lines = [chain_picture.told(step, self._progress) for step in ended]
        self._told += len(ended)
        if not lines and self._progress.now() - self._last >= self._every_s:
            lines = [self._progress.line()]
        if lines:
            self._last = self._progress.now()
        yield from lines
