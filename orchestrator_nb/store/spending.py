"""What a day costs, over all processes of this store: a cap on it is kept by reserving what a call can cost at most before it is sent.

Reading what is spent and reserving is one step that no other process comes between. A reservation that is never settled (its process was killed) stays, and
counts at its worst. Days are numbers, counted from 1970-01-01 (UTC).
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.errors import StoreError
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.rows import seal
from orchestrator_nb.store.told import ZERO

if TYPE_CHECKING:  # loaded when a store is opened, and not before
    from sqlite3 import Connection

PATIENCE_S: Final = 900.0
"""After so long an open reservation is not waited for any more: it counts as spent until somebody settles it."""

_DAMAGED: Final = "the store's record of what today cost is damaged, so the day's cap cannot be kept; onb store salvage copies what is whole to a new file."


@dataclass(frozen=True, slots=True)
class Room:
    """How a day stands, in USD: ``spent`` with what was lost, ``in_flight`` what is reserved and may still come back. ``id`` is the reservation that was made, if
    one was; then nobody asked who is lost, and ``in_flight`` is all that is reserved.
    """

    spent: Decimal
    in_flight: Decimal
    id: int | None = None

    def never(self, worst: Decimal, limit: Decimal) -> bool:
        """Whether waiting does not help."""
        return self.spent + worst > limit


class Spending:
    """The reservations and totals of a store's days. ``alive`` tells whether a process of this machine still runs, ``None`` where nobody can tell."""

    def __init__(self, database: Database, alive: Callable[[int], bool | None] | None = None) -> None:
        self.database, self._alive = database, alive or _runs

    def reserve(self, day: int, worst: Decimal, limit: Decimal) -> Future[Room]:
        """Reserve ``worst`` if it fits under ``limit`` with all that is spent and reserved; the result tells. Days after ``day`` count too: a clock that was set
        back frees nothing. The future may raise `StoreError`.
        """
        return self.database.transact(lambda connection: self._reserve(connection, day, worst, limit))

    def settle(self, id_: int, usd: Decimal) -> Future[None]:
        """What a reservation turned out to cost; it counts for the day on which it was made. A second time changes nothing."""
        return self.database.transact(lambda connection: _settle(connection, id_, usd))

    def so_far(self, day: int) -> Room:
        """How the day stands. Raises `StoreError`."""
        with self.database.reading() as connection:
            return self._room(connection, day, *_sums(_totals(connection, day)))

    def _reserve(self, connection: Connection, day: int, worst: Decimal, limit: Decimal) -> Room:
        totals = _totals(connection, day)
        spent, reserved = _sums(totals)
        if spent + reserved + worst > limit:
            return self._room(connection, day, spent, reserved)
        number = secrets.randbits(62)  # never used again, so that settling twice hits nobody else's
        values = (number, day, self.database.clock.wall(), self._owner, str(worst))
        connection.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?)", (*values, _seal(*values)))
        _write(connection, day, totals.get(day, _NONE), reserved=worst)
        return Room(spent, reserved + worst, number)

    def _room(self, connection: Connection, day: int, spent: Decimal, reserved: Decimal) -> Room:
        """What is reserved, by whether somebody may still settle it."""
        in_flight, owners, now = ZERO, dict[str, bool](), self.database.clock.wall()
        for number, on, at, owner, usd, digest in connection.execute(
            "SELECT id, day, at, owner, usd, digest FROM reservations WHERE day >= ?", (day,)
        ):
            if _seal(number, on, at, owner, usd) != digest:
                raise StoreError(_DAMAGED)
            if owner not in owners:
                owners[owner] = self._lives(owner)
            if owners[owner] and abs(now - at) <= PATIENCE_S:
                in_flight += Decimal(usd)
        return Room(spent + reserved - in_flight, in_flight)

    def _lives(self, owner: str) -> bool:
        """Whether it may. Either way its reservations count; this decides who is waited for."""
        host, _, pid = owner.rpartition(":")
        return host != self._host or self._alive(int(pid)) is not False

    @cached_property
    def _host(self) -> str:
        return socket.gethostname()

    @property
    def _owner(self) -> str:
        return f"{self._host}:{os.getpid()}"


def _settle(connection: Connection, id_: int, usd: Decimal) -> None:
    found = connection.execute("DELETE FROM reservations WHERE id = ? RETURNING *", (id_,)).fetchall()
    for number, day, at, owner, worst, digest in found:
        if _seal(number, day, at, owner, worst) != digest:
            raise StoreError(_DAMAGED)  # it stays, and counts
        _write(connection, day, _totals(connection, day, day).get(day, _NONE), spent=usd, reserved=-Decimal(worst))


_Total = tuple[Decimal, Decimal]
"""Of one day: spent, and reserved by all, also by those who will never settle."""
_NONE: Final[_Total] = ZERO, ZERO


def _totals(connection: Connection, first: int, last: int = 2**62) -> dict[int, _Total]:
    rows = connection.execute("SELECT * FROM days WHERE day BETWEEN ? AND ?", (first, last)).fetchall()
    if any(seal("days", day, usd, reserved) != digest for day, usd, reserved, digest in rows):
        raise StoreError(_DAMAGED)
    return {day: (Decimal(usd), Decimal(reserved)) for day, usd, reserved, _ in rows}


def _sums(totals: Mapping[int, _Total]) -> _Total:
    return sum((spent for spent, _ in totals.values()), ZERO), sum((kept for _, kept in totals.values()), ZERO)


def _write(
    connection: Connection, day: int, before: _Total, *, spent: Decimal = ZERO, reserved: Decimal = ZERO
) -> None:
    values = (day, str(before[0] + spent), str(before[1] + reserved))
    connection.execute("INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?)", (*values, seal("days", *values)))


def _seal(*values: Any) -> bytes:
    return seal("reservations", *values)


def _runs(pid: int) -> bool | None:
    """Whether this process is there. Windows has no harmless way to ask (signal 0 is Ctrl-C there)."""
    if os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
