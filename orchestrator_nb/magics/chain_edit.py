"""``%chain edit``: the chain builder in a notebook; in a terminal the file to edit and its YAML; with ``--cell`` the YAML in the next cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator_nb.chains.drawing import Drawing
from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import Option
from orchestrator_nb.magics.chain_args import read

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session
    from orchestrator_nb.widgets.chain_file import Opened

OPTIONS: Final = (
    Option(("--from",), ("TEMPLATE",), "", {"dest": "source"}),
    Option(("--into",), ("NAME",), "", {"default": ""}),
    Option(("--cell",), (), ""),
)


def edit(words: Sequence[str], session: Session, *, notebook: bool) -> tuple[str, str]:
    """Shows the builder in a ``notebook``; else gives what to say, and with ``--cell`` what the next cell holds. Raises `UserError`, `ChainError`."""
    given, names = read(words, OPTIONS, "%chain")
    if len(names) > 1 or not (names or given.source) or (given.into and not given.into.isidentifier()):
        raise UserError("write it as: %chain edit NAME|PATH [--from TEMPLATE] [--into NAME] [--cell]")
    name = names[0] if names else ""
    if notebook and not given.cell:
        from orchestrator_nb.widgets import ChainEditor  # ipywidgets and anywidget: only when a widget is wanted

        ChainEditor(name, template=given.source, into=given.into, session=session).show()
        return "", ""
    from orchestrator_nb.widgets.chain_file import opened

    found = opened(name, session, source=given.source)
    if given.cell:
        own = found.path is not None and found.path.parent == session.config.paths.chains
        cell = f"%%chain --save {found.name}{' --replace' if own else ''}\n{found.text.strip(chr(10))}"
        return f"the cell below has {found.name}; running it keeps what you changed.", cell
    return _told(found), ""


def _told(found: Opened) -> str:
    """For who has no widgets."""
    text = found.text.rstrip("\n")
    if found.where:
        return f"# {found.name} stands in {found.where}; change it there with your editor, %chain check {found.name} then tells what is wrong.\n{text}"
    return f"# {found.name} is in no file of yours yet; %chain edit --cell puts it into the next cell, which keeps it.\n{text}"


@dataclass(frozen=True)
class Looked(Drawing):
    """A drawing that a notebook shows as the builder to look at, and keeps as a picture."""

    name: str = ""
    session: Session | None = None

    def _ipython_display_(self) -> None:
        from orchestrator_nb.widgets import ChainEditor  # as above

        ChainEditor(self.name, readonly=True, session=self.session).show()


def looked(drawing: Drawing, name: str, session: Session) -> Looked:
    """The drawing of a chain that is known by this name, or is in the file of this path."""
    return Looked(drawing.svg, drawing.text, name, session)
