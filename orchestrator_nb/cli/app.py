"""The shell's door: the group that every command joins, how errors become exit codes, and the words for what a notebook calls otherwise.

Exit codes: 0 all rows answered, 1 some rows failed (or the run was refused), 2 wrong usage.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from orchestrator_nb.errors import OrchestratorError, UserError

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session


class _Group(click.Group):
    """Our errors become one sentence on stderr: 2 for what the user wrote, 1 for what failed."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OrchestratorError as error:
            _fail(str(error), 2 if isinstance(error, UserError) else 1)
        except BrokenPipeError:
            sys.exit(1)  # the reader of our pipe has seen enough
        except OSError as error:
            _fail(f"{error.filename or 'the output'} cannot be used: {error.strerror}.", 1)
        except (KeyboardInterrupt, click.Abort):  # the latter is what click's questions make of it
            _fail("interrupted", 130)


_SHELL_WORDS = {
    "%llm simulate on": "--simulate",
    "%llm simulate off": "leave out --simulate",
    "%llm resume": "onb runs resume",
    "%llm runs lists": "onb runs list lists",
    "%llm runs": "onb runs list",
    "%llm record ": "--source record=",
    "%llm replay ": "--source replay=",
    "%%llm?": "onb ask --help",
    "%env ORCHESTRATOR_NB_PROFILE=default": "unset ORCHESTRATOR_NB_PROFILE",
    "session().vault.set(NAME)": "onb vault set NAME",
    "%%chain": "onb chain run",
    "%chain": "onb chain",
    "%vault": "onb vault",
    "%llm": "onb",
    "run the cell again": "ask again",
    "write it below the %%llm line": "give it as the argument",
}
"""What our sentences call a thing in a notebook, and what it is called here; longer ones first where one begins another."""


def for_shell(text: str) -> str:
    """The sentence as it reads outside a notebook."""
    for notebook, shell in sorted(_SHELL_WORDS.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(notebook, shell)
    return text


def _fail(message: str, code: int) -> NoReturn:
    from orchestrator_nb.results.safe_text import plain  # only who fails needs it: help must not wait for it

    click.echo(f"onb: {plain(for_shell(message))}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orchestrator-nb")
@click.option("--profile", metavar="NAME", help="Use this profile for one command.")
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """Ask many language models at once and get one table."""
    ctx.meta[_PROFILE] = profile


_PROFILE = "orchestrator_nb.profile"


def open_session(*, lenient: bool = False) -> Session:
    """A session of this process, with the profile of ``onb --profile``; use it as a context manager. ``lenient`` as for `Session.open`."""
    from orchestrator_nb.sessions import Session  # help and usage errors must not wait for it

    return Session.open(profile=click.get_current_context().meta.get(_PROFILE), lenient=lenient)
