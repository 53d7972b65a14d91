"""A prompt's template: Jinja's ``{{ value }}`` and ``{% if %}`` over the notebook's variables, and nothing else means anything.

``{``, ``}``, ``$`` and ``{#`` mean themselves, so code, JSON and LaTeX stay as they are; ``{% raw %}`` protects the rest. A value is put in once and never
read as a template again, so text from a data set or a model cannot reach a variable. A line that holds only a ``{% block %}`` leaves no empty line behind.
A text without ``{{`` and ``{%`` comes back unchanged, byte for byte.

The sandbox keeps templates from Python's internals (https://jinja.palletsprojects.com/en/stable/sandbox/); it does not bound memory or time, so the
output is capped here. Templates of files and chains pass a stricter gate of their own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orchestrator_nb.errors import TemplateError

OUTPUT_CAP: Final = 4 * 1024 * 1024
"""Characters that one filled template may have."""

_NEVER = (
    "\U0010fffd#"  # Jinja wants some comment sign; the last code point, which no text uses, leaves `{#` to the user
)

_SPACED: Final = re.compile(r"\{\{\s*(?!.*\b(?:if|is|in|not|and|or)\b)(\w+(?: \w+)+)\s*\}\}")
"""A column called ``my col``, written as if it were a name."""

ENVIRONMENT: Final = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined,
    comment_start_string="{" + _NEVER,
    comment_end_string=_NEVER + "}",
    autoescape=False,  # the output is a prompt, not a page; pages escape for themselves (results/safe_text.py)
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals = {"range": ENVIRONMENT.globals["range"]}
"""The grammar of every template here; `orchestrator_nb.chains` parses with it and evaluates by its own rules."""


def fill(text: str, variables: Mapping[str, Any]) -> str:
    """The text with every ``{{ }}`` replaced. Only the variables that the text names are looked up.

    Raises `TemplateError` for a name that is not defined (with the nearest known one), for broken syntax (with the line), and past `OUTPUT_CAP`.
    """
    compiled = _compiled(text)
    if compiled is None:
        return text
    used = {name: variables[name] for name in compiled.names if name in variables}
    try:
        return _joined(compiled.template.generate(used))
    except TemplateError:
        raise
    except jinja2.UndefinedError as error:
        message = _undefined(error, compiled.names - used.keys(), variables)
    except Exception as error:  # noqa: BLE001 - a template runs the user's objects, which may raise anything
        message = f"the prompt's template failed with {type(error).__name__}: {str(error).rstrip('.')}."
    raise TemplateError(message)


def names(text: str) -> frozenset[str]:
    """The variables that the text needs from outside. Raises `TemplateError` for broken syntax."""
    compiled = _compiled(text)
    return compiled.names if compiled else frozenset()


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: jinja2.Template
    names: frozenset[str]


@lru_cache(maxsize=256)
def _compiled(text: str) -> _Compiled | None:
    if "{{" not in text and "{%" not in text:
        return None
    try:
        tree = ENVIRONMENT.parse(text)
        used = meta.find_undeclared_variables(tree) - ENVIRONMENT.globals.keys()
        return _Compiled(ENVIRONMENT.from_string(tree), frozenset(used))
    except jinja2.TemplateSyntaxError as error:
        spaced = _SPACED.search(text)
        message = (
            f"{spaced[1]!r} in the prompt is not a name, for names have no spaces; rename the column or variable."
            if spaced
            else f"line {error.lineno} of the prompt: {(error.message or 'not a template').rstrip('.')}. "
            "Put {% raw %} … {% endraw %} around braces that mean themselves."
        )
    raise TemplateError(message)


def _joined(pieces: Iterable[str]) -> str:
    parts, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > OUTPUT_CAP:
            raise TemplateError(
                f"the filled prompt is longer than {OUTPUT_CAP:,} characters; put in less, or attach a file."
            )
        parts.append(piece)
    return "".join(parts)


def _undefined(error: jinja2.UndefinedError, missing: frozenset[str], known: Mapping[str, Any]) -> str:
    """Jinja's own words for a missing attribute, ours for a missing name."""
    name = next((name for name in sorted(missing) if repr(name) in str(error)), None)
    if name is None:
        return f"the prompt's template: {error}."
    return f"{name!r} in the prompt is not defined{nearest(name, known) or '.'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing when no known name looks like it."""
    candidates = [other for other in known if isinstance(other, str) and not other.startswith("_")]
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
