"""A notebook's texts by cell, and the same notebook with each text changed. It is read as JSON, for a damaged one must be readable too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any


def read(text: str) -> dict[str, Any] | None:
    """The notebook, or ``None`` when the text is none."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return notebook if isinstance(notebook, dict) and isinstance(notebook.get("cells"), list) else None


def pieces(notebook: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """``("cell 3 output 1", text)``: everything that is a text in the notebook; cells and outputs count from 1."""
    for number, cell in enumerate(notebook["cells"], 1):
        if isinstance(cell, dict):
            yield from _cell(f"cell {number}", cell)
    yield "metadata", _text({key: value for key, value in notebook.items() if key != "cells"})


def _cell(name: str, cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield name, _text(cell.get("source", ""))
    outputs = cell.get("outputs")
    for number, output in enumerate(outputs if isinstance(outputs, list) else [], 1):
        yield f"{name} output {number}", _text(output)
    if attachments := cell.get("attachments"):
        yield f"{name} attachments", _text(attachments)
    rest = {key: value for key, value in cell.items() if key not in {"source", "outputs", "attachments"}}
    yield f"{name} metadata", _text(rest)


def _text(value: Any) -> str:
    """Every text in a JSON value. A list of texts is the lines of one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ("" if all(isinstance(item, str) for item in value) else "\n").join(map(_text, value))
    if isinstance(value, dict):
        # in lines of "name: value", so that a name tells what the value is
        return "\n".join(f"{key}: {_text(item)}" for key, item in value.items())
    return ""


def changed(notebook: dict[str, Any], change: Callable[[str], str]) -> str:
    """The notebook as Jupyter writes it, each of its texts changed."""
    return json.dumps(_changed(notebook, change), indent=1, ensure_ascii=False) + "\n"


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _changed(item, change) for key, item in value.items()}
    return value
