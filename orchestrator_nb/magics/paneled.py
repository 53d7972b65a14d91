"""``%llm runs`` in a notebook: the run panel above the frame of the runs, which is what a saved notebook holds.

The panel comes where the frame is shown, so that ``frame = %llm runs`` shows nothing; and only where a front end asks for the cell: programs that run notebooks do not
say which cell it is, and get the frame alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator_nb.magics.place import execution_of, place_of
from orchestrator_nb.magics.shell import display

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.magics.cell import Magics


def with_panel(frame: pd.DataFrame, magics: Magics, days: float | None) -> pd.DataFrame:
    """The same frame. Shown while the cell runs that asks for it, it brings the panel along, once; copies of it do not."""
    asked = execution_of(magics.shell)
    if asked is None or "cell" not in place_of(magics.shell):
        return frame

    def bundle(**_: Any) -> dict[str, Any]:
        object.__delattr__(frame, "_repr_mimebundle_")
        if execution_of(magics.shell) == asked:
            _show(magics, days)
        return {}  # IPython goes on with the frame's own forms

    object.__setattr__(frame, "_repr_mimebundle_", bundle)  # pandas would take it for a column
    return frame


def _show(magics: Magics, days: float | None) -> None:
    try:
        from orchestrator_nb.widgets.runs import RunPanel  # ipywidgets and anywidget: only when a widget is wanted
        from orchestrator_nb.widgets.still import BESIDE
    except ImportError:
        return
    data, metadata = RunPanel(days, session=magics.session)._repr_mimebundle_()
    display(data, metadata=metadata, raw=True)
    display({"text/html": BESIDE, "text/plain": ""}, raw=True)
