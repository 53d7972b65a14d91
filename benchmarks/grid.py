"""``python -m benchmarks.grid``: what the live grid costs while 1,000 calls stream, 200 at a time: the browser's main thread, and the kernel next to the same run without it.

The simulator has a process of its own, so that the kernel's time is the toolkit's. Both runs are in one kernel, after a first one that loads everything; they take turns,
and the kernel's share is that of the medians. ``--calls``, ``--parallel`` and ``--rounds`` make it smaller; JupyterLab, Chromium and playwright have to be there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/browser"))

import lab  # noqa: E402  # the browser tests' own JupyterLab

SIMULATOR = """
import sys
from orchestrator_nb.simulator import Simulator
with Simulator(pace={pace}) as simulator:
    simulator.say("lighthouse", "The lamp turned, and the sea kept its own slow time. " * 12)
    print(simulator.port, flush=True)
    sys.stdin.read()
"""
SETUP = """
%load_ext orchestrator_nb
import time
from orchestrator_nb import session
from orchestrator_nb.simulator import Simulator
session()._wiring._playing._simulator = Simulator(port={port})  # it plays in another process
rows = [{{"n": n}} for n in range({rows})]
warm = rows[:3]
"""
ASK = "%%llm {name} << sonnet flash haiku mini --over {over} --max-parallel {parallel} --fresh --yes\nWhy a lighthouse? {{{{ n }}}}"
SWITCH = "%llm config display.grid {to}\ncpu, wall = time.process_time(), time.perf_counter()"
TOLD = "print('figures', time.process_time() - cpu, time.perf_counter() - wall, len(frame), frame.error.notna().sum())"

LONGEST = """() => { window.__longest = 0;
    window.__tasks = new PerformanceObserver(list => {
        for (const one of list.getEntries()) window.__longest = Math.max(window.__longest, one.duration) });
    window.__tasks.observe({type: 'longtask'}) }"""


@contextmanager
def simulator(pace: float) -> Iterator[int]:
    """Its port; it ends with the block."""
    code = SIMULATOR.format(pace=pace)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def cells(port: int, asked: argparse.Namespace) -> list[str]:
    """The notebook: load everything, then turns without and with the grid."""
    made = [SETUP.format(port=port, rows=asked.calls // 4), ASK.format(name="frame", over="warm", parallel=4)]
    for _ in range(asked.rounds):
        for to in ("off", "auto"):
            made += [SWITCH.format(to=to), ASK.format(name="frame", over="rows", parallel=asked.parallel), TOLD]
    return made


def measured(page: Any, notebook: Any, cell: int, *, grid: bool) -> dict[str, float]:
    """One turn: the browser's main thread while the cell runs, and what the kernel says of itself. The grid shows what is running, so that all cells in sight stream."""
    wire = page.context.new_cdp_session(page)
    wire.send(
        "Performance.enable", {"timeDomain": "threadTicks"}
    )  # the thread's own time, whatever else the machine does

    def busy() -> float:
        return float(
            next(
                one["value"] for one in wire.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration"
            )
        )

    run(notebook, cell)
    page.evaluate(LONGEST)
    before = busy()
    start(notebook, cell + 1)
    drawn = streaming(page) if grid else 0
    notebook.wait_ran(600)
    spent = busy() - before
    longest = page.evaluate("() => { window.__tasks.disconnect(); return window.__longest }")
    run(notebook, cell + 2)
    words = notebook.output(cell + 2).split()
    cpu, wall, calls, failed = map(float, words[words.index("figures") + 1 :][:4])
    if failed:
        raise RuntimeError(f"{failed:.0f} of {calls:.0f} calls failed")
    return {"cpu": cpu, "wall": wall, "busy": spent / wall, "longest_ms": longest, "drawn": drawn}


def streaming(page: Any) -> int:
    """Shows the calls that run, and gives how many cells are drawn some seconds later."""
    grid = page.locator(".onb-grid:not(.onb-folded)").last
    grid.get_by_label("show", exact=True).select_option("running")
    page.wait_for_timeout(4_000)
    return int(grid.get_by_role("gridcell").count())


def run(notebook: Any, cell: int) -> None:
    """One cell, to the end."""
    start(notebook, cell)
    notebook.wait_ran(600)


def start(notebook: Any, cell: int) -> None:
    """One cell, in sight; not waited for."""
    notebook.page.evaluate(
        """index => { const content = window.jupyterapp.shell.currentWidget.content;
            content.deselectAll(); content.activeCellIndex = index; window.__ran = false;
            content.widgets[index].node.scrollIntoView();
            window.jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.__ran = true }) }""",
        cell,
    )


def say(*words: object) -> None:
    """Progress, at once."""
    print(*words, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid", description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between the pieces of a stream")
    asked = parser.parse_args(argv)
    found: dict[str, list[dict[str, float]]] = {"off": [], "auto": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator(asked.pace) as port,
        lab.serve(Path(folder)) as server,
        lab.browse() as browser,
        lab.page_of(browser) as page,
    ):
        server.write("grid.ipynb", cells(port, asked))
        notebook = lab.Notebook.open(page, server, "grid.ipynb")
        for cell in (0, 1):
            run(notebook, cell)
        for turn in range(2 * asked.rounds):
            to = ("off", "auto")[turn % 2]
            found[to].append(measured(page, notebook, 2 + 3 * turn, grid=to == "auto"))
            say(f"grid {to:<4}", {name: round(value, 3) for name, value in found[to][-1].items()})
        notebook.close()
    middle = {to: {name: median(one[name] for one in turns) for name in turns[0]} for to, turns in found.items()}
    with_, without = middle["auto"], middle["off"]
    say(
        f"\n{asked.calls:,} calls, {asked.parallel} in parallel, {with_['wall']:.1f} s with the grid, {without['wall']:.1f} s without"
    )
    say(f"browser's main thread busy: {with_['busy']:.0%} (without the grid {without['busy']:.0%}); wanted <= 25 %")
    say(
        f"kernel: {with_['cpu']:.2f} s of CPU, {without['cpu']:.2f} s without: {with_['cpu'] / without['cpu'] - 1:+.0%}; wanted <= +15 %"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
