"""The talk about trust, the same in a notebook and in a shell: show what a project would change, ask, remember. The faces say and ask in their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator_nb.config import trust
from orchestrator_nb.config.files import printable
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.config.survey import Survey, survey
from orchestrator_nb.errors import UserError

Say = Callable[[str], None]
Ask = Callable[[str], str | None]
"""Asks one question; ``None`` where there is nobody to answer."""

_QUESTION = "Trust exactly these files? [y/N] "


def give(paths: Paths, cwd: Path, environ: Mapping[str, str], *, yes: bool, say: Say, ask: Ask) -> None:
    """Show what the project of ``cwd`` would change, and trust it if the user says so.

    Raises `UserError` when there is no project, when trust would not help, and when nobody can be asked.
    """
    found = _found(paths, cwd, environ)
    say(str(found))
    if found.trusted:
        return
    if not found.asks and not found.problems:
        say("There is nothing to trust: every project may set this.")
        return
    seal = found.sealed()
    answer = "y" if yes else ask(_QUESTION)
    if answer is None:
        raise UserError("nothing was stored, for nobody can be asked here; if you want this: %llm trust --yes")
    if answer.strip().lower() not in {"y", "yes"}:
        say("Nothing was stored.")
        return
    trust.trust(paths, seal)
    say("Trusted. Whatever changes in these files, they must be trusted anew.")


def take_back(paths: Paths, cwd: Path, environ: Mapping[str, str], *, say: Say) -> None:
    """Trust the project of ``cwd`` no longer, or what stood there when it was trusted. Raises `UserError` when it was not."""
    found = _nearest(paths, cwd, environ)
    if not trust.forget(paths, str(found)):
        raise UserError(f"{printable(found)} is not trusted; %llm trust --list shows what is.")
    say(f"{printable(found)} is not trusted any more.")


def show(paths: Paths, *, say: Say) -> None:
    """Every trusted folder, and whether its files are still what was trusted."""
    known = trust.trusted(paths)
    if known.notice:
        say(known.notice)
    for folder, seal in sorted(known.seals.items()):
        state = "trusted" if trust.still(seal) else "changed or gone since"
        say(f"{printable(folder)}  {state}: {printable(', '.join(seal.files))}")
    if not known.seals:
        say("No project is trusted.")


def _found(paths: Paths, cwd: Path, environ: Mapping[str, str]) -> Survey:
    if (found := survey(paths, cwd, environ)) is None:
        raise UserError(f"{printable(cwd)} has no project: no file of ours is in it, nor in a folder above it.")
    return found


def _nearest(paths: Paths, cwd: Path, environ: Mapping[str, str]) -> Path:
    """The project's folder, or the folder above (this one included) that is in the record though its files are gone."""
    found, here, known = survey(paths, cwd, environ), cwd.resolve(), trust.trusted(paths).seals
    folders = (found.folder if found else here, here, *here.parents)
    return next((folder for folder in folders if str(folder) in known), folders[0])
