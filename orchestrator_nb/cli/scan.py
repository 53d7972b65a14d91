"""``onb scan`` and ``onb scrub``: where keys were left behind, and taking them out."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator_nb.cli.app import main
from orchestrator_nb.errors import UserError
from orchestrator_nb.secret import Veiled

if TYPE_CHECKING:
    from orchestrator_nb.traces.finder import Keys
    from orchestrator_nb.traces.places import Note
    from orchestrator_nb.traces.scan import Finding

_PATHS = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
_ALL = click.option(
    "--all", "everything", is_flag=True, help="Look into .git, node_modules and virtual environments too."
)
_QUIET_S = 2.0
_TELL_ALL = 3


@main.command()
@_PATHS
@_ALL
@click.option("--json", "as_json", is_flag=True, help="One JSON object per place.")
def scan(paths: tuple[Path, ...], everything: bool, as_json: bool) -> None:
    """Find keys in notebooks, outputs, checkpoints, histories, logs and other files at and under PATH.

    Without PATH: this folder and IPython's history. Keys of your vaults are found by their digests, without a password; others by their looks.
    Places and fingerprints are shown, never a key. Exit code 1 when something was found.
    """
    found = _look(paths, everything=everything, as_json=as_json)
    sys.exit(1 if found else 0)


@main.command()
@_PATHS
@_ALL
@click.option("--yes", is_flag=True, help="Do not ask.")
def scrub(paths: tuple[Path, ...], everything: bool, yes: bool) -> None:
    """Find keys as "onb scan" does, and put [key fp:…] in their place.

    Files keep their mode and time. Exit code 1 when something could not be cleaned.
    """
    from orchestrator_nb.traces.scrub import paths_of, scrub  # help must not wait for it

    found = _look(paths, everything=everything)
    if not (files := paths_of(found)) or not _agreed(len(files), yes=yes):
        return
    left = False
    for outcome in scrub(files, _finder()):  # a key may have been removed while the question stood there
        left = left or hasattr(outcome, "why")
        click.echo(_shown(outcome))
    click.echo("If one of these files was synced or shared, replace its keys at their vendors.", err=True)
    sys.exit(1 if left else 0)


def _agreed(files: int, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked here; add --yes to clean these files.")
    return click.confirm(f"Replace the keys in {files} file{'s' * (files > 1)} by [key fp:…]?", err=True)


def _look(paths: tuple[Path, ...], *, everything: bool, as_json: bool = False) -> list[Finding]:
    """Scan, show each place as it is found, and say how it went in one line."""
    from orchestrator_nb.traces.places import Note, of_user
    from orchestrator_nb.traces.scan import scan

    finder, progress = _finder(), _Progress()
    places = paths or (Path(), *of_user(Veiled(), Path.home()))
    found: list[Finding] = []
    notes: list[Note] = []
    for one in scan(places, finder, everything=everything, tell=progress):
        progress.clear()
        if isinstance(one, Note):
            notes.append(one)
        else:
            found.append(one)
            click.echo(json.dumps(_facts(one)) if as_json else _shown(one))
    progress.clear()
    _tell(notes)
    click.echo(_summary(found, progress.files, vaults=len(finder.digests)), err=True)
    return found


def _finder() -> Keys:
    """Knows what the vaults hold now."""
    from orchestrator_nb.config.paths import Paths
    from orchestrator_nb.traces.finder import stored_in

    paths = Paths.find(Veiled())
    return stored_in(paths.state, paths.vault().parent)


def _facts(finding: Finding) -> dict[str, Any]:
    facts = asdict(finding) | {"path": str(finding.path)}
    return facts | {"fingerprint": f"fp:{facts.pop('fp')}"}


def _shown(thing: object) -> str:
    """A file's name must not steer the terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(thing))


def _tell(notes: list[Note]) -> None:
    """What was not looked at; of many for the same reason, how many."""
    counts = Counter(note.why for note in notes)
    for note in notes:
        if counts[note.why] <= _TELL_ALL:
            click.echo(_shown(note), err=True)
    for why, count in counts.items():
        if count > _TELL_ALL:
            click.echo(f"{count} places: {why}", err=True)


def _summary(found: list[Finding], files: int, *, vaults: int) -> str:
    keys, places = len({finding.fp for finding in found}), len({finding.path for finding in found})
    what = (
        f"{_many(keys, 'key')} in {places} of {_many(files, 'file')}" if found else f"no key in {_many(files, 'file')}"
    )
    return what if vaults else f"{what} (there is no vault yet: keys were told by their looks alone)"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


class _Progress:
    """Counts the files, and shows the count in a terminal when it takes long."""

    def __init__(self) -> None:
        self.files = 0
        self._next = time.monotonic() + _QUIET_S
        self._open = False

    def __call__(self, _path: Path) -> None:
        self.files += 1
        if sys.stderr.isatty() and time.monotonic() > self._next:
            self._next, self._open = time.monotonic() + 0.5, True
            click.echo(f"\rlooked at {self.files:,} files …", nl=False, err=True)

    def clear(self) -> None:
        """Make room for a line."""
        if self._open:
            self._open = False
            click.echo("\r\x1b[K", nl=False, err=True)
