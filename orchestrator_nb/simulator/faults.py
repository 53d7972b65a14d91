"""Faults (being filled)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.vendor import Vendor
from orchestrator_nb.simulator.wire import Arrived, Deed, End, Raw, Reply, Step, Stream, chunk, head


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a fault may use."""

    vendor: Vendor
    call: Arrived
    ask: Ask | None
    normal: Callable[[Callable[[Answer], Answer]], Reply | Stream]
    elsewhere_url: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    name: str
    rows: tuple[int, ...]
    about: str
    play: Callable[[Scene], Deed]


FAULTS: dict[str, Fault] = {}


def known(name: str) -> Fault:
    """The fault of that name."""
    return FAULTS[name]


def named(name: str | None) -> Fault | None:
    """The fault of that name."""
    return FAULTS.get(name or "")


@dataclass(slots=True)
class Order:
    """A fault ordered for coming calls."""

    fault: Fault
    times: int | None = None
    match: str | None = None
    seconds: float | None = None


class Board:
    """The faults ordered."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def add(self, order: Order) -> None:
        """One more."""
        self.orders.append(order)

    def clear(self) -> None:
        """None any more."""
        self.orders.clear()

    def pick(self, call: Arrived, ask: Ask) -> Order | None:
        """The first order that fits."""
        return None


def cut(deed: Deed, characters: int, text: str) -> Deed:
    """Cut."""
    return deed
