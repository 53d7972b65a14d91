"""A chain while it runs, to be looked at: news in, picture out."""

from __future__ import annotations

from orchestrator_nb.results import chain_picture
from orchestrator_nb.results.chain_state import ChainState


class ChainProgress(ChainState):
    """Feed it with ``told(row, news)`` of the steps and ``heard(number, news)`` of the calls, on any thread; draw it with `html`, `text` or `line`."""

    def html(self) -> str:
        """The state as HTML of bounded size."""
        with self.lock:
            return chain_picture.html(self)

    def text(self) -> str:
        """The state as plain lines, without the answers' texts."""
        with self.lock:
            return chain_picture.text(self)

    def line(self) -> str:
        """The state in one line."""
        with self.lock:
            return chain_picture.line(self)
