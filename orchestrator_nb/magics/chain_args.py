"""The first line of ``%%chain``, and the words of ``%chain run`` and ``%chain resume``, as a frozen `ChainLine`. Checked for form only; knows nothing of sessions.

The table `OPTIONS` is the one place where an option is written down; those that ``%%llm`` has too mean the same.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import Option, Parser, assignment, flags, nearest, taking
from orchestrator_nb.magics.words import split

OnError = Literal["return", "continue"]
ON_ERROR: Final[tuple[OnError, ...]] = ("return", "continue")


@dataclass(frozen=True, slots=True)
class ChainLine:
    """What stood in the line. Values may still hold ``{{ … }}``; those of ``inputs`` are text not yet looked up."""

    name: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    over: str | None = None
    model: str | None = None
    save: str | None = None
    replace: bool = False
    max_parallel: int | None = None
    timeout: float | None = None
    max_cost: Decimal | None = None
    source: str | None = None
    fresh: bool = False
    trust_plans: bool = False
    on_error: OnError = "continue"
    quiet: bool = False
    dry_run: bool = False
    yes: bool = False


def _on_error(text: str) -> str:
    if text == "stop":
        raise argparse.ArgumentTypeError("takes return or continue; what a failed step leads to, its own on_error says")
    return text


_OF_LLM: Final = ("--max-parallel", "--timeout", "--max-cost", "--source", "--fresh", "--quiet", "--yes")

OPTIONS: Final = (
    Option(
        ("--input",),
        ("NAME=VALUE",),
        "an input of the chain: a number, true, null, a [list], a {mapping}, else text; {{ name }} in it is a notebook "
        "variable; repeatable",
        {"action": "append"},
    ),
    Option(
        ("--over",),
        ("FRAME",),
        "run it for each row of a DataFrame or list of dicts; its columns are inputs of that name",
    ),
    Option(("-m", "--model"), ("MODEL",), "the model of the steps that name none"),
    Option(("--save",), ("NAME",), "keep it among your chains, when nothing is wrong with it (%%chain alone)"),
    Option(("--replace",), (), "with --save, in the place of another chain of that name"),
    *(flags()[flag] for flag in _OF_LLM),
    Option(
        ("--on-error",),
        ("WHAT",),
        "return: a failed chain is a row of errors and the cell succeeds; continue (default): the cell fails at its end",
        {"choices": ON_ERROR, "default": "continue", "type": _on_error},
    ),
    Option(("--trust-plans",), (), "run what models propose as further steps (plan) without asking you"),
    Option(
        ("--dry-run",), (), "say what would be asked at least and at most, of whom and for how much, and ask nothing"
    ),
)
RUN_OPTIONS: Final = tuple(option for option in OPTIONS if option.flags[0] not in {"--save", "--replace"})
RESUME_OPTIONS: Final = tuple(
    option
    for option in OPTIONS
    if option.flags[0] in {"--max-parallel", "--timeout", "--max-cost", "--quiet", "--on-error", "--yes"}
)

_INPUT: Final = re.compile(r"[A-Za-z_]\w*")


def parse(line: str) -> ChainLine:
    """Reads the first line of a cell. Raises `UserError` with the nearest option when one does not exist."""
    name, rest = assignment(line, "--input topic=rain")
    given, words = read(split(rest), OPTIONS, "%%chain")
    made = _line(given, name)
    if words:
        raise UserError(_misplaced(words[0]))
    if given.replace and given.save is None:
        raise UserError("--replace goes with --save NAME.")
    return made


def parse_run(words: Sequence[str]) -> tuple[ChainLine, list[str]]:
    """The options of ``%chain run``, and the other words."""
    given, others = read(words, RUN_OPTIONS, "%chain")
    return _line(given, None), others


def parse_resume(words: Sequence[str]) -> tuple[ChainLine, list[str]]:
    """The options of ``%chain resume``, and the other words."""
    given, others = read([word for word in words if word != "--errors"], RESUME_OPTIONS, "%chain")
    return _line(given, None), others


def read(words: Sequence[str], options: Sequence[Option], magic: str) -> tuple[argparse.Namespace, list[str]]:
    """The options by name and what is none. Raises `UserError` with the nearest where there is no such option."""
    parser = taking(Parser(prog=magic, add_help=False, allow_abbrev=False, usage=magic.replace("%", "%%")), options)
    given, others = parser.parse_known_args(list(words))
    if wrong := next((word for word in others if word.startswith("-") and word != "-"), None):
        known = [flag for option in options for flag in option.flags]
        raise UserError(
            f"unknown option {wrong!r}{nearest(wrong.partition('=')[0], known)} {magic}? shows all of them."
        )
    return given, others


def _line(given: argparse.Namespace, name: str | None) -> ChainLine:
    values = vars(given)
    inputs = dict(_named(text) for text in values.pop("input", None) or ())
    return ChainLine(name=name, inputs=inputs, **values)


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _INPUT.fullmatch(name):
        raise UserError(
            f"--input takes NAME=VALUE without spaces around =, for example --input topic='sea ice' or --input papers={{{{ papers }}}}, not {text!r}."
        )
    return name, value


def _misplaced(word: str) -> str:
    if _INPUT.fullmatch(word.partition("=")[0]) and "=" in word:
        return f"to give the chain an input write --input {word}."
    return f"{word!r} is no option; the chain stands below the line, as YAML or in one line. %chain run {word} runs one that is kept under its name."
