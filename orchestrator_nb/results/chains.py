"""What one does next with the frame of a chain: its outputs, its profile, its picture. From the frame and its attributes alone, so also after files and filters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from orchestrator_nb.errors import UserError
from orchestrator_nb.figures import count
from orchestrator_nb.results import chain_outputs
from orchestrator_nb.results.chain_figures import Figures
from orchestrator_nb.results.chain_profile import Profile
from orchestrator_nb.results.chain_profile import profile as profiled
from orchestrator_nb.results.chain_told import ChainTold, told

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.chains.drawing import Drawing, State


def outputs(frame: pd.DataFrame) -> chain_outputs.Outputs | pd.DataFrame:
    """What the chain gave."""
    return chain_outputs.outputs(told(frame, "outputs"))


def profile(frame: pd.DataFrame) -> Profile:
    """A row per step, in the order of the plan."""
    return profiled(Figures(_of(frame, "profile()"), frame))


def draw(frame: pd.DataFrame) -> Drawing:
    """The picture of the chain with what became of each step."""
    from orchestrator_nb.chains.drawing import draw as drawn  # brings the language of chains with it

    chain = _of(frame, "draw()")
    rows = f" · {count(len(chain.numbers), 'row')} together" if len(chain.numbers) > 1 else ""
    return drawn(chain.plan, states(Figures(chain, frame)), title=f"{chain.name}{rows}")


def _of(frame: pd.DataFrame, what: str) -> ChainTold:
    """What the frame says of its chain; of a filtered one, of the rows that are left."""
    chain = told(frame, what)
    if "step" not in frame:
        raise UserError(
            f"df.llm.{what} needs the column 'step', but 'step' is not in this frame; take it from the frame as it came."
        )
    if len(frame) >= len(chain.waited) or "row" not in frame:
        return chain
    left = set(frame["row"].dropna())
    return replace(chain, steps=[step for step in chain.steps if step.row in left])


def states(figures: Figures) -> dict[str, State]:
    """What became of each step, as a picture shows it."""
    from orchestrator_nb.chains.labels import Shown, State

    found: dict[str, State] = {}
    for path, became in figures.outcomes.items():
        sums = figures.sums.get(path, {})
        outcome: Shown = next((word for word in get_args(Shown) if word == became.outcome), "stopped")
        cost, calls = sums.get("cost_usd"), int(sums.get("calls", 0))
        known = None if cost is None or cost != cost else cost  # noqa: PLR0124 - NaN is not itself
        found[path] = State(outcome, calls, known, became.wall_s, became.why, path in figures.critical)
    return found
