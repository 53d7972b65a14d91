"""The graphs as a user of the toolkit has them: `Session.plan_chain` and what a chain's run does, with everything on, to the frame. Its bare fan-out is ``ours``."""

from __future__ import annotations

import sys

from benchmarks.contenders import MODEL, Batch, ours
from benchmarks.contenders.engine_graph import chain
from benchmarks.contenders.graphs import cut


class Contender(ours.Contender):
    async def batch(self, base: str, questions: list[str], parallel: int, stream: bool) -> Batch:  # noqa: ARG002  # a chain's calls stream
        from orchestrator_nb.results.frames import frame

        session, batch = self._session(base, parallel), Batch(kept=[])
        for part in cut(questions, parallel):
            made = chain(len(part), parallel, (f"mock/{MODEL}",))
            run = await session.start_chain(
                session.plan_chain(made, {"questions": part}, source="live"), parallel=parallel
            )
            built = frame(run)
            for error in dict.fromkeys(built["error"].dropna()):
                print(f"failed: {error}", file=sys.stderr)
            batch.texts += [
                text if whole else None for text, whole in zip(built["text"], built["complete"], strict=True)
            ]
            batch.latencies_s += list(built["latency_s"].astype(float))
            batch.kept.append((run, built))  # type: ignore[attr-defined]
        return batch
