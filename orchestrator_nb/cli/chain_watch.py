"""A chain under way in a terminal: lines on standard error for each step that has ended, and a question before steps run that a model proposes."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from orchestrator_nb.chaining import ChainPlan
from orchestrator_nb.job import Job
from orchestrator_nb.results.chain_consent import Consent
from orchestrator_nb.results.chain_lines import ChainLines
from orchestrator_nb.results.chain_progress import ChainProgress
from orchestrator_nb.results.chain_sketch import sketch
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session

TICK_S: Final = 0.1


class Watched:
    """A chain that is started and looked after. Where standard error is a file or a pipe, nothing is told on the way."""

    def __init__(self, session: Session, plan: ChainPlan, **how: Any) -> None:
        progress = ChainProgress(plan.made.chain.name, sketch(plan.made), rows=len(plan.rows))
        self._lines, self._tells = ChainLines(progress), sys.stderr.isatty()
        self._consent = Consent(lambda shown: _say(shown.text), _asked)
        self.job: Job = session.start_chain(
            plan, progress=progress.heard, tell=progress.told, approve=self._consent, **how
        )

    def result(self) -> Run:
        """The run, when it has ended. An interrupt stops it and goes on; `Job.run` has what was finished."""
        try:
            while not self.job.wait(TICK_S):
                self._look()
                self.job.attend(_nothing)
                self._consent.attend()
        except KeyboardInterrupt:
            self.job.stop()
            self.job.wait(1.0)
            raise
        self._look()
        return self.job.result()

    def _look(self) -> None:
        if self._tells:
            for line in self._lines.fresh():
                _say(line)


def _nothing() -> None:
    """There is nothing to draw."""


def _say(line: str) -> None:
    click.echo(line, err=True)


def _asked(words: str) -> str | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    click.echo(words, err=True, nl=False)
    return sys.stdin.readline()
