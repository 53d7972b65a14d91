"""Where a cell shows its chain: one display that is redrawn in a notebook, one changing line in a terminal, or nothing; in the end the outputs and the summary."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, Final, Protocol

from IPython.core.displaypub import CapturingDisplayPublisher

from orchestrator_nb.calls import Event
from orchestrator_nb.chaining import ChainPlan
from orchestrator_nb.chains.walk import News
from orchestrator_nb.magics.screen import FIRST_S, Picture
from orchestrator_nb.magics.shell import Shell, display
from orchestrator_nb.results.chain_progress import ChainProgress
from orchestrator_nb.results.chain_sketch import sketch
from orchestrator_nb.results.chain_view import chain_view
from orchestrator_nb.runs import Call, Item, Run
from orchestrator_nb.sessions import Session

PERIOD_S: Final = 0.2
"""A table of steps is read, not watched as a text is: five pictures a second are enough, and leave the browser alone."""


class ChainScreen(Protocol):
    """What a chain's cell needs of a screen. The first two are called on the loop's thread, the others on the cell's."""

    def hear(self, number: int, news: Item | Event | Call, /) -> None:
        """Something happened to a call."""
        ...

    def tell(self, row: int, news: News, /) -> None:
        """Something happened to a step."""
        ...

    def draw(self, *, now: bool = False) -> None:
        """Show the state, if it is time to; ``now`` in any case."""
        ...

    def finish(self, run: Run, *, told: bool = False) -> None:
        """Show the final result; ``told`` as in `chain_view`."""
        ...


class Line(Protocol):
    """What of a cell's line matters to its screen."""

    @property
    def quiet(self) -> bool:
        """Whether nothing is shown."""
        ...


def screen_for(plan: ChainPlan, line: Line, session: Session, shell: Shell) -> ChainScreen:
    """The screen that fits this shell and these options."""
    if line.quiet:
        return Dark()
    progress = ChainProgress(plan.made.chain.name, sketch(plan.made), rows=len(plan.rows))
    if not hasattr(shell, "kernel"):
        return Terminal(progress) if sys.stdout.isatty() else Plain()
    if isinstance(shell.display_pub, CapturingDisplayPublisher):  # %%capture keeps every redrawing as an output
        return Still()
    return Live(progress, max(PERIOD_S, 1 / session.config.settings.display.rate_hz))


def show(run: Run, shell: Shell) -> None:
    """Show a chain's finished run once more."""
    (Still() if hasattr(shell, "kernel") else Plain()).finish(run)


class Dark:
    """Shows nothing (``--quiet``)."""

    def hear(self, number: int, news: Item | Event | Call) -> None:
        """Not shown."""

    def tell(self, row: int, news: News) -> None:
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


class Plain(Dark):
    """The final result as text."""

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result, once."""
        print(chain_view(run, told=told).text)  # noqa: T201  # a terminal's display


class _Heard:
    """Keeps what is heard, for the next drawing, which comes at a steady pace."""

    def __init__(self, progress: ChainProgress, period_s: float) -> None:
        self.hear, self.tell = progress.heard, progress.told
        self._progress, self._period_s = progress, period_s
        self._next = time.monotonic() + FIRST_S

    def draw(self, *, now: bool = False) -> None:
        """The state as it is now."""
        if (time_s := time.monotonic()) >= self._next or now:
            self._draw()
            self._next = time_s + self._period_s

    def _draw(self) -> None:
        raise NotImplementedError


class Live(_Heard):
    """One display, replaced by the result at the end."""

    _handle: Any = None

    def _draw(self) -> None:
        self._show(Picture(self._progress.html(), self._progress.text()))

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result in place of the progress."""
        self._show(_final(run, told))

    def _show(self, picture: Picture) -> None:
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


class Terminal(_Heard):
    """One line that changes, and goes when the result is there."""

    def __init__(self, progress: ChainProgress, period_s: float = PERIOD_S) -> None:
        super().__init__(progress, period_s)

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._write(self._progress.line()[: max(width, 10)])

    def finish(self, run: Run, *, told: bool = False) -> None:
        """The result where the line was."""
        self._write("")
        print(chain_view(run, told=told).text)  # noqa: T201  # a terminal's display

    def _write(self, line: str) -> None:
        sys.stdout.write(f"\r\x1b[2K{line}")
        sys.stdout.flush()


def _final(run: Run, told: bool) -> Picture:
    shown = chain_view(run, told=told)
    return Picture(shown.html, shown.text)
