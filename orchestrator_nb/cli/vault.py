"""``onb vault``: the same verbs as ``%vault``. Passwords and values are asked for without showing them; what stands as an argument instead is refused, and not repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import for_shell, main, open_session
from orchestrator_nb.errors import UserError

if TYPE_CHECKING:
    from orchestrator_nb.keyring import Keyring


class _Verbs(click.Group):
    """Does not repeat what may be a key: click would, in its error."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            from orchestrator_nb.magics.vault import instead  # only for a mistake

            raise UserError(
                f"there is no such command{instead(args[0], self.list_commands(ctx))} See onb vault --help."
            )
        return super().resolve_command(ctx, args)


@main.group(cls=_Verbs, invoke_without_command=True)
@click.pass_context
def vault(ctx: click.Context) -> None:
    """Keep keys in an encrypted file, one for each profile.

    Without a command: its state. A password comes from ORCHESTRATOR_NB_PASSWORD_FILE or
    ORCHESTRATOR_NB_PASSWORD_COMMAND where one is set, else it is asked for. No command shows or exports a value.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


def _nothing_more(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Any further argument is a value or password that should have been typed at the prompt; ``what`` asks for it."""

    def refuse(_ctx: click.Context, _parameter: click.Parameter, found: tuple[str, ...]) -> None:
        if found:
            raise UserError(
                f"{what} is asked for, not taken as an argument: the shell's history and the list of processes would show it. Delete that line from the history."
            )

    return click.argument("extra", nargs=-1, callback=refuse, expose_value=False, metavar="")


@contextmanager
def _open() -> Iterator[Keyring]:
    """The vault of the profile; what there is to tell goes to standard error at the end, also when something failed."""
    with open_session(lenient=True) as session:
        keyring = session.own_vault()
        try:
            yield keyring
        finally:
            for notice in keyring.notices:
                _say(notice, err=True)


def _say(text: str, *, err: bool = False) -> None:
    from orchestrator_nb.results.safe_text import plain  # as above

    click.echo(plain(for_shell(text)), err=err)


@vault.command()
def status() -> None:
    """Say whether there is a vault, how it is sealed, and how to open it."""
    with _open() as keyring:
        if keyring.vault.exists:
            keyring.unlock_unattended()
        for line in keyring.about():
            _say(line)


@vault.command()
@_nothing_more("the password")
def init() -> None:
    """Make an empty vault."""
    with _open() as keyring:
        keyring.init()


@vault.command()
@_nothing_more("the password")
def unlock() -> None:
    """Check that it opens; each command that needs it opens it for itself."""
    with _open() as keyring:
        keyring.unlock()
        click.echo("it opens. Each onb command opens it for itself, and locks it at its end.")


@vault.command()
@_nothing_more("the password")
def lock() -> None:
    """Nothing to do: each command locks it at its end."""
    click.echo("nothing to do: each onb command locks the vault at its end. A notebook locks its own with %vault lock.")


@vault.command("set")
@click.argument("name")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Where it may go; repeatable.")
@_nothing_more("the value")
def set_(name: str, origins: tuple[str, ...]) -> None:
    """Keep a key called NAME, or replace it; asks for the value.

    Where the vault opens without a person, the value may also come through a pipe, as its first line.
    """
    from orchestrator_nb.vault import telling  # with all that a vault needs: help must not wait for it

    with _open() as keyring:
        _say(telling.stored(keyring.set(name, origins=origins, piped=True)))


@vault.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the key called NAME."""
    with _open() as keyring:
        keyring.remove(name)
    click.echo("removed. The vendor still takes it: revoke it there if nobody should use it any more.")


@vault.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per key.")
def list_(as_json: bool) -> None:
    """List the keys: names, vendors, fingerprints, ages and origins."""
    import json

    from orchestrator_nb.vault import telling  # as above

    with _open() as keyring:
        facts = keyring.list()
    for fact in facts:
        told = {"name": fact.name, "vendor": fact.vendor, "origins": fact.origins, "fingerprint": f"fp:{fact.fp}"}
        times = {"created": fact.created, "rotated": fact.rotated}
        _say(json.dumps({**told, **times}) if as_json else f"{telling.stored(fact)}, {telling.age(fact, time.time())}")


@vault.command("import")
@click.argument("source")
@click.argument("names", nargs=-1)
@click.option("--service", default="orchestrator-nb", show_default=True, help="Of the system's keyring.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Where the keys may go; repeatable.")
@click.option("--replace", is_flag=True, help="Also those that the vault has.")
def import_(source: str, names: tuple[str, ...], service: str, origins: tuple[str, ...], replace: bool) -> None:
    """Take keys from SOURCE: env, keyring, or the path of a .env file. NAMES, or all that the settings know."""
    with _open() as keyring:
        if source == "env":
            found = keyring.import_env(*names, origins=origins, replace=replace)
        elif source == "keyring":
            found = keyring.import_keyring(*names, service=service, origins=origins, replace=replace)
        else:
            found = keyring.import_file(source, *names, origins=origins, replace=replace)
        for line in found.lines():
            _say(line)


@vault.command()
@click.option("--keep-backups", is_flag=True, help="Keep backups that open with the old password.")
@_nothing_more("the password")
def passwd(keep_backups: bool) -> None:
    """Change the password."""
    with _open() as keyring:
        keyring.passwd(keep_backups=keep_backups)
    click.echo(f"the password is changed; backups under the old one are {'kept' if keep_backups else 'deleted'}.")


@vault.command()
@click.argument("name")
@click.argument("urls", nargs=-1)
def origins(name: str, urls: tuple[str, ...]) -> None:
    """Show where the key called NAME may go, or change that to URLS; changing asks for the password."""
    from orchestrator_nb.vault import telling  # as above

    with _open() as keyring:
        _say(telling.stored(keyring.origins(name, *urls)))
