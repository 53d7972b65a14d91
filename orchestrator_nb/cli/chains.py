"""``onb chain``: what chains there are, what is wrong with one, running it, its picture, where the time went, and going on with one that broke off."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import for_shell, main, open_session
from orchestrator_nb.errors import UserError

if TYPE_CHECKING:
    from orchestrator_nb.chains import Plan
    from orchestrator_nb.chains.load import Reading
    from orchestrator_nb.chains.problems import Problem
    from orchestrator_nb.library import Kept
    from orchestrator_nb.sessions import Session

as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")


@main.group()
def chain() -> None:
    """Chains: a few steps that ask models, written in YAML.

    CHAIN is the name of one (onb chain list), a file that ends in .yaml, or one line such as "plan:researcher | summarize".
    """


# What there is


@chain.command("list")
@as_json_option
def list_chains(as_json: bool) -> None:
    """List the chains that are known here. Broken ones are told as such."""
    with open_session() as session:
        known = session.chains.all()
    for name, kept in known.items():
        say(json.dumps(_facts(name, kept), ensure_ascii=False) if as_json else _line(name, kept))
    if not known:
        click.echo("no chain is known here; make one from a template: onb chain templates", err=True)


def _facts(name: str, kept: Kept) -> dict[str, Any]:
    return {
        "name": name,
        "origin": kept.origin,
        "path": str(kept.path) if kept.path else None,
        "trusted": kept.trusted,
        "description": kept.chain.description if kept.chain else "",
        "inputs": [item.name for item in kept.chain.inputs] if kept.chain else [],
        "problems": [_problem_facts(problem) for problem in kept.problems],
    }


def _line(name: str, kept: Kept) -> str:
    marks = "broken" if kept.problems else "" if kept.trusted else "not trusted"
    about = for_shell(str(kept.problems[0])) if kept.problems else kept.chain.description if kept.chain else ""
    return f"{name:<24} {kept.origin:<9} {marks:<12} {one_line(about)}".rstrip()


@chain.command()
@click.argument("name", metavar="CHAIN")
def show(name: str) -> None:
    """Print a chain as it is written. Exit code 1 when something is wrong with it."""
    with open_session() as session:
        text, problems = _text(session, name)
    say(text.rstrip("\n"))
    for problem in problems:
        click.echo(f"onb: {one_line(for_shell(str(problem)))}", err=True)
    sys.exit(1 if problems else 0)


def _text(session: Session, name: str) -> tuple[str, Sequence[Problem]]:
    """The text of its file, or what would be written, and what is wrong."""
    from orchestrator_nb.chains import to_yaml  # brings pydantic and Jinja: help must not wait for them
    from orchestrator_nb.config.chainfiles import is_one  # as above
    from orchestrator_nb.library import in_file  # as above

    if is_one(name):
        found = list(in_file(Path(name)).values())
        if text := found[0].text:
            return text, [problem for kept in found for problem in kept.problems]
    known = session.chains.all().get(name)
    if known is not None and known.text and (known.chain is None or known.chain.origin.root == ()):
        return known.text, known.problems
    if known is not None and known.chain is not None:  # one of several in its file, or of the settings
        return to_yaml(known.chain), known.problems
    return to_yaml(session.chains.read(written(name))[0]), ()


# What is wrong


@chain.command()
@click.argument("paths", nargs=-1, metavar="[PATH|NAME]...")
@as_json_option
def check(paths: tuple[str, ...], as_json: bool) -> None:
    """Say everything that is wrong with chains.

    In files and folders; without any, in all that are known.

    Exit code 1 when something is. Functions of a notebook are not known here, so the names in 'python' steps are not checked.
    """
    with open_session(lenient=True) as session:  # a project that is not trusted yet can be checked all the same
        chains, problems = _checked(session, paths)
    for problem in problems:
        say(json.dumps(_problem_facts(problem), ensure_ascii=False) if as_json else one_line(for_shell(str(problem))))
    found = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}" if problems else "no problems"
    click.echo(f"{chains:,} chain{'s' if chains != 1 else ''}, {found}.", err=True)
    sys.exit(1 if problems else 0)


def _checked(session: Session, paths: Sequence[str]) -> tuple[int, list[Problem]]:
    from dataclasses import replace

    from orchestrator_nb.chains.load import Reading  # as above
    from orchestrator_nb.chains.planning import planned  # as above
    from orchestrator_nb.chains.problems import sorted_problems  # as above

    read: list[tuple[str, Reading]] = []
    for path in paths:
        read += _readings(session, path)
    if not paths:
        read = [(name, Reading(kept.chain, kept.problems)) for name, kept in session.chains.all().items()]
    world = session.chains.world()
    among = {name: reading.chain for name, reading in read if reading.chain and not reading.problems}
    world = replace(world, functions=None, chains={**(world.chains or {}), **among})
    problems: list[Problem] = []
    for _, reading in read:
        known = {(problem.line, problem.column) for problem in reading.problems}
        later = planned(reading.chain, world)[1] if reading.chain else ()
        new = [problem for problem in later if (problem.line, problem.column) not in known]
        problems += sorted_problems([*reading.problems, *new])
    return len(read), problems


def _readings(session: Session, name: str) -> Iterator[tuple[str, Reading]]:
    """What stands in a file, in the files of a folder, or under a name."""
    from orchestrator_nb.chains.load import Reading  # as above
    from orchestrator_nb.config.chainfiles import is_one  # as above

    path = Path(name)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if is_one(file.name) and not file.is_dir())
        for file in files:
            yield from _in_file(file)
        if not files:
            raise UserError(f"{name} has no chain files (*.yaml) in it.")
    elif path.exists() or is_one(path.name):
        yield from _in_file(path)
    else:
        kept = session.chains.find(name)
        yield name, Reading(kept.chain, kept.problems)


def _in_file(path: Path) -> Iterator[tuple[str, Reading]]:
    from orchestrator_nb.chains.load import Reading  # as above
    from orchestrator_nb.chains.problems import Problem  # as above
    from orchestrator_nb.library import in_file  # as above

    try:
        found = in_file(path)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        yield path.stem, Reading(None, (Problem(str(path), 1, 1, "", "", reason),))
    else:
        yield from ((name, Reading(kept.chain, kept.problems)) for name, kept in found.items())


def _problem_facts(problem: Problem) -> dict[str, Any]:
    return {key: getattr(problem, key) for key in ("file", "line", "column", "step", "key", "message")}


# Its picture


@chain.command()
@click.argument("name", metavar="CHAIN")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture to this SVG file."
)
def draw(name: str, out: Path | None) -> None:
    """Draw CHAIN as a tree of text, or as a picture with --out."""
    with open_session() as session:
        plan = _plan_of(session, written(name))
    if out is None:
        from orchestrator_nb.chains.outline import outline  # as above

        return say(outline(plan))
    from orchestrator_nb.chains.drawing import svg  # as above

    out.write_text(svg(plan), "utf-8")
    return click.echo(f"{out}: {len(plan.nodes):,} steps")


def _plan_of(session: Session, text: str) -> Plan:
    """The plan of a chain by itself; functions are the notebook's."""
    from dataclasses import replace

    from orchestrator_nb.chains import plan  # as above

    read, trusted = session.chains.read(text)
    return plan(read, replace(session.chains.world(trusted=trusted), functions=None))


# Making one


@chain.command()
@click.argument("name", required=False)
@as_json_option
def templates(name: str | None, as_json: bool) -> None:
    """List the ready chains, or the parameters of one."""
    from orchestrator_nb.chains import ready, template  # as above

    found = [template(name)] if name else list(ready().values())
    for one in found:
        if as_json:
            parameters = {
                key: {"default": each.default, "description": each.description} for key, each in one.parameters.items()
            }
            click.echo(json.dumps({"name": one.name, "description": one.description, "parameters": parameters}))
            continue
        click.echo(f"{one.name:<12}{one.description}")
        for parameter in one.parameters.values() if name else ():
            default = "the session's" if parameter.default is None else json.dumps(parameter.default)
            click.echo(f"  {parameter.name:<14}{default:<16}{parameter.description}")


@chain.command()
@click.argument("name")
@click.option("--from", "source", required=True, metavar="TEMPLATE", help="Which ready chain: onb chain templates.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="A parameter of the template; repeatable.")
@click.option("--replace", is_flag=True, help="In the place of another chain of that name.")
@click.option("--print", "only_print", is_flag=True, help="Print it and keep nothing.")
def new(name: str, source: str, values: tuple[str, ...], replace: bool, only_print: bool) -> None:
    """Make a chain called NAME from a template. It is kept in your chains folder."""
    from orchestrator_nb.chains import template, to_yaml  # as above

    text = to_yaml(template(source).chain(name, dict(map(_set, values))))
    if only_print:
        return click.echo(text.rstrip("\n"))
    with open_session() as session:
        path = session.chains.save(name, text, replace=replace)
    return click.echo(f"{path}\nRun it: onb chain run {name}")


def collection(text: str) -> Any:
    """A list or mapping as JSON or YAML writes it. Raises `UserError`."""
    from orchestrator_nb.config.yaml import read  # as above
    from orchestrator_nb.errors import ConfigError

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return read(f"value: {text}".encode("utf-8", "surrogatepass"), "value").value["value"]
    except ConfigError:
        pass
    raise UserError(f"{text[:60]!r} is no list or mapping; write them as [a, b] or {{a: 1}}.")


def _set(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--set takes NAME=VALUE, for example --set turns=3, not {text!r}.")
    return name, collection(value) if value[:1] in {"[", "{"} else value


@chain.command()
@click.argument("name", required=False)
@as_json_option
def roles(name: str | None, as_json: bool) -> None:
    """List roles and personas, or show the text of one."""
    with open_session() as session:
        known = session.chains.roles
    both = {"role": known.roles, "persona": known.personas}
    if name is not None:
        return _show_role(both, name, as_json=as_json)
    for kind, texts in both.items():
        for title, text in texts.items():
            facts = {"kind": kind, "name": title, "text": text}
            short = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
            say(json.dumps(facts, ensure_ascii=False) if as_json else one_line(f"{kind:<8} {title:<18} {short}"))
    return None


_SHORT = 90


def _show_role(both: Mapping[str, Mapping[str, str]], name: str, *, as_json: bool) -> None:
    from orchestrator_nb.chains.spelling import canonical  # as above
    from orchestrator_nb.config.shapes import unknown  # as above

    found = [(kind, texts[canonical(name)]) for kind, texts in both.items() if canonical(name) in texts]
    if not found:
        raise UserError(f"{unknown(canonical(name), [*both['role'], *both['persona']], f'role or persona {name!r}')}.")
    for kind, text in found:
        facts = {"kind": kind, "name": canonical(name), "text": text}
        say(json.dumps(facts, ensure_ascii=False) if as_json else f"{kind} {canonical(name)}:\n{text}")


# How it is said


def say(text: str) -> None:
    """To a pipe as it is; to a terminal without what would steer it."""
    from orchestrator_nb.results.safe_text import plain, whole  # as above

    click.echo(plain(text) if sys.stdout.isatty() else whole(text))


def one_line(text: str) -> str:
    """On one line, whatever a file or a model put into it."""
    from orchestrator_nb.config.files import printable  # as above

    return printable(text)


def written(name: str) -> str:
    """What CHAIN is: for "-", the text on standard input."""
    return sys.stdin.read() if name == "-" else name
