"""A tape of many answers replayed into a DataFrame, with the store on; then what the store tells of it. Prints the figures as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from benchmarks.machine import pin
from orchestrator_nb import Session
from orchestrator_nb.calls import Cost, Response, Usage
from orchestrator_nb.messages import Text
from orchestrator_nb.records import request_record
from orchestrator_nb.results.frames import frame
from orchestrator_nb.store.entry import Entry
from orchestrator_nb.store.taping import TapeWriter

VENDOR = """\
mylab:
  kind: openai-compatible
  base_url: http://127.0.0.1:9/v1
  models: [{name: tiny, price: {input: 0.1, output: 0.4}}]
"""
PROMPT = "Question {{ number }}: compare the two halves of the sample and say which is larger, and why."


def session_in(home: Path) -> Session:
    """A session whose vendor nobody answers for."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "models.yaml").write_text(VENDOR)
    return Session.open(home=home, cwd=home, environ={})


def record(session: Session, rows: int, tape: Path) -> None:
    """Answers of about 250 characters, on a tape."""
    writer = TapeWriter(tape, {})
    for item in session.plan(PROMPT, ["mylab/tiny"], over=_rows(rows)).items:
        text = (Text(f"Answer {item.row}: " + "the left half, by far. " * 10),)
        answer = Response("tiny", text, usage=Usage(20, 250), cost=Cost(Decimal("0.000102"), "user"))
        writer.add(Entry(request_record(item.request), answer, None, 1.76e9 + item.row, 0.8, 0.2, 1))
    writer.flush()


def _rows(rows: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(rows)]


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(rows: int) -> None:
    """Replay once, after a few rows have loaded what it needs."""
    pin(0)
    with tempfile.TemporaryDirectory() as folder, session_in(Path(folder, "home")) as session:
        tape = Path(folder, "tape.jsonl")
        record(session, rows, tape)

        def replayed(some: int) -> None:
            plan = session.plan(PROMPT, ["mylab/tiny"], over=_rows(some), source=f"replay {tape}")
            assert set(frame(session.run(plan))["source"]) == {"replay"}

        replayed(100)
        wall, cpu = timed(lambda: replayed(rows))
        again, _ = timed(lambda: replayed(rows))
        listing, _ = timed(session.runs)
        costs, _ = timed(session.costs)
        size = Path(folder, "home", "data", "store.db").stat().st_size
    print(
        json.dumps(
            {
                "rows": rows,
                "wall_s": wall,
                "cpu_s": cpu,
                "again_s": again,
                "runs_s": listing,
                "cost_s": costs,
                "store": size,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
