"""What a chain is given from a notebook: ``--input NAME=VALUE`` by the types that the chain declares, and a frame's columns. Nothing else: no variable is taken for its name.

The rule is that of every option of ours: ``{{ name }}`` is a notebook variable, all other text means itself.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator_nb.chains.chain import REQUIRED, Chain, Input
from orchestrator_nb.chains.inputs import misfit
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.config.yaml import read, scalar
from orchestrator_nb.errors import ChainError, ConfigError, TemplateError, UserError
from orchestrator_nb.figures import cut
from orchestrator_nb.magics.args import nearest
from orchestrator_nb.prompts.grid import rows_of
from orchestrator_nb.prompts.template import fill

_ALONE: Final = re.compile(r"\s*\{\{-?\s*(\w+)\s*-?\}\}\s*")
_KINDS: Final = {
    "text": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "list": "a list",
    "object": "a mapping",
    "any": "any value",
}


LONGEST: Final = 500
"""Signs of one problem: a file that is no chain is quoted in its own."""


class BrokenChain(ChainError):
    """What is wrong with a chain, as a cell shows it: ``lines`` below a ``head`` where there are several."""

    def __init__(self, head: str, lines: Sequence[str], problems: Sequence[object] = ()) -> None:
        lines = [cut(line, LONGEST) for line in lines]
        UserError.__init__(self, lines[0] if len(lines) == 1 else "\n".join([head, *(f"  {line}" for line in lines)]))
        self.problems = tuple(problems or lines)


def broken(error: ChainError, *, cell: bool) -> BrokenChain:
    """A chain's problems, each in a line. Those of a ``cell`` have its lines, which begin with that of the magic."""
    problems = [problem for problem in error.problems if not _follows(problem, error.problems)]
    lines = [_told(problem, cell=cell) if isinstance(problem, Problem) else str(problem) for problem in problems]
    return BrokenChain(f"{len(lines):,} problems in this chain; nothing was asked.", lines, problems)


def _follows(problem: object, problems: Collection[object]) -> bool:
    """Whether a problem of a step as a whole may only be there because one of its keys is wrong."""
    if not isinstance(problem, Problem) or problem.key or not problem.step:
        return False
    return any(isinstance(other, Problem) and other.key and other.step == problem.step for other in problems)


def _told(problem: Problem, *, cell: bool) -> str:
    if not cell:
        return str(problem)
    what = [f"line {problem.line + 1}"] if problem.line else []
    what += [f"step {problem.step!r}"] if problem.step else []
    what += [repr(problem.key)] if problem.key else []
    message = problem.message.partition(" Accepted: ")[0] if "did you mean" in problem.message else problem.message
    return f"{', '.join(what)}: {message}" if what else message


def given(chain: Chain, texts: Mapping[str, str], columns: Collection[str], names: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs by name. ``texts`` are those of ``--input``, ``columns`` those of the frame, ``names`` the notebook's variables.

    Raises `UserError` with everything that is wrong: an input that is unknown or of another type, one that is missing, with what to write.
    """
    declared = {item.name: item for item in chain.inputs}
    wrong: list[str] = []
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in declared:
            wrong.append(f"--input {name}: {_unknown(chain, name)}")
        elif name in columns:
            wrong.append(f"{name!r} is both given by --input and a column of --over; leave one of them out.")
        else:
            try:
                values[name] = value_of(declared[name], text, names)
            except UserError as error:
                wrong.append(f"--input {name}: {error}")
    wrong += _missing(chain, {*texts, *columns}, names)
    if wrong:
        raise UserError(wrong[0] if len(wrong) == 1 else "\n  ".join([f"{chain.name!r} was not run:", *wrong]))
    return values


def missing(chain: Chain, known: Collection[str]) -> list[Input]:
    """The inputs that have to be given and are not."""
    return [item for item in chain.inputs if item.default is REQUIRED and item.name not in known]


def columns_of(frame: Any) -> tuple[str, ...]:
    """The columns of what ``--over`` takes. Raises `UserError` for anything else."""
    columns = getattr(frame, "columns", None)
    if columns is not None and not isinstance(frame, Mapping):
        return tuple(map(str, columns))
    return tuple(dict.fromkeys(name for row in rows_of(frame) for name in row))


def value_of(item: Input, text: str, names: Mapping[str, Any]) -> Any:
    """What is written for one input, as its declared type has it. Raises `UserError`."""
    if text.strip() in {"…", "..."}:
        raise UserError("write its value in the place of the dots.")
    value = _written(item, text, names)
    if reason := misfit(item, value):
        raise UserError(reason + _hint(item, text, names))
    return value


def _written(item: Input, text: str, names: Mapping[str, Any]) -> Any:
    if alone := _ALONE.fullmatch(text):
        return _variable(item, alone[1], names)
    try:
        text = fill(text, names) if "{{" in text or "{%" in text else text
    except TemplateError as error:
        reason = str(error).replace("in the prompt ", "").replace("the prompt's template", "the template")
    else:
        return text if item.type == "text" else yaml_value(text)
    raise UserError(reason)


def yaml_value(text: str) -> Any:
    """A number, true, false, null, a list or a mapping as YAML writes them, else the text. Raises `UserError`."""
    if text[:1] not in {"[", "{", '"', "'"}:
        return scalar(text)
    try:
        return read(f"value: {text}".encode("utf-8", "surrogatepass"), "value").value["value"]
    except ConfigError:
        pass
    if text[0] in "\"'":
        return text
    raise UserError(f"{text[:60]!r} is no list or mapping; write them as [a, b] or {{a: 1}}.")


def _variable(item: Input, name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        known = [other for other in names if not other.startswith("_")]
        raise UserError(f"{name!r} is not defined{nearest(name, known)}")
    value = plain_json(names[name], name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if item.type == "text" and is_number else value


def plain_json(value: Any, name: str) -> Any:
    """A notebook's value as JSON has it: frames as lists of mappings, arrays, tuples and sets as lists. Raises `UserError` for what is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_json(inner, name) for key, inner in value.items()}
    if (items := _items(value)) is None:
        raise UserError(
            f"{name!r} holds a {type(value).__name__}, and a chain takes texts, numbers, lists and mappings; turn it into one."
        )
    return [plain_json(inner, name) for inner in items] if isinstance(items, list) else plain_json(items[0], name)


def _items(value: Any) -> list[Any] | tuple[Any] | None:
    """What is in something like a list; the value of something like a number in a tuple."""
    if _is_frame(value):
        return list(rows_of(value))
    if type(value).__name__ in {"NAType", "NaTType"}:
        return (None,)
    if hasattr(value, "tolist"):  # NumPy and pandas
        found = value.tolist()
        return found if isinstance(found, list) else (found,)
    is_list = isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes)
    return list(value) if is_list else None


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _hint(item: Input, text: str, names: Mapping[str, Any]) -> str:
    """For a variable whose braces were left out."""
    word = text.strip()
    if item.type == "text" or not word.isidentifier() or word not in names:
        return ""
    return f" The notebook variable is written --input {item.name}={{{{ {word} }}}}."


def _unknown(chain: Chain, name: str) -> str:
    if not chain.inputs:
        return f"{chain.name!r} takes no inputs."
    known = [item.name for item in chain.inputs]
    return f"{chain.name!r} has no such input{nearest(name, known)} It takes {', '.join(known)}."


def _missing(chain: Chain, known: Collection[str], names: Mapping[str, Any]) -> Iterator[str]:
    for item in missing(chain, known):
        other = f"--over a frame with the column {item.name!r}"
        if item.name in names:
            other = f"--input {item.name}={{{{ {item.name} }}}} for the notebook variable"
        yield f"the input {item.name!r} is missing ({_about(item)}): add --input {item.name}=…, or {other}."


def _about(item: Input) -> str:
    choices = f", one of {', '.join(map(repr, item.choices))}" if item.choices else ""
    return f"{_KINDS[item.type]}{choices}{': ' + item.description if item.description else ''}"
