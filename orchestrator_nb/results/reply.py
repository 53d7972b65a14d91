"""One answer as a cell shows it: safe HTML in a notebook, plain text elsewhere, and its numbers as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.calls import Cost, Response, Usage
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.results.page import box
from orchestrator_nb.results.safe_text import escape, plain, safe_html
from orchestrator_nb.runs import Call, Run

if TYPE_CHECKING:
    import pandas as pd

_ENDINGS: Final = {
    "length": "The answer stops at the token limit; raise max_tokens for more.",
    "content_filter": "The vendor's content filter ended the answer.",
    "pause": "The model paused; ask it to go on for the rest.",
    "tool_calls": "The model asks for a tool.",
}


@dataclass(frozen=True)
class Reply:
    """The only call of a run. ``str(reply)`` is the text."""

    run: Run

    @property
    def call(self) -> Call:
        """The call with its request, times and outcome."""
        return self.run.calls[0]

    @property
    def text(self) -> str:
        """The answer's text; of a failed call, what arrived."""
        return self._answer.text

    @property
    def thinking(self) -> str:
        """The thoughts the vendor showed."""
        return self._answer.thinking

    @property
    def parsed(self) -> Any:
        """The JSON value, when a schema or JSON was asked for."""
        return self._answer.parsed

    @property
    def usage(self) -> Usage:
        """Tokens; ``None`` where the vendor did not say."""
        return self._answer.usage

    @property
    def cost(self) -> Cost:
        """USD, ``None`` when unknown, and who priced it."""
        return self._answer.cost

    @property
    def model(self) -> str:
        """The id of the model that answered."""
        return self._answer.model

    @property
    def finish(self) -> str:
        """Why the answer ended: stop length tool_calls content_filter pause error."""
        return "error" if self.call.error and not self._answer.complete else self._answer.finish

    @property
    def error(self) -> OrchestratorError | None:
        """Why the call failed, if it did."""
        return self.call.error

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The same as a frame of one row."""
        from orchestrator_nb.results.frames import frame  # brings pandas: only when a frame is wanted

        return frame(self.run)

    @property
    def html(self) -> str:
        """The answer as safe HTML, thoughts folded above it, what is wrong with it below."""
        return box(self.inner, math=True)

    @property
    def inner(self) -> str:
        """HTML without the surrounding box."""
        notes = "".join(f'<div class="onb-{name}">{escape(text)}</div>' for name, text in self._notes())
        return f"{self.body}{notes}"

    @property
    def body(self) -> str:
        """Thoughts and text alone."""
        thinking = thinking_html(self.thinking) if self.thinking else ""
        return thinking + (safe_html(self.text) if self.text else "")

    def _notes(self) -> list[tuple[str, str]]:
        if self.error is not None:
            return [("error", f"{type(self.error).__name__}: {self.error}")]
        ending = _ENDINGS.get(self.finish) if self._answer.complete else "The answer is incomplete: it broke off here."
        return [("note", ending)] if ending else []

    @property
    def _answer(self) -> Response:
        return self.call.answer or Response(model=self.call.item.request.model.id, complete=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Reply of {plain(self.model)}: {self.text[:60]!r}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        notes = "\n".join(text for _name, text in self._notes())
        return {"text/html": self.html, "text/plain": plain("\n\n".join(part for part in (self.text, notes) if part))}


def reply_of(run: Run) -> Reply:
    """The reply of a run of one call. Raises its error."""
    [call] = run.calls
    if call.error:
        raise call.error
    return Reply(run)


def thinking_html(text: str) -> str:
    """Thoughts, folded, as they are."""
    return (
        '<details class="onb-thinking"><summary>thinking</summary>'
        f'<div class="onb-text mathjax_ignore tex2jax_ignore">{escape(text[-20_000:])}</div></details>'
    )
