"""Takes a key that was typed into a cell out of the running IPython again: its inputs, outputs and history, the cell itself, the notebook's file and its checkpoint.

IPython keeps a cell's text in many places before the cell's first line runs, and a thread of its own writes it to the history's file. So each place is cleaned for itself,
and the file last, after what waits for it was written. Other programs that saw the cell (a browser's tab, an assistant, a backup) cannot be reached from here.
"""

from __future__ import annotations

import linecache
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator_nb.secret import Hidden
from orchestrator_nb.traces import database
from orchestrator_nb.traces.finder import Finder, typed
from orchestrator_nb.traces.places import Note
from orchestrator_nb.traces.scan import Finding, scan_file
from orchestrator_nb.traces.scrub import scrub_file

Shell = Any
"""An ``InteractiveShell``."""

_VARIABLES: Final = re.compile(r"_i{1,3}|_i\d+|_\d+|_{1,3}|_dh")
"""Names in which IPython keeps a cell's text or result."""

_NOTEBOOK: Final = ("__session__", "__vsc_ipynb_file__")
"""Names in which ipykernel (from ``JPY_SESSION_NAME``) and VS Code tell the notebook's path."""


Front = Literal["notebook", "program", "terminal"]
"""Who sent the cell: somebody's notebook, which takes its new text; a program that runs notebooks, which keeps the old one; a terminal, which has no cells."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The names of the places that were cleaned, and of those that were not, with the reason."""

    front: Front
    cleaned: tuple[str, ...]
    left: tuple[str, ...] = ()


def scrub_shell(shell: Shell, value: Hidden) -> Outcome:
    """Take ``value`` out of everything that this shell keeps, and out of the files that it and its notebook are kept in. Raises nothing."""
    finder, cell = typed(value), current_cell(shell)
    outcomes, sender = list(_in_memory(shell, finder)), front(shell)
    if (clean_cell := finder.clean(cell)) != cell:
        # a notebook puts this in the cell's place, a terminal behind the next prompt
        shell.set_next_input(runnable(clean_cell), replace=True)
        outcomes += [("this cell", "")] if sender == "notebook" else []
    outcomes += _on_disk(shell, finder)
    return Outcome(
        sender,
        tuple(name for name, problem in outcomes if not problem),
        tuple(problem for _, problem in outcomes if problem),
    )


def runnable(cell: str) -> str:
    """The cell without the marks of its keys where a magic would take these for arguments: run again, it asks."""
    return _MAGIC_LINE.sub(lambda line: _MARK.sub("", line[0]), cell)


_MAGIC_LINE: Final = re.compile(r"^[ \t]*%.*", re.MULTILINE)
_MARK: Final = re.compile(r"""[ \t=]*["']?\[key fp:[0-9a-f]{8}\]["']?""")


def _in_memory(shell: Shell, finder: Finder) -> Iterator[tuple[str, str]]:
    """Each place that held the key: its name, and why it still does, or nothing."""
    for name, clean in _MEMORY.items():
        try:
            if clean(shell, finder):
                yield name, ""
        except Exception as error:  # noqa: BLE001  # another IPython may keep it otherwise; the other places must be cleaned all the same
            yield name, f"{name} ({type(error).__name__})"


def scrub_again(shell: Shell, finder: Finder) -> None:
    """What IPython keeps since the cell has ended: its error and its output."""
    for _ in _in_memory(shell, finder):
        pass


def current_cell(shell: Shell) -> str:
    """The text of the cell that runs now."""
    with suppress(Exception):  # each front end sends what it likes
        return str(_request(shell)["code"])
    return shell.history_manager.input_hist_raw[-1] if shell.history_manager else ""


def front(shell: Shell) -> Front:
    """Who sent the cell that runs now. A program (nbclient, papermill) cannot be asked anything."""
    if not hasattr(shell, "get_parent"):  # only a kernel's shell has it
        return "terminal"
    with suppress(Exception):
        return "notebook" if _request(shell)["allow_stdin"] else "program"
    return "program"


def _request(shell: Shell) -> Any:
    """What the front end asked for with this cell. Only a kernel's shell has it."""
    return shell.get_parent()["content"]


def _inputs(shell: Shell, finder: Finder) -> bool:
    """``In``, ``_ih``, ``_i…`` and what waits for the thread that writes the history. Its lock is held, so none of it is on the way."""
    history = shell.history_manager
    lists = (history.input_hist_raw, history.input_hist_parsed)
    with history.db_input_cache_lock:
        changed = [_within(texts, finder) for texts in lists]
        changed.append(_tuples(history.db_input_cache, finder))
    for name in ("_i00", "_i", "_ii", "_iii"):
        if (new := finder.clean(old := getattr(history, name))) != old:
            setattr(history, name, new)
    with suppress(Exception):
        _within(_request(shell), finder)
    return any((*changed, _names(shell.user_ns, finder), _sources(finder)))


def _outputs(shell: Shell, finder: Finder) -> bool:
    """``Out``, ``_oh``, and what IPython keeps of outputs and errors to save them."""
    history = shell.history_manager
    with history.db_output_cache_lock:
        changed = [_tuples(history.db_output_cache, finder)]
    kept = (history.output_hist, history.output_hist_reprs, getattr(history, "exceptions", {}))
    changed += [_within(texts, finder) for texts in kept]
    changed += [_within(one.bundle, finder) for shown in getattr(history, "outputs", {}).values() for one in shown]
    for name in ("_", "__", "___"):
        if isinstance(old := getattr(shell.displayhook, name, None), str):
            setattr(shell.displayhook, name, finder.clean(old))
    return any(changed)


def _names(names: dict[str, Any], finder: Finder) -> bool:
    mine = {name: value for name, value in names.items() if _VARIABLES.fullmatch(name) and isinstance(value, str)}
    new = {name: finder.clean(value) for name, value in mine.items()}
    names.update(new)
    return new != mine


def _sources(finder: Finder) -> bool:
    """The lines that a traceback would show."""
    held = [name for name, entry in linecache.cache.items() if len(entry) > 2 and finder.find("".join(entry[2]))]
    for name in held:
        del linecache.cache[name]
    return bool(held)


def _within(values: Any, finder: Finder) -> bool:
    """Clean each text in nested lists and mappings, in place; whether there was something."""
    changed = False
    for key, value in _items(values):
        if isinstance(value, str):
            if (new := finder.clean(value)) != value:
                values[key], changed = new, True
        else:
            changed = _within(value, finder) or changed
    return changed


def _items(values: Any) -> list[tuple[Any, Any]]:
    if type(values) is dict or isinstance(values, MutableMapping):
        return list(values.items())
    return list(enumerate(values)) if type(values) is list else []


def _tuples(rows: MutableSequence[tuple[Any, ...]], finder: Finder) -> bool:
    new = [tuple(finder.clean(part) if isinstance(part, str) else part for part in row) for row in rows]
    changed = new != list(rows)
    rows[:] = new
    return changed


def _prompt(shell: Shell, finder: Finder) -> bool:
    """What the arrow keys of a terminal bring back."""
    strings = getattr(getattr(getattr(shell, "pt_app", None), "history", None), "_loaded_strings", [])
    return _within(strings, finder)


_MEMORY: Final[dict[str, Callable[[Shell, Finder], bool]]] = {"In": _inputs, "Out": _outputs, "the prompt": _prompt}


def _on_disk(shell: Shell, finder: Finder) -> Iterator[tuple[str, str]]:
    """Each file that held the key: its name, and why it still does, or nothing."""
    try:
        if _history(shell, finder):
            yield "IPython's history", ""
    except (sqlite3.Error, OSError) as error:
        yield "", f"IPython's history: {error}"
    if (log := _open_log(shell)) and _holds(log, finder):
        yield log.name, f"{log.name} (%logstart); run %logstop, then onb scrub"
    for path in notebook_files(shell):
        if _holds(path, finder):
            outcome = scrub_file(path, finder)
            yield path.name, str(outcome) if isinstance(outcome, Note) else ""


def _history(shell: Shell, finder: Finder) -> bool:
    """The rows of the history, once nothing waits to be written any more."""
    history = shell.history_manager
    if not history.enabled:
        return False
    history.writeout_cache()
    if str(history.hist_file) == ":memory:":
        return database.update(history.db, finder.clean)
    path = Path(history.hist_file)
    return _holds(path, finder) and database.clean(path, finder.clean)


def _holds(path: Path, finder: Finder) -> bool:
    return any(isinstance(found, Finding) for found in scan_file(path, finder))


def _open_log(shell: Shell) -> Path | None:
    """Where ``%logstart`` writes every cell. IPython has it open and goes on writing, so it cannot be replaced."""
    log = shell.logger.logfile
    if log is None or log.closed:
        return None
    log.flush()
    return Path(log.name)


def notebook_files(shell: Shell) -> list[Path]:
    """The notebook that this kernel belongs to, and its checkpoint, as far as the front end tells and they are files here."""
    told = [*(shell.user_ns.get(name) for name in _NOTEBOOK), os.environ.get("JPY_SESSION_NAME")]
    paths = dict.fromkeys(Path(name).absolute() for name in told if isinstance(name, str) and name.endswith(".ipynb"))
    return [file for path in paths for file in (path, _checkpoint(path)) if file.is_file()]


def _checkpoint(path: Path) -> Path:
    return path.parent / ".ipynb_checkpoints" / f"{path.stem}-checkpoint.ipynb"
