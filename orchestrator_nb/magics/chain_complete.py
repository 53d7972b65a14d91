"""Tab for chains: verbs, names and options on the line; in a cell's body the keys of the language, models, roles, names of steps, each where it fits; nothing in a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from orchestrator_nb.magics.args import Option, parameters
from orchestrator_nb.magics.chain_args import ON_ERROR, OPTIONS, RESUME_OPTIONS, RUN_OPTIONS
from orchestrator_nb.magics.manual import CHAIN
from orchestrator_nb.magics.offers import Known, Suggestions, frames, paths, sources, starting, variables

CELL: Final = re.compile(r"\s*%%(?:onb_)?chain(?=\s|$)")
LINE: Final = re.compile(r"\s*(?:[^\W\d]\w*\s*=\s*)?%(?:(?:onb_)?chain|(?:llm|onb)\s+chain)\s+")

_OPEN: Final = re.compile(r"\{[{%](?:(?![}%]\}).)*$")
_WORD: Final = re.compile(r"(\w*)$")
_AFTER_KEY: Final = re.compile(r"(?:^|[\s{,-])(\w+):\s+(?:\[(?:[^\]]*,)?\s*)?([\w./@:*-]*)$")
_KEY: Final = re.compile(r"(?:^\s*|-\s+|[{,]\s*)(\w*)$")
_PLACE: Final = re.compile(r"(?P<indent>\s*)(?P<dash>-\s+)?(?:(?P<key>[\w-]+):(?P<rest>\s.*|$))?")
_STEP_NAME: Final = re.compile(r"(?:^|[\s{,-])(?:id|save|as):\s*(\w+)")
_INPUTS: Final = re.compile(
    r"^inputs:[ \t]*(?:\{(?P<flow>[^\n]*)\}[ \t]*|)\n?(?P<block>(?:[ \t]+[^\n]*\n?)*)", re.MULTILINE
)


def suggest(text: str, row: int, column: int, known: Known) -> Suggestions | None:
    """What to offer at this place, or ``None`` where it is no chain's."""
    before = text.split("\n")[row][:column]
    if cell := CELL.match(text):
        if row > 0:
            return _body(text.split("\n")[1:], row - 1, before, known)
        return _cell_line(before, text, known) if cell.end() < len(before) else None
    if line := LINE.match(before):
        return _verb(before[line.end() :], known)
    return None


# The line


def _cell_line(before: str, text: str, known: Known) -> Suggestions:
    if _OPEN.search(before):
        return variables(before, known)
    return _options(before, OPTIONS, inputs_of(text), known)


def _options(before: str, options: Sequence[Option], inputs: Iterable[str], known: Known) -> Suggestions:
    """An option, or what fits after the one before."""
    if _OPEN.search(before):
        return variables(before, known)
    *earlier, word = re.split(r"\s+", before)
    if word.startswith("-") and "=" not in word:
        return starting(word, [flag for option in options for flag in option.flags], "option")
    flag, value = earlier[-1] if earlier else "", word
    if word.startswith("--"):
        flag, _, value = word.partition("=")
    taken = {flag: option for option in options if option.metavar for flag in option.flags}
    if flag not in taken:
        return Suggestions(value, ())
    kind, names = _operands(taken[flag].flags[-1], value, inputs, known)
    return starting(value, names, kind)


def _operands(flag: str, value: str, inputs: Iterable[str], known: Known) -> tuple[str, Iterable[str]]:
    found: Mapping[str, Callable[[], tuple[str, Iterable[str]]]] = {
        "--input": lambda: ("input", [f"{name}=" for name in inputs] if "=" not in value else ()),
        "--over": lambda: ("variable", frames(value, known)),
        "--model": lambda: ("model", known.models()),
        "--save": lambda: ("chain", known.chains()),
        "--source": lambda: ("value", sources(value, known)),
        "--on-error": lambda: ("value", ON_ERROR),
    }
    return found[flag]() if flag in found else ("", ())


def _verb(rest: str, known: Known) -> Suggestions:
    verb, *words = re.split(r"\s+", rest)
    if not words:
        return starting(verb, [command.name for command in CHAIN], "command")
    *earlier, word = words
    named = rest.split(maxsplit=1)[1] if len(rest.split(maxsplit=1)) > 1 else ""
    if verb == "run":
        return _run(named, earlier, word, known)
    if verb == "resume":
        options = word.startswith("-") or earlier
        return _options(named, RESUME_OPTIONS, (), known) if options else starting(word, known.runs(), "run")
    if verb in ("new", "edit"):
        return (_new if verb == "new" else _edit)(earlier, word, known)
    if verb == "from":
        after = earlier[-1:] in (["-m"], ["--model"])
        names: Iterable[str] = known.models() if after else ("--model",) if word.startswith("-") else ()
        return starting(word, names, "model" if after else "option")
    return _first_word(verb, word, known) if not earlier else Suggestions(word, ())


def _first_word(verb: str, word: str, known: Known) -> Suggestions:
    if verb in ("show", "draw"):
        return starting(word, known.chains(), "chain")
    if verb == "check":
        files = [path for path in paths(word, known) if path.endswith(("/", ".yaml", ".yml"))]
        return starting(word, [*known.chains(), *files], "chain")
    if verb == "templates":
        return starting(word, known.templates(), "template")
    return starting(word, known.runs() if verb == "profile" else (), "run")


def _run(rest: str, earlier: list[str], word: str, known: Known) -> Suggestions:
    if not earlier:
        return starting(word, known.chains(), "chain")
    return _options(rest, RUN_OPTIONS, known.chain_inputs(earlier[0]), known)


def _edit(earlier: list[str], word: str, known: Known) -> Suggestions:
    if earlier[-1:] == ["--from"]:
        return starting(word, known.templates(), "template")
    if earlier or word.startswith("-"):
        return starting(word, ("--from", "--into", "--cell"), "option")
    return starting(word, known.chains(), "chain")


def _new(earlier: list[str], word: str, known: Known) -> Suggestions:
    if not earlier:
        return Suggestions(word, ())
    if earlier[-1] == "--from":
        return starting(word, known.templates(), "template")
    template = next((name for flag, name in pairwise(earlier) if flag == "--from"), "")
    if earlier[-1] == "--set":
        _, equals, value = word.partition("=")
        if equals:
            return Suggestions(
                value, tuple(model for model in known.models() if value and model.startswith(value)), "model"
            )
        return starting(word, [f"{name}=" for name in known.templates().get(template, ())], "parameter")
    return starting(word, ("--from", "--set", "--replace"), "option")


# The body


def _body(lines: list[str], row: int, before: str, known: Known) -> Suggestions:
    if opened := _OPEN.search(before):
        return _expression(before, "\n".join(lines), opened.group())
    path = _path(lines, row, before)
    if path is None:
        return Suggestions("", ())  # in a text of several lines
    if _is_one_line(lines):
        return _one_line(before, known)
    if found := _AFTER_KEY.search(before):
        return starting(found[2], _values(found[1], lines, known), found[1])
    found = _KEY.search(before)
    keys = _keys(_table(_flow_path(before[: found.start(1)], path))) if found else ()
    return starting(found[1] if found else "", [f"{key}:" for key in keys], "key")


def _expression(before: str, body: str, opened: str) -> Suggestions:
    """Behind open braces: names, but no parts of a value, and nothing in quotes."""
    word = _WORD.search(before)
    fragment = word[1] if word else ""
    in_quotes = opened.count("'") % 2 or opened.count('"') % 2
    if in_quotes or before[: len(before) - len(fragment)].endswith("."):
        return Suggestions("", ())
    return starting(fragment, _names(body, opened), "step")


def _names(body: str, opened: str) -> list[str]:
    """What an expression of this chain may name."""
    from orchestrator_nb.chains.functions import FUNCTIONS

    steps = list(dict.fromkeys(_STEP_NAME.findall(body)))
    special = ["input", "item", "index", "previous", "current", "turn", "error"]
    words = ["for", "if", "elif", "else", "endif", "endfor", "in"] if opened.startswith("{%") else []
    return [*words, *dict.fromkeys([*steps, *inputs_of(f"\n{body}"), *special, *sorted(FUNCTIONS)])]


def inputs_of(text: str) -> list[str]:
    """The names under ``inputs`` of a cell's text, also of one that is not finished."""
    if not (found := _INPUTS.search(text)):
        return []
    if found["flow"] is not None:
        depth, flat = 0, []
        for sign in found["flow"]:
            depth += (sign in "{[") - (sign in "}]")
            flat.append(sign if depth == 0 else " ")
        return re.findall(r"(?:^|,)\s*(\w+)\s*:", "".join(flat))
    lines = [line for line in found["block"].split("\n") if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return [name[1] for line in lines if (name := re.match(rf"\s{{{margin}}}(\w+)\s*:", line))]


def _values(key: str, lines: list[str], known: Known) -> Iterable[str]:
    found: Mapping[str, Callable[[], Iterable[str]]] = {
        **dict.fromkeys(("model", "fallback", "allow"), known.models),
        "role": lambda: known.roles().get("role", ()),
        "persona": lambda: known.roles().get("persona", ()),
        "use": known.chains,
        "python": known.functions,
        "type": lambda: ("text", "number", "integer", "boolean", "list", "object", "any"),
        "on_error": lambda: ("fail", "skip"),
        "goto": lambda: dict.fromkeys(re.findall(r"(?:^|[\s{,-])id:\s*(\w+)", "\n".join(lines))),
    }
    return found[key]() if key in found else ()


def _is_one_line(lines: list[str]) -> bool:
    said = [line for line in lines if line.strip()]
    return len(said) == 1 and not re.match(r"\s*[{\[#-]|.*:(\s|$)", said[0])


def _one_line(before: str, known: Known) -> Suggestions:
    part = before.rpartition("|")[2].lstrip()
    if "@" in part:
        return starting(part.rpartition("@")[2].rpartition(",")[2].lstrip(), known.models(), "model")
    if ":" in part:
        return starting(part.rpartition(":")[2].lstrip(), known.roles().get("persona", ()), "persona")
    first = [] if "|" in before else [f"{key}:" for key in _keys("chain")]
    return starting(part, [*known.roles().get("role", ()), *first], "role")


_TEXT: Final = re.compile(r"[|>][-+0-9]*\s*$")


def _path(lines: list[str], row: int, before: str) -> list[str] | None:
    """The keys that lead to this line, the outermost first; ``None`` inside a text of several lines."""
    here = _PLACE.match(before)
    assert here is not None  # noqa: S101  # it matches everything
    in_list = here["dash"] is not None
    limit = len(here["indent"])
    path: list[str] = []
    for line in reversed(lines[:row]):
        place = _PLACE.match(line)
        if not line.strip() or place is None or (place["key"] is None and not place["dash"]):
            continue
        indent = len(place["indent"])
        column = indent + len(place["dash"] or "")
        key, dash = place["key"], place["dash"] is not None
        is_parent = key is not None and (column < limit or (in_list and not dash and column <= limit))
        if is_parent and _TEXT.search(place["rest"] or ""):
            if not path:
                return None
            continue
        if is_parent and key is not None:
            path.insert(0, key)
            limit, in_list = indent, dash
        elif dash and indent < limit <= column and not in_list:
            limit, in_list = indent, True
    return path


def _flow_path(before: str, path: list[str]) -> list[str]:
    """The path inside ``{ }`` that are open on this line, too."""
    found, stack = list(path), list[list[str]]()
    key = ""
    for part in re.finditer(r"(\w+):\s|[{}]|-\s", before):
        if part[1]:
            key = part[1]
        elif part.group() == "{":
            stack.append(list(found))
            found, key = [*found, key] if key else found, ""
        elif part.group() == "}" and stack:
            found = stack.pop()
    return found


_TABLES: Final = {
    "switch": "SwitchPiece",
    "each": "EachPiece",
    "repeat": "RepeatPiece",
    "retry": "RetryPiece",
    "on_error": "OnErrorPiece",
    "plan": "PlanPiece",
    "defaults": "Common",
    "step": "StepPiece",
    "input": "InputPiece",
    "chain": "ChainPiece",
}


def _table(path: list[str]) -> str:
    """Which keys may stand at a path."""
    match path:
        case []:
            return "chain"
        case [*_, "options"]:
            return "options"
        case [*_, "steps"] | [*_, "parallel" | "cases", _] | [*_, "switch", "default"]:
            return "step"
        case ["inputs", _]:
            return "input"
        case [*_, last] if last in _TABLES:
            return last
    return ""


def _keys(table: str) -> Sequence[str]:
    if table == "options":
        return parameters()
    if table not in _TABLES:
        return ()
    from orchestrator_nb.chains import language  # pydantic: not to load the extension

    fields: Mapping[str, Any] = getattr(language, _TABLES[table]).model_fields
    hidden = {"act"} if table == "on_error" else set[str]()
    return [field.alias or name for name, field in fields.items() if name not in hidden]
