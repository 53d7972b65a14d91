"""Opening a vault: with the file or command that has its password, else with the person, who may mistype it; making one where there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from orchestrator_nb.errors import VaultAuthError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import files, sources, telling
from orchestrator_nb.vault.password import require_good
from orchestrator_nb.vault.vault import Vault

TRIES: Final = 3


class Unlocking:
    """The ways into ``vault``; ``environ`` may name a password file or command. What there is to tell goes to the vault's notices."""

    def __init__(self, vault: Vault, environ: Mapping[str, str]) -> None:
        self._vault = vault
        self._environ = environ
        self._one_at_a_time = threading.Lock()

    def open(self, prompt: str = "") -> None:
        """Unlock it unless it is open; offer to make it when there is none."""
        if not self._vault.exists:
            self.make()
        elif not self._vault.still_open():
            self.unlock(prompt)

    def unattended(self) -> bool:
        """Open it without a person; whether a file or command has the password. Raises `VaultAuthError` when it is the wrong one."""
        with self._one_at_a_time:  # every call of a run may come here at once
            if self._vault.is_open:
                return True
            password = sources.without_a_person(self._environ)
            if password is not None:
                self._attempted(self._vault.unlock, password).wipe()
            return password is not None

    def unlock(self, prompt: str = "") -> Hidden:
        """Open it; the password that did. Raises `VaultAuthError`, `VaultLocked`."""
        profile = repr(self._vault.path.stem)
        prompts = {
            None: prompt or f"Password of the vault {profile}: ",
            "password": f"The password of the vault {profile} was changed elsewhere. New password: ",
            "vault": f"Another vault stands in the place of {profile}. Its password: ",
        }
        self._vault.status()
        with self._one_at_a_time:
            password = sources.without_a_person(self._environ)
            if password is not None:
                return self._attempted(self._vault.unlock, password)
        return self._prompted(self._vault.unlock, prompts[self._vault.changed])

    def asked(self, act: Callable[[Hidden], None], prompt: str) -> Hidden:
        """``act`` with the password of the file or command, or of the person, who is asked only for a file that could be opened."""
        self._vault.status()
        password = sources.without_a_person(self._environ)
        return self._prompted(act, prompt) if password is None else self._attempted(act, password)

    def _attempted(self, act: Callable[[Hidden], None], password: Hidden) -> Hidden:
        """``act`` with a password that nobody typed. Raises `VaultAuthError` that says where it came from."""
        try:
            act(password)
        except VaultAuthError:
            pass
        else:
            return password
        error = VaultAuthError()
        error.args = (f"{error.args[0]} The password came from {sources.named(self._environ)}.",)
        raise error

    def _prompted(self, act: Callable[[Hidden], None], prompt: str) -> Hidden:
        """``act`` with a password from the person, who may mistype it twice."""
        for left in range(TRIES - 1, -1, -1):
            password = sources.ask(prompt)
            try:
                act(password)
            except VaultAuthError:
                if not left:
                    self._forgotten()
                    raise
            else:
                return password
            prompt = f"That did not open it. Once more ({left} left): "
        raise VaultAuthError

    def _forgotten(self) -> None:
        path = self._vault.path
        self._vault.notices.append(
            f"Forgotten? It cannot be reset: move {path.name} away, then %vault set makes a new vault; make new keys at the vendors. "
            f"If the file may have been altered: {files.way_back(path)}"
        )

    def make(self) -> None:
        """A new and empty one. Raises `VaultError`, `UserError` for a password that is too short."""
        password = sources.without_a_person(self._environ)
        where, unattended = telling.place(self._vault.path), password is not None
        if password is None:
            sources.tell(f"There is no vault yet: it will be {where}. {telling.ADVICE}. An empty answer cancels.")
            password = sources.ask_twice(f"New password for the vault {self._vault.path.stem!r}: ", self.require_good)
        else:
            self.require_good(password)
        self._vault.create(password)
        password.wipe()
        if unattended:
            self._vault.notices.append(f"made a new vault: {where}")

    def require_good(self, password: Hidden) -> None:
        """Raises `UserError` for a password that does not protect."""
        if warning := require_good(password):
            self._vault.notices.append(warning)
