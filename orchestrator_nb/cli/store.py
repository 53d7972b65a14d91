"""``onb runs`` and ``onb store``: what was asked and what it cost, and the file that remembers it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import for_shell, main, open_session
from orchestrator_nb.cli.commands import announce

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.history import By
    from orchestrator_nb.sessions import Session


_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")


@main.group()
def runs() -> None:
    """What was asked before."""


@runs.command("list")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Only the last days.")
@_as_json
def list_runs(days: float | None, as_json: bool) -> None:
    """List the runs, the newest first."""
    with open_session() as session:
        found = session.runs(days)
        _warn(session)
    if as_json:
        return _print_json(found)
    for run in found.to_dict("records"):
        click.echo(_line(run))
    if found.empty:
        click.echo(f"no run is written down{' for these days' if days else ' yet'}.", err=True)
    return None


def _line(run: dict[Hashable, Any]) -> str:
    when = run["when"].strftime("%Y-%m-%d %H:%MZ")
    left = [f"{run[name]} {name}" for name in ("failed", "missing") if run[name]]
    money = f"${run['cost_usd']:.4f}" + (f" (+ ${run['possibly_usd']:.4f}?)" if run["possibly_usd"] else "")
    return f"{run['run']}  {when}  {run['calls']:>6} calls  {', '.join(left):<12} {money:<12} {' '.join(run['models'])}"


@runs.command()
@click.argument("run", default="last")
@_as_json
def show(run: str, as_json: bool) -> None:
    """Show an earlier run as it was; RUN is its id, the beginning of one, or "last"."""
    from orchestrator_nb.results.view import view  # pandas, which help must not wait for

    with open_session() as session:
        found, frame = session.retold(run), session.show(run)
    if as_json:
        return _print_json(frame)
    click.echo(for_shell(view(found).text))
    return None


@runs.command()
@click.argument("run", default="last")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of the screen.")
def export(run: str, form: str, output: Path | None) -> None:
    """Write an earlier run's rows as CSV or JSON Lines; with your marks, if there are any."""
    with open_session() as session:
        frame = session.show(run)
        if session.marks(run):
            frame = frame.llm.marked(session)
    if output is None:
        _print(frame, form)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write(frame, form, file)


def _write(frame: pd.DataFrame, form: str, file: Any) -> None:
    if form == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True, date_format="iso", force_ascii=False)


def _print(frame: pd.DataFrame, form: str) -> None:
    """To a pipe as it is; to a terminal without what would steer it."""
    from orchestrator_nb.results.safe_text import plain  # as above

    if not sys.stdout.isatty():
        return _write(frame, form, sys.stdout)
    text = io.StringIO()
    _write(frame, form, text)
    click.echo(plain(text.getvalue()), nl=False)
    return None


def _print_json(frame: pd.DataFrame) -> None:
    _print(frame, "jsonl")


@runs.command()
@click.option("--by", type=click.Choice(["model", "day", "run", "notebook"]), default="model", show_default=True)
@_as_json
def cost(by: By, as_json: bool) -> None:
    """Say what was billed, possibly billed, and saved by the cache and tapes."""
    with open_session() as session:
        found = session.costs(by)
        _warn(session)
    if as_json:
        return _print_json(found)
    for row in found.to_dict("records"):
        unknown = f"  {row['unpriced']} at an unknown price" if row["unpriced"] else ""
        amounts = "  ".join(f"{name} ${row[f'{name}_usd']:.4f}" for name in ("billed", "possibly", "saved"))
        click.echo(f"{row[by] or '(none)':<44}{row['attempts']:>8} attempts  {amounts}{unknown}")
    if found.empty:
        click.echo("nothing was asked yet that costs something.", err=True)
    return None


def _warn(session: Session) -> None:
    """Say why an empty list may be no news: the file cannot be used."""
    for notice in session.store.database.notices if session.store else ("the store is switched off (store.enabled).",):
        click.echo(f"onb: {for_shell(notice)}", err=True)


@runs.command()
@click.argument("run", default="last")
@click.option("--errors", is_flag=True, help="Ask failed calls again too; their rows stay until they succeed.")
@click.option("--simulate", is_flag=True, help="Ask the simulator: for a run that it began.")
@click.option("--max-cost", metavar="USD", help="The most that it may cost.")
def resume(run: str, errors: bool, simulate: bool, max_cost: str | None) -> None:
    """Ask only for what a run has no answer to."""
    from orchestrator_nb.results.summary import summary  # as above

    with open_session() as session:
        if simulate:
            session.simulate(True)
        plan = session.rest(run, errors=errors)
        announce(session, plan, max_cost)
        done = session.run(plan, max_cost=max_cost)
    click.echo(for_shell(summary(done).text))
    sys.exit(1 if any(call.error for call in done.calls) else 0)


@main.group()
def store() -> None:
    """The file that remembers runs and answers."""


@store.command()
def path() -> None:
    """Say where it is."""
    with open_session() as session:
        click.echo(session.config.paths.store)


@store.command()
@_as_json
def check(as_json: bool) -> None:
    """Read every row and say what is damaged. Exit code 1 when something is."""
    from orchestrator_nb.store.check import check as look

    with open_session() as session:
        report = look(session.config.paths.store)
    if as_json:
        click.echo(json.dumps({"whole": report.whole, "damaged": report.damaged, "problems": report.problems}))
    else:
        for name, number in report.whole.items():
            damaged = report.damaged.get(name, 0)
            click.echo(f"{name:<14}{number:>9,} whole{f', {damaged:,} damaged' if damaged else ''}")
        for problem in report.problems:
            click.echo(problem)
        click.echo("sound" if report.is_sound else "damaged: onb store salvage NEW copies what is whole to a new file")
    sys.exit(0 if report.is_sound else 1)


@store.command()
def vacuum() -> None:
    """Give room that deleted rows took back to the disk."""
    from orchestrator_nb.kernel.clock import SystemClock
    from orchestrator_nb.store.check import vacuum as shrink

    with open_session() as session:
        before, after = shrink(session.config.paths.store, clock=SystemClock())
    click.echo(f"{before:,} bytes before, {after:,} after")


@store.command()
@click.argument("new", type=click.Path(path_type=Path))
def salvage(new: Path) -> None:
    """Copy every row that is whole to the new file NEW; the old one is only read."""
    from orchestrator_nb.kernel.clock import SystemClock
    from orchestrator_nb.store.check import salvage as rescue

    with open_session() as session:
        found = rescue(session.config.paths.store, new, clock=SystemClock())
    click.echo(f"{new}: {', '.join(f'{number:,} {name}' for name, number in found.items())}")
    if not any(found.values()):
        click.echo("onb: nothing in the old file could be read.", err=True)
    else:
        click.echo("To use it, close all notebooks and move it to where onb store path says.", err=True)
