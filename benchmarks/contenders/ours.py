"""The toolkit as its user meets it: a session with a configured vendor and key, retry, breaker, limits, prices, records, and the frame at the end."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from benchmarks.contenders import MODEL, Batch
from orchestrator_nb import Session, __version__

VENDOR = """\
mock:
  kind: openai-compatible
  base_url: {base}
  api_key_name: MOCK_KEY
  limits: {{parallel: {parallel}}}
  models: [{{name: {model}, price: {{input: 0.1, output: 0.4}}}}]
"""
KEY = "Zq7-of-no-value-Wx4"
"""Begins as no answer does: a text with the first signs of a key is searched for all of it, which takes a while."""


class Contender:
    settings = ""

    def __init__(self) -> None:
        self._homes = tempfile.TemporaryDirectory()
        self._sessions: dict[tuple[str, int], Session] = {}
        self._latest: Session | None = None

    def version(self) -> str:
        return f"orchestrator-nb {__version__}"

    async def batch(self, base: str, questions: list[str], parallel: int, stream: bool) -> Batch:
        from orchestrator_nb.results.frames import frame

        session = self._session(base, parallel)
        rows = [{"question": question} for question in questions]
        plan = session.plan("{{ question }}", [f"mock/{MODEL}"], over=rows, stream=stream, source="live")
        run = await session.arun(plan, parallel=parallel)
        built = frame(run)
        for error in dict.fromkeys(built["error"].dropna()):
            print(f"failed: {error}", file=sys.stderr)
        texts = [text if whole else None for text, whole in zip(built["text"], built["complete"], strict=True)]
        return Batch(texts, list(built["latency_s"].astype(float)), kept=(run, built))

    def _session(self, base: str, parallel: int) -> Session:
        if (base, parallel) not in self._sessions:
            home = Path(self._homes.name) / str(len(self._sessions))
            (home / "config").mkdir(parents=True)
            vendor = VENDOR.format(base=base, parallel=parallel, model=MODEL)
            (home / "config" / "models.yaml").write_text(vendor)
            (home / "config" / "config.yaml").write_text(f"limits: {{parallel: {parallel}}}\n{self.settings}")
            self._sessions[base, parallel] = Session.open(home=home, cwd=home, environ={"MOCK_KEY": KEY})
        self._latest = self._sessions[base, parallel]
        return self._latest

    async def on_its_loop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | Future[None]:
        """Beside the calls, on the session's own loop."""
        if self._latest is None:
            return asyncio.get_running_loop().create_task(work)
        return self._latest._portal.submit(work)  # the only way to see our loop stall

    async def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._homes.cleanup()
