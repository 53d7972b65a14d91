"""One contender in its own process: reads a `Task` per line from standard input, does it, prints its `Measured` as JSON.

Runs under another interpreter too (LiteLLM has its own environment), so it imports nothing but the standard library and the contender.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass

from benchmarks.contenders import Contender, load
from benchmarks.machine import more_files, pin, rss


@dataclass(frozen=True)
class Task:
    """``calls`` questions to ``base``, ``parallel`` at a time, after ``warm`` unmeasured ones that open the connections."""

    base: str
    calls: int
    parallel: int
    stream: bool = False
    warm: int = 0


@dataclass(frozen=True)
class Measured:
    """CPU of all threads and wall time of the whole batch, latencies of single calls, memory in bytes, longest stall of the loop."""

    calls: int
    failed: int
    cpu_s: float
    wall_s: float
    latency_p50_s: float
    latency_p99_s: float
    rss_growth: int
    rss_peak_growth: int
    stall_s: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per call."""
        return 1000 * self.cpu_s / self.calls

    @property
    def per_s(self) -> float:
        """Calls per second of wall time."""
        return self.calls / self.wall_s


class Watch:
    """A heartbeat on the contender's own loop: how late it beats is how long the loop stood still. Samples memory on the way."""

    BEAT_S = 0.02

    def __init__(self) -> None:
        self.stall_s, self.peak = 0.0, rss()

    async def beat(self) -> None:
        """Until cancelled."""
        while True:
            due = time.perf_counter() + self.BEAT_S
            await asyncio.sleep(self.BEAT_S)
            self.stall_s = max(self.stall_s, time.perf_counter() - due)
            self.peak = max(self.peak, rss())


async def measure(contender: Contender, task: Task) -> Measured:
    """One batch. Answers are kept until it is over, as a user keeps them."""
    if task.warm:
        await contender.batch(task.base, prompts(task.warm), min(task.warm, task.parallel), task.stream)
    gc.collect()
    questions = prompts(task.calls)
    watch, before = Watch(), rss()
    beating = await contender.on_its_loop(watch.beat())
    cpu, wall = time.process_time(), time.perf_counter()
    batch = await contender.batch(task.base, questions, task.parallel, task.stream)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    beating.cancel()
    gc.collect()
    return Measured(
        calls=task.calls,
        failed=sum(text is None for text in batch.texts),
        cpu_s=cpu,
        wall_s=wall,
        latency_p50_s=quantile(batch.latencies_s, 0.5),
        latency_p99_s=quantile(batch.latencies_s, 0.99),
        rss_growth=rss() - before,
        rss_peak_growth=max(watch.peak, rss()) - before,
        stall_s=watch.stall_s,
    )


def prompts(count: int) -> list[str]:
    """Distinct questions of about 200 characters."""
    return [
        f"Question {n}: " + "compare the two halves of the sample and say which is larger, and why. " * 3
        for n in range(count)
    ]


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of all lie; 0.0 of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


async def serve(name: str) -> None:
    """Do tasks until standard input closes."""
    contender = load(name)
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": name, "version": contender.version()}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        measured = await measure(contender, Task(**json.loads(line)))
        print(json.dumps(asdict(measured)), flush=True)
    await contender.close()


if __name__ == "__main__":
    pin(0)
    more_files()
    asyncio.run(serve(sys.argv[1]))
