"""A model's answer that should be a chain: the YAML in it, bare or in one fenced block, and the document in that. What comes from a model is hostile text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from orchestrator_nb.chains.load import yaml_problem
from orchestrator_nb.chains.problems import Origin, Problem
from orchestrator_nb.config.yaml import Document, read
from orchestrator_nb.errors import ConfigError

MOST_SIGNS: Final = 20_000
"""More than any chain needs that a model writes in one answer."""

_FENCE: Final = re.compile(r"^```[ \t]*[\w+-]*[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_MARK: Final = re.compile(r"^```", re.MULTILINE)
_UNSEEN: Final = frozenset({"Cf", "Cc", "Co", "Cs", "Zl", "Zp"})
_HARMLESS: Final = frozenset("\n\t\u200c\u200d")  # scripts and emoji need the joiners


def document_in(answer: str, file: str) -> tuple[Document | None, tuple[Problem, ...]]:
    """The document, or why there is none."""
    text, why = _yaml_in(answer.replace("\r\n", "\n"))
    if why:
        return None, (Origin(file).problem((), why),)
    try:
        return read(text.encode("utf-8", "surrogatepass"), file), ()
    except ConfigError as error:
        problem = yaml_problem(error, file)
    return None, (problem,)


def _yaml_in(answer: str) -> tuple[str, str]:
    """The YAML, or why it cannot be taken."""
    if len(answer) > MOST_SIGNS:
        return "", f"the answer has {len(answer):,} signs; a chain may have {MOST_SIGNS:,}."
    if not answer.strip():
        return "", "the answer is empty; write YAML with 'steps'."
    if unseen := next((sign for sign in answer if _is_unseen(sign)), None):
        return "", f"the answer has a sign that cannot be seen (U+{ord(unseen):04X}); leave it out."
    marks = len(_MARK.findall(answer))
    if marks > 2:
        return "", "the answer has more than one fenced block; write one."
    fence = _FENCE.search(answer)
    if marks and fence is None:
        return "", "the fenced block does not end; close it with ```."
    return (fence[1] if fence else answer), ""


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN and sign not in _HARMLESS
