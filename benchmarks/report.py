"""What is printed and kept: tables of figures, the goals with their verdicts, a JSON file per run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.calls import middle
from benchmarks.goals import judged
from benchmarks.machine import MIB
from benchmarks.worker import Measured

RESULTS = Path(__file__).resolve().parent / "results"
YARDSTICK = "raw_aiohttp"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown, the first row is the head; columns are padded to read well in a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"| {line} |" for line in (lines[0], " | ".join("-" * width for width in widths), *lines[1:]))


def cpu_table(scenes: Mapping[str, Mapping[str, Sequence[Measured]]]) -> str:
    """CPU ms per call and, in brackets, the ratio to raw aiohttp in the same rounds."""
    names = list(dict.fromkeys(name for by_name in scenes.values() for name in by_name))
    rows = [["CPU ms per call (x raw aiohttp)", *scenes]]
    rows += [[name, *(_cpu_cell(by_name, name) for by_name in scenes.values())] for name in names]
    return table(rows)


def _cpu_cell(by_name: Mapping[str, Sequence[Measured]], name: str) -> str:
    if name not in by_name:
        return "-"
    cost = middle(by_name[name], lambda batch: batch.cpu_ms)
    return f"{cost:.2f} ({ratio(by_name, name, YARDSTICK, lambda batch: batch.cpu_ms):.2f})"


def ratio(by_name: Mapping[str, Sequence[Measured]], name: str, other: str, value) -> float:
    """The median over the rounds of ``name``'s value over ``other``'s in the same round; of the medians where one ran fewer rounds."""
    mine, theirs = by_name[name], by_name[other]
    if len(mine) != len(theirs):
        return middle(mine, value) / middle(theirs, value)
    ranked = sorted(value(a) / value(b) for a, b in zip(mine, theirs, strict=True))
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def pace_table(scenes: Mapping[str, Mapping[str, Sequence[Measured]]]) -> str:
    """Calls per second, latency of the slowest hundredth, stalls and memory, where the server takes its time."""
    rows = [["scene", "contender", "calls/s", "p50 ms", "p99 ms", "stall ms", "peak MiB", "failed"]]
    for scene, by_name in scenes.items():
        for name, batches in by_name.items():
            values = (
                middle(batches, lambda batch: batch.per_s),
                1000 * middle(batches, lambda batch: batch.latency_p50_s),
                1000 * middle(batches, lambda batch: batch.latency_p99_s),
                1000 * middle(batches, lambda batch: batch.stall_s),
                middle(batches, lambda batch: batch.rss_peak_growth / MIB),
                sum(batch.failed for batch in batches),
            )
            rows.append([scene, name, *(f"{value:,.0f}" for value in values)])
    return table(rows)


def goals_table(figures: Mapping[str, float]) -> str:
    """Goal, wanted, measured, verdict."""
    rows = [["goal", "wanted", "measured", "verdict"]]
    for goal, value, verdict in judged(figures):
        rows.append([goal.what, goal.wanted, "-" if value is None else f"{value:.3g}{goal.unit}", verdict])
    return table(rows)


def save(run: Mapping[str, object], scenes: Mapping[str, Mapping[str, Sequence[Measured]]]) -> Path:
    """Everything measured, as JSON under ``benchmarks/results``."""
    RESULTS.mkdir(exist_ok=True)
    raw = {
        scene: {name: [asdict(batch) for batch in batches] for name, batches in by.items()}
        for scene, by in scenes.items()
    }
    place = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    place.write_text(json.dumps({**run, "scenes": raw}, indent=1))
    return place
