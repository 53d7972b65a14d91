"""The side-by-side parts: CPU per call, calls per second, latency, and the long load. Contenders take turns within each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    frame_rows: int = 100_000
    narrow: int = 1
    """Divides how many are asked in parallel, and the least numbers of calls."""


QUICK = Effort(seconds=0.4, rounds=3, patience_s=12.0, load_calls=2_000)
SMOKE = Effort(seconds=0.02, rounds=1, patience_s=5.0, load_calls=40, frame_rows=400, narrow=20)


@dataclass(frozen=True)
class Scene:
    """One situation in which all contenders are measured. ``manners`` is the mock's path (latency in ms)."""

    name: str
    parallel: int
    stream: bool = False
    manners: str = "0"
    least: int = 0
    """The fewest calls that show what the scene is about."""

    def narrowed(self, by: int) -> Scene:
        """The same, smaller."""
        return replace(self, parallel=max(1, self.parallel // by), least=self.least // by)

    def task(self, origin: str, calls: int) -> Task:
        """``calls`` questions, after as many as open all connections."""
        return Task(f"{origin}/{self.manners}/v1", calls, self.parallel, self.stream, warm=min(self.parallel, calls))


CPU_SCENES = tuple(
    Scene(f"{'streamed' if stream else 'plain'} {parallel}", parallel, stream, least=parallel)
    for stream in (False, True)
    for parallel in PARALLEL
)
PACE = Scene("calls/s", 1000, manners="200", least=10_000)
GRAPH_SCENES = tuple(
    Scene(f"{'streamed' if stream else 'plain'} {name}", parallel, stream, least=least)
    for stream in (False, True)
    for name, parallel, least in (("row", 1, 100), ("map", 200, 1_000))
)
MAP_PACE = Scene("map, 200 ms", 200, stream=True, manners="200", least=1_000)
LATENCY = Scene("latency", 128, manners="200", least=2_560)


@dataclass(frozen=True)
class Stint:
    """What one contender does in a scene: ``calls`` in each of ``rounds`` rounds; a slow one has fewer, one past all patience has none."""

    worker: Worker
    task: Task
    rounds: int
    takes_s: float

    @classmethod
    def of(cls, worker: Worker, scene: Scene, origin: str, effort: Effort) -> Stint:
        """Sized by a first estimate, after the client has warmed its caches."""
        trial = Task(f"{origin}/0/v1", 48, 16, scene.stream, warm=16)
        each_s = worker.do(trial).cpu_s / trial.calls
        calls = max(scene.least, int(effort.seconds / each_s))
        if calls * each_s > effort.patience_s:
            calls = max(scene.parallel, int(effort.patience_s / 2 / each_s))
        takes_s = (calls + scene.parallel) * each_s
        rounds = 0 if takes_s > effort.patience_s else 1 if takes_s > 6 * effort.seconds else effort.rounds
        return cls(worker, scene.task(origin, calls), rounds, takes_s)


def rounds(scene: Scene, workers: Sequence[Worker], origin: str, effort: Effort, say: Say) -> dict[str, list[Measured]]:
    """All contenders in turn, round after round."""
    scene = scene.narrowed(effort.narrow)
    stints = [Stint.of(worker, scene, origin, effort) for worker in workers]
    for stint in stints:
        if not stint.rounds:
            say(f"  {scene.name}: {stint.worker.name} left out, one batch would take {stint.takes_s:.0f} s")
    measured: dict[str, list[Measured]] = {stint.worker.name: [] for stint in stints if stint.rounds}
    for number in range(effort.rounds):
        for stint in stints:
            if number < stint.rounds:
                measured[stint.worker.name].append(stint.worker.do(stint.task))
    return measured


def middle(batches: Sequence[Measured], value: Callable[[Measured], float]) -> float:
    """The median over the rounds."""
    return median(value(batch) for batch in batches)


def load(worker: Worker, origin: str, effort: Effort) -> Measured:
    """The long one: 1 s answers, 1,000 at a time."""
    parallel = 1000 // effort.narrow
    return worker.do(Task(f"{origin}/1000/v1", effort.load_calls, parallel, warm=parallel))
