"""The side-by-side parts: CPU per call, calls per second, latency, and the long load. Contenders take turns within each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.processes import Worker
from benchmarks.worker import Measured, Task

PARALLEL = (16, 128, 1000)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds of CPU per batch, rounds, and the longest batch worth waiting for."""

    seconds: float = 1.5
    rounds: int = 5
    patience_s: float = 60.0
    load_calls: int = 10_000


QUICK = Effort(seconds=0.4, rounds=3, patience_s=12.0, load_calls=2_000)
SMOKE = Effort(seconds=0.02, rounds=1, patience_s=2.0, load_calls=40)


@dataclass(frozen=True)
class Scene:
    """One situation in which all contenders are measured. ``manners`` is the mock's path (latency in ms)."""

    name: str
    parallel: int
    stream: bool = False
    manners: str = "0"
    least: int = 0
    """The fewest calls that show what the scene is about."""

    def task(self, origin: str, calls: int) -> Task:
        """``calls`` questions, after as many as open all connections."""
        return Task(f"{origin}/{self.manners}/v1", calls, self.parallel, self.stream, warm=min(self.parallel, calls))


CPU_SCENES = tuple(
    Scene(f"{'streamed' if stream else 'plain'} {parallel}", parallel, stream, least=parallel)
    for stream in (False, True)
    for parallel in PARALLEL
)
PACE = Scene("calls/s", 1000, manners="200", least=10_000)
LATENCY = Scene("latency", 128, manners="200", least=2_560)


def per_call_s(worker: Worker, origin: str, stream: bool) -> float:
    """A first estimate, after the client has warmed its caches."""
    task = Task(f"{origin}/0/v1", 48, 16, stream, warm=16)
    return worker.do(task).cpu_s / task.calls


def rounds(scene: Scene, workers: Sequence[Worker], origin: str, effort: Effort, say: Say) -> dict[str, list[Measured]]:
    """All contenders in turn, round after round. A contender whose batch is long is measured once; one past all patience is left out, and said so."""
    cost = {worker.name: per_call_s(worker, origin, scene.stream) for worker in workers}
    calls = {name: max(scene.least, int(effort.seconds / each)) for name, each in cost.items()}
    took = {name: calls[name] * cost[name] for name in calls}
    for name in [name for name in took if took[name] > effort.patience_s]:
        calls[name] = max(scene.parallel, int(effort.patience_s / 2 / cost[name]))
        took[name] = calls[name] * cost[name]
    measured: dict[str, list[Measured]] = {worker.name: [] for worker in workers}
    for number in range(effort.rounds):
        for worker in workers:
            if took[worker.name] > effort.patience_s:
                if number == 0:
                    say(f"  {scene.name}: {worker.name} left out, one batch would take {took[worker.name]:.0f} s")
            elif number == 0 or took[worker.name] < 6 * effort.seconds:
                measured[worker.name].append(worker.do(scene.task(origin, calls[worker.name])))
    return {name: batches for name, batches in measured.items() if batches}


def middle(batches: Sequence[Measured], value: Callable[[Measured], float]) -> float:
    """The median over the rounds."""
    return median(value(batch) for batch in batches)


def load(worker: Worker, origin: str, calls: int) -> Measured:
    """The long one: 1 s answers, 1,000 at a time."""
    return worker.do(Task(f"{origin}/1000/v1", calls, 1000, warm=min(calls, 1000)))
