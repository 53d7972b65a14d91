"""Files of ``NAME=value`` lines, such as ``.env``: for many a key the only place where it stands, so that what no vault has must not be taken out of them."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from orchestrator_nb.traces.finder import Finder

_NAMES: Final = ("*.env", ".env*")
_COMMENT: Final = re.compile(r"\s*(?:#|$)")
_ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?[A-Za-z_][\w.]*\s*=(?!=)", re.ASCII)


def holds_assignments(path: Path, text: str) -> bool:
    """Whether the file is one of these, by its name or by most of its lines."""
    if any(fnmatch(path.name.lower(), name) for name in _NAMES):
        return True
    lines = [line for line in text.splitlines() if not _COMMENT.match(line)]
    return sum(bool(_ASSIGNMENT.match(line)) for line in lines) * 2 > len(lines)


def without_held(path: Path, text: str, finder: Finder) -> tuple[str, str]:
    """The text without the keys that a vault holds now; and what is to be said of those that are left, or nothing."""
    held = finder.only_held()
    new = held.clean(text)
    taken, left = _count(held, text), _count(finder, new)
    if not left:
        return new, ""
    keys, they = f"{taken + left} key{'s' * (taken + left > 1)}", "it" if left == 1 else "they"
    advice = f"onb vault import {shlex.quote(str(path))}, then scrub again"
    return new, f"{taken} of {keys} taken; {left} left, as {they} may stand nowhere else: {advice}"


def _count(finder: Finder, text: str) -> int:
    return len({found.fp for found in finder.find(text)})
