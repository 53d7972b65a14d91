"""``%%chain`` and ``%chain`` for one shell: the doors, which bring nothing heavy. What they lead to is in `.chaining` and `.chain_words`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator_nb.magics import watch
from orchestrator_nb.magics.chain_args import parse
from orchestrator_nb.magics.manual import chain_cell_help, chain_line_help
from orchestrator_nb.magics.shell import Shell, no_var_expand

if TYPE_CHECKING:  # as in `orchestrator_nb.magics.cell`
    import pandas as pd

    from orchestrator_nb.magics.cell import Magics
    from orchestrator_nb.magics.chaining import ChainAsked


class ChainMagics:
    """The magics of chains, beside those of one `Magics`, whose session they use."""

    def __init__(self, magics: Magics) -> None:
        self.magics = magics

    @property
    def shell(self) -> Shell:
        """The shell."""
        return self.magics.shell

    def cell(self, line: str, body: str) -> pd.DataFrame | None:
        """(replaced by the help page)"""
        with self.magics.remembered():
            asked = self._begin(line, body)
            return self.ended(asked, watch.block(asked.job, asked.screen.draw)) if asked else None

    def shown(self, line: str, body: str) -> None:
        """`cell` as a statement: nothing is echoed, the display has said it all."""
        self.cell(line, body)

    async def awaited(self, line: str, body: str) -> None:
        """`shown` for a top-level cell in a kernel: other tasks and the interrupt button go on working."""
        with self.magics.remembered():
            if asked := self._begin(line, body):
                self.ended(asked, await watch.tick(asked.job, asked.screen.draw))

    def line(self, line: str) -> Any:
        """(replaced by the help page)"""
        from orchestrator_nb.magics.chain_words import run  # pandas and the language: not before the first use

        with self.magics.remembered():
            return run(line, self)

    def ended(self, asked: ChainAsked, interrupted: bool) -> pd.DataFrame:
        """Shows and binds what was asked. Raises what fails the cell."""
        frame = asked.end()
        self.magics.bind(asked.line.name, frame)
        if error := asked.error(interrupted):
            raise error
        return frame

    def _begin(self, text: str, body: str) -> ChainAsked | None:
        from orchestrator_nb.magics.chaining import begin  # as above

        line = parse(text)
        return begin(line, body, self.magics.session, self.shell)

    # What Tab offers

    def chain_names(self) -> Sequence[str]:
        """The chains that are known."""
        return tuple(self.magics.session.chains.all())

    def roles(self) -> Mapping[str, Sequence[str]]:
        """The names of roles and personas."""
        known = self.magics.session.chains.roles
        return {"role": tuple(known.roles), "persona": tuple(known.personas)}

    def function_names(self) -> Sequence[str]:
        """The Python functions that steps may call."""
        return tuple(self.magics.session.chains.functions)

    def run_names(self) -> Sequence[str]:
        """The runs that a chain made, the newest first."""
        store = self.magics.session.store
        runs = store.ledger.runs() if store else ()
        return tuple(told.id for told in runs if "chain" in told.about)

    def templates(self) -> Mapping[str, Sequence[str]]:
        """The templates, with the names of their parameters."""
        from orchestrator_nb.chains.templates import ready  # as above

        return {name: tuple(template.parameters) for name, template in ready().items()}

    def input_names(self, chain: str) -> Sequence[str]:
        """The inputs of a chain that is known."""
        kept = self.magics.session.chains.all().get(chain)
        return tuple(item.name for item in kept.chain.inputs) if kept and kept.chain else ()


ChainMagics.cell.__doc__, ChainMagics.line.__doc__ = chain_cell_help(), chain_line_help()
no_var_expand(ChainMagics.cell)  # IPython would evaluate {…} in the first line as Python
no_var_expand(ChainMagics.line)
