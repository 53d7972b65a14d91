"""The commands around asking: ``ask | models | config | simulate | doctor | demo``. Each is parse → session call → print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import for_shell, main, open_session
from orchestrator_nb.errors import ConfigError, UserError
from orchestrator_nb.secret import Veiled

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.catalog import ModelSpec
    from orchestrator_nb.config import Config
    from orchestrator_nb.config.layers import Origin
    from orchestrator_nb.diagnosis import Check
    from orchestrator_nb.job import Plan
    from orchestrator_nb.results.estimate import Estimate, Share
    from orchestrator_nb.runs import Run
    from orchestrator_nb.sessions import Session


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """The options of everything that asks."""
    for option in (
        click.option("-m", "--model", "models", multiple=True, help="Alias, provider/model or glob; repeatable."),
        click.option("-s", "--system", help="System prompt."),
        click.option(
            "-o",
            "--option",
            "options",
            nargs=2,
            multiple=True,
            metavar="KEY VALUE",
            help="temperature, max_tokens, seed, effort, …",
        ),
        click.option(
            "--over",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="CSV or JSON Lines; one prompt per row.",
        ),
        click.option("--repeat", default=1, show_default=True, type=click.IntRange(min=1), help="Samples of each."),
        click.option("--schema", help='"name, age int: years" or JSON Schema.'),
        click.option(
            "-f", "--file", "files", multiple=True, type=click.Path(path_type=Path), help="Attach text or an image."
        ),
        click.option("-c", "--conversation", metavar="NAME", help="Go on with a conversation, with one model."),
        click.option("--max-parallel", type=click.IntRange(min=1), help="Calls at once."),
        click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for the whole run."),
        click.option("--max-cost", metavar="USD", help="The most that it may cost; what does not fit is not asked."),
        click.option(
            "--source",
            metavar="SOURCE",
            help="auto, live, record=PATH (also write a tape), replay=PATH (from it alone).",
        ),
        click.option("--fresh", is_flag=True, help="Ask anew, also what was asked before."),
        click.option("--simulate", is_flag=True, help="Ask the simulator: no key, no network, answers are marked."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object per row."),
        click.option("--yes", is_flag=True, help="Do not ask before a large grid."),
        click.option(
            "--dry-run", is_flag=True, help="Say what would be asked and what it would cost, and ask nothing."
        ),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("prompt")
@_asking
def ask(prompt: str, **how: Any) -> None:
    """Ask PROMPT ("-" reads it from standard input); {{ column }} takes values from --over."""
    from orchestrator_nb.results.frames import frame
    from orchestrator_nb.results.summary import summary

    with open_session() as session:
        plan = _plan(session, sys.stdin.read() if prompt == "-" else prompt, how)
        if how["dry_run"]:
            return _print_estimate(session.estimate(plan, max_cost=how["max_cost"]), as_json=how["as_json"])
        run, interrupted = _run(session, plan, how)
    answers = frame(run)
    _print(answers, as_json=how["as_json"])
    sys.stdout.flush()  # so that the summary comes last where both streams end in one terminal
    click.echo(for_shell(summary(run).text), err=True)
    sys.exit(130 if interrupted else 1 if answers["error"].notna().any() else 0)


def _plan(session: Session, prompt: str, how: dict[str, Any]) -> Plan:
    """What is to be asked."""
    if how["simulate"]:
        session.simulate(True)
    keep = ("system", "repeat", "schema", "files", "source")
    if how["fresh"]:
        how["source"] = fresh_source(how["source"])
    over = rows_from(how["over"]) if how["over"] else None
    plan = session.plan if how["conversation"] is None else session.conversation(how["conversation"]).next_of
    return plan(
        prompt,
        how["models"],
        options=dict(how["options"]),
        over=over,
        stream=False,
        **{name: how[name] for name in keep},
    )


def _run(session: Session, plan: Plan, how: dict[str, Any]) -> tuple[Run, bool]:
    """The run, and whether the user interrupted it: what was finished by then is in it."""
    _confirm(plan.size, session.config.settings.limits.confirm_calls, yes=how["yes"])
    announce(session, plan, how["max_cost"])
    job = session.start(plan, parallel=how["max_parallel"], timeout_s=how["timeout"], max_cost=how["max_cost"])
    try:
        return job.result(), False
    except KeyboardInterrupt:
        if job.run is None:
            raise
        return job.run, True


def fresh_source(source: str | None) -> str:
    """``--fresh`` as a source. Raises `click.UsageError` beside a replay."""
    if source and source.startswith("replay"):
        raise click.UsageError("--fresh asks a model, and a replay asks nobody; leave one of them out.")
    return source if source and source.startswith("record") else "live"


def rows_from(path: Path) -> pd.DataFrame:
    """The table of ``--over``. Raises `UserError`."""
    import pandas as pd  # only --over reads a table

    try:
        return pd.read_json(path, lines=True) if path.suffix in {".jsonl", ".ndjson"} else pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is neither CSV nor JSON Lines: {error}") from None


def _confirm(size: int, most: int, *, yes: bool) -> None:
    if size > most and not yes:
        raise UserError(f"this means {size:,} calls; add --yes to go on.")


def announce(session: Session, plan: Plan, max_cost: str | None) -> None:
    """One line about a large grid before it is asked; it waits for nobody."""
    from orchestrator_nb.forecast import GLANCE  # as above

    if plan.size > session.config.settings.display.large_grid:
        with suppress(Exception):
            click.echo(session.estimate(plan, max_cost=max_cost, look=GLANCE).announced, err=True)


def _print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    if not as_json:
        return click.echo(for_shell(estimate.text))
    for share in estimate.shares:
        click.echo(json.dumps(_share(share), default=str))  # amounts are text, exact to the last digit
    return None


def _share(share: Share) -> dict[str, Any]:
    counts = {name: getattr(share, name) for name in ("model", "new", "cached", "replayed", "missing")}
    usd = share.usd._asdict() if share.usd else None
    return {**counts, "input_tokens": share.input._asdict(), "output_tokens": share.output._asdict(), "usd": usd}


def _print(frame: pd.DataFrame, *, as_json: bool) -> None:
    if as_json:
        frame.to_json(sys.stdout, orient="records", lines=True, date_format="iso", force_ascii=False)
        return
    for row in frame.itertuples():
        failed, answered = isinstance(row.error, str), isinstance(row.text, str)
        if len(frame) > 1:
            click.secho(f"── {row.model}{f' (failed: {row.error_kind})' if failed else ''}", bold=True)
        if answered:
            click.echo(row.text)  # of a failed call, what had arrived; the summary says why


@main.command()
@click.argument("pattern", default="*")
@click.option("--live", metavar="VENDOR", help="Ask the vendor itself.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model.")
def models(pattern: str, live: str | None, as_json: bool) -> None:
    """List the models known here, by glob or part of a name."""
    with open_session() as session:
        specs = session.list_models(live) if live else session.catalog.search(pattern)
    for spec in specs:
        click.echo(json.dumps(_facts(spec)) if as_json else _line(spec))


def _facts(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.ref,
        "aliases": spec.aliases,
        "context": spec.context,
        "max_output": spec.max_output,
        "features": sorted(spec.features),
    }


def _line(spec: ModelSpec) -> str:
    return f"{spec.ref:<44}{', '.join(spec.aliases):<26}{spec.context or '':>10}  {' '.join(sorted(spec.features))}"


@main.command()
@click.argument("key", required=False)
@click.argument("value", required=False)
@click.option("--why", is_flag=True, help="Show every layer that sets KEY.")
@click.option("--profile", metavar="NAME", help="Set KEY for this profile only.")
@click.option("--new", is_flag=True, help="With 'profile NAME': make the profile first.")
@click.option("--dry-run", is_flag=True, help="With 'migrate': show what would change.")
def config(key: str | None, value: str | None, why: bool, profile: str | None, new: bool, dry_run: bool) -> None:
    """Show settings, or set KEY to VALUE in the user's config.yaml.

    'config profile NAME' switches to another profile for good, 'config profiles' lists them;
    'config migrate' brings the settings files to their current form.
    """
    if key == "migrate" and value is None:
        return click.echo(_migrated(dry_run=dry_run))
    if dry_run or (new and key != "profile") or ((new or profile) and value is None):
        raise click.UsageError(
            "--new goes with 'config profile NAME', --profile with 'config KEY VALUE', --dry-run with 'config migrate'."
        )
    settings = _written(key, value, profile, new=new) if key and value is not None else _loaded()
    if key == "profiles":
        return _print_profiles(settings)
    if key and profile not in {None, settings.settings.profile}:
        return _print_origin(key, settings.profiles[str(profile)].values[key])
    for name in [key] if key else settings.keys():
        for origin in settings.why(name)[: None if why else 1]:
            _print_origin(name, origin)
    return None


def _migrated(*, dry_run: bool) -> str:
    from orchestrator_nb.config import Paths, migrate  # pydantic, which help must not wait for

    return migrate(Paths.find(Veiled()), dry_run=dry_run)


def _loaded() -> Config:
    with open_session() as session:
        return session.config


def _written(key: str, value: str, profile: str | None, *, new: bool) -> Config:
    """The configuration after the change; what hides it is said on standard error."""
    from orchestrator_nb.config import Paths, choose_profile  # pydantic, which help must not wait for

    if key == "profile" and profile is None:  # also away from one that is not there, with which no session opens
        environ = Veiled()
        fresh = choose_profile(value, Paths.find(environ), Path.cwd(), environ, new=new)
    else:
        fresh = _loaded().set_user(key, value, profile)
    if notice := fresh.hiding(key, profile):
        click.echo(notice, err=True)
    return fresh


def _print_origin(key: str, origin: Origin) -> None:
    click.echo(f"{key} = {origin.value!r}  ({origin.layer}: {origin.place})")


def _print_profiles(config: Config) -> None:
    from orchestrator_nb.config import list_profiles  # as above

    for facts in list_profiles(config):
        sets = ", ".join(f"{key} = {value!r}" for key, value in facts.sets.items())
        mark, vault = "*" if facts.active else " ", "vault" if facts.has_vault else "no vault"
        click.echo(f"{mark} {facts.name:<20} {vault:<10} {sets}".rstrip())


@main.command()
@click.option("--port", default=4321, show_default=True, type=click.IntRange(0, 65535))
@click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Answers: pattern → text.")
@click.option("--seed", default=0, show_default=True)
@click.option("--pace", default=0.0, show_default=True, help="Seconds between chunks of a stream.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds before the first byte.")
def simulate(port: int, **how: Any) -> None:
    """Play the vendors on loopback until Ctrl-C."""
    from orchestrator_nb.simulator import serve  # a face of its own

    serve(port=port, **how)


@main.command()
def doctor() -> None:
    """Say what works here and what does not."""
    from orchestrator_nb.config.files import printable  # with YAML: help must not wait for it

    marks = {True: click.style("ok", fg="green"), False: click.style("!!", fg="red"), None: "  "}
    checks = _checks()
    for check in checks:
        click.echo(f"{marks[check.ok]}  {check.name:<18} {printable(for_shell(check.text))}")
    sys.exit(1 if any(check.ok is False for check in checks) else 0)


def _checks() -> list[Check]:
    try:
        with open_session(lenient=True) as session:
            return session.doctor()
    except ConfigError as error:
        from orchestrator_nb.diagnosis import without_home  # with the vault: help must not wait for it

        return without_home(error, Veiled())


@main.command()
def demo() -> None:
    """Run the quickstart against the simulator, over real HTTP, and print its comparison."""
    from orchestrator_nb.demo import run_demo

    run_demo(click.echo)
