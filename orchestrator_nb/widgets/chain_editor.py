"""The chain builder: a chain as a graph to be drawn, with forms, while its YAML stays the truth.

    from orchestrator_nb.widgets import ChainEditor

    editor = ChainEditor("review")
    editor.text, editor.problems, editor.save()

The text is held here with its undo; the browser draws what it is sent and sends operations (`orchestrator_nb.chains.editing`). All goes by messages: no saved notebook holds the
chain twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets
from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.chains.chain import REQUIRED
from orchestrator_nb.chains.manuscript import Manuscript
from orchestrator_nb.chains.planning import plan as plan_of
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.sheet import Sheet
from orchestrator_nb.errors import ChainError, OrchestratorError, UserError
from orchestrator_nb.figures import count, cut, money
from orchestrator_nb.magics.chain_preview import counted
from orchestrator_nb.magics.chain_values import given
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets import still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.chain_file import Exists, opened, saved, world_for
from orchestrator_nb.widgets.chain_live import LiveRun, States
from orchestrator_nb.widgets.chain_still import still as still_of
from orchestrator_nb.widgets.chain_terms import terms
from orchestrator_nb.widgets.pane import Pane

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.chaining import ChainPlan

_CHANGES = frozenset({"op", "undo", "redo", "save", "run"})


class ChainEditor(Pane):
    """The chain called ``name``, or in the file of that path; with ``template`` a new one made from it. ``into`` names a variable for the frame of each run.

    ``readonly`` draws it and lets nobody change it. Raises `UserError` for a name that is not known, `ChainError` for a chain that cannot be written as YAML.
    """

    _esm = code("editor")
    _css = style("editor")
    instead = "The chain builder needs a front end with widgets; here is the chain."
    readonly = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        name: str = "",
        *,
        template: str | None = None,
        into: str = "",
        readonly: bool = False,
        session: Session | None = None,
    ) -> None:
        self._session = session or sessions.session()
        self._shell: Shell | None = get_ipython()
        self._opened = opened(name, self._session, source=template)
        self._draft = Manuscript(self._opened.text, self._opened.root)
        self._into = into
        self._known: tuple[str, Sheet] | None = None
        self._live: LiveRun | None = None
        self._run: Run | None = None
        self._n = 0
        super().__init__(readonly=readonly)

    # In Python

    @property
    def name(self) -> str:
        """What the chain is called."""
        return self._opened.name

    @property
    def text(self) -> str:
        """The YAML as it is now; set it to write it by hand."""
        return self._draft.text

    @text.setter
    def text(self, text: str) -> None:
        self.edit({"do": "text", "text": text})

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it, each with its line."""
        return tuple(told.problem for told in self._sheet().problems)

    @property
    def result(self) -> pd.DataFrame:
        """The frame of the last run from here. Raises `UserError` before one has ended."""
        from orchestrator_nb.results.frames import frame  # brings pandas: only when a frame is wanted

        if self._run is None:
            raise UserError("no run from this editor has ended yet.")
        return frame(self._run)

    def edit(self, op: Mapping[str, Any]) -> str:
        """One operation, such as ``{"do": "set", "place": ["steps", 0, "model"], "value": "sonnet"}``; what there is to say of it. Raises `UserError`."""
        with self._turn:
            note = self._draft.do(op)
            self._changed()
            return note

    def undo(self) -> None:
        """Take the last change back. Raises `UserError` when there is none."""
        with self._turn:
            self._draft.undo()
            self._changed()

    def redo(self) -> None:
        """Make it again."""
        with self._turn:
            self._draft.redo()
            self._changed()

    def save(self, name: str | None = None, *, overwrite: bool = False) -> str:
        """Keep it in its own file, or under ``name`` among the user's chains; the file's place. Raises `UserError`, `ChainError` with what is wrong, `ConfigError`."""
        with self._turn:
            self._opened = saved(self._opened, self._draft, name or self.name, self._session, overwrite=overwrite)
            self._changed()
            return self._opened.where or ""

    def still(self) -> still.Still:
        """The drawing and the YAML, for good."""
        return still_of(self._sheet(), self.name, self.text)

    # The browser's side

    def _refuse(self, message: Mapping[str, Any], error: Exception) -> None:
        super()._refuse(message, UserError(_first(error)) if isinstance(error, ChainError) else error)

    def _act(self, message: Mapping[str, Any], _buffers: object) -> None:
        if self.readonly and message.get("kind") in _CHANGES:
            raise UserError(f"this is for looking only; %chain edit {self.name} opens it to be changed.")
        match message:
            case {"kind": "ready"}:
                self._tell({"kind": "schema", **terms(self._session, self.name)})
                self._tell_chain()
                if self._live:
                    self._tell_live(self._live.states(), ended=False)
            case {"kind": "op", "n": int(number), "op": dict(op)}:
                self._do(number, op)
            case {"kind": "undo"}:
                self.undo()
            case {"kind": "redo"}:
                self.redo()
            case {"kind": "check"}:
                self._tell({"kind": "schema", **terms(self._session, self.name)})
                self._changed()
            case {"kind": "save", "name": str(name)}:
                self._save(name, overwrite=message.get("overwrite") is True)
            case {"kind": "run", "inputs": dict(inputs)}:
                self._start(inputs)
            case {"kind": "stop"}:
                self._stop()

    def _do(self, number: int, op: Mapping[str, Any]) -> None:
        self._n = max(self._n, number)
        try:
            note = self._draft.do(op)
        except UserError as error:
            self._say(str(error), problem=True, n=number)
            return
        self._changed()
        if note:
            self._say(note)

    def _save(self, name: str, *, overwrite: bool) -> None:
        try:
            where = self.save(name, overwrite=overwrite)
        except Exists:
            self._tell({"kind": "exists", "name": name})
            return
        self._say(f"{self.name} is kept in {where}.")

    def _changed(self) -> None:
        self._known = None
        self._tell_chain()
        self._keep()

    def _sheet(self) -> Sheet:
        text, root = self._draft.text, self._draft.root
        if self._known is None or self._known[0] != text:
            world = world_for(self._opened, self._session)
            self._known = text, Sheet.of(text, name=self.name, root=root, world=world)
        return self._known[1]

    def _tell_chain(self) -> None:
        sheet = self._sheet()
        self._tell(
            {
                "kind": "chain",
                "n": self._n,
                "name": self.name,
                "text": self.text,
                "saved": self._opened.path is not None and self.text == self._opened.text,
                "path": self._opened.where,
                "undo": bool(self._draft.past),
                "redo": bool(self._draft.future),
                "value": sheet.value,
                "graph": sheet.graph(),
                "problems": [told.message() for told in sheet.problems],
            }
        )

    # Running

    def _start(self, inputs: Mapping[str, Any]) -> None:
        if self._live:
            raise UserError("it runs already; stop it first.")
        plan = self._plan({str(name): str(value) for name, value in inputs.items()})
        most = self._session.config.settings.limits.confirm_calls
        if (calls := counted(plan)).sure > most:
            raise UserError(
                f"this means at least {calls.sure:,} calls, more than limits.confirm_calls ({most:,}); run it with %chain run {self.name} --yes"
            )
        self._live = LiveRun(
            plan, self._session, lambda states, ended: self._tell_live(states, ended=ended), self._ended
        )
        self._live.start()

    def _plan(self, inputs: Mapping[str, str]) -> ChainPlan:
        """The text as it is, ready to be asked."""
        if self._opened.foreign:
            raise UserError(
                "this chain came with the project, which you do not trust; save it as your own, and look at it, before it runs."
            )
        sheet = self._sheet()
        if sheet.problems:
            raise ChainError([told.problem for told in sheet.problems])
        chain = sheet.reading.sound
        optional = {item.name for item in chain.inputs if item.default is not REQUIRED}
        texts = {name: text for name, text in inputs.items() if text or name not in optional}
        names = self._shell.user_ns if self._shell else {}
        plan = self._session.plan_chain(chain, given(chain, texts, (), names))
        if self._opened.trusted:
            return plan
        return replace(plan, made=plan_of(chain, self._session.chains.world(trusted=False)), trusted=False)

    def _stop(self) -> None:
        if self._live is None:
            raise UserError("nothing runs from here.")
        self._live.stop()
        self._say("Stopping: what is finished is kept.")

    def _tell_live(self, states: States, *, ended: bool) -> None:
        self._tell({"kind": "live", "states": states, "ended": ended})

    def _ended(self, run: Run | None, error: OrchestratorError | None) -> None:
        """On the run's thread."""
        self._live = None
        if error is not None or run is None:
            self._say(str(error or "the run was broken off before its end."), problem=True)
            return
        self._run = run
        kept = "%llm show has"
        if self._into and self._shell:
            self._shell.push({self._into: self.result})
            kept = f"{self._into} holds"
        failed = [why for why in (run.chained.errors if run.chained else ()) if why]
        cost = sum(float(call.answer.cost.usd or 0) for call in run.calls if call.answer)
        spent = f"{count(len(run.calls), 'call')}, {money(cost)}; {kept} the frame."
        if failed:
            self._say(f"{cut(' '.join(failed[0].split()), 400).rstrip('.')}. {spent}", problem=True)
        else:
            self._say(f"Done: {spent}")


def _first(error: ChainError) -> str:
    """The first problem in one sentence, and how many there are."""
    found = [one for one in error.problems if isinstance(one, Problem)]
    if not found:
        return str(error)
    first = found[0]
    where = f" in step {first.step!r}" if first.step else ""
    head = f"{count(len(found), 'problem')}, the first" if len(found) > 1 else "there is a problem"
    return f"{head}{where}: {cut(first.message, 300)}"
