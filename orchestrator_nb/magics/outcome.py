"""How a cell ends when not everything went well: one sentence that fails the cell, after the frame is assigned and shown."""

from __future__ import annotations

from collections import Counter

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.runs import Run


class CallsFailed(OrchestratorError):
    """Some calls of a run failed; their rows say why."""

    kind = "calls_failed"


class Interrupted(KeyboardInterrupt):
    """The user pressed interrupt; the run was stopped and what was finished is kept."""

    def _render_traceback_(self) -> list[str]:
        """One line instead of a stack, as for our other errors."""
        return [f"KeyboardInterrupt: {self}"]


def interrupted(run: Run, name: str | None) -> Interrupted:
    """The sentence after an interrupt."""
    kept = sum(call.error is None for call in run.calls)
    return Interrupted(f"stopped; {kept:,} of {len(run.calls):,} calls are finished, all rows are in {name or '_'}.")


def unsettled(name: str | None) -> Interrupted:
    """The sentence where the calls had not come to rest when the cell had to end."""
    how = f"{name} = %llm show last" if name else "%llm show last"
    return Interrupted(
        f"stopped, but some calls are still coming to rest and {name or '_'} is not assigned; when they have: {how}"
    )


def failure(run: Run, name: str | None) -> OrchestratorError | None:
    """What to raise for the failed calls of ``run``: the error itself when there was one call, a count when there were several."""
    failed = [call for call in run.calls if call.error is not None]
    if not failed:
        return None
    first = failed[0].error
    if len(run.calls) == 1:
        return first
    kinds = ", ".join(
        f"{count:,} {kind}" for kind, count in Counter(_kind(call.error) for call in failed).most_common()
    )
    return CallsFailed(
        f"{len(failed):,} of {len(run.calls):,} calls failed ({kinds}); {name or '_'}.llm.errors has them, "
        f"--on-error return lets the cell pass. The first: {first}"
    )


def _kind(error: OrchestratorError | None) -> str:
    return error.kind if error else ""
