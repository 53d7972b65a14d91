"""``onb demo``: run the quickstart notebook against the simulator, over real HTTP, and print its comparison."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestrator_nb.errors import OrchestratorError, UserError

_PLACES = (Path(__file__).with_name("notebooks"), Path(__file__).parents[1] / "notebooks")  # installed; in a checkout
_QUIET = ["--IPKernelApp.log_level=ERROR"]  # the kernel's notes on its transport are not ours to show
_TAG = "demo"  # the cells of the notebook whose output the demo prints


class DemoFailed(OrchestratorError):
    """A cell of the quickstart failed."""


def run_demo(say: Callable[[str], Any]) -> None:
    """Execute ``01_quickstart.ipynb`` in a fresh kernel and print the cells tagged ``demo``. Raises `UserError` without Jupyter,
    `DemoFailed` when a cell fails.
    """
    notebook = _execute(_quickstart(), say)
    for cell in notebook.cells:
        if _TAG in cell.metadata.get("tags", ()):
            say("\n" + cell.source + "\n")
            for text in _texts(cell):
                say(text)
    say("\nEverything above came from the simulator. Next: `make lab` (or `jupyter lab`) and open 01_quickstart.ipynb.")


def _quickstart() -> Path:
    found = next((place / "01_quickstart.ipynb" for place in _PLACES if (place / "01_quickstart.ipynb").exists()), None)
    if found is None:
        raise UserError("the quickstart notebook is not installed; run `make demo` in a checkout.")
    return found


def _execute(path: Path, say: Callable[[str], Any]) -> Any:
    """Runs the notebook on a copy of its folder, with settings of its own: the demo reads and leaves nothing of the user's."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        raise UserError("the demo needs Jupyter: pip install 'orchestrator-nb[lab]'.") from None
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat ships no types
    say(f"Running {path.name} ({len(notebook.cells)} cells) …")
    with TemporaryDirectory(prefix="onb-demo-") as folder:
        shutil.copytree(path.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        client = NotebookClient(notebook, kernel_name="python3", timeout=120, extra_arguments=_QUIET)
        try:
            client.execute(cwd=folder, env={**os.environ, "ORCHESTRATOR_NB_HOME": str(Path(folder, ".home"))})
        except CellExecutionError as error:
            reason = f"{error.ename}: {error.evalue}"
        else:
            return notebook
    raise DemoFailed(f"the quickstart failed with {reason} `onb doctor` says what works here.")


def _texts(cell: Any) -> Iterator[str]:
    """The plain-text form of each output."""
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain")
        if text:
            yield text.rstrip()
