"""Tab in our cells: models, flags, subcommands and settings on the first line; notebook variables after ``{{``; nothing else in a prompt.

`suggest` is pure and knows no IPython; `matcher` is its door for IPython's completer, which JupyterLab uses too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_nb.magics.args import ON_ERROR, flags, parameters
from orchestrator_nb.magics.manual import COMMANDS, VAULT
from orchestrator_nb.source import FOR_CELLS


@dataclass(frozen=True, slots=True)
class Known:
    """What may be suggested; the two lists that need a session are asked for only when a completion needs them."""

    models: Callable[[], Sequence[str]]
    settings: Callable[[], Sequence[str]]
    variables: Mapping[str, Any]
    profiles: Callable[[], Sequence[str]] = tuple
    keys: Callable[[], Sequence[str]] = tuple
    conversations: Callable[[], Sequence[str]] = tuple
    branches: Callable[[str], Sequence[str]] = lambda _conversation: ()


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Completions for ``fragment``, the text before the cursor that they replace. ``kind`` is the word shown beside them."""

    fragment: str
    names: tuple[str, ...]
    kind: str = ""


_CELL = re.compile(r"\s*%%(?:llm|onb)(?=\s|$)")
_COMMAND = re.compile(r"\s*%(?:llm|onb)\s+")
_VAULT = re.compile(r"\s*%(?:(?:llm|onb)\s+)?vault\s+")
_OPEN_BRACES = re.compile(r"\{\{-?\s*(?:[^{}]*[\s(,|+~-])?(\w*)$")


def suggest(text: str, row: int, column: int, known: Known) -> Suggestions | None:
    """What to offer at this place, or ``None`` where the cell is not ours. An empty answer in our cells means: offer nothing."""
    lines = text.split("\n")
    before = lines[row][:column]
    cell = _CELL.match(text)
    if cell and (row > 0 or _OPEN_BRACES.search(before)):
        return _variables(before, known)
    if cell and cell.end() < len(before):
        return _first_line(before, known)
    if vault := _VAULT.match(before):
        return _vault(before[vault.end() :], known)
    if command := _COMMAND.match(before):
        return _command(before[command.end() :], known)
    return None


def _variables(before: str, known: Known) -> Suggestions:
    if not (opened := _OPEN_BRACES.search(before)):
        return Suggestions("", ())
    names = (name for name, value in known.variables.items() if name not in ("In", "Out") and _is_data(name, value))
    return _starting(opened[1], sorted(names), "variable")


def _is_data(name: str, value: object) -> bool:
    """Templates take values: modules, functions and IPython's own names are noise there."""
    return not (name.startswith("_") or callable(value) or type(value).__name__ == "module")


def _first_line(before: str, known: Known) -> Suggestions:
    *earlier, word = re.split(r"\s+", before)
    if word.startswith("-") and "=" not in word:
        return _starting(word, flags(), "option")
    if word.startswith("--"):
        flag, _, value = word.partition("=")
    else:
        flag, value = earlier[-1] if earlier else "", word
    option = flags().get(flag)
    if option is None or not option.metavar:
        return _starting(value, known.models(), "model")
    kind, names = _OPERANDS.get(option.flags[-1], _NOTHING)
    return _starting(value, names(value, known), kind)


def _frames(_value: str, known: Known) -> list[str]:
    """Names of what ``--over`` takes: frames and lists of dicts."""
    return sorted(
        name
        for name, value in known.variables.items()
        if not name.startswith("_")
        and (hasattr(value, "columns") or (isinstance(value, list) and value and isinstance(value[0], Mapping)))
    )


def _schemas(_value: str, known: Known) -> list[str]:
    """Names of pydantic models."""
    return sorted(name for name, value in known.variables.items() if hasattr(value, "model_json_schema"))


def _parameters(_value: str, _known: Known) -> Sequence[str]:
    return parameters()


def _paths(start: str, _known: Known) -> list[str]:
    """Files and folders whose name goes on from ``start``."""
    from pathlib import Path

    folder = Path(start).parent if not start.endswith("/") else Path(start)
    shown = (f"{path}/" if path.is_dir() else str(path) for path in _entries(folder) if not path.name.startswith("."))
    return sorted(shown)


def _entries(folder: Any) -> Iterable[Any]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _sources(value: str, known: Known) -> Iterable[str]:
    """A mode, then a tape behind it."""
    mode, equals, start = value.partition("=")
    if not equals:
        return [f"{mode}=" if mode in _WITH_TAPE else mode for mode in FOR_CELLS]
    return [f"{mode}={path}" for path in _tapes(start, known)]


def _tapes(start: str, known: Known) -> list[str]:
    return [path for path in _paths(start, known) if path.endswith(("/", ".jsonl"))]


_WITH_TAPE: Final = ("record", "replay")
_BEFORE_TAPE: Final = {(mode,) for mode in _WITH_TAPE} | {("source", mode) for mode in _WITH_TAPE}
Names = Callable[[str, Known], Iterable[str]]

_NOTHING: Final[tuple[str, Names]] = ("", lambda _value, _known: ())
_OPERANDS: Final[Mapping[str, tuple[str, Names]]] = {
    "--model": ("model", lambda _value, known: known.models()),
    "--option": ("parameter", _parameters),
    "--over": ("variable", _frames),
    "--schema": ("class", _schemas),
    "--file": ("path", _paths),
    "--on-error": ("value", lambda _value, _known: ON_ERROR),
    "--source": ("value", _sources),
    "--conversation": ("conversation", lambda _value, known: known.conversations()),
}
"""What fits after each option that takes something, by its long name; after the others nothing is offered."""


def _command(rest: str, known: Known) -> Suggestions:
    words = re.split(r"\s+", rest)
    if len(words) == 1:
        return _starting(words[0], [command.name for command in COMMANDS], "command")
    if words[0] in _LONGER:
        return _LONGER[words[0]](words[1:], known)
    if tuple(words[:-1]) in _BEFORE_TAPE:
        return _starting(words[-1], _tapes(words[-1], known), "path")
    if len(words) > 2:
        return Suggestions(words[-1], ())
    name, word = words
    if name in ("why", "models"):
        return _starting(
            word, known.settings() if name == "why" else known.models(), "setting" if name == "why" else "model"
        )
    options = {
        "simulate": ("on", "off"),
        "source": FOR_CELLS,
        "last": ("--trace",),
        "trust": ("--yes", "--forget", "--list"),
    }
    return _starting(word, options.get(name, ()), "value")


def _config(words: list[str], known: Known) -> Suggestions:
    *earlier, word = words
    if not earlier:
        return _starting(word, [*known.settings(), "profiles", "migrate"], "setting")
    if earlier == ["profile"] or earlier[-1] == "--profile":
        return _starting(word, known.profiles(), "profile")
    options = {"profile": ("--new",), "migrate": ("--dry-run",)}
    fits = len(earlier) > 1 or earlier[0] == "migrate"  # options come after the value
    return _starting(word, options.get(earlier[0], ("--profile",)) if fits else (), "option")


def _past(options: Mapping[str, tuple[str, ...]]) -> Callable[[list[str], Known], Suggestions]:
    """The words of a command that reads the store: what may stand first or again, and what after an option."""

    def suggested(words: list[str], _known: Known) -> Suggestions:
        *earlier, word = words
        after = earlier[-1] if earlier and earlier[-1] in options else ""
        return _starting(word, [name for name in options[after] if name not in earlier], "value")

    return suggested


def _conversations(words: list[str], known: Known) -> Suggestions:
    *earlier, word = words
    match earlier:
        case []:
            return _starting(word, ("list", "tree", "branch", "switch", "export", "import"), "command")
        case ["tree" | "branch" | "switch" | "export"]:
            return _starting(word, known.conversations(), "conversation")
        case ["branch" | "switch", name]:
            return _starting(word, known.branches(name), "branch")
        case ["export", _]:
            return _starting(word, _paths(word, known), "path")
        case ["import"]:
            return _starting(word, (path for path in _paths(word, known) if path.endswith(("/", ".json"))), "path")
        case _:
            return Suggestions(word, ())


_LONGER: Final[Mapping[str, Callable[[list[str], Known], Suggestions]]] = {
    "config": _config,
    "conversations": _conversations,
    "runs": _past({"": ("--days",), "--days": ()}),
    "show": _past({"": ("last",)}),
    "cost": _past({"": ("--by",), "--by": ("model", "day", "run", "notebook")}),
    "resume": _past({"": ("last", "--errors", "--yes", "--max-cost")}),
}
"""Commands of several words."""


def _vault(rest: str, known: Known) -> Suggestions:
    verb, *words = re.split(r"\s+", rest)
    if not words:
        return _starting(verb, [command.name for command in VAULT], "command")
    *earlier, word = words
    if word.startswith("-"):
        options = {
            "set": ("--origin",),
            "import": ("--service", "--origin", "--replace"),
            "passwd": ("--keep-backups",),
        }
        return _starting(word, options.get(verb, ()), "option")
    if verb == "import" and not earlier:
        return _starting(word, ["env", "keyring", *_dotfiles(word), *_paths(word, known)], "source")
    wants_name = verb == "import" or (verb in ("set", "remove", "origins") and not earlier)
    return _starting(word, known.keys() if wants_name else (), "key")


def _dotfiles(start: str) -> list[str]:
    """Files that begin with a point, which other completions leave out."""
    from pathlib import Path

    return sorted(str(path) for path in _entries(Path(start).parent) if path.name.startswith(".env"))


def _starting(fragment: str, names: Iterable[str], kind: str) -> Suggestions:
    return Suggestions(fragment, tuple(name for name in names if name.startswith(fragment)), kind)


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
