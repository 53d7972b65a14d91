"""One ``%%llm`` cell between its first line and its frame: look names up, plan, confirm, start, and end."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from orchestrator_nb.errors import UserError
from orchestrator_nb.forecast import GLANCE
from orchestrator_nb.job import Job, Plan
from orchestrator_nb.magics.args import Line, nearest, value_of
from orchestrator_nb.magics.outcome import failure, interrupted, unsettled
from orchestrator_nb.magics.place import execution_of, place_of
from orchestrator_nb.magics.screen import Screen
from orchestrator_nb.magics.screens import screen_for
from orchestrator_nb.magics.shell import Shell, display
from orchestrator_nb.prompts.template import fill
from orchestrator_nb.results.frames import frame
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.sessions import Session


@dataclass(frozen=True, slots=True)
class Asked:
    """A cell under way: its line, its job and the screen that shows it."""

    line: Line
    job: Job
    screen: Screen

    def end(self) -> pd.DataFrame:
        """Shows the final result and gives the frame. Raises `Interrupted` when a stopped job does not come to rest, for the user wants the cell back."""
        if not self.job.done:
            raise unsettled(self.line.name)
        run = self.job.result()
        self.screen.finish(run, told=self.line.on_error != "return" and not self.line.quiet)
        return frame(run)

    def error(self, stopped: bool) -> BaseException | None:
        """What fails the cell after all is shown and assigned: an interrupt, or failed calls unless they were asked for as rows."""
        run = self.job.result()
        if stopped or self.screen.stopped:
            return interrupted(run, self.line.name)
        return None if self.line.on_error == "return" else failure(run, self.line.name)


def begin(line: Line, body: str, session: Session, shell: Shell) -> Asked | None:
    """Checks and starts a cell; ``None`` after a dry run. Raises `UserError` before anything is sent."""
    plan = _plan(line, body, session, shell)
    if line.dry_run:
        _look(plan, line, session, shell)
        return None
    confirm(plan, line, session)
    return start(plan, line, session, shell)


def start(plan: Plan, line: Line, session: Session, shell: Shell) -> Asked:
    """Starts what is planned, on a screen of its own."""
    announce(plan, line, session)
    screen = screen_for(plan, line, session, shell)
    job = session.start(
        plan,
        progress=screen.hear,
        parallel=line.max_parallel,
        timeout_s=line.timeout,
        max_cost=line.max_cost,
        on_error=line.on_error,
        about=place_of(shell),
    )
    screen.begun(job.stop)
    return Asked(line, job, screen)


def _plan(line: Line, body: str, session: Session, shell: Shell) -> Plan:
    names = shell.user_ns
    models, how = [fill(model, names) for model in line.models], _how(line, session, names)
    if line.conversation is None:
        return session.plan(body, models, **how)
    talk = session.conversation(fill(line.conversation, names))
    return talk.next_of(body, models, cell=place_of(shell).get("cell"), execution=execution_of(shell), **how)


def _how(line: Line, session: Session, names: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "system": line.system,
        "options": {key: _filled(value, names) for key, value in line.options.items()},
        "over": None if line.over is None else variable(line.over, names, "--over"),
        "grid": {axis: _values(axis, text, names) for axis, text in line.grid.items()},
        "repeat": line.repeat,
        "schema": _filled(line.schema, names),
        "json": line.json,
        "files": [fill(path, names) for path in line.files],
        "namespace": names,
        "stream": not line.no_stream,
        "source": source_of(line.source, line.fresh, session, names),
    }


def _filled(value: Any, names: Mapping[str, Any]) -> Any:
    """An option's value with its ``{{ name }}`` replaced; read again, so that ``{{ t }}`` may be a number."""
    return value_of(fill(value, names)) if isinstance(value, str) and "{{" in value else value


def variable(name: str, names: Mapping[str, Any], flag: str) -> Any:
    """The notebook variable called ``name``. Raises `UserError` with the nearest; never evaluates code."""
    if name in names:
        return names[name]
    if not name.isidentifier():
        raise UserError(f"{flag} takes the name of a notebook variable, not {name!r}; assign it to a name first.")
    known = [other for other in names if not other.startswith("_")]
    raise UserError(f"{flag}: {name!r} is not defined{nearest(name, known)}")


def _values(axis: str, text: str, names: Mapping[str, Any]) -> Any:
    """The values of one axis: a literal list, or a notebook variable."""
    if text.isidentifier() and text not in ("None", "True", "False"):
        return variable(text, names, f"--grid {axis}")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    raise UserError(f"--grid {axis} takes a notebook variable or a literal list such as ['dry', 'warm'], not {text!r}.")


def source_of(source: str | None, fresh: bool, session: Session, names: Mapping[str, Any]) -> str | None:
    """``--source`` and ``--fresh`` together: the latter asks anew, and asks nobody where a tape answers."""
    wish = fill(source, names) if source is not None else None
    if not fresh:
        return wish
    holds = wish or str(session.source())
    if holds.startswith("replay"):
        raise UserError(f"--fresh asks a model, and the source {holds} asks nobody; leave one of them out.")
    return wish if holds.startswith("record") else "live"  # what is recorded is always asked


def confirm(plan: Plan, line: Line, session: Session) -> None:
    """Raises `UserError` for a large grid that nobody said yes to."""
    most = session.config.settings.limits.confirm_calls
    if plan.size > most and not line.yes:
        raise UserError(
            f"this grid means {plan.size:,} calls, more than limits.confirm_calls ({most:,}); "
            "add --yes to go ahead, or --dry-run to look first."
        )


def announce(plan: Plan, line: Line, session: Session) -> None:
    """One line above a large grid, before it is asked. It waits for nobody, and where nothing can be said the run says why."""
    if line.quiet or plan.size <= session.config.settings.display.large_grid:
        return
    with suppress(Exception):
        print(session.estimate(plan, max_cost=line.max_cost, look=GLANCE).announced)  # noqa: T201  # where the cell's output begins


def _look(plan: Plan, line: Line, session: Session, shell: Shell) -> None:
    """What a dry run shows: what would be asked, and what it would take."""
    estimate = session.estimate(plan, max_cost=line.max_cost)
    print(_preview(plan, session))  # noqa: T201  # what a dry run is for
    if hasattr(shell, "kernel"):
        display(estimate)
    else:
        print(f"\n{estimate.text}")  # noqa: T201  # a terminal's display


def _preview(plan: Plan, session: Session) -> str:
    """What would be asked, with the first prompt as it would be sent."""
    request = plan.items[0].request
    where = "the simulator" if session.simulating else "nobody has been asked yet"
    rows = [
        ("calls", f"{plan.size:,} ({where})"),
        ("source", str(session.source_of(plan))),
        ("models", ", ".join(model.ref for model in plan.models)),
    ]
    if request.system:
        rows.append(("system", request.system))
    if given := request.params.given:
        rows.append(("options", ", ".join(f"{name} {value}" for name, value in given.items())))
    if len(request.messages) > 1:
        rows.append(("after", f"{len(request.messages) - 1:,} messages of the conversation"))
    rows.append(("prompt 0", request.prompt))
    rows += [("note", notice) for notice in plan.items.notices]
    return "\n".join(f"{name:<10}{_indented(plain(text))}" for name, text in rows)


def _indented(text: str, most: int = 600) -> str:
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
    return cut.replace("\n", f"\n{'':10}")
