"""``onb trust``: what a project's files would change, and whether they may."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator_nb.cli.app import for_shell, main
from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Veiled


@main.command()
@click.argument("path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Trust it without asking.")
@click.option("--forget", is_flag=True, help="Trust it no longer.")
@click.option("--list", "show", is_flag=True, help="Show what is trusted.")
def trust(path: Path, yes: bool, forget: bool, show: bool) -> None:
    """Show what the files of the project at PATH would change, and trust them if you say so."""
    from orchestrator_nb.config import consent  # brings pydantic and YAML: help must not wait for them
    from orchestrator_nb.config.paths import Paths  # as above

    if yes + forget + show > 1:
        raise UserError("--yes, --forget and --list exclude each other.")
    environ = Veiled()  # it holds keys, and stands in frames
    paths = Paths.find(environ)
    if show:
        consent.show(paths, say=_say)
    elif forget:
        consent.take_back(paths, path, environ, say=_say)
    else:
        consent.give(paths, path, environ, yes=yes, say=_say, ask=_ask)


def _say(text: str) -> None:
    click.echo(for_shell(text))


def _ask(question: str) -> str | None:
    if not sys.stdin.isatty():
        return None
    try:
        return input(question)
    except EOFError:
        return None
