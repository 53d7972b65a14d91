"""Where a cell shows its run: one display that is redrawn in a notebook, plain lines in a terminal, or nothing at all.

`hear` is called on the loop's thread and only records; `draw` and `finish` are called on the cell's own thread, so that the output lands in its cell.
Every screen ends with the static result, which is what the saved notebook holds.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orchestrator_nb.calls import Delta, Event
from orchestrator_nb.magics.shell import Shell, display
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.results.view import view
from orchestrator_nb.runs import Call, Run

FIRST_S: Final = 0.15
"""An answer that is there sooner is shown at once in its final form, without a flicker."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Something to display: safe HTML, and the same as text."""

    html: str
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


class Screen(Protocol):
    """What a cell needs of a screen."""

    @property
    def stopped(self) -> bool:
        """Whether the user stopped the run on this screen."""
        ...

    def begun(self, stop: Callable[[], object], /) -> None:
        """The run is under way, and can be stopped."""
        ...

    def hear(self, index: int, news: Event | Call, /) -> None:
        """Something happened to an item; called on the loop's thread."""
        ...

    def draw(self, *, now: bool = False) -> None:
        """Show the state, if it is time to; ``now`` in any case."""
        ...

    def finish(self, run: Run, *, told: bool = False) -> None:
        """Show the final result; ``told`` as in `view`."""
        ...


def show(run: Run, shell: Shell) -> None:
    """Show a finished run once more."""
    (Still() if hasattr(shell, "kernel") else Terminal(streams=False)).finish(run)


class Dark:
    """Shows nothing (``--quiet``), and takes no orders."""

    stopped = False

    def begun(self, stop: Callable[[], object]) -> None:
        """Nobody can stop it here."""

    def hear(self, index: int, news: Event | Call) -> None:
        """Not shown."""

    def draw(self, *, now: bool = False) -> None:
        """Not shown."""

    def finish(self, run: Run, *, told: bool = False) -> None:
        """Not shown."""


class Still(Dark):
    """Shows only the final result."""

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result, once."""
        display(_final(run, told))


class Live(Dark):
    """One display, redrawn every ``period_s`` seconds while something changes, and replaced by the result at the end."""

    def __init__(self, progress: Progress, period_s: float) -> None:
        self._progress, self._period_s = progress, period_s
        self._next = time.monotonic() + FIRST_S
        self._handle: Any = None

    def hear(self, index: int, news: Event | Call) -> None:
        """Recorded for the next drawing."""
        self._progress.feed(index, news)

    def draw(self, *, now: bool = False) -> None:
        """The state as it is now."""
        if (time_s := time.monotonic()) >= self._next or now:
            self._next = time_s + self._period_s
            self._show(Picture(self._progress.html(), self._progress.text()))

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result in place of the progress."""
        self._show(_final(run, told))

    def _show(self, picture: Picture) -> None:
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


class Terminal(Dark):
    """Lines of text: one answer as it arrives, several when they are all there."""

    def __init__(self, *, streams: bool) -> None:
        self._streams, self._printed = streams, False
        self._pieces: deque[str] = deque()

    def hear(self, _index: int, news: Event | Call) -> None:
        """A piece of the one answer, for the next drawing."""
        if self._streams and isinstance(news, Delta):
            self._pieces.append(news.text)

    def draw(self, *, now: bool = False) -> None:  # noqa: ARG002  # here every time is
        """What has arrived since."""
        while self._pieces:
            self._printed = True
            sys.stdout.write(plain(self._pieces.popleft()))
        sys.stdout.flush()

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The rest, and the summary."""
        self.draw()
        result = view(run, told=told)
        print(f"\n\n{result.summary}" if self._printed else result.text)  # noqa: T201  # a terminal's display


def _final(run: Run, told: bool) -> Picture:
    result = view(run, told=told)
    return Picture(result.html, result.text)
