"""The goals, one per line, each tied to a figure that a part of the benchmark measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """``figure`` shall be at most (or at least) ``limit``."""

    what: str
    figure: str
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def wanted(self) -> str:
        """The goal in a few characters."""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"

    def verdict(self, measured: float) -> str:
        """``met``, or by how much it was missed."""
        gap = self.limit - measured if self.at_least else measured - self.limit
        return "met" if gap <= 0 else f"MISSED by {gap:.3g}{self.unit} ({100 * gap / self.limit:.0f} %)"


GOALS = (
    Goal("CPU per plain call, 128 in parallel, over raw aiohttp's", "plain cpu / raw", 1.5, "x"),
    Goal("CPU per streamed call, 128 in parallel, over raw aiohttp's", "streamed cpu / raw", 1.0, "x"),
    Goal("CPU per plain call, 128 in parallel, over the same without a store", "plain cpu / storeless", 1.3, "x"),
    Goal("CPU per streamed call, 128 in parallel, over the same without a store", "streamed cpu / storeless", 1.3, "x"),
    Goal("LiteLLM's CPU per plain call over ours", "plain litellm / ours", 10, "x", at_least=True),
    Goal("LiteLLM's CPU per streamed call over ours", "streamed litellm / ours", 40, "x", at_least=True),
    Goal("calls/s, 1,000 in parallel, 200 ms answers, over raw aiohttp's", "calls/s / raw", 0.9, "x", at_least=True),
    Goal("p99 over the server's latency, 128 in parallel", "p99 over server", 20, " ms"),
    Goal("10,000 calls, 1,000 at a time, 1 s answers: time over raw aiohttp's", "load time / raw", 1.25, "x"),
    Goal("the same: longest stall of our loop", "load stall", 1.0, " s"),
    Goal("the same: growth of memory at its peak", "load growth", 100, " MiB"),
    Goal("the same: memory kept per stored answer", "kept per answer", 20, " KiB"),
    Goal("a step of a row of 100, our engine, over the bare call, CPU", "engine step", 1.0, " ms"),
    Goal("the same with everything on, over the bare fan-out", "chain step", 1.0, " ms"),
    Goal("LangGraph's CPU per step of a row over our engine's", "row langgraph / engine", 1.0, "x", at_least=True),
    Goal("LangGraph's CPU per item of a map over our engine's", "map langgraph / engine", 1.0, "x", at_least=True),
    Goal(
        "a map over 1,000, 200 at a time, 200 ms answers: time over the bare fan-out", "map time / fan-out", 1.15, "x"
    ),
    Goal("%load_ext over IPython + pandas", "load_ext", 150, " ms"),
    Goal("100,000 rows become a frame: CPU time", "frame time", 1.0, " s"),
    Goal("100,000 rows become a frame: memory at its peak", "frame memory", 200, " MiB"),
    Goal("10,000 rows replayed from a tape to a frame", "replay time", 3.0, " s"),
    Goal("a list of runs as a frame, three large ones in the store", "list of runs", 50, " ms"),
    Goal("2,000 calls against a quota of 50/s: share of 429s", "rate 429s", 1.0, " %"),
    Goal("2,000 calls against a quota of 50/s: time over the ideal", "rate time / ideal", 1.15, "x"),
)


def judged(figures: Mapping[str, float]) -> list[tuple[Goal, float | None, str]]:
    """Each goal with what was measured and the verdict; ``None`` where its part did not run."""
    return [
        (goal, figures[goal.figure], goal.verdict(figures[goal.figure]))
        if goal.figure in figures
        else (goal, None, "not measured in this run")
        for goal in GOALS
    ]
