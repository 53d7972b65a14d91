"""Settings, keys and the line to the models, as they are now. Whoever changes one of them does it here, under one lock, for each follows from the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator_nb.catalog import Vendor
from orchestrator_nb.config import Config
from orchestrator_nb.diagnosis import Check, examine, missing_keys
from orchestrator_nb.errors import ConfigError, VaultLocked
from orchestrator_nb.forms import NOTHING, Forms
from orchestrator_nb.kernel.portal import CLOSING_S, Portal
from orchestrator_nb.keyring import Keyring, follow, vault_for
from orchestrator_nb.line import Line
from orchestrator_nb.playing import Playing
from orchestrator_nb.providers.keys import EnvironmentKeys, StaticKeys, synonyms
from orchestrator_nb.types import Clock
from orchestrator_nb.vault import sources
from orchestrator_nb.vaulted import VaultedKeys

if TYPE_CHECKING:
    from orchestrator_nb.simulator import Simulator


class Wiring:
    """The line is made at first use, and anew after each change; calls under way keep theirs."""

    def __init__(self, config: Config, environ: Mapping[str, str], clock: Clock, portal: Portal) -> None:
        self.config = config
        self._environ, self._clock, self._portal = environ, clock, portal
        self._playing = Playing()
        self._lock = threading.RLock()
        self._line: Line | None = None
        self._keyring: Keyring | None = None
        self._owner = config
        self._vaulted: VaultedKeys | None = None

    # Settings

    def refresh(self) -> None:
        """Read the settings again if a file changed since. Raises `ConfigError`."""
        with self._lock:
            fresh = self.config.refreshed()
            if fresh is not self.config:
                self.use(fresh)

    def use(self, config: Config) -> None:
        """Go on with other settings. The vault of a profile that is left is locked."""
        with self._lock:
            self.config = config
            self._drop_line()
            if self._keyring:
                self._keyring = self.vault

    def checks(self) -> list[Check]:
        """What works here and what does not, also while the settings cannot be loaded."""
        problems: list[ConfigError] = []
        with self._lock:
            config = self.config.refreshed(problems=problems)
            vault = self._keyring.vault if self._keyring else None
            path = config.paths.vault(config.settings.profile)
            if vault is None or vault.path != path:
                vault = vault_for(config, path, self._clock)
        return examine(config, self._environ, vault, problems, simulating=self.simulating)

    # The simulator

    @property
    def simulating(self) -> bool:
        """Whether calls go to the simulator."""
        return self._playing.on

    @property
    def simulator(self) -> Simulator:
        """The simulator at work. Raises `UserError` when it is off."""
        return self._playing.simulator

    def simulate(self, on: bool, script: str | Path | None = None) -> str | None:
        """Switch it on or off; its address when on. Raises `UserError` for a script that cannot be used."""
        with self._lock:
            if self._playing.on and (script or not on):
                self._drop_line()
                self._playing.end()
            if on and not self._playing.on:
                self._drop_line()
                self._playing.begin(script)
            return self._playing.origin

    # Keys

    @property
    def vault(self) -> Keyring:
        """The profile's vault."""
        return self._vault_of(self.config)

    def own_vault(self) -> Keyring:
        """`vault`, by the user's own settings as they are now: a project that is refused keeps nobody from it. Raises `ConfigError`."""
        try:
            self.refresh()
        except ConfigError:
            refused = True
        else:
            refused = False
        return self._vault_of(self.config.own() if refused else self.config)

    def known(self) -> Forms:
        """The keys that are open now, to be taken out of texts."""
        return self._keyring.vault.forms if self._keyring else NOTHING

    def missing_keys(self) -> Mapping[str, str]:
        """The vendors that cannot be asked now, each with why. Nothing is asked for, and no connection opened."""
        if self.simulating:
            return {}
        return missing_keys(self.line().catalog.vendors.values(), self.vault.vault, self._environ)

    def at_hand(self) -> tuple[str, ...]:
        """The models that can be asked as things stand, by the name that one would type; all of them while keys may be in a locked vault, or none is in sight."""
        vault, known = self.vault.vault, [spec for spec in self.line().catalog.models if not spec.retired]

        def has(vendor: Vendor) -> bool:
            return not vendor.key_name or any(
                self._environ.get(key) or vault.knows(key) for key in synonyms(vendor.key_name)
            )

        found = [spec for spec in known if has(spec.vendor)]
        locked = vault.exists and not vault.is_open
        everything = self.simulating or locked or not any(spec.vendor.key_name for spec in found)
        return tuple(next(iter(spec.aliases), spec.ref) for spec in (known if everything else found))

    def ready(self, vendors: Iterable[Vendor]) -> None:
        """The keys that these vendors need can be had, as far as that can be told before asking. Raises `VaultError`."""
        if self.simulating:
            return
        self.line()
        if keys := self._vaulted:
            keys.begin(attended=sources.somebody_is_there())
            self.vault.ready(vendors, keys.from_environment)

    def attend(self, show: Callable[[], object] = lambda: None) -> None:
        """Ask for the vault's password if calls wait for it, after ``show``; for whoever watches a run on the main thread. Refused, those calls fail."""
        keys = self._vaulted
        if keys is None or not keys.waiting or not sources.somebody_is_there():
            return
        show()
        if why := self.vault.reopen():
            keys.give_up(why)

    def lock_vault(self) -> None:
        """For good: calls that wait for it fail, as nobody will be asked for it again."""
        with self._lock:
            if self._keyring:
                self._keyring.lock()
            if self._vaulted:
                self._vaulted.give_up(
                    VaultLocked("the vault of this run's profile was locked, as another profile is in use.")
                )

    # The line

    def line(self) -> Line:
        """The line as it is now. Raises `ConfigError` while the settings cannot be loaded."""
        with self._lock:
            if not self.config.complete:
                self.refresh()
            if self._line is None:
                self._line = self._new_line()
            return self._line

    def disconnect(self) -> None:
        """Close connections; the simulator ends."""
        with self._lock:
            dropping = self._drop_line()
        if dropping:  # not under the lock, which a run takes at its end
            wait([dropping], CLOSING_S)  # a loop that ends at once would leave the sockets open
        self.simulate(False)

    def _vault_of(self, config: Config) -> Keyring:
        with self._lock:
            self._owner = config
            path = config.paths.vault(config.settings.profile)
            if self._keyring is None or self._keyring.vault.path != path:
                self.lock_vault()
                vault = vault_for(config, path, self._clock)
                self._keyring = Keyring(vault, self._environ, lambda: self._owner.own_catalog, config.cwd)
            follow(self._keyring.vault, config)
            return self._keyring

    def _new_line(self) -> Line:
        catalog = self._playing.cast(self.config.catalog)
        if self.simulating:
            return Line(self.config, catalog, StaticKeys("simulator"), self._clock, known=self.known)
        environment = EnvironmentKeys(self._environ, self.config.own_catalog)
        self._vaulted = keys = VaultedKeys(self.vault.vault, environment, self.vault.unlock_unattended)
        return Line(self.config, catalog, keys, self._clock, keys, self.known)

    def _drop_line(self) -> Future[None] | None:
        line, self._line = self._line, None
        return self._portal.submit(line.drop()) if line else None
