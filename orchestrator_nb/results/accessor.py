"""``df.llm``: what one does next with a frame of answers.

Everything works from the columns alone, so also on a frame that was filtered, copied, sorted or concatenated; where a column that is needed was dropped, the
error names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd

from orchestrator_nb.errors import UserError
from orchestrator_nb.results import compare as comparing
from orchestrator_nb.results.advice import advice

if TYPE_CHECKING:  # brought when asked for, and they bring this module
    from orchestrator_nb import RunGrid, Session
    from orchestrator_nb.chains.drawing import Drawing
    from orchestrator_nb.results.chain_outputs import Outputs
    from orchestrator_nb.results.chain_profile import Profile

_ABOUT: Final = ("call_id", "row", "repeat", "model", "provider", "prompt", "error_kind", "error")


@pd.api.extensions.register_dataframe_accessor("llm")
class Answers:
    """The accessor ``df.llm``."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        return f"answers in {len(self._frame):,} rows: .text  .compare()  .errors  .cost(){self._of_chain}"

    @property
    def _of_chain(self) -> str:
        about = self._frame.attrs.get("orchestrator_nb")
        return "  .outputs  .profile()  .draw()" if isinstance(about, dict) and "chain" in about else ""

    @property
    def text(self) -> str:
        """The text of the only answer. Raises `UserError` when there are several, none, or it failed."""
        self._need("text", "text")
        rows = len(self._frame)
        if rows != 1:
            hint = "df.llm.compare() shows them, df['text'] holds them." if rows else "no row is left."
            raise UserError(f"df.llm.text wants a frame of one answer and this one has {rows:,}; {hint}")
        text = self._frame["text"].iloc[0]
        if pd.isna(text):
            reason = self._frame["error"].iloc[0] if "error" in self._frame else "no answer"
            raise UserError(f"the only call has no answer: {reason}")
        return str(text)

    def compare(self) -> comparing.Comparison:
        """Prompts x models side by side; repeats stacked, failures visible."""
        self._need("compare()", *comparing.NEEDS)
        return comparing.compare(self._frame)

    def marked(self, session: Session | None = None) -> pd.DataFrame:
        """The frame with how its answers were judged, as the columns ``best``, ``rating``, ``thumbs`` and ``note``; a name that is taken gets ``_mark`` behind it.

        ``session`` is the notebook's own when none is given. Raises `StoreError`.
        """
        self._need("marked()", "run_id", "call_id")
        from orchestrator_nb import session as the_notebooks  # sessions stand above
        from orchestrator_nb.results.marked import marked

        return marked(self._frame, (session or the_notebooks()).marks)

    def grid(self) -> RunGrid:
        """The answers as a grid to search, compare and rate in. Raises `UserError` when they are not of one run, `StoreError` when the store has it no more."""
        self._need("grid()", "run_id", "call_id")
        runs = self._frame["run_id"].dropna().unique()
        if len(runs) != 1:
            raise UserError(
                f"df.llm.grid() shows the answers of one run, and these are of {len(runs):,}; filter by run_id."
            )
        from orchestrator_nb import RunGrid  # the widgets stand above: only when one is wanted

        return RunGrid(str(runs[0]), calls=self._frame["call_id"].dropna())

    @property
    def errors(self) -> pd.DataFrame:
        """The failed calls, with what to do about each in ``what_to_do``. The index is the frame's own."""
        self._need("errors", "error", "error_kind")
        failed = self._frame[self._frame["error_kind"].notna()]
        shown = failed[[name for name in _ABOUT if name in failed]].copy()
        shown["what_to_do"] = pd.array([advice(str(kind)) for kind in shown["error_kind"]], dtype="string")
        return shown

    def cost(self, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Calls, USD and the number of unknown costs per group (``by``: one or more columns, by default the model), and a last row ``total``.

        ``usd`` is the sum of what is known, and NaN where nothing is: an unknown cost is counted in ``unknown`` and never taken for nothing. A failed call
        without an answer counts as a call, with neither. What ``cache`` and ``replay`` answered stands under ``saved_usd``.
        """
        keys = ["model"] if by is None else [by] if isinstance(by, str) else list(by)
        self._need("cost()", "cost_usd", *keys)
        parts = self._costs()
        grouped = parts.groupby([self._frame[key] for key in keys], sort=False, dropna=False, observed=True).sum(
            min_count=1
        )
        total = parts.sum(min_count=1).to_frame().T
        total.index = (
            pd.Index(["total"]) if len(keys) == 1 else pd.MultiIndex.from_tuples([("total", *[""] * (len(keys) - 1))])
        )
        total.index.names = keys
        made = pd.concat([grouped, total]) if len(grouped) else total
        return made.fillna({"calls": 0, "unknown": 0}).astype(_COST_TYPES)

    # Of a chain's run (docs/chains-results.md)

    @property
    def outputs(self) -> Outputs | pd.DataFrame:
        """What a chain gave: its outputs by name; with ``--over``, the frame it ran over with the outputs and ``error`` beside its columns.

        Raises `UserError` on a frame that is no chain's, and when the chain gave nothing, with the reason.
        """
        from orchestrator_nb.results import chains

        return chains.outputs(self._frame)

    def profile(self) -> Profile:
        """A row per step of a chain: calls, times, seconds, tokens, USD; its critical path, and what more parallelism would gain. Raises `UserError` as `outputs`."""
        from orchestrator_nb.results import chains

        return chains.profile(self._frame)

    def draw(self) -> Drawing:
        """The picture of a chain with what became of each step. Raises `UserError` as `outputs`."""
        from orchestrator_nb.results import chains

        return chains.draw(self._frame)

    def _costs(self) -> pd.DataFrame:
        frame = self._frame
        usd = frame["cost_usd"].astype("float64")
        free = frame["source"].isin(["cache", "replay"]) if "source" in frame else pd.Series(False, index=frame.index)
        answered = frame["text"].notna().astype(bool) if "text" in frame else pd.Series(True, index=frame.index)
        return pd.DataFrame(
            {
                "calls": 1.0,
                "usd": usd.mask(free),
                "unknown": (usd.isna() & answered).astype("float64"),
                "saved_usd": usd.where(free),
            },
            index=frame.index,
        )

    def _need(self, what: str, *columns: str) -> None:
        if missing := [name for name in columns if name not in self._frame]:
            raise UserError(
                f"df.llm.{what} needs the column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}, "
                f"but {', '.join(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} not in this frame; take it from the frame as it came."
            )


_COST_TYPES: Final = {"calls": "Int64", "usd": "float64", "unknown": "Int64", "saved_usd": "float64"}
