"""The first line of ``%%llm`` as a frozen `Line`: what was typed, checked for form only. Knows nothing of sessions.

The table `OPTIONS` is the one place where an option is written down: the parser, the help and completion are made from it.
"""

from __future__ import annotations

import argparse
import difflib
import json
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NoReturn

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.words import split

OnError = Literal["return", "continue", "stop"]


@dataclass(frozen=True, slots=True)
class Line:
    """What stood in the first line. Values may still hold ``{{ … }}``; ``grid`` values and ``over`` are text not yet looked up."""

    name: str | None = None
    models: tuple[str, ...] = ()
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    over: str | None = None
    grid: Mapping[str, str] = field(default_factory=dict)
    repeat: int = 1
    schema: str | None = None
    json: bool = False
    files: tuple[str, ...] = ()
    conversation: str | None = None
    max_parallel: int | None = None
    timeout: float | None = None
    max_cost: Decimal | None = None
    source: str | None = None
    fresh: bool = False
    on_error: OnError = "continue"
    no_stream: bool = False
    quiet: bool = False
    dry_run: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, what it takes (an empty ``metavar`` is a switch), and what it does."""

    flags: tuple[str, ...]
    metavar: tuple[str, ...]
    help: str
    more: Mapping[str, Any] = field(default_factory=dict)


def at_least_one(text: str) -> int:
    """A whole number, as argparse takes it."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"takes seconds above 0, not {text!r}")
    return seconds


def usd(text: str) -> Decimal:
    """An amount, as argparse takes it."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except ArithmeticError:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"takes an amount in USD such as 0.50, not {text!r}")
    return amount


ON_ERROR: Final[tuple[OnError, ...]] = ("return", "continue", "stop")

OPTIONS: Final = (
    Option(("-m", "--model"), ("MODEL",), "a model, the same as naming it; repeatable", {"action": "append"}),
    Option(("-s", "--system"), ("TEXT",), "the system prompt"),
    Option(
        ("-o", "--option"),
        ("KEY", "VALUE"),
        "a parameter such as temperature, max_tokens, seed or effort; repeatable",
        {"action": "append", "nargs": 2},
    ),
    Option(
        ("--over",), ("FRAME",), "one prompt per row of a DataFrame or list of dicts; its columns fill the template"
    ),
    Option(
        ("--grid",),
        ("NAME=EXPR",),
        "all values of a notebook variable, or of a literal list, for {{ NAME }}; repeatable",
        {"action": "append"},
    ),
    Option(("--repeat",), ("N",), "N samples of each prompt", {"type": at_least_one, "default": 1}),
    Option(
        ("--schema",),
        ("SPEC",),
        'an answer in this shape: "name, age int: years", a JSON Schema, or the name of a pydantic model; becomes columns',
    ),
    Option(("--json",), (), "any valid JSON as the answer"),
    Option(("-f", "--file"), ("PATH",), "attach a text or an image; repeatable", {"action": "append"}),
    Option(
        ("-c", "--conversation"),
        ("NAME",),
        "go on with a conversation, with one model; running a cell again asks again from where that cell stood",
    ),
    Option(("--fresh",), (), "ask anew, also what was asked before; the answer takes the old one's place in the store"),
    Option(("--max-parallel",), ("N",), "at most N calls at once", {"type": at_least_one}),
    Option(("--timeout",), ("S",), "seconds for the whole run", {"type": _seconds}),
    Option(("--max-cost",), ("USD",), "the most that the cell may cost; what does not fit is not asked", {"type": usd}),
    Option(
        ("--source",),
        ("SOURCE",),
        "where the answers come from, for this cell: auto, live, record=PATH (also write them to a tape), replay=PATH (from the tape alone)",
    ),
    Option(
        ("--on-error",),
        ("WHAT",),
        "return: failures are rows and the cell succeeds; continue (default): all run, then the cell fails; "
        "stop: the first failure ends the run",
        {"choices": ON_ERROR, "default": "continue"},
    ),
    Option(("--no-stream",), (), "show the answer only when it is complete"),
    Option(("--quiet",), (), "show nothing; the DataFrame is assigned"),
    Option(("--dry-run",), (), "say what would be asked and what it would cost, and ask nothing"),
    Option(("--yes",), (), "go ahead with a grid above limits.confirm_calls"),
)

_ASSIGNMENT = re.compile(r"^\s*([^\W\d]\w*)\s*<<")
_LIKE_ASSIGNMENT = re.compile(r"^\s*(\S+?)\s*<<")
_PYTHON_ASSIGNMENT = re.compile(r"^\s*([^\W\d]\w*)\s*=(?:\s|$)")


def parse(line: str) -> Line:
    """Reads the first line. Raises `UserError` with the nearest option when one does not exist."""
    name, rest = assignment(line)
    words = split(rest)
    given, extras = parser().parse_known_intermixed_args(words)
    if extras:
        raise UserError(_unknown_option(extras[0]))
    if comma := next((model for model in given.models if "," in model), None):
        raise UserError(f"models are separated by spaces: write {comma.replace(',', ' ').strip()}, not {comma!r}.")
    if tape := next((model for model in given.models if model.endswith(".jsonl")), None):
        mode = (given.source or "replay").partition(" ")[0]
        raise UserError(f"{tape!r} is no model; a tape stands with its mode in quotes: --source '{mode} {tape}'.")
    values = vars(given)
    return Line(
        name=name,
        models=(*values.pop("models"), *(values.pop("model") or ())),
        options={key: value_of(text) for key, text in values.pop("option") or ()},
        grid=dict(_named(text) for text in values.pop("grid") or ()),
        files=tuple(values.pop("file") or ()),
        **values,
    )


def flags() -> Mapping[str, Option]:
    """Every flag a user may type, with its option."""
    return {flag: option for option in OPTIONS for flag in option.flags}


def value_of(text: str) -> Any:
    """An option's value: JSON where it is JSON (``0.2``, ``true``, ``["END"]``), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def nearest(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` or ``.``: the end of a sentence about an unknown name."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else "."


def assignment(line: str, example: str = "sonnet") -> tuple[str | None, str]:
    """``NAME <<`` and the rest. Raises `UserError` for what is no name."""
    if (match := _ASSIGNMENT.match(line)) and not keyword.iskeyword(match[1]):
        return match[1], line[match.end() :]
    if match := _LIKE_ASSIGNMENT.match(line):
        raise UserError(f"{match[1]!r} is not a name; write a Python name before <<.")
    if match := _PYTHON_ASSIGNMENT.match(line):
        raise UserError(f"to keep the result in {match[1]!r} write << instead of =, as in {match[1]} << {example}.")
    return None, line


def _named(text: str) -> tuple[str, str]:
    name, equals, expression = text.partition("=")
    if not equals or not name.strip().isidentifier() or not expression.strip():
        raise UserError(
            f"--grid takes NAME=EXPR without spaces around =, for example tone=['dry', 'warm'] or topic=topics, not {text!r}."
        )
    return name.strip(), expression.strip()


def _unknown_option(word: str) -> str:
    name, _, value = word.partition("=")
    if name in ("-h", "--help"):
        return "%%llm? in a cell of its own shows the help."
    parameter = name.lstrip("-").replace("-", "_")
    if name.startswith("--") and parameter in parameters():
        return f"{parameter} is a parameter of the model: write -o {parameter} {value or 'VALUE'}."
    return f"unknown option {word!r}{nearest(name, tuple(flags()))} %%llm? shows all of them."


def parameters() -> tuple[str, ...]:
    """The names that ``-o`` takes."""
    from dataclasses import fields

    from orchestrator_nb.calls import Params  # the one list of parameters; not needed to load the extension

    return tuple(f.name for f in fields(Params) if f.name not in ("schema", "json", "tools", "tool_choice", "extra"))


class Parser(argparse.ArgumentParser):
    """argparse that answers with one sentence and never leaves the process."""

    def error(self, message: str) -> NoReturn:
        """Raises `UserError` in place of printing usage and exiting."""
        if message.startswith("argument -o"):
            raise UserError("-o takes a name and a value, with a space between them: -o temperature 0.5.")
        sentence = message.removeprefix("argument ").replace(": takes", " takes", 1)
        raise UserError(f"{sentence}. {self.prog}? shows all options.")


def parser() -> Parser:
    """The parser of `OPTIONS`."""
    made = Parser(prog="%%llm", add_help=False, allow_abbrev=False, usage="%%%%llm [NAME <<] [MODEL ...] [options]")
    made.add_argument(
        "models", nargs="*", metavar="MODEL", help="alias, provider/model, or a glob such as 'anthropic/*'"
    )
    return taking(made, OPTIONS)


def taking(made: Parser, options: Sequence[Option]) -> Parser:
    """The parser, which takes these options too."""
    for option in options:
        extra = dict(option.more)
        if option.metavar:
            extra["metavar"] = option.metavar if len(option.metavar) > 1 else option.metavar[0]
        else:
            extra["action"] = "store_true"
        made.add_argument(*option.flags, help=option.help.replace("%", "%%"), **extra)
    return made
