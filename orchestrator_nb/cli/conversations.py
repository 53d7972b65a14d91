"""``onb conversations``: what was said under a name, its branches, and files of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator_nb.cli.app import main, open_session


@main.group(invoke_without_command=True)
@click.pass_context
def conversations(ctx: click.Context) -> None:
    """Conversations: list, tree, branch, switch, export, import. Speak in one with "onb ask -c NAME"."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_conversations, as_json=False)


@conversations.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def list_conversations(as_json: bool) -> None:
    """List them, the one that was spoken in last first."""
    with open_session() as session:
        trees = {name: session.conversation(name).tree for name in session.talks.names()}
    for name, tree in trees.items():
        facts = {"conversation": name, "turns": len(tree.turns), "branch": tree.branch, "branches": [*tree.heads]}
        if as_json:
            click.echo(json.dumps(facts))
        else:
            click.echo(f"{name:<30} {len(tree.turns):>6,} turns  on {tree.branch}")


@conversations.command()
@click.argument("name")
def tree(name: str) -> None:
    """Draw the turns of NAME with their ids and branches."""
    from orchestrator_nb.conversations import drawn  # as below
    from orchestrator_nb.results.safe_text import plain  # what models said must not steer the terminal

    with open_session() as session:
        click.echo(plain(drawn(session.talks.existing(name).tree)))


@conversations.command()
@click.argument("name")
@click.argument("at")
@click.argument("new")
def branch(name: str, at: str, new: str) -> None:
    """Begin the branch NEW of NAME after the turn AT, and go there."""
    with open_session() as session:
        session.talks.existing(name).branch(at, new)


@conversations.command()
@click.argument("name")
@click.argument("branch")
def switch(name: str, branch: str) -> None:
    """Go to a BRANCH of NAME, or to a turn by its id."""
    with open_session() as session:
        session.talks.existing(name).switch(branch)


@conversations.command()
@click.argument("name")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True)
def export(name: str, path: Path | None, form: str) -> None:
    """Write NAME to PATH (.md: its current path, for people; .json: the whole tree), or to the screen."""
    with open_session() as session:
        text = session.talks.existing(name).export(path or form)
    if path is None:
        click.echo(text, nl=False)


@conversations.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name", required=False)
def import_conversation(path: Path, name: str | None) -> None:
    """Read PATH: what export wrote as JSON, or a list of role/content messages such as chat_20240501_101500.json."""
    with open_session() as session:
        talk = session.talks.import_file(path.absolute(), name)
        click.echo(f"{talk.name}: {len(talk.tree.turns):,} turns")
