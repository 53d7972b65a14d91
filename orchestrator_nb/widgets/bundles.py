"""The front-end code that travels with the package. It is made from extensions/widgets (docs/decisions/0015-frontend.md)."""

from __future__ import annotations

from importlib.resources import files


def code(widget: str) -> str:
    """The script of a widget."""
    return _read(f"{widget}.js")


def style(widget: str) -> str:
    """Its style sheet."""
    return _read(f"{widget}.css")


def _read(name: str) -> str:
    return (files("orchestrator_nb.widgets") / "static" / name).read_text("utf-8")
