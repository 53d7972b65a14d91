"""A conversation as a pane: the turns of the store's conversation, a field for the next question, and the answer as it arrives.

    from orchestrator_nb.widgets import Chat

    chat = Chat("metals", "sonnet")
    chat.send_question("Name a metal.")

What is said stands in the conversation (`Session.conversation`), which cells and other kernels see too; nothing of it is a synchronised trait.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Any

from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.job import Plan
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.messages import Text
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.talk import Conversation
from orchestrator_nb.widgets import slash, still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.chat_answer import Answer
from orchestrator_nb.widgets.chat_cells import cells_of, quoted
from orchestrator_nb.widgets.chat_head import MOVES, Head
from orchestrator_nb.widgets.chat_still import still as still_of
from orchestrator_nb.widgets.chat_told import PAGE, Facts, ahead, facts_of, leaf, path_of, told
from orchestrator_nb.widgets.pane import Pane
from orchestrator_nb.widgets.slash import WORDS, Order


class Chat(Pane):
    """The conversation called ``name``, which begins if there is none; ``model`` is asked from now on, else the one that answered last. Raises `UserError`."""

    _esm = code("chat")
    _css = style("chat")

    def __init__(self, name: str = "chat", model: str | None = None, *, session: Session | None = None) -> None:
        self._session = session or sessions.session()
        self._head = Head(self._session, name, model)
        shell = get_ipython()
        self._cell = place_of(shell).get("cell") if shell else None
        self._answer: Answer | None = None
        self._question, self._so_far, self._state, self._asked_of = "", "", "", ""
        self._last: str | None = None
        self._told: tuple[str, ...] = ()
        self._facts: dict[str, Facts] = {}
        self.instead = f"The chat needs a front end with widgets; %%llm -c {quoted(name)} asks in a cell."
        super().__init__()
        self.conversation.watch(self.look)

    # In Python

    @property
    def name(self) -> str:
        """The conversation's."""
        return self.conversation.name

    @property
    def conversation(self) -> Conversation:
        """What was said, as cells see it too."""
        return self._head.talk

    @property
    def model(self) -> str | None:
        """Who is asked next, as ``provider/model``; ``None`` where no model is set."""
        return self._head.model

    def send_question(self, text: str) -> None:
        """What the field takes: a question, whose answer arrives while the kernel is free, or an order such as ``/model haiku``. Raises `UserError`."""
        with self._turn:
            match slash.read(text):
                case Order() as order:
                    self._obey(order)
                case question:
                    self._ask(question, self.conversation.tree.head)

    def stop(self) -> None:
        """Stop the answer that arrives; what came of it is kept. Raises `UserError` when there is none."""
        with self._turn:
            if self._answer is None:
                raise UserError("no answer is arriving.")
            self._answer.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the answer; whether it is there."""
        answer = self._answer  # without the lock, which its end takes
        return answer.wait(timeout_s) if answer else True

    def look(self) -> None:
        """Show what was said elsewhere: in a cell, in another pane, in another kernel."""
        with self._turn, suppress(OrchestratorError):  # told to whoever speaks next
            ids = tuple(turn.id for turn in self._path(self.conversation.tree))
            if self._answer is None and self.comm is not None and ids != self._told:
                self._changed()

    def still(self) -> still.Still:
        """What was said on this path, for good."""
        tree = self.conversation.tree
        return still_of(self.name, path_of(tree, self._last))

    # The browser's side

    def _act(self, message: Mapping[str, Any], _buffers: object) -> None:
        match message:
            case {"kind": "ready"}:
                self._tell_all()
            case {"kind": "send", "text": str(text), "n": int(number)}:
                self.send_question(text)
                self._reply({"kind": "taken", "n": number})
            case {"kind": "edit", "turn": str(name), "text": str(text), "n": int(number)}:
                self._ask_instead(self._find(name), text)
                self._reply({"kind": "taken", "n": number})
            case {"kind": "again", "turn": str(name)}:
                self._ask_again(self._find(name))
            case {"kind": "go", "turn": str(name)}:
                self._go(name)
            case {"kind": "earlier", "before": int(number)}:
                self._tell_earlier(number)
            case {"kind": "look"}:
                self.look()
            case {"kind": "stop"}:
                self.stop()
            case {"kind": "cells"}:
                cells = cells_of(f"{self.name}-cells", self.conversation.tree.current)
                self._reply({"kind": "insert", "cells": cells, "after": self._cell})

    def _refuse(self, message: Mapping[str, Any], error: Exception) -> None:
        if "n" in message:
            self._reply({"kind": "refused", "n": message["n"]})
        super()._refuse(message, error)

    def _find(self, turn: str) -> Turn:
        return self.conversation.tree.find(turn)

    def _go(self, name: str) -> None:
        self._require_rest()
        self._last = None
        self.conversation.switch(leaf(self.conversation.tree, self._find(name).id))
        self._changed()

    # Asking

    def _ask_instead(self, turn: Turn, text: str) -> None:
        """Another question in the place of this one: of whom the head names, if it was changed here, else of the same."""
        _require_text_alone(turn)
        system = self._head.system if self._head.system is not None else turn.system or ""
        self._ask(text, turn.parent, self._head.chosen or turn.model, system)

    def _ask_again(self, turn: Turn) -> None:
        """The same of the same model. An answer that is there already is asked anew, unless a tape answers."""
        _require_text_alone(turn)
        anew = turn.outcome == "answered" and self._session.source().mode == "auto"
        self._ask(turn.prompt, turn.parent, turn.model, turn.system or "", "live" if anew else None)

    def _ask(
        self,
        question: str,
        parent: str | None,
        model: str | None = None,
        system: str | None = None,
        source: str | None = None,
    ) -> None:
        """Ask after the turn ``parent``; elsewhere than at the end that is a branch. Raises `UserError`, and then nothing is changed."""
        self._require_rest()
        question = _required(question)
        self._head.require_no_key(question)
        before = self.conversation.tree
        if parent != before.head:
            self._head.branch(parent)
        try:
            plan = self._next(
                question, model or self._head.chosen, system if system is not None else self._head.system, source
            )
        except OrchestratorError:
            if parent != before.head:
                self.conversation.switch(before.branch)
            raise
        self._last = str(plan.about["turn"])
        self._question, self._so_far, self._state = question, "", "asked"
        self._asked_of = plan.models[0].ref
        self._answer = Answer(plan, self._session, self._arrived, self._ended)
        self._tell_path()
        self._tell_asking()
        self._answer.start()

    def _next(self, question: str, model: str | None, system: str | None, source: str | None) -> Plan:
        """The question as a value, so that braces in it mean themselves."""
        over = [{"question": question}]
        return self.conversation.next("{{ question }}", model, system=system, over=over, source=source)

    def _arrived(self, text: str, state: str, anew: bool) -> None:
        """On the answer's thread."""
        with self._turn:
            self._so_far = text if anew else self._so_far + text
            self._state = state
            self._tell({"kind": "answer", "text": plain(text), "state": plain(state), "anew": anew})

    def _ended(self, run: Run | None, error: OrchestratorError | None) -> None:
        """On the answer's thread."""
        with self._turn:
            call = run.calls[0] if run and run.calls else None
            if call is not None and self._last:
                self._facts[self._last] = facts_of(call)
            self._answer = None
            try:
                turn = self.conversation.tree.turns.get(self._last or "")
                self._tell({"kind": "ended", "back": "" if turn else self._question})
                self._changed()
                self._say_how(run, turn, error or (call.error if call else None))
            except OrchestratorError as problem:
                self._tell({"kind": "ended", "back": ""})
                self._say(str(problem), problem=True)

    def _say_how(self, run: Run | None, turn: Turn | None, error: OrchestratorError | None) -> None:
        if error is not None:
            self._say(str(error), problem=True)
        elif run is None:
            self._say("the question was broken off before its answer.", problem=True)
        elif turn is not None and turn.outcome != "answered":
            self._say(f"No whole answer: {turn.why or turn.outcome}", problem=True)
        else:
            self._say(" ".join(("Answered.", *run.notices)))

    def _require_rest(self) -> None:
        if self._answer is not None:
            raise UserError("an answer is arriving; stop it, or wait for it.")

    # Orders

    def _obey(self, order: Order) -> None:
        if order.name in MOVES:
            self._require_rest()
        try:
            said = self._head.obey(order)
        finally:
            self._tell_head()  # also when it was refused: the head shows what is so
        if order.name in MOVES:
            self.conversation.watch(self.look)
            self._last, self._told = None, ()
            self._changed()
        self._say(said)

    # What the browser gets

    def _tell_all(self) -> None:
        self._told = ()
        self._tell_offers()
        self._tell_head()
        self._tell_path()
        if self._answer is not None:
            self._tell_asking()
            self._tell({"kind": "answer", "text": plain(self._so_far), "state": plain(self._state), "anew": True})

    def _changed(self) -> None:
        self._tell_head()
        self._tell_path()
        self._keep()

    def _tell_head(self) -> None:
        about = {"name": self.name, "model": self.model or "", "persona": self._head.persona}
        self._tell(
            {
                "kind": "head",
                **about,
                "system": plain(self._head.system or ""),
                "conversations": self._session.talks.names(),
            }
        )

    def _tell_offers(self) -> None:
        """What completes the orders."""
        session = self._session
        words = [{"name": word.name, "usage": word.usage, "does": word.does, "offers": word.offers} for word in WORDS]
        self._tell(
            {
                "kind": "offers",
                "cell": self._cell,
                "words": words,
                "models": [plain(name) for name in session.catalog.names],
                "providers": list(session.catalog.vendors),
                "personas": list(session.chains.roles.personas),
            }
        )

    def _tell_path(self) -> None:
        """What follows the turns that the browser has already."""
        tree = self.conversation.tree
        path = self._path(tree)
        ids = tuple(turn.id for turn in path)
        same = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(ids, self._told, strict=False)))
        begin = same or max(0, len(path) - PAGE)
        self._told = ids
        turns = [told(tree, turn, begin + place, self._facts_of(turn)) for place, turn in enumerate(path[begin:])]
        ends = [] if self._answer else ahead(tree, path)
        self._tell(
            {"kind": "path", "from": begin, "anew": same == 0, "total": len(path), "turns": turns, "ahead": ends}
        )

    def _facts_of(self, turn: Turn) -> Facts:
        """What is known of its answer; of one that another pane or another day gave, what the store knows."""
        if turn.id not in self._facts and turn.call:
            with suppress(OrchestratorError):  # a run that the store does not have
                run = self._session.retold(turn.call.rpartition("-")[0])
                self._facts.update((turn.id, facts_of(call)) for call in run.calls if call.id == turn.call)
        return self._facts.get(turn.id, {})

    def _path(self, tree: Tree) -> tuple[Turn, ...]:
        """Without the question that is being answered, which the browser shows by itself."""
        return path_of(tree, None if self._answer else self._last)

    def _tell_earlier(self, before: int) -> None:
        tree = self.conversation.tree
        path = self._path(tree)
        begin = max(0, min(before, len(path)) - PAGE)
        turns = [told(tree, turn, begin + place, self._facts_of(turn)) for place, turn in enumerate(path[begin:before])]
        self._reply({"kind": "earlier", "from": begin, "turns": turns})

    def _tell_asking(self) -> None:
        self._tell({"kind": "asking", "question": plain(self._question), "model": self._asked_of})


def _required(text: str) -> str:
    if not text.strip():
        raise UserError("write a question first.")
    return text


def _require_text_alone(turn: Turn) -> None:
    if any(not isinstance(part, Text) for message in turn.question for part in message.parts):
        raise UserError("this question has more than text; ask it again in a cell, where its files are named.")
