"""What the vault's form leaves in the notebook: names, fingerprints and ages, as they were then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from orchestrator_nb.keyring import Keyring
from orchestrator_nb.results.safe_text import escape
from orchestrator_nb.vault import telling
from orchestrator_nb.widgets.still import Still

_SAID: Final[Mapping[str, str]] = {"none": "not made yet", "locked": "locked", "open": "open"}


def still(keyring: Keyring) -> Still:
    """What ``%vault`` says now, for good. Raises `VaultError`."""
    at = datetime.now(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    state = keyring.status()
    lines = [f"{at}: the vault of profile {state.path.stem!r} is {_SAID[state.state]}"]
    lines += [*map(telling.stored, keyring.vault.glance())]
    lines.append("%vault panel shows the form again; %vault tells more.")
    return Still("".join(f'<p class="onb-note">{escape(line)}</p>' for line in lines), "\n".join(lines))
