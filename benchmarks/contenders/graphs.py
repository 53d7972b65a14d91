"""What the contenders share that run a graph of questions instead of single ones.

One in parallel: a graph of steps one after the other, each of which is asked its question and the first signs of the answer before it. Several: one
step that is done for every question, so many at a time. A batch is cut into graphs of 100 steps, or of 1,000 items.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from benchmarks.contenders import Batch

STEPS, ITEMS = 100, 1_000
SIGNS = 20
"""How much of an answer the next question carries along."""


def cut(questions: Sequence[str], parallel: int) -> Iterator[list[str]]:
    """The questions of each graph."""
    size = STEPS if parallel == 1 else ITEMS
    for start in range(0, len(questions), size):
        yield list(questions[start : start + size])


class GraphContender:
    """Runs one graph after the other; `graph` gives the answers of one."""

    async def batch(self, base: str, questions: list[str], parallel: int, stream: bool) -> Batch:
        """All graphs of a batch; what a single question took is not known."""
        batch, began = Batch(kept=[]), time.perf_counter()
        for part in cut(questions, parallel):
            batch.texts += await self.graph(base, part, parallel, stream)
        batch.latencies_s = [(time.perf_counter() - began) / len(questions)] * len(questions)
        return batch

    async def graph(self, base: str, questions: list[str], parallel: int, stream: bool) -> list[Any]:
        """The answers of one graph, in the order of the questions."""
        raise NotImplementedError

    async def on_its_loop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Beside the graphs."""
        return asyncio.get_running_loop().create_task(work)
