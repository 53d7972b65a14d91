"""The simulator in the place of all vendors, while it is on."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator_nb.catalog import Catalog, Vendor
from orchestrator_nb.errors import UserError

if TYPE_CHECKING:
    from orchestrator_nb.simulator import Simulator


class Playing:
    """At most one simulator. Its caller sees to it that one thread at a time switches it."""

    def __init__(self) -> None:
        self._simulator: Simulator | None = None
        self._opened = contextlib.ExitStack()

    @property
    def on(self) -> bool:
        """Whether it plays."""
        return self._simulator is not None

    @property
    def origin(self) -> str | None:
        """Its address while it plays."""
        return self._simulator.origin if self._simulator else None

    @property
    def simulator(self) -> Simulator:
        """The simulator. Raises `UserError` when it is off."""
        if self._simulator is None:
            raise UserError("the simulator is off; switch it on with simulate(True) or %llm simulate on.")
        return self._simulator

    def begin(self, script: str | Path | None) -> None:
        """Raises `UserError` for a script that cannot be used."""
        self._simulator = self._opened.enter_context(_simulator(script))

    def end(self) -> None:
        """Close it, if it plays."""
        self._opened.close()
        self._simulator = None

    def cast(self, catalog: Catalog) -> Catalog:
        """The same vendors and models, at its address while it plays."""
        if self._simulator is None:
            return catalog
        for vendor in catalog.vendors.values():
            catalog = catalog.with_vendor(_played(vendor, self._simulator.url(_part(vendor))))
        return catalog


def _simulator(script: str | Path | None) -> Simulator:
    from orchestrator_nb.simulator import Simulator  # only who asks for it pays for it
    from orchestrator_nb.simulator.script import ScriptError  # as above

    try:
        return Simulator(lively=True, script=script)
    except ScriptError as error:
        why = str(error)
    raise UserError(why)


def _played(vendor: Vendor, url: str) -> Vendor:
    """The vendor at the simulator's address; its questions are known by its own."""
    return replace(vendor, base_url=url, own_url=vendor.base_url, simulated=True)


def _part(vendor: Vendor) -> str:
    """Whom the simulator plays for this vendor: itself where it is known by name, else its dialect."""
    from orchestrator_nb.simulator.mounts import URLS  # as above

    return vendor.name if vendor.name in URLS else vendor.kind
