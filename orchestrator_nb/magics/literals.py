"""What happens when a key stands in a cell, where it must not: it is taken out of everything, and the cell fails with a sentence that says so.

A notebook takes a cell's new text only with an answer that says "ok" (JupyterLab 4.6: ``set_next_input`` in ``notebook/actions.js``), while IPython says "error" of a cell that
raised. So where a person sits in front of a notebook the error is shown, the rest of the cell does not run, and the kernel's answer is "ok" all the same. Then nothing would
stop the cells that were sent along ("Run All"): the first of them is refused, and with it the kernel drops the others. Without a person (nbclient, papermill) nobody
takes the text, and the cell fails as any other.
"""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import InputRejected

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.secret import Hidden

if TYPE_CHECKING:
    from orchestrator_nb.traces.shell import Outcome


class Queued(InputRejected):
    """A cell that was sent together with one that held a key."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not run: {self}"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What was typed, and what to do about it when others may have seen it."""

    noun: str
    remedy: str


KEY: Final = Kind("key", "replace the key at its vendor")
_PASSWORD: Final = Kind("password", "change it with %vault passwd")
_OF_VERB: Final = {
    **dict.fromkeys(("unlock", "passwd", "lock"), _PASSWORD),
    "init": Kind("password", "take another one"),
}


def kind_of(verb: str) -> Kind:
    """What somebody writes behind this word of ``%vault`` too early."""
    return _OF_VERB.get(verb, KEY)


def refuse(shell: Shell, literal: Hidden, advice: str, kind: Kind = KEY) -> UserError:
    """Clean up after a key or password that was typed into a cell, and return the error to raise; ``advice`` is what to run instead."""
    from orchestrator_nb.traces.shell import scrub_shell  # with SQLite and the patterns, which no other cell needs

    began = time.monotonic()
    outcome = scrub_shell(shell, literal)
    _Refusal(shell, literal, began).watch()
    if not outcome.cleaned and not outcome.left:
        return argument(advice, kind)
    return UserError(f"{_sentence(outcome, kind)} {advice}")


def refuse_all(shell: Shell, literals: Iterable[str], advice: str, kind: Kind = KEY) -> UserError:
    """As `refuse`, of several; outside of a shell only the error."""
    if shell is None:
        return argument(advice, kind)
    errors = [refuse(shell, Hidden(literal), advice, kind) for literal in literals]
    return max(errors, key=lambda error: len(str(error)))  # the one that cleaned most


def argument(advice: str, kind: Kind = KEY) -> UserError:
    """The error for what was given as an argument where no cell keeps it."""
    return UserError(f"a {kind.noun} is not taken as an argument, where tracebacks and histories keep it. {advice}")


def _sentence(outcome: Outcome, kind: Kind) -> str:
    where = "a command" if outcome.front == "terminal" else "a cell"
    taken = f": it was taken out of {_listed(outcome.cleaned)}." if outcome.cleaned else "."
    said = [f"a {kind.noun} does not belong into {where}{taken}"]
    said += [f"It still is in {place}." for place in outcome.left]
    if outcome.front == "program":
        said.append(f"The program that runs this notebook writes it itself: the {kind.noun} will stand in its file.")
    elif any(name.endswith(".ipynb") for name in outcome.cleaned):  # it compares the file's hash, whatever its time
        said.append("Where JupyterLab asks about a changed file, choose Overwrite.")
    seen = (
        "others may have seen it" if outcome.front == "terminal" else "the notebook was saved, synced or shared before"
    )
    return " ".join((*said, f"If {seen}, {kind.remedy}."))


def _listed(names: tuple[str, ...]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


class _Refusal:
    """Sees to the end of the refused cell, and to the cells that were sent along with it."""

    def __init__(self, shell: Shell, literal: Hidden, began: float) -> None:
        from orchestrator_nb.traces.finder import typed

        self._shell, self._finder, self._began = shell, typed(literal), began
        self._ended_after_s: float | None = None
        self._sent = _sent(shell)

    def watch(self) -> None:
        self._shell.events.register("post_run_cell", self._cell_ended)
        self._shell.ast_transformers.append(self)

    def visit(self, tree: ast.AST) -> ast.AST:
        """IPython shows each cell to its transformers: https://ipython.readthedocs.io/en/stable/config/inputtransforms.html"""
        if self._was_sent_along():
            raise Queued("the cell before it held a key; see there, then run this one.")
        return tree

    def _was_sent_along(self) -> bool:
        """Both times are the front end's, so its clock may be wrong; one that waits for each answer sends the next cell later than we ended."""
        sent = _sent(self._shell)
        if self._sent is None or sent is None or self._ended_after_s is None:
            return False
        return (sent - self._sent).total_seconds() < self._ended_after_s

    def _cell_ended(self, result: Any) -> None:
        if self._ended_after_s is None:
            self._end(result)
        elif not self._was_sent_along():
            self._shell.events.unregister("post_run_cell", self._cell_ended)
            self._shell.ast_transformers.remove(self)

    def _end(self, result: Any) -> None:
        """The key is in the frames of the error too, and in what IPython keeps of the cell."""
        from orchestrator_nb.traces.shell import front, scrub_again

        scrub_again(self._shell, self._finder)
        for name in _LAST:
            vars(sys).pop(name, None)
        error = result.error_in_exec
        if error is not None:
            error.__traceback__ = error.__context__ = None
        for name in ("raw_cell", "transformed_cell"):
            if text := getattr(result.info, name, None):
                setattr(result.info, name, self._finder.clean(text))
        if isinstance(error, UserError) and front(self._shell) == "notebook":
            result.error_in_exec = None
        self._ended_after_s = time.monotonic() - self._began


_LAST: Final = ("last_exc", "last_value", "last_type", "last_traceback")
"""Where Python keeps an error for its debugger."""


def _sent(shell: Shell) -> datetime | None:
    """When the front end sent the cell that runs now."""
    with suppress(Exception):
        sent = shell.get_parent()["header"]["date"]
        return sent if isinstance(sent, datetime) else datetime.fromisoformat(sent)
    return None
