"""How long ``%load_ext orchestrator_nb`` takes in a fresh IPython that has pandas; prints seconds as JSON."""

from __future__ import annotations

import json
import os
import tempfile
import time

from benchmarks.machine import pin


def main() -> None:
    """One load, wall and CPU."""
    pin(0)
    with tempfile.TemporaryDirectory() as home:
        os.environ["ORCHESTRATOR_NB_HOME"] = os.environ["IPYTHONDIR"] = home
        import pandas  # noqa: F401 what a user has loaded already is not counted
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        cpu, wall = time.process_time(), time.perf_counter()
        shell.run_line_magic("load_ext", "orchestrator_nb")
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if "orchestrator_nb" not in shell.extension_manager.loaded:
            raise SystemExit("%load_ext orchestrator_nb failed")
    print(json.dumps({"cpu_s": cpu, "wall_s": wall}))


if __name__ == "__main__":
    main()
