"""What a chain may name beyond itself. ``None`` means: not known here, so not checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.roles import Roles


@dataclass(frozen=True, slots=True)
class World:
    """``chains`` for ``use``; ``functions`` for ``python``; ``model_problem`` gives a sentence about a model that is unknown, "" about a known one;
    ``names`` are values from outside that need not be declared (a frame's columns); ``trusted``: whether Python functions may be called.
    """

    chains: Mapping[str, Chain] | None = None
    roles: Roles = field(default_factory=Roles)
    model_problem: Callable[[str], str] | None = None
    modes: Collection[str] | None = None
    functions: Collection[str] | None = None
    names: frozenset[str] = frozenset()
    trusted: bool = True
