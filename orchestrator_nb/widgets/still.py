"""What stands in the notebook beside a widget: a static form, for front ends without widgets, for exports, and for the day after.

Where the widget itself is drawn, the static form is hidden; where a re-opened notebook has only an error in the widget's place, that error is hidden instead.
Style does it (https://developer.mozilla.org/en-US/docs/Web/CSS/:has); where style is taken out, both are seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orchestrator_nb.magics.shell import display
from orchestrator_nb.results.page import box
from orchestrator_nb.results.safe_text import plain

_OUTPUT: Final = ".jp-OutputArea-child"
_DEAD: Final = ".jp-OutputArea-output:not([data-mime-type])"  # a view whose widget is gone has no type, only a sentence
STYLE: Final = (
    f"<style>{_OUTPUT}:has(.onb-widget)+{_OUTPUT}:has(.onb-still){{display:none}}"
    f"{_OUTPUT}:has(>{_DEAD}):not(:has(.onb-widget)):has(+{_OUTPUT} .onb-still){{display:none}}</style>"
)

AFTER: Final = (
    f'<span class="onb-before-view"><style>{_OUTPUT}:has(.onb-before-view):has(+{_OUTPUT} .onb-widget:not(.onb-folded)){{display:none}}'
    f"{_OUTPUT}:has(.onb-before-view)+{_OUTPUT}:has(>{_DEAD}):not(:has(.onb-widget)){{display:none}}</style></span>"
)
"""At the end of a static form that stands above its widget; it is seen while the widget is folded, and changes nothing else of it."""

_BESIDE: Final = f"{_OUTPUT}:has(.onb-beside)"
BESIDE: Final = (
    f'<span class="onb-beside"><style>{_BESIDE}{{display:none}}{_OUTPUT}:has(.onb-widget)+{_BESIDE}+{_OUTPUT}{{display:none}}'
    f"{_OUTPUT}:has(>{_DEAD}):not(:has(.onb-widget)):has(+{_OUTPUT} .onb-beside){{display:none}}</style></span>"
)
"""Between a widget and an output that is no form of ours (a frame): it is what stays, and what the widget covers."""


@dataclass(frozen=True, slots=True)
class Still:
    """Safe HTML, and the same as text."""

    html: str
    text: str

    def __str__(self) -> str:
        return plain(self.text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": f'<div class="onb-still">{STYLE}{box(self.html)}</div>', "text/plain": str(self)}


class Shown(Protocol):
    """What a display gives to change it later."""

    def update(self, obj: object, /) -> None:
        """Show this in its place."""
        ...


def show(view: tuple[Mapping[str, Any], Mapping[str, Any]], still: Still) -> Shown:
    """Both: the widget's view (a MIME bundle and its metadata), and the static form as a display of its own that can be changed."""
    display(view[0], metadata=view[1], raw=True)
    shown: Shown = display(still, display_id=True)
    return shown
