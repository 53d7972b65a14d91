"""2,000 calls, 200 at a time, against a simulated quota of 50 per second: how many are refused, and how long it takes; prints JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from orchestrator_nb import Session
from orchestrator_nb.simulator import Quota, Simulator

PER_S = 50
PARALLEL = 200
VENDOR = """\
mylab:
  kind: openai-compatible
  base_url: {base}
  api_key_name: MYLAB_KEY
  models: [{{name: local-model}}]
"""


def main(calls: int) -> None:
    """The session learns the limit from the server's headers alone."""
    with (
        Simulator(quota=Quota(requests_per_second=PER_S, burst=PER_S)) as simulator,
        tempfile.TemporaryDirectory() as home,
    ):
        (Path(home) / "config").mkdir()
        (Path(home) / "config" / "models.yaml").write_text(VENDOR.format(base=simulator.url("compat")))
        with Session.open(home=home, cwd=home, environ={"MYLAB_KEY": "a-key-of-no-value"}) as session:
            rows = [{"number": number} for number in range(calls)]
            plan = session.plan("Say {{ number }}.", ["mylab/local-model"], over=rows, stream=False)
            started = time.perf_counter()
            run = session.run(plan, parallel=PARALLEL)
            wall_s = time.perf_counter() - started
        failed = [str(call.error) for call in run.calls if call.error is not None]
        if failed:
            raise SystemExit(f"{len(failed)} of {calls} calls failed; the first: {failed[0]}")
        attempts = sum(call.attempts for call in run.calls)
    seen = {"calls": calls, "refused": attempts - calls, "wall_s": wall_s, "ideal_s": calls / PER_S}
    print(json.dumps(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
