"""Steps that a model proposes, shown before they run: the engine waits on the loop's thread, and the person is asked on the cell's own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from orchestrator_nb.chains.adaptive import Proposal
from orchestrator_nb.chains.walk import StepFailed
from orchestrator_nb.figures import count
from orchestrator_nb.results.page import box
from orchestrator_nb.results.safe_text import escape, plain
from orchestrator_nb.results.view import View

Ask = Callable[[str], str | None]
"""Asks one question; ``None`` where there is nobody to answer."""

_NOBODY: Final = (
    "a model proposes steps, and nobody can be asked here whether they may run; run the cell where you can answer, "
    "or say 'trusted: true' under 'plan' to run them unseen."
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    proposal: Proposal
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[bool]


class Consent:
    """``await consent(proposal)`` on the loop's thread waits until somebody has answered in `attend`, on the thread of the cell. ``show`` displays a proposal, ``ask`` asks."""

    def __init__(self, show: Callable[[View], object], ask: Ask) -> None:
        self._show, self._ask = show, ask
        self._waiting: deque[_Waiting] = deque()

    async def __call__(self, proposal: Proposal) -> bool:
        """Whether the steps may run. Raises `StepFailed` where nobody can be asked."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(proposal, loop, loop.create_future())
        self._waiting.append(waiting)
        return await waiting.answer

    def attend(self, draw: Callable[[], object] = lambda: None) -> None:
        """Asks what waits to be asked, one after the other, after ``draw``."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.answer.done():  # stopped meanwhile
                continue
            draw()
            self._show(picture(waiting.proposal))
            said = self._ask(question(waiting.proposal))
            waiting.loop.call_soon_threadsafe(_settle, waiting, said)


def picture(proposal: Proposal) -> View:
    """The whole of what would run, as it is written."""
    head = _head(proposal)
    shown = f'<div class="onb-summary">{escape(head)}</div><pre class="onb-yaml">{escape(proposal.text)}</pre>'
    return View(box(shown), plain(f"{head}\n\n{proposal.text}"), plain(head))


def question(proposal: Proposal) -> str:
    """``Run these 3 steps? [y/N] ``."""
    number = _steps(proposal)
    return f"Run {'this step' if number == 1 else f'these {number:,} steps'}? [y/N] "


def _steps(proposal: Proposal) -> int:
    return len(proposal.plan.nodes) if proposal.plan else 0


def _head(proposal: Proposal) -> str:
    """Where, how many, and what they may cost at most."""
    most = [
        f"at most {count(proposal.calls, 'call')}" if proposal.calls else "",
        f"to {', '.join(proposal.models)}" if proposal.models else "",
        f"and ${proposal.max_cost_usd}" if proposal.max_cost_usd is not None else "",
    ]
    said = f"{proposal.where.step}: a model proposes {count(_steps(proposal), 'step')}; {' '.join(filter(None, most))}"
    return f"{' '.join(said.split()).rstrip(';')}."


def _settle(waiting: _Waiting, said: str | None) -> None:
    if waiting.answer.done():
        return
    if said is None:
        waiting.answer.set_exception(StepFailed(f"{waiting.proposal.where.step}: {_NOBODY}"))
    else:
        waiting.answer.set_result(said.strip().lower() in {"y", "yes"})
