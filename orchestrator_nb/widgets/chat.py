"""A conversation as a pane: the turns of the store's conversation, a field for the next question, and the answer as it arrives.

    from orchestrator_nb.widgets import Chat

    chat = Chat("metals", "sonnet")
    chat.send_question("Name a metal.")

What is said stands in the conversation (`Session.conversation`), which cells and other kernels see too; nothing of it is a synchronised trait.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from anywidget import AnyWidget
from IPython.core.getipython import get_ipython

from orchestrator_nb import sessions
from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.errors import OrchestratorError, UserError
from orchestrator_nb.job import Plan
from orchestrator_nb.magics.args import nearest
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.messages import Text
from orchestrator_nb.results.safe_text import plain
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.traces.patterns import PATTERNS
from orchestrator_nb.widgets import slash, still
from orchestrator_nb.widgets.bundles import code, style
from orchestrator_nb.widgets.chat_answer import Answer
from orchestrator_nb.widgets.chat_still import still as still_of
from orchestrator_nb.widgets.chat_told import PAGE, ahead, facts_of, leaf, path_of, told
from orchestrator_nb.widgets.slash import HELP, WORDS, Order
from orchestrator_nb.widgets.wire import hear_while_a_cell_runs

_BRACES: Final = re.compile(r"\{[{%#]")
_WORD: Final = re.compile(r"[\w./:@+][\w./:@+-]*")


class Chat(AnyWidget):
    """The conversation called ``name``, which begins if there is none; ``model`` is asked from now on, else the one that answered last. Raises `UserError`."""

    _esm = code("chat")
    _css = style("chat")

    def __init__(self, name: str = "chat", model: str | None = None, *, session: Session | None = None) -> None:
        self._session = session or sessions.session()
        self._talk = self._session.conversation(name)
        shell = get_ipython()
        self._cell = place_of(shell).get("cell") if shell else None
        self._model = self._session.catalog.find(model).ref if model else None
        self._system: str | None = None
        self._persona = ""
        self._turn = threading.RLock()
        self._answer: Answer | None = None
        self._question, self._so_far, self._state, self._asked_of = "", "", "", ""
        self._last: str | None = None
        self._told: tuple[str, ...] = ()
        self._facts: dict[str, dict[str, Any]] = {}
        self._shown: still.Shown | None = None
        super().__init__()
        hear_while_a_cell_runs(self.comm)
        self.on_msg(self._hear)

    # In Python

    @property
    def name(self) -> str:
        """The conversation's."""
        return self._talk.name

    @property
    def model(self) -> str | None:
        """Who is asked next, as ``provider/model``; ``None`` where no model is set."""
        known = next((turn.model for turn in reversed(self._talk.tree.current) if turn.model), None)
        with suppress(OrchestratorError):
            return self._model or self._session.catalog.find(known or self._session.config.settings.model or "").ref
        return None

    def send_question(self, text: str) -> None:
        """What the field takes: a question, whose answer arrives while the kernel is free, or an order such as ``/model haiku``. Raises `UserError`."""
        with self._turn:
            match slash.read(text):
                case Order() as order:
                    self._obey(order)
                case question:
                    self._ask(question, self._talk.tree.head)

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

    def show(self) -> None:
        """Show it, and below it the static form that stays in the notebook."""
        self._shown = still.show(self._repr_mimebundle_(), self.still())

    def still(self) -> still.Still:
        """What was said on this path, for good."""
        tree = self._talk.tree
        return still_of(self.name, path_of(tree, self._last))

    def _ipython_display_(self) -> None:
        self.show()

    def _repr_mimebundle_(self, **how: Any) -> Any:
        """For a front end without widgets, which shows the text; the static form follows it."""
        data, metadata = super()._repr_mimebundle_(**how) or ({}, {})
        hint = f"The chat needs a front end with widgets; %%llm -c {_quoted(self.name)} asks in a cell."
        return {**data, "text/plain": hint}, metadata

    # The browser's side

    def _hear(self, _widget: object, message: Mapping[str, Any], _buffers: object) -> None:
        with self._turn:
            view = str(message.get("view", ""))
            try:
                self._act(message, view)
            except OrchestratorError as error:
                if "n" in message:
                    self._tell({"kind": "refused", "n": message["n"], "view": view})
                self._say(str(error), problem=True)

    def _act(self, message: Mapping[str, Any], view: str = "") -> None:
        """``view`` is which of several panes of this chat asks: what is for one alone says so."""
        match message:
            case {"kind": "ready"}:
                self._tell_all()
            case {"kind": "send", "text": str(text), "n": int(number)}:
                self.send_question(text)
                self._tell({"kind": "taken", "n": number, "view": view})
            case {"kind": "edit", "turn": str(name), "text": str(text), "n": int(number)}:
                self._ask_instead(self._talk.tree.find(name), text)
                self._tell({"kind": "taken", "n": number, "view": view})
            case {"kind": "again", "turn": str(name)}:
                self._ask_again(self._talk.tree.find(name))
            case {"kind": "go", "turn": str(name)}:
                self._go(name)
            case {"kind": "earlier", "before": int(number)}:
                self._tell_earlier(number, view)
            case {"kind": "stop"}:
                self.stop()
            case {"kind": "cells"}:
                self._tell({"kind": "insert", "cells": self._cells(), "after": self._cell, "view": view})

    def _go(self, name: str) -> None:
        self._require_rest()
        self._last = None
        self._talk.switch(leaf(self._talk.tree, self._talk.tree.find(name).id))
        self._changed()

    # Asking

    def _ask_instead(self, turn: Turn, text: str) -> None:
        """Another question in the place of this one: of whom the head names, if it was changed here, else of the same."""
        _require_text_alone(turn)
        system = self._system if self._system is not None else turn.system or ""
        self._ask(text, turn.parent, self._model or turn.model, system)

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
        self._require_no_key(question)
        before = self._talk.tree
        if parent != before.head:
            self._talk.branch(parent, f"chat-{secrets.token_hex(3)}")
        try:
            plan = self._next(question, model or self._model, system if system is not None else self._system, source)
        except OrchestratorError:
            if parent != before.head:
                self._talk.switch(before.branch)
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
        return self._talk.next("{{ question }}", model, system=system, over=over, source=source)

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
                turn = self._talk.tree.turns.get(self._last or "")
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

    def _require_no_key(self, text: str) -> None:
        if any(True for pattern in PATTERNS for _ in pattern.find(text)) or self._session.talks.holds_key(text):
            raise UserError("this holds what looks like a key; nothing was sent. %vault set NAME keeps a key.")

    # Orders

    def _obey(self, order: Order) -> None:
        try:
            self._say(getattr(self, f"_do_{order.name}")(order.rest))
        finally:
            self._tell_head()  # also when it was refused: the head shows what is so

    def _do_help(self, _rest: str) -> str:
        return HELP

    def _do_model(self, name: str) -> str:
        self._model = self._session.catalog.find(name).ref
        return f"{self._model} is asked from now on."

    def _do_provider(self, name: str) -> str:
        catalog = self._session.catalog
        if name not in catalog.vendors:
            raise UserError(f"there is no provider {name[:60]!r}{nearest(name, tuple(catalog.vendors))}")
        found = [spec for spec in catalog.models if spec.vendor.name == name and not spec.retired]
        first = next((spec for spec in found if name in spec.aliases), found[0] if found else None)
        if first is None:
            raise UserError(f"no model of {name} is known; /model {name}/NAME asks one.")
        return self._do_model(first.ref)

    def _do_persona(self, name: str) -> str:
        self._system = self._session.chains.roles.system(None, name) if name else ""
        self._persona = name
        return f"{name} answers from now on." if name else "Nobody in particular answers from now on."

    def _do_system(self, text: str) -> str:
        self._require_no_key(text)
        self._system, self._persona = text, ""
        return "That is the system prompt from now on." if text else "There is no system prompt from now on."

    def _do_save(self, name: str) -> str:
        path = self._talk.tree.current
        if not path:
            raise UserError("nothing was said on this path yet.")
        turns = {turn.id: turn for turn in path}
        self._session.conversation(name).take(Tree(turns, {path[-1].branch: path[-1].id}, path[-1].branch))
        return f"Kept as {name!r} too; /load {name} goes there."

    def _do_load(self, name: str) -> str:
        self._require_rest()
        self._talk = self._session.talks.existing(name)
        self._model = self._system = self._last = None
        self._persona, self._told = "", ()
        self._changed()
        return f"This is {name!r} now."

    def _do_clear(self, _rest: str) -> str:
        self._require_rest()
        if self._talk.tree.current:
            self._talk.branch(None, f"chat-{secrets.token_hex(3)}")
        self._last, self._system, self._persona = None, None, ""
        self._changed()
        return "This begins anew; what was said stays in the conversation."

    def _do_export(self, path: str) -> str:
        if "." not in path:
            raise UserError("/export FILE.md writes this path, /export FILE.json all branches.")
        self._talk.export(path)
        return f"Written to {self._session.talks.place(path)}."

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
        if self._shown:
            self._shown.update(self.still())

    def _tell_head(self) -> None:
        about = {"name": self.name, "model": self.model or "", "persona": self._persona}
        self._tell(
            {"kind": "head", **about, "system": plain(self._system or ""), "conversations": self._session.talks.names()}
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
        tree = self._talk.tree
        path = self._path(tree)
        ids = tuple(turn.id for turn in path)
        same = sum(1 for _ in _alike(ids, self._told))
        begin = same or max(0, len(path) - PAGE)
        self._told = ids
        turns = [told(tree, turn, begin + place, self._facts) for place, turn in enumerate(path[begin:])]
        ends = [] if self._answer else ahead(tree, path)
        self._tell(
            {"kind": "path", "from": begin, "anew": same == 0, "total": len(path), "turns": turns, "ahead": ends}
        )

    def _path(self, tree: Tree) -> tuple[Turn, ...]:
        """Without the question that is being answered, which the browser shows by itself."""
        return path_of(tree, None if self._answer else self._last)

    def _tell_earlier(self, before: int, view: str) -> None:
        tree = self._talk.tree
        path = self._path(tree)
        begin = max(0, min(before, len(path)) - PAGE)
        turns = [told(tree, turn, begin + place, self._facts) for place, turn in enumerate(path[begin:before])]
        self._tell({"kind": "earlier", "from": begin, "turns": turns, "view": view})

    def _tell_asking(self) -> None:
        self._tell({"kind": "asking", "question": plain(self._question), "model": self._asked_of})

    def _cells(self) -> list[str]:
        """The questions of this path as cells of a conversation of their own. Raises `UserError` when there are none."""
        path = self._talk.tree.current
        if not path:
            raise UserError("nothing was said on this path yet.")
        found, system = [], None
        for turn in path:
            words = ["%%llm", _quoted(turn.model or ""), "-c", _quoted(f"{self.name}-cells")]
            if turn.system and turn.system != system and "\n" not in turn.system:
                words += ["-s", _quoted(_literal(turn.system))]
            system = turn.system
            found.append(f"{' '.join(filter(None, words))}\n{_literal(turn.prompt)}")
        return found

    def _say(self, text: str, *, problem: bool = False) -> None:
        self._tell({"kind": "said", "text": plain(text), "problem": problem})

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self.comm is not None:
            self.send(message)


def _required(text: str) -> str:
    if not text.strip():
        raise UserError("write a question first.")
    return text


def _require_text_alone(turn: Turn) -> None:
    if any(not isinstance(part, Text) for message in turn.question for part in message.parts):
        raise UserError("this question has more than text; ask it again in a cell, where its files are named.")


def _alike(ones: tuple[str, ...], others: tuple[str, ...]) -> Any:
    for one, other in zip(ones, others, strict=False):
        if one != other:
            return
        yield one


def _literal(text: str) -> str:
    """As a template that means the text itself."""
    return _BRACES.sub(lambda found: f'{{{{ "{found[0]}" }}}}', text)


def _quoted(word: str) -> str:
    """As one word of a cell's first line."""
    if not word or _WORD.fullmatch(word):
        return word
    return "'" + word.replace("'", "\u2019") + "'"
