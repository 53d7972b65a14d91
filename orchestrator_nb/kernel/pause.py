"""Wait while the vault is locked: a run that outlives its keys pauses as "needs unlock" and goes on after unlocking, with nothing lost."""

from __future__ import annotations

from typing import Final, Protocol

from orchestrator_nb.calls import Request, Response, Waiting
from orchestrator_nb.errors import VaultLocked
from orchestrator_nb.types import Emit, Handler, Layer

NEEDS_UNLOCK: Final = "needs unlock"
"""The reason that a watcher is told."""


class Gate(Protocol):
    """Whoever knows when the vault is open again."""

    async def opened(self, why: VaultLocked) -> None:
        """Return when it is open. Raises ``why`` when nobody can open it."""
        ...


def paused(gate: Gate) -> Layer:
    """The layer. It stands outside of retry and limits: who waits here holds no place, and an attempt that was never sent is not counted."""

    def layer(call: Handler) -> Handler:
        async def handle(request: Request, emit: Emit) -> Response:
            while True:
                try:
                    return await call(request, emit)
                except VaultLocked as locked:
                    why = locked.with_traceback(None)
                emit(Waiting(NEEDS_UNLOCK))
                await gate.opened(why)

        return handle

    return layer
