"""Makes a top-level ``%%llm`` cell an awaited one, so that widgets, other tasks and the interrupt button work while it runs.

IPython has no asynchronous magics. IPython turns ``%%llm line`` into ``get_ipython().run_cell_magic('llm', 'line', 'body')``; the transformer here,
which runs after that, sends such a line to our own door instead: ``awaited`` at the top of a cell in a kernel, ``shown`` everywhere else
(inside ``%%time``, ``%%capture`` or ``%%timeit``, and in a terminal, where an interrupt does not reach an awaited cell). Neither door returns anything, so nothing
is echoed; the magic itself, called from Python, returns the DataFrame.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Final

Transformer = Callable[[list[str]], list[str]]

_CALL: Final = "get_ipython().run_cell_magic("


def transformer(names: tuple[str, ...], *, kernel: bool) -> Transformer:
    """A function for ``shell.input_transformers_post``. ``names`` are the magics that are ours; in a ``kernel`` a cell may be awaited."""

    def transform(lines: list[str]) -> list[str]:
        if len(lines) != 1 or (call := _arguments(lines[0])) is None or call[0] not in names:
            return lines
        name, line, body = call
        awaited = kernel and not _inside_a_cell()
        door = f"get_ipython().find_cell_magic({name!r}).__self__.{'awaited' if awaited else 'shown'}"
        return [f"{'await ' if awaited else ''}{door}({line!r}, {body!r})\n"]

    return transform


def _inside_a_cell() -> bool:
    """Whether IPython is running code right now, so that the text being transformed is nested in a cell.

    Seen from the stack: IPython's events do not tell when the extension is loaded outside a cell, and its display trap only says so from 9.
    """
    frame = sys._getframe()
    while (outer := frame.f_back) is not None:
        frame = outer
        if frame.f_code.co_name == "run_code" and frame.f_globals.get("__name__") == "IPython.core.interactiveshell":
            return True
    return False


def _arguments(line: str) -> tuple[str, str, str] | None:
    """The three texts of a ``run_cell_magic`` call that is the whole line, else ``None``."""
    if not line.startswith(_CALL):
        return None
    try:
        found = ast.literal_eval(line[len(_CALL) - 1 :].strip())
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, tuple) and len(found) == 3 and all(isinstance(x, str) for x in found) else None
