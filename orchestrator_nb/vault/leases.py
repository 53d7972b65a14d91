"""Which run may use which keys while the vault is locked for want of use. A run has only what it was given itself: no other run, and no cell, uses it along.

What runs in a run is told by its context (https://docs.python.org/3/library/contextvars.html), which the tasks of its calls inherit.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final


class Lease:
    """One run's keys. ``granted``: the vault was open when the run began, or was opened since."""

    __slots__ = ("granted", "names")

    def __init__(self, names: Iterable[str], *, granted: bool) -> None:
        self.names, self.granted = frozenset(names), granted


_HERE: Final[ContextVar[frozenset[Lease]]] = ContextVar("leases", default=frozenset())
"""The leases of what runs here."""


class Leases:
    """The leases of one vault. Not thread-safe: its owner has the lock."""

    def __init__(self) -> None:
        self._all: set[Lease] = set()

    def begin(self, names: Iterable[str], *, granted: bool) -> Lease:
        """One more, for what runs here and what it starts."""
        lease = Lease(names, granted=granted)
        self._all.add(lease)
        _HERE.set(_HERE.get() | {lease})
        return lease

    def end(self, lease: Lease) -> None:
        """The run is over."""
        self._all.discard(lease)
        _HERE.set(_HERE.get() - {lease})

    def grant(self) -> None:
        """The password was given: every run under way goes on."""
        for lease in self._all:
            lease.granted = True

    def here(self, name: str) -> bool:
        """Whether the run that asks may use this key."""
        return any(lease.granted and name in lease.names for lease in self._all & _HERE.get())

    @property
    def granted(self) -> frozenset[str]:
        """The keys that some run may use."""
        return frozenset().union(*(lease.names for lease in self._all if lease.granted))

    def total(self) -> int:
        """How many names are on lease, those of keys that do not exist included."""
        return sum(len(lease.names) for lease in self._all)

    def clear(self) -> None:
        """Nobody has anything."""
        self._all.clear()
