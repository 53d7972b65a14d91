"""``%chain WORD …``: one small function per word, each parse → library or session → show. A table comes back as a DataFrame, so that it can be kept and filtered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from orchestrator_nb.chains import Plan, plan, ready, template, to_yaml
from orchestrator_nb.chains.chain import REQUIRED, Chain, Input
from orchestrator_nb.chains.drafting import Draft
from orchestrator_nb.chains.drawing import Drawing, draw
from orchestrator_nb.chains.planning import planned
from orchestrator_nb.chains.problems import Problem, sorted_problems
from orchestrator_nb.chains.world import World
from orchestrator_nb.config.chainfiles import is_one
from orchestrator_nb.errors import ChainError, UserError
from orchestrator_nb.figures import count
from orchestrator_nb.library import Kept, in_file
from orchestrator_nb.magics import watch
from orchestrator_nb.magics.args import Option, nearest
from orchestrator_nb.magics.chain_args import parse_resume, parse_run, read
from orchestrator_nb.magics.chain_values import BrokenChain, broken, yaml_value
from orchestrator_nb.magics.chaining import confirm, start
from orchestrator_nb.magics.chaining import planned as started
from orchestrator_nb.magics.manual import CHAIN, chain_line_help
from orchestrator_nb.magics.place import place_of, takes_widgets
from orchestrator_nb.magics.shell import say
from orchestrator_nb.magics.words import split
from orchestrator_nb.prompts.template import fill
from orchestrator_nb.results.frames import frame
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.vault.telling import place

if TYPE_CHECKING:
    from orchestrator_nb.magics.chain_cell import ChainMagics
    from orchestrator_nb.sessions import Session


@dataclass(frozen=True, slots=True)
class Words:
    """What stood after a verb; ``raw`` is the same as it was typed, ``usage`` how the verb is written."""

    usage: str
    words: tuple[str, ...]
    raw: str = ""

    def names(self, least: int = 0, most: float = float("inf")) -> tuple[str, ...]:
        """The words, if there are enough and not too many. Raises `UserError` that shows how the verb is written."""
        if not least <= len(self.words) <= most or any(word.startswith("-") for word in self.words):
            raise self.misused()
        return self.words

    def misused(self) -> UserError:
        """The error that shows how the verb is written."""
        return UserError(f"write it as: %chain {self.usage}")


def run(line: str, magics: ChainMagics) -> Any:
    """Does what the line says. Raises `UserError` with the nearest verb when there is no such one."""
    verb, _, rest = line.strip().partition(" ")
    verb = verb or "help"
    if (act := _VERBS.get(verb)) is None:
        raise UserError(_no_verb(verb, line, magics))
    usage = next(command.usage for command in CHAIN if command.name == verb)
    words = () if verb == "from" else tuple(split(rest))
    return act(magics, Words(usage, words, rest.strip()))


def _no_verb(verb: str, line: str, magics: ChainMagics) -> str:
    if verb in _MEANT:
        return f"%chain has no word {verb!r}; did you mean {_MEANT[verb]!r}?"
    if verb in magics.magics.session.chains.all():
        return f"%chain has no word {verb!r}; to run the chain of that name write %chain run {line.strip()}"
    if "|" in line or "@" in verb:
        return "a chain is written in a cell of its own, below a line with %%chain."
    return f"%chain has no word {verb!r}{nearest(verb, tuple(_VERBS))} %chain help lists them."


_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ls", "chains", "all"), "list"),
    **dict.fromkeys(("start", "exec", "call", "do"), "run"),
    **dict.fromkeys(("graph", "plot", "view", "picture"), "draw"),
    **dict.fromkeys(("validate", "lint", "verify"), "check"),
    **dict.fromkeys(("create", "make", "add"), "new"),
    **dict.fromkeys(("continue", "retry", "rest"), "resume"),
    **dict.fromkeys(("cat", "print", "yaml"), "show"),
    **dict.fromkeys(("personas",), "roles"),
}


# What there is


def _list(magics: ChainMagics, words: Words) -> pd.DataFrame:
    words.names(0, 0)
    chains = magics.magics.session.chains
    rows = [_row(name, kept, chains.world(trusted=kept.trusted)) for name, kept in chains.all().items()]
    return pd.DataFrame(rows, columns=["chain", "description", "inputs", "steps", "from", "path", "problems"])


def _row(name: str, kept: Kept, world: World) -> tuple[Any, ...]:
    problems = _problems(kept, world)
    path = str(kept.path) if kept.path else ""
    if kept.chain is None:
        return name, "", "", pd.NA, kept.origin, path, len(problems)
    inputs = ", ".join(map(_input, kept.chain.inputs))
    return name, kept.chain.description, inputs, len(kept.chain.steps), kept.origin, path, len(problems)


def _input(item: Input) -> str:
    return item.name if item.default is REQUIRED else f"[{item.name}]"


def _show(magics: ChainMagics, words: Words) -> None:
    [name] = words.names(1, 1)
    kept = _kept(name, magics.magics.session)
    if kept.chain is None and kept.text is None:
        raise broken(ChainError(kept.problems), cell=False)
    place = f" ({kept.path})" if kept.path else ""
    trust = "" if kept.trusted else ", not trusted"
    say(f"# {name}: {_WHOSE[kept.origin]}{trust}{place}\n{_text(kept).rstrip()}")
    if kept.problems:
        raise broken(ChainError(kept.problems), cell=False)


_WHOSE: Final = {"user": "yours", "project": "the project's", "notebook": "this notebook's"}


def _text(kept: Kept) -> str:
    """The YAML: as it stands in its file, else as it would be written."""
    if kept.text is not None:
        return kept.text
    return to_yaml(kept.chain) if kept.chain else ""


def _check(magics: ChainMagics, words: Words) -> None:
    [name] = words.names(1, 1)
    session = magics.magics.session
    found = _found(name, session)
    world = session.chains.world()
    sound = {title: kept.chain for title, kept in found.items() if kept.chain and not kept.problems}
    world = replace(world, chains={**(world.chains or {}), **sound})
    problems = [problem for kept in found.values() for problem in _problems(kept, world)]
    if problems:
        raise BrokenChain(
            f"{count(len(problems), 'problem')} in {name}:", [str(problem) for problem in problems], problems
        )
    for title, chain in sound.items():
        say(f"{title}: no problems; {count(len(plan(chain, world).nodes), 'step')}.")


def _found(name: str, session: Session) -> Mapping[str, Kept]:
    """The chains that are meant: of a file, of all files of a folder, or the one of that name."""
    folder = _path(name, session)
    if folder.is_dir() and name not in session.chains.all():
        files = sorted(path for path in folder.iterdir() if is_one(path.name) and path.is_file())
        if not files:
            raise UserError(f"{name} has no chain files (*.yaml) in it.")
        return {f"{path.name}: {title}": kept for path in files for title, kept in _in_file(path, session).items()}
    return _in_file(Path(name), session) if _is_file(name, session) else {name: session.chains.find(name)}


def _problems(kept: Kept, world: World) -> tuple[Problem, ...]:
    """Those of the language and those of the plan, each place once."""
    later = planned(kept.chain, world)[1] if kept.chain else ()
    known = {(problem.line, problem.column) for problem in kept.problems if problem.line}
    new = [problem for problem in later if (problem.line, problem.column) not in known]
    return sorted_problems([*kept.problems, *new])


def _is_file(name: str, session: Session) -> bool:
    return is_one(Path(name).name) or (_path(name, session).is_file() and name not in session.chains.all())


def _path(name: str | Path, session: Session) -> Path:
    return (session.config.cwd or Path.cwd()) / Path(name).expanduser()


def _in_file(path: Path, session: Session) -> Mapping[str, Kept]:
    return in_file(_path(path, session))


def _kept(name: str, session: Session) -> Kept:
    """The chain under a name, or the only one in a file."""
    if not _is_file(name, session):
        return session.chains.find(name)
    found = _in_file(Path(name), session)
    if len(found) != 1:
        raise UserError(f"{name} holds {len(found)} chains ({', '.join(found)}); put one into each file.")
    return next(iter(found.values()))


def _meant(name: str, session: Session) -> Path | str:
    """A file, or the name of a chain that is known: no text is taken for a chain here. Raises `UserError` with the nearest name."""
    if _is_file(name, session):
        return Path(name)
    session.chains.find(name)
    return name


def _draw(magics: ChainMagics, words: Words) -> Drawing:
    [name] = words.names(1, 1)
    drawing = draw(_plan(name, magics.magics.session))
    if "cell" not in place_of(magics.shell):  # a terminal, or a program that runs a notebook
        return drawing
    from orchestrator_nb.magics.chain_edit import looked  # a notebook's own way to look at it

    return looked(drawing, name, magics.magics.session)


def _plan(name: str, session: Session) -> Plan:
    try:
        chain, trusted = session.chains.read(_meant(name, session))
        return plan(chain, session.chains.world(trusted=trusted))
    except ChainError as error:
        refused = error
    raise broken(refused, cell=False)


# Running


def _run(magics: ChainMagics, words: Words) -> pd.DataFrame | None:
    line, names = parse_run(words.words)
    if len(names) != 1:
        raise _run_how(names, words)
    session = magics.magics.session
    [name] = names
    try:
        asked = started(line, _meant(name, session), session, magics.shell)
    except ChainError as error:
        refused = error
    else:
        return magics.ended(asked, watch.block(asked.job, asked.screen.draw)) if asked else None
    raise refused if type(refused) is not ChainError else broken(refused, cell=False)


def _run_how(names: list[str], words: Words) -> UserError:
    if extra := next((word for word in names[1:] if "=" in word), None):
        return UserError(f"to give the chain an input write --input {extra}.")
    return words.misused()


def _resume(magics: ChainMagics, words: Words) -> pd.DataFrame:
    line, names = parse_resume(words.words)
    if len(names) > 1:
        raise words.misused()
    session = magics.magics.session
    rest = session.rest_of_chain(names[0] if names else "last")
    confirm(rest, line, session)
    asked = start(rest, line, session, magics.shell)
    return magics.ended(asked, watch.block(asked.job, asked.screen.draw))


def _profile(magics: ChainMagics, words: Words) -> Any:
    names = words.names(0, 1)
    run = magics.magics.session.retold(names[0] if names else "last")
    if run.chained is None:
        raise UserError(f"run {run.id} is no chain's, so it has no steps; %llm show {run.id} shows it.")
    return frame(run).llm.profile()


# Making one


def _edit(magics: ChainMagics, words: Words) -> None:
    from orchestrator_nb.magics.chain_edit import edit  # reads files; only who edits needs it

    try:
        told, cell = edit(words.words, magics.magics.session, notebook=takes_widgets(magics.shell))
    except ChainError as error:
        refused = error
    else:
        if cell:
            _cell(magics, cell)
        if told:
            say(told)
        return
    raise broken(refused, cell=False)


def _templates(_magics: ChainMagics, words: Words) -> pd.DataFrame:
    names = words.names(0, 1)
    if not names:
        rows = [(name, one.description, ", ".join(one.parameters)) for name, one in ready().items()]
        return pd.DataFrame(rows, columns=["template", "description", "parameters"])
    parameters = template(names[0]).parameters.values()
    rows_of_one = [(one.name, one.default, one.description) for one in parameters]
    return pd.DataFrame(rows_of_one, columns=["parameter", "default", "description"], dtype=object)


_NEW: Final = (
    Option(("--from",), ("TEMPLATE",), "", {"dest": "source"}),
    Option(("--set",), ("PARAMETER=VALUE",), "", {"action": "append", "dest": "values"}),
    Option(("--replace",), (), ""),
)


def _new(magics: ChainMagics, words: Words) -> None:
    given, names = read(words.words, _NEW, "%chain")
    if len(names) != 1 or given.source is None:
        raise words.misused()
    [name] = names
    variables = magics.shell.user_ns
    values = dict(_set(fill(text, variables)) for text in given.values or ())
    chain = template(given.source).chain(name, values)
    session = magics.magics.session
    path = session.chains.save(name, to_yaml(chain), replace=given.replace)
    say(f"{name} is kept in {place(path)}. {_how(chain)}")


def _set(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(
            f"--set takes PARAMETER=VALUE without spaces around =, for example --set turns=3, not {text!r}."
        )
    return name, yaml_value(value) if value[:1] in {"[", "{"} else value


def _how(chain: Chain) -> str:
    inputs = [f"--input {item.name}=…" for item in chain.inputs if item.default is REQUIRED]
    return f"Run it with {' '.join([f'%chain run {chain.name}', *inputs])}, change it with %chain edit {chain.name}."


_MODEL: Final = re.compile(r"(?:^|\s)(?:-m|--model)(?:\s+|=)(\S+)")


def _from(magics: ChainMagics, words: Words) -> Drawing | None:
    """Drafts a chain into a new cell; nothing of it runs. The words need no quotes, and may have an apostrophe."""
    models = _MODEL.findall(words.raw)
    said = _MODEL.sub(" ", words.raw).strip()
    if said[:1] in {'"', "'"} and said[-1:] == said[:1]:
        said = said[1:-1].strip()
    if len(models) > 1 or not said:
        raise words.misused()
    variables = magics.shell.user_ns
    session = magics.magics.session
    draft = session.draft_chain(said, fill(models[0], variables) if models else None)
    text = plain(draft.text).strip()
    say(text)
    if draft.problems or draft.chain is None:
        _cell(magics, f"%%chain\n{text}")
        raise _unfinished(draft)
    inputs = "".join(f" --input {item.name}=…" for item in draft.chain.inputs if item.default is REQUIRED)
    _cell(magics, f"%%chain{inputs}\n{text}")
    say("\nThe cell below has this chain; change it, fill in its inputs, and run it. Nothing has run yet.")
    return draw(plan(draft.chain, session.chains.world()))


def _unfinished(draft: Draft) -> BrokenChain:
    tries = "one try" if draft.tries == 1 else f"{draft.tries:,} tries"
    head = f"after {tries} something is still wrong with the draft; it is in the cell below, to be mended."
    lines = [str(problem) for problem in draft.problems] or ["it holds no chain."]
    return BrokenChain(head, lines if len(lines) > 1 else [f"{head} {lines[0]}"], draft.problems)


def _roles(magics: ChainMagics, words: Words) -> pd.DataFrame:
    words.names(0, 0)
    known = magics.magics.session.chains.roles
    both: Iterable[tuple[str, Mapping[str, str]]] = (("role", known.roles), ("persona", known.personas))
    rows = [(kind, name, text) for kind, texts in both for name, text in texts.items()]
    return pd.DataFrame(rows, columns=["kind", "name", "text"])


def _cell(magics: ChainMagics, text: str) -> None:
    magics.shell.set_next_input(text)


def _help(_magics: ChainMagics, words: Words) -> None:
    words.names(0, 0)
    say(chain_line_help())


_VERBS: Final[Mapping[str, Callable[[ChainMagics, Words], Any]]] = {
    "list": _list,
    "show": _show,
    "check": _check,
    "run": _run,
    "draw": _draw,
    "edit": _edit,
    "templates": _templates,
    "new": _new,
    "from": _from,
    "roles": _roles,
    "resume": _resume,
    "profile": _profile,
    "help": _help,
}
