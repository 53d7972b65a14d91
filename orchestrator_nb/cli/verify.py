"""``onb verify``: run a notebook again, twice, from its tape alone, and say whether it shows what was saved."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from orchestrator_nb.cli.app import main
from orchestrator_nb.cli.outputs import difference
from orchestrator_nb.errors import UserError
from orchestrator_nb.source import NAME_A_TAPE

INSTALL: Final = "to run notebooks, install what JupyterLab needs: pip install 'orchestrator-nb[lab]'"
_SECRETS: Final = ("_KEY", "_KEY_ID", "_TOKEN", "_SECRET", "_PASSWORD")
"""How the names of variables end that hold what nobody needs for a replay."""
_OURS: Final = "ORCHESTRATOR_NB_"


@main.command()
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--tape",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answer from this tape; without it, from the tapes that the notebook names.",
)
@click.option("--own-settings", is_flag=True, help="With your settings; without it, as somebody who has none.")
@click.option("--timeout", default=600.0, show_default=True, type=click.FloatRange(min=1), help="Seconds for one cell.")
def verify(notebook: Path, tape: Path | None, own_settings: bool, timeout: float) -> None:
    """Run NOTEBOOK twice from its tape alone, and compare what it shows with what is saved.

    Each time in a fresh kernel, in its folder, without keys; nothing is asked of any model, whatever its cells say. The file is not changed.
    Exit codes: 0 the outputs equal the saved ones and each other, 1 some differ, 2 wrong usage.
    """
    saved = _read(notebook)
    runs: list[Any] = []
    for turn in (1, 2):
        _tell(f"running {notebook.name}, {turn} of 2 …")
        with _environment(tape, own_settings=own_settings) as environ:
            runs.append(_run(notebook, environ, timeout))
    cells = _compared(saved, *runs)
    for cell in cells:
        _show(cell)
    for hint in _hints(saved, runs[0], cells):
        click.echo(hint)
    click.echo(_verdict(notebook.name, cells))
    sys.exit(1 if any(cell.differs for cell in cells) else 0)


@dataclass(frozen=True, slots=True)
class Compared:
    """One code cell: how the first replay differs from what is saved, and how the second differs from the first."""

    number: int
    source: str
    saved: list[str]
    other: list[str]

    @property
    def differs(self) -> bool:
        """Whether either does."""
        return bool(self.saved or self.other)


def _read(path: Path) -> Any:
    try:
        import nbformat  # comes with the lab extra
    except ImportError:
        why = INSTALL
    else:
        try:
            return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001  # nbformat raises whatever its parser does
            why = f"{path.name} is no notebook that can be read."
    raise UserError(why)


def _run(path: Path, environ: Mapping[str, str], timeout_s: float) -> Any:
    """The notebook after it ran, errors of cells among its outputs. Raises `UserError` when its kernel cannot be started or dies."""
    try:
        import nbclient  # comes with the lab extra
        from jupyter_client.kernelspec import NoSuchKernel
    except ImportError:
        why = INSTALL
    else:
        notebook = _read(path)
        where = {"metadata": {"path": str(path.parent.resolve())}}
        client = nbclient.NotebookClient(notebook, timeout=timeout_s, allow_errors=True, resources=where)
        if (
            sys.platform != "win32"
        ):  # files that only we may open, instead of ports that everybody on this machine may try
            manager = client.create_kernel_manager()
            manager.transport, manager.ip = "ipc", str(Path(environ["IPYTHONDIR"], "kernel"))
        try:
            with _log_in(environ).open("wb") as log:  # what a kernel says as it ends is nobody's
                return client.execute(env=dict(environ), stderr=log)
        except NoSuchKernel as error:
            why = f"{path.name} wants the kernel {error.name!r}, which is not installed here."
        except nbclient.exceptions.CellTimeoutError:
            why = f"a cell of {path.name} took longer than {timeout_s:g} s; give it more with --timeout."
        except nbclient.exceptions.DeadKernelError:
            why = f"the kernel of {path.name} died{_last_words(environ)}."
    raise UserError(why)


def _log_in(environ: Mapping[str, str]) -> Path:
    return Path(environ["IPYTHONDIR"], "kernel.log")


def _last_words(environ: Mapping[str, str]) -> str:
    """The last line that the kernel wrote to its log."""
    lines = _log_in(environ).read_text(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {_safe(said[:200])}" if said else ""


@contextmanager
def _environment(tape: Path | None, *, own_settings: bool) -> Iterator[dict[str, str]]:
    """What the kernel sees: no key, no settings unless asked for, nothing of an earlier run, and no way to a model."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(_SECRETS)}
    with tempfile.TemporaryDirectory(prefix="onb-verify-") as folder:
        if not own_settings:
            kept = {name: value for name, value in kept.items() if not name.startswith(_OURS)}
            kept["ORCHESTRATOR_NB_HOME"] = folder
        kept = {name: value for name, value in kept.items() if not name.startswith("ORCHESTRATOR_NB_PASSWORD")}
        kept["ORCHESTRATOR_NB_SOURCE"] = f"replay-only {tape.resolve()}" if tape else "replay-only"
        kept["IPYTHONDIR"] = folder  # or its cells would stand in the history
        yield kept


def _compared(saved: Any, first: Any, second: Any) -> list[Compared]:
    cells = zip(saved.cells, first.cells, second.cells, strict=True)
    code = [trio for trio in cells if trio[0].cell_type == "code"]
    return [
        Compared(number, old.source, difference(old.outputs, new.outputs), difference(new.outputs, again.outputs))
        for number, (old, new, again) in enumerate(code, 1)
    ]


def _show(cell: Compared) -> None:
    begin = next((line for line in cell.source.splitlines() if line.strip()), "")[:100]
    for words, lines in (("saved and replayed", cell.saved), ("one replay and the next", cell.other)):
        if lines:
            _tell_safely(f"code cell {cell.number} differs, {words}: {begin}")
            for line in lines:
                _tell_safely(f"    {line}")


def _hints(saved: Any, replayed: Any, cells: list[Compared]) -> Iterator[str]:
    """What to do about the usual reasons, where one of them is seen."""
    if any(cell.saved for cell in cells) and not any(_outputs(saved)):
        yield "The notebook was saved without outputs: run all of it, save it, and verify it again."
    if any(output.get("evalue") == NAME_A_TAPE for output in _outputs(replayed)):
        yield "The notebook names no tape that is there: say %llm replay PATH in its first cells, or verify it with --tape PATH."
    if any(cell.other for cell in cells):
        yield "What differs between two replays comes from time, chance or another file, not from a model: set a seed, or leave it out of the output."


def _outputs(notebook: Any) -> Iterator[Mapping[str, Any]]:
    return (output for cell in notebook.cells for output in cell.get("outputs", ()))


def _verdict(name: str, cells: list[Compared]) -> str:
    total = f"{len(cells)} code cell{'s' * (len(cells) != 1)}"
    saved, other = sum(bool(cell.saved) for cell in cells), sum(bool(cell.other) for cell in cells)
    if not saved and not other:
        return _safe(f"{name}: equal. The outputs of {total} are the saved ones, in both replays.")
    told = [_differ(saved, "from what is saved") if saved else "all equal what is saved"]
    told.append(_differ(other, "between two replays") if other else "two replays are equal")
    return _safe(f"{name}: different. Of {total}, {'; '.join(told)}.")


def _differ(number: int, where: str) -> str:
    return f"{number} differ{'s' * (number == 1)} {where}"


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)


def _tell_safely(text: str) -> None:
    click.echo(_safe(text))


def _safe(text: str) -> str:
    """What a notebook holds must not steer the terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
