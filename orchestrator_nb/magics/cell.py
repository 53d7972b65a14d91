"""The magics of one shell: ``%%llm`` reads its first line, plans, starts, watches and binds; ``%llm`` leads to `orchestrator_nb.magics.commands`, ``%vault`` to `.vault`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator_nb.errors import ConfigError
from orchestrator_nb.magics import watch
from orchestrator_nb.magics.args import parse
from orchestrator_nb.magics.chain_cell import ChainMagics
from orchestrator_nb.magics.manual import cell_help, line_help, vault_help
from orchestrator_nb.magics.shell import Shell, no_var_expand

if TYPE_CHECKING:  # the session brings pandas, pydantic and HTTP: it is opened by the first magic that needs it
    import pandas as pd

    from orchestrator_nb.magics.asking import Asked
    from orchestrator_nb.sessions import Session


class Magics:
    """``%%llm`` and ``%llm`` for one shell. ``session`` gives the notebook's session; tests give their own."""

    def __init__(self, shell: Shell, session: Callable[[], Session] | None = None) -> None:
        self.shell = shell
        self.last_error: BaseException | None = None
        self._session = session or _notebook_session
        self.chains = ChainMagics(self)

    @property
    def session(self) -> Session:
        """The notebook's session, with its settings as the files say now."""
        session = self._session()
        session.refresh()
        return session

    @property
    def any_session(self) -> Session:
        """The notebook's session as it is, also while its settings cannot be loaded. Raises `ConfigError` where not even its folders can be found."""
        try:
            return self._session()
        except ConfigError:
            pass
        return _notebook_session(lenient=True)

    def cell(self, line: str, body: str) -> pd.DataFrame | None:
        """(replaced by the help page)"""
        with self.remembered():
            asked = self._begin(line, body)
            return self.ended(asked, watch.block(asked.job, asked.screen.draw)) if asked else None

    def shown(self, line: str, body: str) -> None:
        """`cell` as a statement: nothing is echoed, the display has said it all."""
        self.cell(line, body)

    async def awaited(self, line: str, body: str) -> None:
        """`shown` for a top-level cell in a kernel: other tasks and the interrupt button go on working."""
        with self.remembered():
            if asked := self._begin(line, body):
                self.ended(asked, await watch.tick(asked.job, asked.screen.draw))

    def line(self, line: str) -> Any:
        """(replaced by the help page)"""
        from orchestrator_nb.magics.commands import run  # floor 4 and pandas: not before the first use

        with self.remembered():
            return run(line, self)

    def vault(self, line: str, body: str | None = None) -> Any:
        """(replaced by the help page)"""
        from orchestrator_nb.magics.vault import in_body, run  # as above

        with self.remembered():
            if body and not body.isspace():
                raise in_body(self.shell, body)
            return run(line, self)

    def model_names(self) -> Sequence[str]:
        """What Tab offers as a model."""
        return self.session.catalog.names

    def conversation_names(self) -> Sequence[str]:
        """What Tab offers as a conversation."""
        return self.session.talks.names()

    def branch_names(self, conversation: str) -> Sequence[str]:
        """What Tab offers as a branch of it, or as a turn."""
        if conversation not in self.conversation_names():
            return ()
        tree = self.session.conversation(conversation).tree
        return (*tree.heads, *tree.turns)

    def setting_names(self) -> Sequence[str]:
        """What Tab offers as a setting."""
        return self.session.config.keys()

    def key_names(self) -> Sequence[str]:
        """What Tab offers as a key's name: what the settings know, and what is in the vault while it is open."""
        return self.session.vault.names()

    def profile_names(self) -> Sequence[str]:
        """What Tab offers as a profile."""
        return tuple(self.session.config.profiles)

    def _begin(self, text: str, body: str) -> Asked | None:
        from orchestrator_nb.magics.asking import begin  # floor 4 and pandas: not before the first use

        line = parse(text)
        return begin(line, body, self.session, self.shell)

    def ended(self, asked: Asked, interrupted: bool) -> pd.DataFrame:
        """Shows and binds what was asked. Raises what fails the cell."""
        frame = asked.end()
        self.bind(asked.line.name, frame)
        if error := asked.error(interrupted):
            raise error
        return frame

    def bind(self, name: str | None, frame: pd.DataFrame) -> None:
        """``NAME`` and ``_`` (with ``__`` and ``Out``), the way IPython's display hook does, but without showing the frame."""
        if name:
            self.shell.push({name: frame})
        self.shell.displayhook.update_user_ns(frame)

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Keeps the error for ``%llm last --trace``."""
        try:
            yield
        except BaseException as error:
            self.last_error = error
            raise


Magics.cell.__doc__, Magics.line.__doc__, Magics.vault.__doc__ = cell_help(), line_help(), vault_help()
no_var_expand(Magics.cell)  # IPython would evaluate {…} in the first line as Python
no_var_expand(Magics.line)
no_var_expand(Magics.vault)


def _notebook_session(*, lenient: bool = False) -> Session:
    from orchestrator_nb import sessions

    return sessions.notebook_session() if lenient else sessions.session()
