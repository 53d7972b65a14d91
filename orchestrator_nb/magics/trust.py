"""``%llm trust``: what the project's files would change, and whether they may. Works where no session can be opened, for that is when one needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator_nb.config import consent
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.secret import Veiled

if TYPE_CHECKING:
    from orchestrator_nb.magics.cell import Magics


def run(magics: Magics, say: Callable[[str], None], *, yes: bool, forget: bool, show: bool) -> None:
    """One of the three; `UserError` for two at once."""
    if yes + forget + show > 1:
        raise UserError("--yes, --forget and --list exclude each other.")
    environ = Veiled()  # it holds keys, and %xmode Verbose prints what stands in frames
    paths, cwd = place(magics, environ)
    if show:
        consent.show(paths, say=say)
    elif forget:
        consent.take_back(paths, cwd, environ, say=say)
    else:
        consent.give(paths, cwd, environ, yes=yes, say=say, ask=_asker(kernel=hasattr(magics.shell, "kernel")))


def place(magics: Magics, environ: Mapping[str, str]) -> tuple[Paths, Path]:
    """Where the notebook's session looks, or would look if it could be opened."""
    try:
        config = magics._session().config  # not refreshed, which could fail for the very files in question
    except OrchestratorError:
        return Paths.find(environ), Path.cwd()
    return config.paths, config.cwd or Path.cwd()


def _asker(*, kernel: bool) -> consent.Ask:
    def ask(question: str) -> str | None:
        if not kernel and not sys.stdin.isatty():
            return None  # a script: the answer would be taken from its input
        try:
            return input(question)
        except (
            EOFError,
            NotImplementedError,
        ):  # nobody is there, or the front end cannot ask (StdinNotImplementedError)
            return None

    return ask
