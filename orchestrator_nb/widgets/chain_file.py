"""Where an edited chain comes from and where it is kept: the user's own file, or a copy in the user's chains folder.

What is not the user's own (a project's file, a chain of the notebook, a template) is opened to be read, and saved as a copy. Nothing is written over that another program has changed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.chains import template, to_yaml
from orchestrator_nb.chains.editing import value_in
from orchestrator_nb.chains.load import CELL, load
from orchestrator_nb.chains.manuscript import Manuscript
from orchestrator_nb.chains.write import dumped
from orchestrator_nb.config.chainfiles import is_one
from orchestrator_nb.config.files import bytes_of
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.errors import ChainError, UserError
from orchestrator_nb.library import Kept, in_file
from orchestrator_nb.vault.telling import place

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session

_MARK: Final = "\ufeff"


class Exists(UserError):
    """There is another chain of that name."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A chain that is edited. ``path`` is the user's own file, ``data`` what was read from it; without one it is saved as a new file of the chains folder.

    ``trusted``: it may call Python functions. ``foreign``: it is a project's that nobody trusted, and does not run from here.
    """

    name: str
    text: str
    root: Place = ()
    path: Path | None = None
    data: bytes | None = None
    trusted: bool = True
    foreign: bool = False

    @property
    def where(self) -> str | None:
        """Its file, in words."""
        return None if self.path is None else place(self.path)


def opened(name: str, session: Session, *, source: str | None = None) -> Opened:
    """The chain called ``name`` (or in the file of that path), or a new one from the template ``source``. Raises `UserError`, `ChainError`."""
    if source is not None:
        return Opened(name or source, to_yaml(template(source).chain(name or source)))
    path = (session.config.cwd or Path.cwd()) / Path(name).expanduser()
    if is_one(Path(name).name) and name not in session.chains.all():
        return _in_file(path, name, session)
    return _known(name, session.chains.find(name))


def _known(name: str, kept: Kept) -> Opened:
    if kept.text is None or kept.path is None:
        return Opened(name, _written(kept), trusted=kept.trusted, foreign=not kept.trusted)
    if kept.origin == "user":
        return _own(name, kept.path, trusted=True)
    return Opened(name, kept.text, _root(kept.text, name), trusted=kept.trusted, foreign=not kept.trusted)


def _written(kept: Kept) -> str:
    """A chain that has no text of its own: of the notebook, or of the settings."""
    if kept.chain is None:
        raise ChainError(kept.problems)
    return to_yaml(kept.chain)


def _in_file(path: Path, name: str, session: Session) -> Opened:
    found = in_file(path)
    if len(found) != 1:
        raise UserError(f"{name} holds {len(found)} chains ({', '.join(found)}); put one into each file.")
    folder = session.config.paths.chains
    [title] = found
    return _own(title, path, trusted=path.resolve().parent == folder.resolve())


def _own(name: str, path: Path, *, trusted: bool) -> Opened:
    data = _bytes(path)
    if data is None:
        raise UserError(f"{place(path)} is gone.")
    text = _text(data, path)
    return Opened(name, text, _root(text, name), path, data, trusted)


def _bytes(path: Path) -> bytes | None:
    found = bytes_of(path, lambda _path, _status: None)
    return found[0] if found else None


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise UserError(f"{place(path)} is not UTF-8, so it cannot be edited here; save it as UTF-8.")


def _root(text: str, name: str) -> Place:
    """Where the chain stands in a text that may hold several."""
    try:
        whole = value_in(text)
    except UserError:
        return ()
    several = isinstance(whole, dict) and "chains" in whole and "steps" not in whole
    return ("chains", name) if several else ()


def saved(opened: Opened, draft: Manuscript, name: str, session: Session, *, overwrite: bool) -> Opened:
    """Keeps the chain under a name: in its own file, or as a file of the chains folder; ``draft`` is then what stands there.

    Raises `Exists` where another chain has the name and nobody said ``overwrite``, `ChainError` for what is wrong with it, `UserError`, `ConfigError`.
    """
    if opened.path is not None and name == opened.name:
        return _in_place(opened, draft, session)
    text = _named(draft, name)
    if not overwrite and name in session.chains.all() and session.chains.all()[name].origin == "user":
        raise Exists(f"there is a chain {name!r} already.")
    path = session.chains.save(name, text, replace=overwrite)
    text = text if text.endswith("\n") else f"{text}\n"
    draft.become(text, ())
    if (known := session.chains.all().get(name)) and known.origin == "notebook":
        session.chains.define(name, load(text, name=name))  # or the notebook's own would go on standing before it
    return Opened(name, text, (), path, _bytes(path))


def _named(draft: Manuscript, name: str) -> str:
    """The text of this chain alone, which calls itself so, if it says a name."""
    alone = Manuscript(draft.text if not draft.root else dumped(draft.value or {}))
    if isinstance(value := alone.value, dict) and value.get("name", name) != name:
        alone.do({"do": "set", "place": ["name"], "value": name})
    return alone.text


def _in_place(opened: Opened, draft: Manuscript, session: Session) -> Opened:
    from orchestrator_nb.config.edit import replace_file  # only who writes needs it

    assert opened.path is not None  # noqa: S101  # its caller looked
    if _bytes(opened.path) != opened.data:
        raise UserError(
            f"{opened.where} was changed by another program since it was opened, so nothing was written; save this under another name, or open it again."
        )
    if opened.path.is_symlink():
        raise UserError(f"{opened.where} is a link, so nothing is written there; save this under another name.")
    _require_sound(opened, draft, session)
    text = draft.text if draft.text.endswith("\n") or draft.text == opened.text else f"{draft.text}\n"
    mark = _MARK if opened.data and opened.data.startswith(_MARK.encode()) else ""
    if text != opened.text:
        replace_file(opened.path, mark + text)
    draft.become(text, draft.root)
    return Opened(opened.name, text, draft.root, opened.path, _bytes(opened.path), opened.trusted)


def _require_sound(opened: Opened, draft: Manuscript, session: Session) -> None:
    from orchestrator_nb.chains.sheet import Sheet

    sheet = Sheet.of(draft.text, name=opened.name, root=draft.root, world=world_for(opened, session), file=CELL)
    if sheet.problems:
        raise ChainError([told.problem for told in sheet.problems])
    if not draft.root and sheet.reading.chain and sheet.reading.chain.name != opened.name:
        raise UserError(f"the chain calls itself {sheet.reading.chain.name!r}; save it under this name.")


def world_for(opened: Opened, session: Session) -> Any:
    """What the chain may name; not itself."""
    from dataclasses import replace

    world = session.chains.world(trusted=opened.trusted)
    return replace(world, chains={name: chain for name, chain in (world.chains or {}).items() if name != opened.name})
