"""``python -m benchmarks``: every part, one after another, then the goals. ``--quick`` takes about two minutes, ``--only`` chooses parts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median

from benchmarks import calls, machine, report, venvs
from benchmarks.calls import CPU_SCENES, GRAPH_SCENES, LATENCY, MAP_PACE, PACE, PARALLEL, Effort, Scene, middle, rounds
from benchmarks.contenders import GRAPHS, NAMES
from benchmarks.machine import MIB
from benchmarks.processes import Worker, mock, output, worker
from benchmarks.worker import Measured

EFFORTS = {"full": Effort(), "quick": calls.QUICK, "smoke": calls.SMOKE}
PARTS = ("cpu", "pace", "latency", "load", "graphs", "startup", "frame", "replay", "rate")
Scenes = dict[str, dict[str, list[Measured]]]


class Bench:
    """One run: its effort, and what has been measured so far."""

    def __init__(self, effort: Effort, names: list[str], parallel: Sequence[int] = PARALLEL) -> None:
        self.effort, self.names, self.parallel = effort, names, parallel
        self.figures: dict[str, float] = {}
        self.scenes: Scenes = {}
        self.versions: dict[str, str] = {}

    @contextmanager
    def workers(self, names: list[str]) -> Iterator[list[Worker]]:
        """The contenders' processes, all started, one working at a time."""
        with ExitStack() as stack:
            started = []
            for name in names:
                python = venvs.python(name)
                if python:
                    started.append(stack.enter_context(worker(name, str(python))))
            self.versions |= {each.name: each.version for each in started}
            yield started

    def compare(self, scenes: list[Scene], names: Sequence[str] = NAMES) -> None:
        """Measure the contenders, if they are among ``names``, in each scene."""
        with mock() as origin, self.workers([name for name in self.names if name in names]) as workers:
            for scene in scenes:
                self.scenes[scene.name] = rounds(scene, workers, origin, self.effort, say)
                say(f"  {scene.name}: {_glance(self.scenes[scene.name])}")

    def cpu(self) -> None:
        """CPU per call at three widths, plain and streamed."""
        self.compare([scene for scene in CPU_SCENES if scene.parallel in self.parallel])
        for kind in ("plain", "streamed"):
            by_name = self.scenes.get(f"{kind} 128", {})
            if {"ours", "raw_aiohttp"} <= by_name.keys():
                self.figures[f"{kind} cpu / raw"] = report.ratio(by_name, "ours", "raw_aiohttp", _cpu)
            if {"ours", "ours_storeless"} <= by_name.keys():
                self.figures[f"{kind} cpu / storeless"] = report.ratio(by_name, "ours", "ours_storeless", _cpu)
            if {"ours", "litellm_sdk"} <= by_name.keys():
                self.figures[f"{kind} litellm / ours"] = report.ratio(by_name, "litellm_sdk", "ours", _cpu)

    def pace(self) -> None:
        """Calls per second at 1,000 in parallel with 200 ms answers."""
        self.compare([PACE])
        by_name = self.scenes[PACE.name]
        if {"ours", "raw_aiohttp"} <= by_name.keys():
            self.figures["calls/s / raw"] = report.ratio(by_name, "ours", "raw_aiohttp", lambda batch: batch.per_s)

    def latency(self) -> None:
        """The slowest of a hundred, over what the server took."""
        self.compare([LATENCY])
        if "ours" in self.scenes[LATENCY.name]:
            self.figures["p99 over server"] = middle(self.scenes[LATENCY.name]["ours"], _over_server_ms)

    def load(self) -> None:
        """10,000 calls; each contender in a fresh process, so that its memory starts from nothing."""
        measured = {}
        with mock() as origin:
            for name in [name for name in ("raw_aiohttp", "httpx2_thin", "ours") if name in self.names]:
                with self.workers([name]) as (each,):
                    measured[name] = calls.load(each, origin, self.effort)
        self.scenes["load"] = {name: [batch] for name, batch in measured.items()}
        if {"ours", "raw_aiohttp"} <= measured.keys():
            ours = measured["ours"]
            self.figures["load time / raw"] = ours.wall_s / measured["raw_aiohttp"].wall_s
            self.figures["load stall"] = ours.stall_s
            self.figures["load growth"] = ours.rss_peak_growth / MIB
            self.figures["kept per answer"] = ours.rss_growth / ours.calls / 1024

    def graphs(self) -> None:
        """Rows of 100 steps and maps over 1,000 items, next to the bare calls and to LangGraph."""
        self.compare(
            [scene for scene in GRAPH_SCENES if not scene.stream], ("raw_aiohttp", "engine_graph", "langgraph_graph")
        )
        self.compare([scene for scene in GRAPH_SCENES if scene.stream], ("raw_aiohttp", "ours", "ours_chain"))
        self.compare([MAP_PACE], ("ours", "ours_chain"))
        row, each = self.scenes["plain row"], self.scenes["plain map"]
        if {"raw_aiohttp", "engine_graph"} <= row.keys():
            self.figures["engine step"] = middle(row["engine_graph"], _cpu) - middle(row["raw_aiohttp"], _cpu)
        if {"langgraph_graph", "engine_graph"} <= row.keys():
            self.figures["row langgraph / engine"] = report.ratio(row, "langgraph_graph", "engine_graph", _cpu)
            self.figures["map langgraph / engine"] = report.ratio(each, "langgraph_graph", "engine_graph", _cpu)
        row, paced = self.scenes["streamed row"], self.scenes[MAP_PACE.name]
        if {"ours", "ours_chain"} <= row.keys():
            self.figures["chain step"] = middle(row["ours_chain"], _cpu) - middle(row["ours"], _cpu)
            self.figures["map time / fan-out"] = report.ratio(
                paced, "ours_chain", "ours", lambda batch: 1 / batch.per_s
            )

    def startup(self) -> None:
        """``%load_ext``, several fresh interpreters."""
        output("benchmarks.startup")  # compiles what was never loaded before
        loads = [json.loads(output("benchmarks.startup"))["wall_s"] for _ in range(2 * self.effort.rounds - 1)]
        self.figures["load_ext"] = 1000 * median(loads)

    def frame(self) -> None:
        """A large run becomes a frame."""
        built = json.loads(output("benchmarks.frames", str(self.effort.frame_rows)))
        self.figures["frame time"] = built["cpu_s"]
        self.figures["frame memory"] = built["peak"] / MIB

    def replay(self) -> None:
        """A tape becomes a frame, and is written down."""
        seen = json.loads(output("benchmarks.replay", str(self.effort.frame_rows // 10)))
        self.figures["replay time"] = seen["wall_s"]
        self.figures["list of runs"] = 1000 * seen["runs_s"]

    def rate(self) -> None:
        """A simulated quota of 50 calls per second."""
        seen = json.loads(output("benchmarks.rate", str(self.effort.load_calls // 5)))
        self.figures["rate 429s"] = 100 * seen["refused"] / seen["calls"]
        self.figures["rate time / ideal"] = seen["wall_s"] / seen["ideal_s"]


def _cpu(batch: Measured) -> float:
    return batch.cpu_ms


def _over_server_ms(batch: Measured) -> float:
    return 1000 * batch.latency_p99_s - 200


def _glance(by_name: dict[str, list[Measured]]) -> str:
    return ", ".join(
        f"{name} {middle(batches, _cpu):.2f} ms {middle(batches, lambda batch: batch.per_s):,.0f}/s"
        + (f" {failed} FAILED" if (failed := sum(batch.failed for batch in batches)) else "")
        for name, batches in by_name.items()
    )


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", dest="effort", action="store_const", const="quick", default="full")
    parser.add_argument("--smoke", dest="effort", action="store_const", const="smoke", help="only: does it run at all")
    parser.add_argument("--rate", action="store_true", help="also the run against a quota, about 40 s")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {' '.join(PARTS)}")
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=NAMES + GRAPHS,
        default=list(NAMES + GRAPHS),
        metavar="NAME",
        help=f"of {' '.join(NAMES + GRAPHS)}",
    )
    parser.add_argument(
        "--parallel",
        nargs="+",
        type=int,
        choices=PARALLEL,
        default=PARALLEL,
        metavar="N",
        help=f"of {PARALLEL}, for the CPU",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the parts, print the tables, keep the JSON. The exit code is 1 when a part broke; a missed goal is no failure."""
    asked = arguments(argv)
    parts = asked.only or [part for part in PARTS if part != "rate" or asked.rate]
    bench, started = Bench(EFFORTS[asked.effort], asked.contenders, asked.parallel), time.perf_counter()
    say(f"{machine.name()}; load {os.getloadavg()[0]:.1f} before the run")
    broken = [part for part in parts if not done(bench, part)]
    cpu_scenes = {name: by for name, by in bench.scenes.items() if name.split()[0] in {"plain", "streamed"}}
    if cpu_scenes:
        say("\n" + report.cpu_table(cpu_scenes))
    if rest := {name: by for name, by in bench.scenes.items() if name not in cpu_scenes}:
        say("\n" + report.pace_table(rest))
    say("\n" + report.goals_table(bench.figures))
    about = {"machine": machine.name(), "effort": asked.effort, "versions": bench.versions, "figures": bench.figures}
    place = report.save(about, bench.scenes)
    say(f"\n{', '.join(bench.versions.values())}\n{time.perf_counter() - started:.0f} s; all figures are in {place}")
    return 1 if broken else 0


def done(bench: Bench, part: str) -> bool:
    """Run one part; when it breaks, the others' figures are still worth printing."""
    say(f"{part} ...")
    try:
        getattr(bench, part)()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        say(f"  {part} BROKE: {error}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
