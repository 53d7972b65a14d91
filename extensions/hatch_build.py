"""Builds the widgets' front-end code when its sources have changed since it was built; otherwise takes what is committed, and needs no node.

Run by hatchling for wheels, sdists and editable installs. Standard library only: it runs in whatever environment builds the package.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = "extensions/widgets"
BUILT = "orchestrator_nb/widgets/static/built.json"


class FrontEndHook(BuildHookInterface):  # type: ignore[type-arg]
    """Found by its class: the hook called ``custom``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Raises `RuntimeError` when there is nothing to ship."""
        root = Path(self.root)
        if is_current(root):
            return
        problem = built(root)
        if problem and not (root / BUILT).exists():
            raise RuntimeError(f"the widgets are not built, and cannot be: {problem}")
        if problem:
            self.app.display_warning(
                f"the widgets are older than their sources, and are shipped as they are: {problem}"
            )


def is_current(root: Path) -> bool:
    """Whether what is built was made from these sources. Without sources, what is there is what there is."""
    try:
        recorded = json.loads((root / BUILT).read_text("utf-8"))["sources"]
    except (OSError, ValueError, KeyError):
        return False
    return not (root / SOURCES / "src").is_dir() or recorded == digest(root / SOURCES)


def digest(folder: Path) -> str:
    """Of all that decides what is built. `extensions/widgets/build.mjs` reckons the same; line ends do not count."""
    found = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in _sources(folder)):
        text = path.read_text("utf-8").replace("\r\n", "\n")
        found.update(f"{name}\0{text}\0".encode())
    return found.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    yield from (path for path in (folder / "src").rglob("*") if path.is_file())
    yield from (folder / name for name in ("build.mjs", "package-lock.json"))


def built(root: Path) -> str | None:
    """Builds with npm; what went wrong, if anything did."""
    npm, folder = shutil.which("npm"), root / SOURCES
    if npm is None or shutil.which("node") is None:
        return "there is no node here; install node 20 or newer, or take a release from PyPI."
    for words in ("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"):
        done = subprocess.run([npm, *words], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it did not say why"])[-1]
            return f"npm {words[0]} failed in {SOURCES}: {last}"
    return None
