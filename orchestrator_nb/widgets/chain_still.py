"""What the chain builder leaves in the notebook: the drawing and the YAML."""

from __future__ import annotations

import base64
from typing import Final

from orchestrator_nb.chains.sheet import Sheet
from orchestrator_nb.figures import count, cut
from orchestrator_nb.results.safe_text import escape, plain
from orchestrator_nb.widgets.still import Still

_YAML: Final = 50_000
_PROBLEMS: Final = 20


def still(sheet: Sheet, name: str, text: str, *, words: str = "") -> Still:
    """The chain for good, as HTML and as text. ``words`` stand above it in the text."""
    drawing = sheet.drawing(name)
    problems = [str(told.problem) for told in sheet.problems][:_PROBLEMS]
    head = f"Chain {name}" + (f": {count(len(sheet.problems), 'problem')}" if problems else "")
    picture = _picture(drawing.svg, drawing.text) if drawing else ""
    listed = "".join(f"<li>{escape(cut(one, 500))}</li>" for one in problems)
    html = "".join(
        [
            f"<p><strong>{escape(head)}</strong></p>",
            f"<ul>{listed}</ul>" if listed else "",
            picture,
            f"<details><summary>YAML</summary><pre>{escape(cut(text, _YAML))}</pre></details>",
        ]
    )
    return Still(html, plain("\n".join(filter(None, [words or head, *problems, text.rstrip()]))))


def _picture(svg: str, told: str) -> str:
    """As an image, so that nothing in it can do anything."""
    data = base64.b64encode(svg.encode("utf-8", "replace")).decode()
    return (
        f'<p><img style="max-width:100%" src="data:image/svg+xml;base64,{data}" alt="{escape(cut(told, 2_000))}"></p>'
    )
