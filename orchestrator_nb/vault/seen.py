"""The newest save that this user has seen of each vault, so that an old copy put in its place is noticed. A hint, not a lock: whoever can write here can forget it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import VaultError
from orchestrator_nb.vault.files import locked, replace

_WAIT_S: Final = 1.0
_MAX_BYTES: Final = 1 << 20


class Seen:
    """A small file of vault ids and generations. Damaged or missing, it knows nothing; where it cannot be written, it stays as it was."""

    def __init__(self, path: Path, *, file_lock: bool = True) -> None:
        self._path, self._file_lock = path, file_lock

    def all(self) -> dict[str, int]:
        """The highest generation seen of each vault, by the hex form of its id."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MAX_BYTES))
            return {str(name): int(generation) for name, generation in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
            return {}

    def newest(self, vault_id: bytes) -> int:
        """The highest generation seen, or 0."""
        return self.all().get(vault_id.hex(), 0)

    def note(self, vault_id: bytes, generation: int) -> None:
        """Remember that this generation exists."""
        if self.newest(vault_id) >= generation:
            return
        with (
            contextlib.suppress(OSError, VaultError),
            locked(self._path, file_lock=self._file_lock, wait_s=_WAIT_S),
        ):
            known = self.all()
            newest = max(generation, known.get(vault_id.hex(), 0))
            replace(self._path, json.dumps({**known, vault_id.hex(): newest}).encode())
