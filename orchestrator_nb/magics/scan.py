"""``%llm scan``: keys that were left behind, as a DataFrame of places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.secret import Veiled
from orchestrator_nb.traces.finder import stored_in
from orchestrator_nb.traces.places import Note, of_user
from orchestrator_nb.traces.scan import scan


def table(paths: Sequence[str], state: Path, say: Callable[[str], None]) -> pd.DataFrame:
    """One row for each key and place under the paths, or here and in IPython's history. ``say`` hears what was not looked at."""
    places = [Path(path).expanduser() for path in paths] or [Path(), *of_user(Veiled(), Path.home())]
    seen = list(scan(places, stored_in(state)))
    for note in seen:
        if isinstance(note, Note):
            say(plain(str(note)))
    # fingerprints as %vault list has them, to be joined
    rows = [(str(one.path), one.place, one.kind, f"fp:{one.fp}") for one in seen if not isinstance(one, Note)]
    return pd.DataFrame(rows, columns=["file", "place", "key", "fingerprint"])
