"""Keys for calls: the vault's first, then the environment's. A call that meets a locked vault in the middle of a run waits here until somebody unlocks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from orchestrator_nb.catalog import Vendor
from orchestrator_nb.errors import KeyMissing, OrchestratorError, VaultLocked
from orchestrator_nb.providers.keys import EnvironmentKeys, synonyms
from orchestrator_nb.secret import Secret
from orchestrator_nb.vault.sources import COMMAND, FILE
from orchestrator_nb.vault.vault import Vault

Unlock = Callable[[], bool]
"""Opens the vault without a person; whether it could."""


class VaultedKeys:
    """`orchestrator_nb.types.Keys` over a vault and the environment, and the gate (`orchestrator_nb.kernel.pause.Gate`) of the calls that wait for it.

    A key that this process has seen in the vault never comes from anywhere else: a vault that locks must not change whose account is billed.
    `waiting` tells the faces when to ask the person, if `begin` was told that there is one.
    """

    def __init__(self, vault: Vault, environment: EnvironmentKeys, unlock: Unlock) -> None:
        self._vault, self._environment, self._unlock = vault, environment, unlock
        self._attended = False
        self._failed: OrchestratorError | None = None
        self._asleep: set[_Sleeper] = set()

    def key_for(self, vendor: Vendor) -> Secret | None:
        """The vendor's key, or ``None`` when it needs none. Raises `KeyMissing`, `VaultLocked`."""
        for name in synonyms(vendor.key_name):
            if (self._vault.is_open or self._vault.knows(name)) and (secret := self._vault.secret(name, vendor.name)):
                return secret
        try:
            return self._environment.key_for(vendor)
        except KeyMissing:
            if self._vault.is_open or not self._vault.exists:
                raise
        raise VaultLocked(
            f"the vault is locked, and nobody can be asked for its password here: unlock it first (%vault unlock), "
            f"or name a file or a command that has the password, with {FILE} or {COMMAND}."
        )

    def from_environment(self, name: str) -> bool:
        """Whether the environment has a key of this name."""
        return self._environment.has(name)

    @property
    def waiting(self) -> bool:
        """Whether a call waits for the vault."""
        return bool(self._asleep)

    async def opened(self, why: VaultLocked) -> None:
        """See `orchestrator_nb.kernel.pause.Gate`."""
        if self._failed:  # a file or command that has failed once is not asked again for each of a thousand calls
            raise self._failed.with_traceback(None)
        try:
            if await asyncio.to_thread(self._unlock):
                return
        except OrchestratorError as error:
            self._failed = error
            raise
        if not self._attended:
            raise why
        sleeper = _Sleeper(asyncio.get_running_loop())
        self._asleep.add(sleeper)
        try:
            self._vault.when_open(partial(sleeper.wake, None))
            await sleeper.until
        finally:
            self._asleep.discard(sleeper)

    def begin(self, *, attended: bool) -> None:
        """A run starts, maybe one with somebody who can be asked."""
        self._attended = self._attended or attended
        self._failed = None

    def give_up(self, why: OrchestratorError) -> None:
        """Nobody opens it: the calls that wait fail with ``why``."""
        self._attended = False
        for sleeper in tuple(self._asleep):
            sleeper.wake(why)


class _Sleeper:
    """One call that waits; may be woken from any thread, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.until: asyncio.Future[None] = loop.create_future()

    def wake(self, why: OrchestratorError | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, why)

    def _wake(self, why: OrchestratorError | None) -> None:
        if self.until.done():
            return
        if why is None:
            self.until.set_result(None)
        else:
            self.until.set_exception(why)
