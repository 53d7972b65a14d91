"""What a finished cell shows: the one answer or the comparison, and the summary below it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator_nb.results.page import box
from orchestrator_nb.results.reply import Reply
from orchestrator_nb.results.safe_text import NO_MATH, plain
from orchestrator_nb.results.summary import summary
from orchestrator_nb.runs import Run


@dataclass(frozen=True, slots=True)
class View:
    """``html`` for a notebook, ``text`` for a terminal, ``summary`` the last lines of ``text``."""

    html: str
    text: str
    summary: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def view(run: Run, *, told: bool = False) -> View:
    """The picture of a run. ``told``: the only call's failure is raised, so it need not be said here too."""
    lines = summary(run)
    if len(run.calls) == 1:
        reply = Reply(run)
        lines = replace(lines, line=f"{reply.call.item.request.model.ref} · {lines.line.removeprefix('1 call: 1 ')}")
        if told and reply.error:
            lines = replace(lines, notes=lines.notes[1:])
        if reply.error:  # the summary says why
            inner, text = reply.body, plain(reply.text)
        else:
            inner, text = reply.inner, reply._repr_mimebundle_()["text/plain"]
    else:
        from orchestrator_nb.results.compare import compare  # brings pandas: only when there is something to compare
        from orchestrator_nb.results.frames import frame

        shown = compare(frame(run))
        inner, text = f'<div class="{NO_MATH}">{shown.inner}</div>', shown.text
    footer = f'<div class="{NO_MATH}">{lines.inner}</div>'
    return View(box(inner, footer, math=True), f"{text}\n\n{lines.text}".lstrip(), lines.text)
