"""The newest save that this user has seen of each vault, so that an old copy put in its place is noticed. A hint, not a lock: whoever can write here can forget it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from orchestrator_nb.vault.files import replace


class Seen:
    """A small file of vault ids and generations. Damaged or missing, it knows nothing; where it cannot be written, it stays as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self, vault_id: bytes) -> int:
        """The highest generation seen, or 0."""
        return self._all().get(vault_id.hex(), 0)

    def note(self, vault_id: bytes, generation: int) -> None:
        """Remember that this generation exists."""
        known = self._all()
        if known.get(vault_id.hex(), 0) < generation:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace(self._path, json.dumps({**known, vault_id.hex(): generation}).encode())

    def _all(self) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_bytes())
            return {str(name): int(generation) for name, generation in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
