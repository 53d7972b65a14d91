"""``onb chain run | resume | profile``: running a chain, going on with one that broke off, and where the time and the money went."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import for_shell, open_session
from orchestrator_nb.cli.chains import as_json_option, chain, collection, one_line, say, written
from orchestrator_nb.cli.commands import fresh_source, rows_from
from orchestrator_nb.errors import UserError

if TYPE_CHECKING:
    from orchestrator_nb.chaining import ChainPlan
    from orchestrator_nb.chains import Chain, Input
    from orchestrator_nb.runs import Chained, Run
    from orchestrator_nb.sessions import Session


def _running(command: Callable[..., None]) -> Callable[..., None]:
    """The options of everything that runs one."""
    for option in (
        click.option("--max-parallel", type=click.IntRange(min=1), help="Calls at once."),
        click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for the whole run."),
        click.option("--max-cost", metavar="USD", help="The most that it may cost; what does not fit is not asked."),
        click.option("--simulate", is_flag=True, help="Ask the simulator: no key, no network, answers are marked."),
        click.option("--yes", is_flag=True, help="Do not ask before many calls."),
        as_json_option,
    ):
        command = option(command)
    return command


@chain.command()
@click.argument("name", metavar="CHAIN")
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; NAME=@FILE reads a file; repeatable."
)
@click.option(
    "--over",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or JSON Lines: run it for each row, whose columns are inputs.",
)
@click.option("-m", "--model", help="The model of steps that name none.")
@click.option(
    "--source", metavar="SOURCE", help="auto, live, record=PATH (also write a tape), replay=PATH (from it alone)."
)
@click.option("--fresh", is_flag=True, help="Ask anew, also what was asked before.")
@click.option("--trust-plans", is_flag=True, help="Run what models propose as further steps, without asking you.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked, and ask nothing.")
@_running
def run(name: str, **how: Any) -> None:
    """Run CHAIN and print what it gives. "-" reads it from standard input.

    A VALUE is a number, true, null, a [list] or a {mapping} where the chain wants one, else text.
    """
    with open_session() as session:
        if how["simulate"]:
            session.simulate(True)
        plan = _planned(session, written(name), how)
        if how["dry_run"]:
            return _print_plan(session, plan, how)
        done, interrupted = _asked(session, plan, how)
    return _end(done, interrupted, as_json=how["as_json"])


def _planned(session: Session, text: str, how: Mapping[str, Any]) -> ChainPlan:
    source = fresh_source(how["source"]) if how["fresh"] else how["source"]
    given = _given(session.chains.read(text)[0], how["inputs"])
    over = rows_from(how["over"]) if how["over"] else None
    return session.plan_chain(
        text,
        given,
        over=over,
        model=how["model"],
        source=source,
        max_cost=how["max_cost"],
        trust_plans=how["trust_plans"],
    )


def _given(chain: Chain, texts: Sequence[str]) -> dict[str, Any]:
    """The inputs by name. Raises `UserError` for what is not NAME=VALUE."""
    declared = {item.name: item for item in chain.inputs}
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"--input takes NAME=VALUE, for example --input topic='sea ice', not {text!r}.")
        if name in given:
            raise UserError(f"--input {name} is given twice.")
        given[name] = _value(declared.get(name), value)
    return given


def _value(item: Input | None, text: str) -> Any:
    """What is meant: text as it stands where the chain wants a text, else as YAML or JSON has it."""
    text = _from_file(text[1:]) if text.startswith("@") else text
    if item is None or item.type == "text":
        return text
    from orchestrator_nb.config.yaml import scalar  # as above

    if text.strip()[:1] not in {"[", "{"}:
        return scalar(text.strip()) if item.type != "any" or "\n" not in text else text
    return collection(text)


def _from_file(name: str) -> str:
    """A text file, or standard input for "-"; ``@@`` begins a text with an @."""
    if name.startswith("@"):
        return name
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is no UTF-8 text"
    raise UserError(f"{name} cannot be read: {reason}.")


def _asked(session: Session, plan: ChainPlan, how: Mapping[str, Any]) -> tuple[Run, bool]:
    """The run, and whether the user interrupted it: what was finished by then is in it."""
    from orchestrator_nb.cli.chain_watch import Watched  # with the session, for which help must not wait
    from orchestrator_nb.magics.chain_preview import counted  # as above

    sure, most = counted(plan).sure, session.config.settings.limits.confirm_calls
    if sure > most and not how["yes"]:
        raise UserError(f"this may mean {sure:,} calls; add --yes to go on.")
    watched = Watched(session, plan, parallel=how["max_parallel"], timeout_s=how["timeout"], max_cost=how["max_cost"])
    try:
        return watched.result(), False
    except KeyboardInterrupt:
        if watched.job.run is None:
            raise
        return watched.job.run, True


def _print_plan(session: Session, plan: ChainPlan, how: Mapping[str, Any]) -> None:
    from orchestrator_nb.kernel.amounts import usd_of  # as above
    from orchestrator_nb.magics.chain_preview import counted, preview  # as above

    if how["as_json"]:
        calls, models = counted(plan), [spec.ref for spec in plan.models]
        facts = {"chain": plan.made.chain.name, "rows": len(plan.rows), "least": calls.least, "most": calls.most}
        return click.echo(json.dumps({**facts, "models": models}))
    for text in preview(plan, session, None if how["max_cost"] is None else usd_of(how["max_cost"])):
        say(for_shell(text))
    return None


def _end(run: Run, interrupted: bool, *, as_json: bool) -> None:
    from orchestrator_nb.results.summary import summary  # as above

    if run.chained is not None:
        _tell(run.chained, as_json=as_json)
    sys.stdout.flush()  # so that the summary comes last where both streams end in one terminal
    errors = Counter(error for error in run.chained.errors if error) if run.chained else Counter()
    for error, rows in errors.most_common(_MOST_ERRORS):
        click.echo(f"onb: {f'{rows:,} rows: ' if rows > 1 else ''}{one_line(for_shell(error))}", err=True)
    if len(errors) > _MOST_ERRORS:
        click.echo("onb: … other rows failed for other reasons; --json has them all.", err=True)
    click.echo(for_shell(summary(run).text), err=True)
    sys.exit(130 if interrupted else 1 if errors else 0)


_MOST_ERRORS = 10


def _tell(chained: Chained, *, as_json: bool) -> None:
    """What each row gave."""
    for row, (outputs, error) in enumerate(zip(chained.outputs, chained.errors, strict=True)):
        if as_json:
            given = {"given": chained.rows[row]} if chained.over else {}
            say(json.dumps({"row": row, **given, "outputs": outputs, "error": error}, ensure_ascii=False))
            continue
        if chained.over:
            click.secho(f"── row {row}{' (failed)' if error else ''}", bold=True)
        for name, value in (outputs or {}).items():
            if len(outputs or {}) > 1:
                click.secho(f"── {one_line(name)}", bold=True)
            say(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@chain.command()
@click.argument("name", metavar="[RUN]", default="last")
@_running
def resume(name: str, **how: Any) -> None:
    """Go on with a run that broke off. RUN is its id, the beginning of one, or "last". What it answered is kept."""
    with open_session() as session:
        if how["simulate"]:
            session.simulate(True)
        done, interrupted = _asked(session, session.rest_of_chain(name), how)
    _end(done, interrupted, as_json=how["as_json"])


@chain.command()
@click.argument("name", metavar="[RUN]", default="last")
@as_json_option
def profile(name: str, as_json: bool) -> None:
    """Say where a run spent its time and money. RUN is its id, the beginning of one, or "last"."""
    from orchestrator_nb.results.chains import profile as profile_of  # pandas, which help must not wait for

    with open_session() as session:
        run, frame = session.retold(name), session.show(name)
    if run.chained is None:
        raise UserError(f"run {run.id} is no chain's, so it has no steps; onb runs show {run.id} shows it.")
    found = profile_of(frame)
    if as_json:
        return say(found.to_json(orient="records", lines=True, force_ascii=False).rstrip("\n"))
    return say(for_shell(repr(found)))
