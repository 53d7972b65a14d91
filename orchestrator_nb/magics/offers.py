"""What completion is made of: what may be offered, and what is. `complete` and `chain_complete` choose by the place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_nb.source import FOR_CELLS


@dataclass(frozen=True, slots=True)
class Known:
    """What may be suggested; lists that need a session are asked for only when a completion needs them."""

    models: Callable[[], Sequence[str]]
    settings: Callable[[], Sequence[str]]
    variables: Mapping[str, Any]
    profiles: Callable[[], Sequence[str]] = tuple
    keys: Callable[[], Sequence[str]] = tuple
    conversations: Callable[[], Sequence[str]] = tuple
    branches: Callable[[str], Sequence[str]] = lambda _conversation: ()
    chains: Callable[[], Sequence[str]] = tuple
    roles: Callable[[], Mapping[str, Sequence[str]]] = dict
    functions: Callable[[], Sequence[str]] = tuple
    runs: Callable[[], Sequence[str]] = tuple
    templates: Callable[[], Mapping[str, Sequence[str]]] = dict
    chain_inputs: Callable[[str], Sequence[str]] = lambda _chain: ()


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Completions for ``fragment``, the text before the cursor that they replace. ``kind`` is the word shown beside them."""

    fragment: str
    names: tuple[str, ...]
    kind: str = ""


OPEN_BRACES = re.compile(r"\{\{-?\s*(?:[^{}]*[\s(,|+~-])?(\w*)$")


def variables(before: str, known: Known) -> Suggestions:
    """The notebook's variables, behind open braces."""
    if not (opened := OPEN_BRACES.search(before)):
        return Suggestions("", ())
    names = (name for name, value in known.variables.items() if name not in ("In", "Out") and _is_data(name, value))
    return starting(opened[1], sorted(names), "variable")


def _is_data(name: str, value: object) -> bool:
    """Templates take values: modules, functions and IPython's own names are noise there."""
    return not (name.startswith("_") or callable(value) or type(value).__name__ == "module")


def starting(fragment: str, names: Iterable[str], kind: str) -> Suggestions:
    """Those of the names that go on from the fragment."""
    return Suggestions(fragment, tuple(name for name in names if name.startswith(fragment)), kind)


def frames(_value: str, known: Known) -> list[str]:
    """Names of what ``--over`` takes: frames and lists of dicts."""
    return sorted(
        name
        for name, value in known.variables.items()
        if not name.startswith("_")
        and (hasattr(value, "columns") or (isinstance(value, list) and value and isinstance(value[0], Mapping)))
    )


def paths(start: str, _known: Known) -> list[str]:
    """Files and folders whose name goes on from ``start``."""
    from pathlib import Path

    folder = Path(start).parent if not start.endswith("/") else Path(start)
    shown = (f"{path}/" if path.is_dir() else str(path) for path in entries(folder) if not path.name.startswith("."))
    return sorted(shown)


def entries(folder: Any) -> Iterable[Any]:
    """What is in a folder, if it can be looked into."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def sources(value: str, known: Known) -> Iterable[str]:
    """A mode, then a tape behind it."""
    mode, equals, start = value.partition("=")
    if not equals:
        return [f"{mode}=" if mode in WITH_TAPE else mode for mode in FOR_CELLS]
    return [f"{mode}={path}" for path in tapes(start, known)]


def tapes(start: str, known: Known) -> list[str]:
    """Tapes, and folders on the way to one."""
    return [path for path in paths(start, known) if path.endswith(("/", ".jsonl"))]


WITH_TAPE: Final = ("record", "replay")
