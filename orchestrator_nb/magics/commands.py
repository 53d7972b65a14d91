"""``%llm WORD …``: one small function per word, each parse → session call → show. A table comes back as a DataFrame, so that it can be kept and filtered."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from orchestrator_nb import config as configuration
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.config import Config
from orchestrator_nb.diagnosis import Check, without_home
from orchestrator_nb.errors import ConfigError, UserError
from orchestrator_nb.magics import past, talks, trust, vault
from orchestrator_nb.magics.args import Parser, nearest
from orchestrator_nb.magics.chain_watch import show
from orchestrator_nb.magics.manual import COMMANDS, line_help
from orchestrator_nb.magics.place import takes_widgets
from orchestrator_nb.magics.shell import display, say
from orchestrator_nb.magics.words import split
from orchestrator_nb.secret import Veiled

if TYPE_CHECKING:
    from orchestrator_nb.config.profiles import ProfileFacts
    from orchestrator_nb.magics.cell import Magics


def run(line: str, magics: Magics) -> Any:
    """Does what the line says. Raises `UserError` with the nearest word when there is no such command."""
    if line.split(maxsplit=1)[:1] == ["vault"]:  # which has its own way with a quote that is never closed
        return vault.run(line.split(maxsplit=1)[1] if len(line.split()) > 1 else "", magics)
    if line.split(maxsplit=1)[:1] == ["chain"]:  # which reads plain English too
        return magics.chains.line(line.split(maxsplit=1)[1] if len(line.split()) > 1 else "")
    name, *words = split(line) or ["help"]
    if (command := _COMMANDS.get(name)) is None:
        if "--" in line or name in magics.model_names():
            raise UserError(f"%llm has no command {name!r}; to ask a model write %%llm, with the prompt below it.")
        if name in talks.VERBS:
            raise UserError(f"%llm has no command {name!r}; write %llm conversations {name}.")
        raise UserError(
            f"%llm has no command {name!r}{nearest(name, (*_COMMANDS, 'vault', 'chain'))} %llm help lists them."
        )
    usage = next(c.usage for c in COMMANDS if c.name == name)
    return command(magics, Words(usage, words))


class Words:
    """The words after a command, read by its little parser."""

    def __init__(self, usage: str, words: list[str]) -> None:
        self.usage, self.words = usage, words

    def read(self, *arguments: tuple[str, dict[str, Any]]) -> argparse.Namespace:
        """The arguments by name. Raises `UserError` that shows how the command is written."""
        parser = Parser(prog="%llm", add_help=False, allow_abbrev=False)
        for name, how in arguments:
            parser.add_argument(name, **how)
        try:
            return parser.parse_args(self.words)
        except UserError:
            pass
        raise self.misused()

    def misused(self) -> UserError:
        """The error that shows how the command is written."""
        return UserError(f"write it as: %llm {self.usage}")


_MAYBE: Final = {"nargs": "?"}
_SWITCH: Final = {"action": "store_true"}


def _models(magics: Magics, words: Words) -> pd.DataFrame:
    given = words.read(("pattern", {"nargs": "?", "default": "*"}), ("--live", {"metavar": "VENDOR"}))
    session = magics.session
    specs = session.list_models(given.live) if given.live else session.catalog.search(given.pattern)
    return pd.DataFrame(
        [_facts(spec) for spec in specs], columns=["model", "aliases", "context", "max_output", "can", "retired"]
    )


def _facts(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.ref,
        "aliases": ", ".join(spec.aliases),
        "context": spec.context if spec.context is not None else pd.NA,
        "max_output": spec.max_output if spec.max_output is not None else pd.NA,
        "can": " ".join(sorted(spec.features)),
        "retired": spec.retired or "",
    }


def _pick(magics: Magics, words: Words) -> None:
    given = words.read(
        ("pattern", {"nargs": "?", "default": "*"}), ("--into", {"metavar": "NAME", "default": "models"})
    )
    if not takes_widgets(magics.shell):  # whose libraries need not be loaded then
        from orchestrator_nb.widgets.offer import offer_of
        from orchestrator_nb.widgets.picked import picked

        display(picked(offer_of(magics.session, given.pattern), (), ""))
        return None
    from orchestrator_nb.widgets import ModelPicker  # ipywidgets and anywidget: only when a widget is wanted

    return ModelPicker(given.pattern, into=given.into, session=magics.session).show()


def _chat(magics: Magics, words: Words) -> None:
    given = words.read(("name", {"nargs": "?", "default": "chat"}), ("model", {"nargs": "?", "default": None}))
    session = magics.session
    if not takes_widgets(magics.shell):
        from orchestrator_nb.widgets.chat_still import still

        talk, models = session.conversation(given.name), session.models([given.model]) if given.model else ()
        asking = " ".join(["%%llm -c", talk.name, *(model.ref for model in models)])
        display(still(talk.name, talk.tree.current))
        return say(f"In a cell: {asking}")
    from orchestrator_nb.widgets import Chat  # ipywidgets and anywidget: only when a widget is wanted

    return Chat(given.name, given.model, session=session).show()


def _last(magics: Magics, words: Words) -> None:
    given = words.read(("--trace", _SWITCH))
    if given.trace:
        return _trace(magics)
    if (run := magics.session.last) is None:
        raise UserError("nothing has been asked yet; %%llm asks.")
    show(run, magics.shell)
    return None


def _trace(magics: Magics) -> None:
    """The stack of the last error, with the errors it came from; no values of variables, so no key can be in it."""
    error = magics.last_error
    if error is None and (run := magics._session().last):
        error = next((call.error for call in run.calls if call.error), None)
    say("".join(traceback.format_exception(error)) if error else "no error so far")


def _config(magics: Magics, words: Words) -> pd.DataFrame | None:
    given = words.read(
        ("key", _MAYBE),
        ("value", _MAYBE),
        ("--new", _SWITCH),
        ("--profile", {"metavar": "NAME"}),
        ("--dry-run", _SWITCH),
    )
    environ = Veiled()  # it holds keys, and %xmode Verbose prints what stands in frames
    if given.key == "migrate" and given.value is None:
        say(configuration.migrate(trust.place(magics, environ)[0], dry_run=given.dry_run))
        return None
    if given.key == "profile" and given.value is not None and given.profile is None:
        configuration.choose_profile(given.value, *trust.place(magics, environ), environ, new=given.new)
    elif given.new or given.dry_run or (given.profile is not None and given.value is None):
        raise words.misused()
    elif given.value is not None:
        session = magics.session
        session.use(session.config.set_user(given.key, given.value, given.profile))
        if given.key in {"vault.idle_s", "vault.limit_s"}:
            say(f"{given.key} counts from the next unlock on.")
    config = magics.session.config
    if given.value is not None and (notice := config.hiding(given.key, given.profile)):
        say(notice)
    return _shown(config, given.key, given.profile)


def _shown(config: Config, key: str | None, profile: str | None) -> pd.DataFrame | None:
    if key is None:
        return pd.DataFrame(map(partial(_setting, config), config.keys()))
    if key == "profiles":
        return pd.DataFrame(map(_profile, configuration.list_profiles(config)))
    if profile not in {None, config.settings.profile}:
        say(f"{key} = {config.profiles[profile].values[key].value!r} in profile {profile}")
    else:
        say(f"{key} = {config.value(key)!r}")
    return None


def _profile(facts: ProfileFacts) -> dict[str, Any]:
    sets = ", ".join(f"{key} = {value!r}" for key, value in facts.sets.items())
    return {"profile": facts.name, "active": facts.active, "sets": sets, "vault": facts.has_vault}


def _setting(config: Any, key: str) -> dict[str, Any]:
    origins = config.why(key)
    return {"setting": key, "value": repr(config.value(key)), "set by": origins[0].place if origins else ""}


def _why(magics: Magics, words: Words) -> None:
    key = words.read(("key", {})).key
    for place, origin in enumerate(magics.session.config.why(key)):
        say(
            f"{key} = {origin.value!r}  {origin.layer}, {origin.place}"
            if place == 0
            else f"{'':{len(key)}}   {origin.value!r}  {origin.layer}, {origin.place}"
        )


def _simulate(magics: Magics, words: Words) -> None:
    given = words.read(("switch", {"choices": ["on", "off"]}), ("script", _MAYBE))
    on = given.switch == "on"
    address = magics.session.simulate(on, given.script)
    say(
        f"simulator on at {address}: no key, no network, no cost; answers are marked 'simulated'."
        if on
        else "simulator off: the vendors are asked."
    )


def _source(magics: Magics, words: Words) -> None:
    given = words.read(("mode", _MAYBE), ("tape", _MAYBE))
    holds = magics.session.source(given.mode, given.tape)
    say(f"source: {holds}{_MEANS.get(holds.mode, '')}")


_MEANS: Final[Mapping[str, str]] = {
    "record": " (models are asked, and each answer is written to the tape, in the place of an earlier one to the same question)",
    "replay": " (no key, no connection, no cost)",
}


def _record(magics: Magics, words: Words) -> None:
    _source(magics, Words(words.usage, ["record", words.read(("tape", {})).tape]))


def _replay(magics: Magics, words: Words) -> None:
    _source(magics, Words(words.usage, ["replay", words.read(("tape", {})).tape]))


def _trust(magics: Magics, words: Words) -> None:
    given = words.read(("--yes", _SWITCH), ("--forget", _SWITCH), ("--list", _SWITCH))
    trust.run(magics, say, yes=given.yes, forget=given.forget, show=given.list)


def _scan(magics: Magics, words: Words) -> pd.DataFrame:
    from orchestrator_nb.magics.scan import table  # with SQLite and the patterns

    return table(words.read(("paths", {"nargs": "*"})).paths, magics.session.config.paths.state, say)


def _doctor(magics: Magics, words: Words) -> None:
    words.read()
    marks: Mapping[bool | None, str] = {True: "ok", False: "!!", None: "  "}
    for check in _checks(magics):
        say(f"{marks[check.ok]}  {check.name:<18} {check.text}")


def _checks(magics: Magics) -> list[Check]:
    try:
        session = magics.any_session
    except ConfigError as error:
        return without_home(error, Veiled())
    return session.doctor()


def _help(_magics: Magics, words: Words) -> None:
    words.read()
    say(line_help())


_COMMANDS: Final[Mapping[str, Callable[[Magics, Words], Any]]] = {
    "models": _models,
    "pick": _pick,
    "chat": _chat,
    "last": _last,
    "config": _config,
    "why": _why,
    "simulate": _simulate,
    "runs": past.runs,
    "show": past.show,
    "grid": past.grid,
    "cost": past.cost,
    "resume": past.resume,
    "conversations": talks.conversations,
    "source": _source,
    "record": _record,
    "replay": _replay,
    "trust": _trust,
    "scan": _scan,
    "doctor": _doctor,
    "help": _help,
}
