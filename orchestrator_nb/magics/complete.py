"""Tab in our cells: models, flags, subcommands and settings on the first line; notebook variables after ``{{``; nothing else in a prompt.

`suggest` is pure and knows no IPython; `matcher` is its door for IPython's completer, which JupyterLab uses too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.magics.args import ON_ERROR, flags, parameters
from orchestrator_nb.magics.chain_complete import suggest as suggest_for_chain
from orchestrator_nb.magics.manual import COMMANDS, VAULT
from orchestrator_nb.magics.offers import (
    OPEN_BRACES,
    WITH_TAPE,
    Known,
    Suggestions,
    entries,
    frames,
    paths,
    sources,
    starting,
    tapes,
    variables,
)
from orchestrator_nb.source import FOR_CELLS

_CELL = re.compile(r"\s*%%(?:llm|onb)(?=\s|$)")
_COMMAND = re.compile(r"\s*%(?:llm|onb)\s+")
_VAULT = re.compile(r"\s*%(?:(?:llm|onb)\s+)?vault\s+")


def suggest(text: str, row: int, column: int, known: Known) -> Suggestions | None:
    """What to offer at this place, or ``None`` where the cell is not ours. An empty answer in our cells means: offer nothing."""
    lines = text.split("\n")
    before = lines[row][:column]
    if (found := suggest_for_chain(text, row, column, known)) is not None:
        return found
    cell = _CELL.match(text)
    if cell and (row > 0 or OPEN_BRACES.search(before)):
        return variables(before, known)
    if cell and cell.end() < len(before):
        return _first_line(before, known)
    if vault := _VAULT.match(before):
        return _vault(before[vault.end() :], known)
    if command := _COMMAND.match(before):
        return _command(before[command.end() :], known)
    return None


def _first_line(before: str, known: Known) -> Suggestions:
    *earlier, word = re.split(r"\s+", before)
    if word.startswith("-") and "=" not in word:
        return starting(word, flags(), "option")
    if word.startswith("--"):
        flag, _, value = word.partition("=")
    else:
        flag, value = earlier[-1] if earlier else "", word
    option = flags().get(flag)
    if option is None or not option.metavar:
        return starting(value, known.models(), "model")
    kind, names = _OPERANDS.get(option.flags[-1], _NOTHING)
    return starting(value, names(value, known), kind)


def _schemas(_value: str, known: Known) -> list[str]:
    """Names of pydantic models."""
    return sorted(name for name, value in known.variables.items() if hasattr(value, "model_json_schema"))


def _parameters(_value: str, _known: Known) -> Sequence[str]:
    return parameters()


_BEFORE_TAPE: Final = {(mode,) for mode in WITH_TAPE} | {("source", mode) for mode in WITH_TAPE}
Names = Callable[[str, Known], Iterable[str]]

_NOTHING: Final[tuple[str, Names]] = ("", lambda _value, _known: ())
_OPERANDS: Final[Mapping[str, tuple[str, Names]]] = {
    "--model": ("model", lambda _value, known: known.models()),
    "--option": ("parameter", _parameters),
    "--over": ("variable", frames),
    "--schema": ("class", _schemas),
    "--file": ("path", paths),
    "--on-error": ("value", lambda _value, _known: ON_ERROR),
    "--source": ("value", sources),
    "--conversation": ("conversation", lambda _value, known: known.conversations()),
}
"""What fits after each option that takes something, by its long name; after the others nothing is offered."""


def _command(rest: str, known: Known) -> Suggestions:
    words = re.split(r"\s+", rest)
    if len(words) == 1:
        return starting(words[0], [command.name for command in COMMANDS], "command")
    if words[0] in _LONGER:
        return _LONGER[words[0]](words[1:], known)
    if tuple(words[:-1]) in _BEFORE_TAPE:
        return starting(words[-1], tapes(words[-1], known), "path")
    if len(words) > 2:
        return Suggestions(words[-1], ())
    name, word = words
    if name in ("why", "models", "pick"):
        return starting(
            word, known.settings() if name == "why" else known.models(), "setting" if name == "why" else "model"
        )
    options = {
        "simulate": ("on", "off"),
        "source": FOR_CELLS,
        "last": ("--trace",),
        "trust": ("--yes", "--forget", "--list"),
    }
    return starting(word, options.get(name, ()), "value")


def _config(words: list[str], known: Known) -> Suggestions:
    *earlier, word = words
    if not earlier:
        return starting(word, [*known.settings(), "profiles", "migrate"], "setting")
    if earlier == ["profile"] or earlier[-1] == "--profile":
        return starting(word, known.profiles(), "profile")
    options = {"profile": ("--new",), "migrate": ("--dry-run",)}
    fits = len(earlier) > 1 or earlier[0] == "migrate"  # options come after the value
    return starting(word, options.get(earlier[0], ("--profile",)) if fits else (), "option")


def _past(options: Mapping[str, tuple[str, ...]]) -> Callable[[list[str], Known], Suggestions]:
    """The words of a command that reads the store: what may stand first or again, and what after an option."""

    def suggested(words: list[str], _known: Known) -> Suggestions:
        *earlier, word = words
        after = earlier[-1] if earlier and earlier[-1] in options else ""
        return starting(word, [name for name in options[after] if name not in earlier], "value")

    return suggested


def _conversations(words: list[str], known: Known) -> Suggestions:
    *earlier, word = words
    match earlier:
        case []:
            return starting(word, ("list", "tree", "branch", "switch", "export", "import"), "command")
        case ["tree" | "branch" | "switch" | "export"]:
            return starting(word, known.conversations(), "conversation")
        case ["branch" | "switch", name]:
            return starting(word, known.branches(name), "branch")
        case ["export", _]:
            return starting(word, paths(word, known), "path")
        case ["import"]:
            return starting(word, (path for path in paths(word, known) if path.endswith(("/", ".json"))), "path")
        case _:
            return Suggestions(word, ())


def _chat(words: list[str], known: Known) -> Suggestions:
    if len(words) == 1:
        return starting(words[0], known.conversations(), "conversation")
    return starting(words[-1], known.models() if len(words) == 2 else (), "model")


_LONGER: Final[Mapping[str, Callable[[list[str], Known], Suggestions]]] = {
    "chat": _chat,
    "config": _config,
    "conversations": _conversations,
    "runs": _past({"": ("--days",), "--days": ()}),
    "show": _past({"": ("last",)}),
    "grid": _past({"": ("last",)}),
    "cost": _past({"": ("--by",), "--by": ("model", "day", "run", "notebook")}),
    "resume": _past({"": ("last", "--errors", "--yes", "--max-cost")}),
}
"""Commands of several words."""


def _vault(rest: str, known: Known) -> Suggestions:
    verb, *words = re.split(r"\s+", rest)
    if not words:
        return starting(verb, [command.name for command in VAULT], "command")
    *earlier, word = words
    if word.startswith("-"):
        options = {
            "set": ("--origin",),
            "import": ("--service", "--origin", "--replace"),
            "passwd": ("--keep-backups",),
        }
        return starting(word, options.get(verb, ()), "option")
    if verb == "import" and not earlier:
        return starting(word, ["env", "keyring", *_dotfiles(word), *paths(word, known)], "source")
    wants_name = verb == "import" or (verb in ("set", "remove", "origins") and not earlier)
    return starting(word, known.keys() if wants_name else (), "key")


def _dotfiles(start: str) -> list[str]:
    """Files that begin with a point, which other completions leave out."""
    from pathlib import Path

    return sorted(str(path) for path in entries(Path(start).parent) if path.name.startswith(".env"))


class _Silence(tuple):  # type: ignore[type-arg]  # a tuple of completions that is always empty
    """No completions, but counted as one: IPython lets a matcher silence the others only when it has something to say."""

    __slots__ = ()

    def __len__(self) -> int:
        return 1


def matcher(known: Known) -> Callable[[Any], Any]:
    """`suggest` as a matcher for ``shell.Completer.custom_matchers``."""
    from IPython.core import completer  # already there in a shell; not needed to suggest

    def complete(context: Any) -> dict[str, Any]:
        found = suggest(context.full_text, context.cursor_line, context.cursor_position, known)
        if found is None:
            return {"completions": ()}
        completions = [completer.SimpleCompletion(text=name, type=found.kind) for name in found.names]
        return {"completions": completions or _Silence(), "matched_fragment": found.fragment, "suppress": True}

    made: Callable[[Any], Any] = completer.context_matcher(identifier="orchestrator_nb")(complete)
    return made
