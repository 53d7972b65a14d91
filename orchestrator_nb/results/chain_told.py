"""What a frame's attributes say of the chain that it came from, read with suspicion: they may have been through files and hands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.errors import ChainError, UserError
from orchestrator_nb.figures import cut
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.runs import Chained

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.chains.planning import Plan

ATTRS: Final = "orchestrator_nb"
"""Where ``df.attrs`` holds what is true of the whole run, as plain JSON."""


@dataclass(frozen=True)
class StepTold:
    """What became of one step in one row; seconds from the run's start, ``None`` where there is none."""

    row: int
    step: str
    outcome: str
    began: float | None = None
    ended: float | None = None
    times: int = 0
    needs: frozenset[str] = frozenset()
    why: str = ""

    @property
    def wall_s(self) -> float | None:
        """From its first beginning to its last end."""
        return None if self.began is None or self.ended is None else max(self.ended - self.began, 0.0)


@dataclass(frozen=True)
class ChainTold:
    """`runs.Chained`, checked. ``waited`` are seconds by call."""

    run_id: str
    definition: Mapping[str, Any]
    used: Mapping[str, Any]
    over: bool
    rows: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any] | None]
    errors: Sequence[str | None]
    steps: Sequence[StepTold]
    waited: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The chain's."""
        return cut(plain(str(self.definition.get("name") or "chain")), 80)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The rows in which steps were reached."""
        return tuple(dict.fromkeys(step.row for step in self.steps))

    @cached_property
    def plan(self) -> Plan:
        """The chain planned again. Raises `UserError` when it cannot be."""
        from orchestrator_nb.chains.load import read_value  # brings pydantic and the parser of templates
        from orchestrator_nb.chains.planning import plan
        from orchestrator_nb.chains.roles import AnyRoles
        from orchestrator_nb.chains.world import World

        try:
            chains = {name: read_value(value, name).sound for name, value in self.used.items()}
            names = frozenset(self.rows[0]) if self.over and self.rows else frozenset[str]()
            return plan(read_value(self.definition, self.name).sound, World(chains, AnyRoles(), names=names))
        except ChainError as error:
            why = cut(str(error), 300)
        raise UserError(
            f"the chain {self.name!r} that stands with this frame cannot be read any more: {why} %llm show {self.run_id or 'RUN'} has the run as it was."
        )


def plain_json(value: Any) -> Any:
    """A copy that is nothing but JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value


class Shared(dict[str, Any]):
    """JSON that a frame and all that is made of it have in common. pandas copies attributes deeply each time a column is taken, which would be a second for 5,000 rows."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> Shared:
        return self


def attrs_of(chained: Chained) -> Shared:
    """What stands in a frame's attributes, as plain JSON."""
    return Shared({name: plain_json(getattr(chained, name)) for name in Chained.__dataclass_fields__})


def told(frame: pd.DataFrame, what: str) -> ChainTold:
    """What the frame says of its chain. Raises `UserError` when it is no chain's, or says what cannot be."""
    about = frame.attrs.get(ATTRS)
    chain = about.get("chain") if isinstance(about, Mapping) else None
    if chain is None:
        raise UserError(
            f"df.llm.{what} is for the frame of a chain, and this one is not, or lost its attributes (pd.concat drops them); take the frame as %%chain gave it, or %llm show RUN."
        )
    run_id = about.get("run_id") if isinstance(about, Mapping) else ""
    return _read(chain, run_id if isinstance(run_id, str) else "")


def _read(chain: Any, run_id: str) -> ChainTold:
    with suppress(TypeError, ValueError, KeyError, OverflowError):
        return _checked(chain, run_id)
    raise UserError(
        f"what this frame says of its chain is damaged; %llm show {run_id or 'RUN'} gives the frame as it was."
    )


def _checked(chain: Mapping[str, Any], run_id: str) -> ChainTold:
    return ChainTold(
        run_id,
        _mapping(chain["definition"]),
        _mapping(chain["used"]),
        bool(chain["over"]),
        [_mapping(row) for row in _list(chain["rows"])],
        [None if given is None else _mapping(given) for given in _list(chain["outputs"])],
        [None if error is None else str(error) for error in _list(chain["errors"])],
        [_step(_mapping(step)) for step in _list(chain["steps"])],
        {str(call["call_id"]): _seconds(call["waited_s"]) or 0.0 for call in _list(chain["calls"])},
    )


def _step(step: Mapping[str, Any]) -> StepTold:
    return StepTold(
        int(step["row"]),
        str(step["step"]),
        str(step["outcome"]),
        _seconds(step["began"]),
        _seconds(step["ended"]),
        int(step["times"]),
        frozenset(map(str, _list(step["needs"]))),
        str(step["why"]),
    )


def _seconds(value: Any) -> float | None:
    number = None if value is None else float(value)
    return number if number is not None and abs(number) < 1e12 else None  # neither NaN nor endless


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return value
