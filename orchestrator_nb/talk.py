"""A conversation with models, from Python: each question follows what was said before, and the store remembers all of it.

talk = session().conversation("metals")
talk.ask("Name a metal.", "sonnet")
talk.ask("And its melting point?")
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from orchestrator_nb.calls import Event, Request, Response, Started, Tool
from orchestrator_nb.canonical import plain
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.chronicle import Mark, events_of, retold, rooted
from orchestrator_nb.conversations import Outcome, Tree, Turn, drawn
from orchestrator_nb.echoes import alternating, echoed, maker_of, unanswered
from orchestrator_nb.errors import StoreError, UnknownModel, UserError
from orchestrator_nb.job import Plan
from orchestrator_nb.kernel.fanout import Progress
from orchestrator_nb.messages import Message, Text, ToolResult
from orchestrator_nb.prompts.grid import Items
from orchestrator_nb.results.reply import Reply, reply_of
from orchestrator_nb.results.safe_text import plain as clean
from orchestrator_nb.runs import Call
from orchestrator_nb.store.conversations import Conversations, Since
from orchestrator_nb.streaming import apieces, pieces

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session
    from orchestrator_nb.talks import Talks

_GOOD: Final = {"stop", "length", "tool_calls", "pause"}
ONE: Final = "a conversation goes on with one answer."


@dataclass(frozen=True)
class Following(Items):
    """One question with what was said before it. ``told`` are sentences for the user."""

    told: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """Those of the question, and what had to be left out of what was said before."""
        return (*super().notices, *self.told)


def listening(talk: Conversation, turn: Turn, hear: Progress) -> Progress:
    """``hear``, after the tree was told."""

    def heard(index: int, news: Event | Call) -> None:
        if isinstance(news, Started) and news.number == 1:
            talk.add(turn)
        elif isinstance(news, Call):
            talk.add(ended(turn, news))
        hear(index, news)

    return heard


def ended(turn: Turn, call: Call) -> Turn:
    """The turn with what came of it. Of what is not whole only the text can go on, for a vendor takes no half of anything else."""
    answer, error = call.answer, call.error
    said = Message("assistant", answer.parts) if answer and answer.parts else None
    outcome, why = _outcome(answer, error)
    return replace(turn, answer=said, outcome=outcome, why=why, call=call.id)


def _outcome(answer: Response | None, error: Exception | None) -> tuple[Outcome, str | None]:
    whole = answer is not None and answer.complete
    if error is not None:
        return "failed" if answer is None or whole else "cut", str(error)
    if answer is None or not (answer.text.strip() or answer.tool_calls):
        return "failed", f"the answer is empty ({answer.finish if answer else 'none'})"
    if answer.finish not in _GOOD:
        return "failed", f"the answer ended with {answer.finish}"
    return "answered", None


class Conversation:
    """One named conversation of a session; get it with `Session.conversation`. Safe to use from several threads and in several kernels: what each of them says
    stands in the same tree, and each goes on with its own last answer.
    """

    def __init__(self, name: str, session: Session, talks: Talks) -> None:
        self.name, self._session, self._talks = name, session, talks
        self._lock = threading.RLock()
        self._tree = Tree()
        self._store: Conversations | None = None
        self._last = 0
        self._untold: tuple[str, ...] = ()
        self._watchers: list[WeakMethod[Callable[[], object]]] = []

    # What was said

    @property
    def tree(self) -> Tree:
        """All turns and branches, also those of other kernels, as they are now. ``print(talk)`` draws it."""
        self._catch_up()
        return self._tree

    @property
    def has_begun(self) -> bool:
        """Whether something was said, as far as this kernel knows; the store is not asked."""
        return bool(self._tree.turns)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said on the current path, first to last."""
        return tuple(message for turn in self.tree.current for message in turn.messages)

    def __str__(self) -> str:
        return clean(drawn(self.tree))

    def __repr__(self) -> str:
        tree = self.tree
        return f"<Conversation {self.name!r}: {len(tree.turns)} turns, on branch {tree.branch!r}>"

    def watch(self, look: Callable[[], object]) -> None:
        """``look``, a method, is called soon after something was said here or another branch was taken, as long as its object lives; on a thread of its own, so that
        it may take locks that somebody who speaks holds. What other kernels say is not told.
        """
        with self._lock:
            watcher = WeakMethod(look)
            self._watchers = [one for one in self._watchers if one() is not None and one != watcher] + [watcher]

    def _tell(self) -> None:
        watchers = self._watchers
        if watchers:
            threading.Thread(target=_call, args=(watchers,), name="orchestrator-nb watchers", daemon=True).start()

    # Speaking

    def ask(self, prompt: str, model: str | None = None, *, system: str | None = None, **options: Any) -> Reply:
        """Ask the next question. ``model`` and ``system`` stay as they were in the turn before if they are not given; ``options`` are parameters (``temperature=0``)
        and what `Session.plan` takes (``files``, ``schema``, ``source``, …), ``tools`` that the model may call, and ``results`` of those that the last answer called.

        Raises `ProviderError` or `UserError` when there is no answer; the tree then keeps what came, and the next question follows the turn before.
        """
        return reply_of(self._session.run(self.next(prompt, model, system=system, **options)))

    async def aask(self, prompt: str, model: str | None = None, *, system: str | None = None, **options: Any) -> Reply:
        """The awaitable twin of `ask`."""
        return reply_of(await self._session.arun(self.next(prompt, model, system=system, **options)))

    def stream(
        self, prompt: str, model: str | None = None, *, system: str | None = None, **options: Any
    ) -> Iterator[str]:
        """`ask`, piece by piece. Leaving the loop early stops the answer: what had arrived stands in the tree, beside the path."""
        yield from pieces(self._session, self.next(prompt, model, system=system, **options))

    async def astream(
        self, prompt: str, model: str | None = None, *, system: str | None = None, **options: Any
    ) -> AsyncIterator[str]:
        """The awaitable twin of `stream`."""
        async with aclosing(apieces(self._session, self.next(prompt, model, system=system, **options))) as arriving:
            async for piece in arriving:
                yield piece

    def next(
        self,
        prompt: str,
        model: str | None = None,
        *,
        system: str | None = None,
        tools: Sequence[Tool] = (),
        results: Sequence[ToolResult] = (),
        cell: str | None = None,
        execution: str | None = None,
        **how: Any,
    ) -> Plan:
        """The next question, checked and ready, without asking anything. ``cell`` and ``execution`` as in `conversations.Turn`. Raises `UserError`."""
        tree = self.tree
        parent = tree.stand(cell, execution)
        path = tree.path(parent)
        _require_results(path, results)
        known, gone = self._model(path)
        plan = self._plan(prompt or ("-" if results else ""), model or known, system, how)
        inherited = path[-1].system if path and system is None else None
        items = plan.items
        assert isinstance(items, Items)  # noqa: S101  # a plan made of a prompt
        first = _with_tools(items[0].request, tools)
        question = _question(first.messages, results, spoken=bool(prompt.strip()))
        system = first.system if inherited is None else inherited
        before, told = echoed(path, first.model, system)
        make = partial(_request, items.make, alternating((*before, *question)), system, tools)
        turn = Turn(
            secrets.token_hex(4),
            parent,
            question,
            model=first.model.ref,
            maker=maker_of(first.model),
            system=system,
            params=plain(first.params.given),
            branch=tree.branch_of(parent, cell),
            at=self._talks.clock.wall(),
            cell=cell,
            execution=execution,
        )
        return replace(
            plan,
            items=_following(items, make, (*told, *([] if model else gone), *self._news())),
            listening=partial(listening, self, turn),
            about={"conversation": self.name, "turn": turn.id},
        )

    def next_of(self, prompt: str, models: Sequence[str], **how: Any) -> Plan:
        """`next` for a command that may name several models. Raises `UserError` when it does."""
        if len(models) > 1 or any(sign in model for model in models for sign in "*?["):
            raise UserError(f"{ONE} Name one model; ask others in conversations or branches of their own.")
        return self.next(prompt, models[0] if models else None, **how)

    def _plan(self, prompt: str, model: str | None, system: str | None, how: Mapping[str, Any]) -> Plan:
        takes = signature(self._session.plan).parameters  # every other keyword is a model's parameter
        taken = {name: value for name, value in how.items() if name in takes}
        options = {
            **(taken.pop("options", None) or {}),
            **{name: value for name, value in how.items() if name not in takes},
        }
        plan = self._session.plan(prompt, [model] if model else [], system=system, options=options, **taken)
        if plan.size != 1:
            raise UserError(
                f"{ONE} This means {plan.size:,} calls: leave --over, --grid and --repeat out, or ask in branches of their own."
            )
        return plan

    def _model(self, path: Sequence[Turn]) -> tuple[str | None, Sequence[str]]:
        """The model of the turn before while it can be asked, and a sentence when it cannot."""
        last = next((turn.model for turn in reversed(path) if turn.model), None)
        try:
            return last and self._session.catalog.find(last).ref, ()
        except UnknownModel:
            return None, (f"the model of the turn before, {last}, is not known here, so the default model answers.",)

    # The tree

    def branch(self, at: str | None, new: str) -> None:
        """Begin the branch ``new`` after the turn ``at`` (its id or the beginning of one; ``None``: at the very beginning), and go there. Raises `UserError`."""
        self._catch_up()
        with self._lock:
            self._move(self._tree.branched(at, new))
        self._tell()
        self._settle()

    def switch(self, branch: str) -> None:
        """Go to a branch, or to a turn by its id: the next question follows it. Raises `UserError`."""
        self._catch_up()
        with self._lock:
            self._move(self._tree.switched(branch))
        self._tell()
        self._settle()

    def _move(self, tree: Tree) -> None:
        self._tree = tree
        self._write(Mark(tree.branch, tree.head))

    def add(self, turn: Turn) -> None:
        """A turn was asked, or has its outcome. An answer that the store gave again, word for word, is the turn that is there already."""
        with self._lock:
            turn = rooted(turn, self._tree)
            twin = self._tree.twin(turn) if turn.outcome == "answered" and turn.id not in self._tree.turns else None
            if twin is not None:
                self._move(self._tree.at(turn.branch, twin.id))
            else:
                self._tree = self._tree.with_turn(turn)
                self._write(turn)
        self._tell()

    # Files

    def export(self, to: str | Path = "markdown") -> str:
        """The conversation as text: ``markdown`` (the current path, for people) or ``json`` (the whole tree, which `Talks.import_file` reads). A path
        ending in .md or .json writes it there. Raises `UserError`.
        """
        return self._talks.export(self.name, self.tree, to)

    def take(self, tree: Tree) -> None:
        """Begin with an imported tree. Raises `UserError` for a conversation that has begun."""
        self._catch_up()
        with self._lock:
            if self._tree.turns:
                raise UserError(f"there is a conversation {self.name!r} already; choose another name.")
            self._tree = tree
            for event in events_of(tree):
                self._write(event)
        self._tell()
        self._settle()

    # The store

    def _catch_up(self) -> None:
        """What other kernels wrote since. A store that was opened anew gets what it may not have."""
        store = self._talks.kept()
        if store is None:
            self._store = None
            return
        since = store.read(
            self.name, 0 if self._is_new(store) else self._last
        )  # without the lock, which a run takes on the loop's thread
        with self._lock:
            self._take_in(since, store)

    def _is_new(self, store: Conversations) -> bool:
        return self._store is None or store.database is not self._store.database

    def _take_in(self, since: Since, store: Conversations) -> None:
        new = self._is_new(store)
        if since.damaged:
            self._untold = (
                f"{since.damaged:,} rows of the conversation {self.name!r} are damaged and were left out; onb store check tells more.",
            )
        seen = retold(since.events, None if new else Tree(self._tree.turns))
        begun, self._store = bool(self._tree.turns), store
        self._last = since.last if new else max(self._last, since.last)
        if new and begun:
            for turn in self._tree.turns.values():
                self._write(turn)
        self._tree = self._tree.merged(seen) if begun or not new else seen

    def _write(self, event: Turn | Mark) -> None:
        """A store that cannot be written to costs the conversation nothing but its memory; the run says so."""
        if self._store is None:
            return
        try:
            self._store.put(self.name, event)
        except StoreError as error:
            self._untold = (f"{error} Until then this conversation is kept in memory only.",)
        except (ValueError, RecursionError):
            self._untold = ("A turn holds what no JSON can hold, so it is kept in memory only.",)

    def _settle(self) -> None:
        """Wait for the disk. Raises `StoreError`."""
        if self._store is not None:
            self._store.database.flush()

    def _news(self) -> tuple[str, ...]:
        told, self._untold = self._untold, ()
        return (*told, *self._talks.why_not_kept(self.name))


def _call(watchers: Sequence[WeakMethod[Callable[[], object]]]) -> None:
    for watcher in watchers:
        if look := watcher():
            look()


def _require_results(path: Sequence[Turn], results: Sequence[ToolResult]) -> None:
    """Raises `UserError` where a call of a tool would stay without its result, which no vendor takes."""
    calls, given = {call.id: call.name for call in unanswered(path)}, {result.id for result in results}
    if missing := [name for call, name in calls.items() if call not in given]:
        raise UserError(
            f"the last answer waits for what {', '.join(missing)} returns: give results=[ToolResult(id, name, text)], or go on from the turn before it."
        )
    if strange := given - calls.keys():
        raise UserError(f"nobody called a tool with the id {min(strange)!r}; leave that result out.")


def _question(messages: Sequence[Message], results: Sequence[ToolResult], *, spoken: bool) -> tuple[Message, ...]:
    """Results first, as the vendors want them."""
    if not results:
        return tuple(messages)
    parts = tuple(part for message in messages for part in message.parts if spoken or not isinstance(part, Text))
    return (Message("user", (*results, *parts)),)


def _request(
    make: Callable[..., Request], messages: tuple[Message, ...], system: str | None, tools: Sequence[Tool],
    model: ModelSpec, _messages: object, _system: object, **how: Any,
) -> Request:  # fmt: skip
    return _with_tools(make(model, messages, system, **how), tools)


def _with_tools(request: Request, tools: Sequence[Tool]) -> Request:
    return replace(request, params=replace(request.params, tools=tuple(tools))) if tools else request


def _following(items: Items, make: Callable[..., Request], told: tuple[str, ...]) -> Following:
    return Following(items.template, items.models, items.table, items.axes, items.repeat, make, told=told)
