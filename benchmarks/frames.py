"""Time and memory to turn a run of many calls into a DataFrame; prints them as JSON. One call in a hundred has failed."""

from __future__ import annotations

import gc
import json
import sys
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.machine import pin, rss
from orchestrator_nb.calls import Cost, Request, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import RateLimited
from orchestrator_nb.messages import Message, Text
from orchestrator_nb.runs import Call, Item, Run


def run_of(rows: int) -> Run:
    """A run with distinct prompts and answers of about 250 characters."""
    vendor = Vendor("mylab", "openai-compatible", "http://127.0.0.1:8000/v1")
    models = [ModelSpec(vendor, f"tiny-{n}") for n in range(4)]
    return Run("20261122-120000-abcdef", tuple(_call(row, models[row % 4]) for row in range(rows)))


def _call(row: int, model: ModelSpec) -> Call:
    question = f"Question {row}: " + "which half is larger? " * 6
    item = Item(
        Request(model, (Message.user(question),), system="Be brief."), row, 0, {"topic": f"topic {row}", "size": row}
    )
    if row % 100 == 99:
        return Call(
            item, f"c{row}", error=RateLimited("Too many.", kind="rate_limit"), started_at=1.76e9 + row, attempts=3
        )
    answer = Response(
        model.id, (Text(f"Answer {row}: " + "the left half, by far. " * 10),), usage=Usage(20, 250), raw_id=f"id{row}",
        cost=Cost(Decimal("0.00012"), "user"),
    )  # fmt: skip
    return Call(item, f"c{row}", answer, started_at=1.76e9 + row, latency_s=0.8, ttft_s=0.2, attempts=1)


def peak_from_here() -> None:
    """Let the system's high-water mark start again (Linux)."""
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")


def peak() -> int:
    """The high-water mark in bytes, or what is resident now."""
    status = Path("/proc/self/status")
    marks = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    return int(marks[0].split()[1]) * 1024 if marks else rss()


def main(rows: int) -> None:
    """Build the frame once, after a small one has loaded what frames need."""
    pin(0)
    from orchestrator_nb.results.frames import frame

    frame(run_of(100))
    run = run_of(rows)
    gc.collect()
    peak_from_here()
    before, cpu, wall = rss(), time.process_time(), time.perf_counter()
    built = frame(run)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        json.dumps({"rows": len(built), "cpu_s": cpu, "wall_s": wall, "peak": peak() - before, "kept": rss() - before})
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
