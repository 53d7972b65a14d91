"""A chain's run: what will be asked of whom (`ChainPlan`), the engine's questions as calls of one run, and what of an earlier run still holds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any, Final, Self

from orchestrator_nb.calls import Params, Request
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.chained import Steps, in_order
from orchestrator_nb.chains.chain import Ask, Chain, Propose, Switch
from orchestrator_nb.chains.engine import Approve, Engine, nobody
from orchestrator_nb.chains.inputs import bind
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.planning import Plan, plan
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.roles import Roles
from orchestrator_nb.chains.walk import News, Question, StepFailed, Where
from orchestrator_nb.chains.world import World
from orchestrator_nb.chains.write import to_plain
from orchestrator_nb.errors import ChainError, OrchestratorError, UserError
from orchestrator_nb.kernel.desk import Answered, Desk
from orchestrator_nb.kernel.desk import News as Heard
from orchestrator_nb.kernel.settle import Why, time_is_over
from orchestrator_nb.kernel.stopping import stopped_by
from orchestrator_nb.messages import Message
from orchestrator_nb.prompts.grid import rows_of
from orchestrator_nb.prompts.options import params_of
from orchestrator_nb.retold import OF_CHAIN, call_of
from orchestrator_nb.running import Asked, Running
from orchestrator_nb.runs import Call, Chained, Item
from orchestrator_nb.source import AnswersFrom
from orchestrator_nb.store.ledger import shown
from orchestrator_nb.store.told import NOT_ASKED, CallTold, RunTold
from orchestrator_nb.structured import json_schema_of
from orchestrator_nb.types import Handler

Functions = Mapping[str, Callable[..., Any]]
Tell = Callable[[int, News], object]
"""Hears of the steps of each row."""

_STOPPED: Final = Why("stopped before its end.")


@dataclass(frozen=True)
class Earlier:
    """What is written down of a run that goes on: its ``places``, in their order, and how long each call waited."""

    run_id: str
    places: tuple[CallTold, ...]
    waited: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, told: RunTold, places: tuple[CallTold, ...]) -> Self:
        """By what the store tells."""
        calls = told.told.get("chain", {}).get("calls", ())
        return cls(told.id, places, {call["call_id"]: call["waited_s"] for call in calls})

    @property
    def spared(self) -> frozenset[int]:
        """Failures, which stay until there is something better."""
        return frozenset(place.number for place in self.places if place.error and place.is_done)

    def place(self, index: int) -> int:
        """Calls are numbered by their place from the start."""
        return index

    @property
    def seen(self) -> tuple[Mapping[str, Any] | None, ...]:
        """All outcomes."""
        return tuple(place.outcome for place in self.places)


@dataclass(frozen=True)
class ChainPlan:
    """A chain that is ready to be asked. ``rows`` are what it is given: once, or with ``over`` for each row of a frame, with all its columns.

    ``model_of`` finds the model that a step names; ``None`` is the one for steps that name none. ``params`` are the session's, ``earlier`` is the run that goes on.
    ``trusted``: its text may call Python functions. ``trust_plans``: what a model proposes as further steps runs unasked.
    """

    made: Plan
    rows: tuple[Mapping[str, Any], ...]
    over: bool
    model_of: Callable[[str | None], ModelSpec]
    models: tuple[ModelSpec, ...]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    roles: Roles = Roles()  # noqa: RUF009  # frozen
    functions: Functions = field(default_factory=dict)
    source: AnswersFrom | None = None
    max_cost: Decimal | None = None
    earlier: Earlier | None = None
    trusted: bool = True
    trust_plans: bool = False

    @property
    def resumed(self) -> str | None:
        """The run that goes on."""
        return self.earlier.run_id if self.earlier else None

    def given(self, row: int) -> dict[str, Any]:
        """The inputs of one row: what of it the chain declares."""
        declared = {item.name for item in self.made.chain.inputs}
        return {name: value for name, value in self.rows[row].items() if name in declared}

    def about_run(self, *, keep_prompts: bool) -> dict[str, Any]:
        """What stands with the run, as JSON, so that it can be taken up again; where prompts are not kept, only the name does."""
        chained = self.chained()
        if not keep_prompts:
            return {"chain": {"name": self.made.chain.name}}
        told = {name: getattr(chained, name) for name in OF_CHAIN}
        return {"chain": {**told, "trusted": self.trusted, "model": self.model}}

    def chained(self) -> Chained:
        """What is known before anything is asked."""
        used = {name: to_plain(plan.chain) for name, plan in _used(self.made).items()}
        nothing = (None,) * len(self.rows)
        return Chained(to_plain(self.made.chain), used, self.over, self.rows, nothing, nothing)


def rows_for(chain: Chain, given: Mapping[str, Any], over: Any) -> tuple[Mapping[str, Any], ...]:
    """What a chain is given, once or for each row of ``over``, as JSON. Raises `ChainError` for inputs that do not fit, and `UserError` for a frame of no use."""
    given = {name: shown(value) for name, value in given.items()}
    if over is None:
        bind(chain, given)
        return (given,)
    rows = tuple({**{name: shown(value) for name, value in row.items()}, **given} for row in rows_of(over))
    declared = {item.name for item in chain.inputs}
    _refuse_useless(rows, declared, given)
    for number, row in enumerate(rows):
        _bind_row(chain, {name: value for name, value in row.items() if name in declared | given.keys()}, number)
    return rows


def _refuse_useless(rows: Sequence[Mapping[str, Any]], declared: Set[str], given: Mapping[str, Any]) -> None:
    if not rows:
        raise UserError("the frame has no rows, so there is nothing to run the chain on.")
    if not declared & (rows[0].keys() - given.keys()):
        wants = f"it takes {', '.join(map(repr, sorted(declared)))}" if declared else "it takes no inputs"
        raise UserError(
            f"no column of the frame is an input of the chain: {wants}, the frame has {', '.join(map(repr, rows[0])) or 'no columns'}."
        )


def _bind_row(chain: Chain, given: Mapping[str, Any], number: int) -> None:
    try:
        bind(chain, given)
    except ChainError as error:
        hint = " Fill or drop such rows, or give the input 'default: null'." if None in given.values() else ""
        problems = [
            replace(problem, message=f"row {number}: {problem.message}{hint}")
            for problem in error.problems
            if isinstance(problem, Problem)
        ]
    else:
        return
    raise ChainError(problems)


def chain_again(about: Mapping[str, Any], world: World) -> Plan:
    """The plan of a chain as it was written down with its run. Raises `ChainError` when it is no chain any more."""
    chains = {name: read_value(value, name).sound for name, value in about["used"].items()}
    chain = read_value(about["definition"], about["definition"].get("name", "chain")).sound
    return plan(chain, replace(world, chains=chains, trusted=bool(about.get("trusted"))))


def models_named(made: Plan) -> Iterator[str | None]:
    """Every model that a plan's steps name, also as a fallback, and in the chains that it uses; ``None`` where one names none."""
    for one in (made, *_used(made).values()):
        for node in one.nodes:
            for ask in _asks(node.step.do):
                yield from ask.model or (None,)
                yield from ask.fallback
            if isinstance(node.step.do, Propose):
                yield from node.step.do.allow


def _asks(deed: Any) -> Iterator[Ask]:
    if isinstance(deed, Ask):
        yield deed
    elif isinstance(deed, Switch | Propose) and deed.ask:
        yield deed.ask


def _used(made: Plan) -> dict[str, Plan]:
    found = dict(made.used)
    for inner in made.used.values():
        found |= _used(inner)
    return found


@dataclass(frozen=True, kw_only=True)
class ChainRunning(Running):
    """A chain under way; its rows at the same time, as many as calls may be."""

    plan: ChainPlan
    progress: Heard
    tell: Tell
    approve: Approve = nobody

    def _begin(self) -> Sequence[Item]:
        return self.book.begin((), self.about, self.plan.models) if self.book else ()

    async def _asked(self, handler: Handler, _items: Sequence[Item]) -> Asked:
        desk = Desk(handler, self.clock, self.id, parallel=self.parallel, progress=self.progress, keeper=self.book)
        asking = Asking(self.plan, desk, self.id)
        steps = Steps(self.clock.monotonic())
        rows = asyncio.create_task(self._rows(asking, steps))
        with stopped_by(self.stop, self.clock, self.timeout_s, partial(_end, rows)):
            outcomes = await _settled(rows)
        await desk.close()
        return self._told(asking, steps, outcomes)

    async def _rows(self, asking: Asking, steps: Steps) -> Outcomes:
        places = asyncio.Semaphore(self.parallel)
        found: Outcomes = [(None, _STOPPED)] * len(self.plan.rows)

        async def one(row: int) -> None:
            async with places:
                found[row] = await self._row(row, asking, steps)

        tasks = [asyncio.create_task(one(row)) for row in range(len(found))]
        try:
            await _ended(tasks)
        except asyncio.CancelledError as stop:
            why = next((why for why in stop.args if isinstance(why, Why)), _STOPPED)
            await _cancelled(tasks)
            found = [
                outcome if task.done() and not task.cancelled() else (None, str(why))
                for task, outcome in zip(tasks, found, strict=True)
            ]
        return found

    async def _row(self, row: int, asking: Asking, steps: Steps) -> tuple[Mapping[str, Any] | None, str | None]:
        def tell(news: News) -> None:
            steps.hear(row, news)
            self.tell(row, news)

        of = self.plan
        approve = _everything if of.trust_plans and of.trusted else self.approve
        engine = Engine(
            partial(asking.ask, row), self.clock, roles=of.roles, functions=of.functions, tell=tell, approve=approve
        )
        try:
            return await engine.run(of.made, of.given(row)), None
        except OrchestratorError as error:
            return None, str(error)

    def _told(self, asking: Asking, steps: Steps, outcomes: Outcomes) -> Asked:
        told = steps.told(self.plan.made)
        done = in_order(asking.done, [step["step"] for step in told])
        chained = replace(
            self.plan.chained(),
            outputs=tuple(shown(outputs) for outputs, _ in outcomes),
            errors=tuple(error for _, error in outcomes),
            steps=tuple(told),
            calls=tuple({"call_id": answered.call.id, "waited_s": answered.waited_s} for answered in done),
        )
        notices = (*asking.notices, *steps.notices)
        return Asked(tuple(answered.call for answered in done), (), notices, chained)


Outcomes = list[tuple[Mapping[str, Any] | None, str | None]]


class Asking:
    """Makes calls of the engine's questions. What an earlier part of this run has answered is not asked again; what failed is."""

    def __init__(self, plan: ChainPlan, desk: Desk, run_id: str) -> None:
        self._plan, self._desk = plan, desk
        earlier = plan.earlier or Earlier(run_id, ())
        self._numbers = count(max((place.number for place in earlier.places), default=-1) + 1)
        self._calls = {
            place.number: Answered(call_of(run_id, place), earlier.waited.get(f"{run_id}-{place.number}", 0.0))
            for place in earlier.places
        }
        self._answered: dict[Any, int] = {}
        self._open: dict[Any, list[int]] = defaultdict(list)
        for number, answered in self._calls.items():
            if answered.call.error is None:
                self._answered[_identity(answered.call.item)] = number
            else:
                self._open[_identity(answered.call.item)].append(number)
        self._kept = len(self._answered)
        self._used: set[int] = set()
        self._turns: dict[Any, list[tuple[int, ...]]] = {}
        self._params: dict[int, tuple[Ask, Params]] = {}

    @property
    def done(self) -> list[Answered]:
        """All calls of the run, in the order of their places."""
        return [self._calls[number] for number in sorted(self._calls)]

    @property
    def notices(self) -> tuple[str, ...]:
        """What became of the earlier part."""
        if not self._plan.earlier:
            return ()
        anew = self._kept - len(self._used)
        lost = f", {anew:,} not used: what they answered is asked in another way now" if anew else ""
        return (f"resumed: {len(self._used):,} answers kept from before{lost}.",)

    async def ask(self, row: int, question: Question) -> Any:
        """The answer's text, or its parsed value where the step has a schema. Raises `StepFailed` when there is none."""
        item = self._item(row, question)
        identity = _identity(item)
        if (number := self._answered.get(identity)) is not None:
            self._used.add(number)
            return _value(self._calls[number].call, question)
        call = await self._asked(item, identity, question)
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError
        return _value(call, question)

    async def _asked(self, item: Item, identity: Any, question: Question) -> Call:
        known = bool(self._open[identity])
        number = self._open[identity].pop(0) if known else next(self._numbers)
        try:
            answered = await self._desk.ask(number, item, known=known, caps=question.budgets)
        except asyncio.CancelledError:  # before it was asked: its place is free for the next time
            if known:
                self._open[identity].insert(0, number)
            raise
        if answered.call.error is None or self._says_nothing(number):
            self._calls[number] = answered
        return answered.call

    def _says_nothing(self, number: int) -> bool:
        """Whether no failure stands at a place that is worth keeping: what was stopped gives way to what became of it, as in the store."""
        known = self._calls.get(number)
        return known is None or (known.call.error is not None and known.call.error.kind in NOT_ASKED)

    def _item(self, row: int, question: Question) -> Item:
        sample = question.sample + self._turn(row, question) * (question.ask.samples or 1)
        request = Request(
            self._plan.model_of(question.model),
            (Message.user(question.prompt),),
            question.system,
            self._params_of(question.ask),
            sample,
        )
        return Item(request, row, question.sample, {}, place_of(question.where, self._plan.made.chain.name))

    def _turn(self, row: int, question: Question) -> int:
        """How many turns have asked the same already. Each turn wants an answer of its own, not that of the turn before it from the cache."""
        where = question.where
        if not where.turns:
            return 0
        same = (row, replace(where, turns=()), question.model, question.prompt, question.system, question.sample)
        turns = self._turns.setdefault(same, [])
        if where.turns not in turns:
            turns.append(where.turns)
        return turns.index(where.turns)

    def _params_of(self, ask: Ask) -> Params:
        """Made once for each step, so that all its questions share them."""
        if id(ask) not in self._params:
            schema = None if ask.schema is None else json_schema_of(ask.schema)
            params = replace(params_of({**self._plan.params, **ask.options}), schema=schema)
            self._params[id(ask)] = ask, params
        return self._params[id(ask)][1]


def place_of(where: Where, chain: str) -> dict[str, str | int]:
    """`Item.at`."""
    at: dict[str, str | int] = {"chain": chain, "step": where.step}
    if where.items:
        at["item"] = where.items[-1]
    if where.turns:
        at["turn"] = where.turns[-1]
    if where.branch:
        at["branch"] = where.branch
    outer = [f"item {item}" for item in where.items[:-1]] + [f"turn {turn}" for turn in where.turns[:-1]]
    return {**at, "outer": " ".join(outer)} if outer else at


def _identity(item: Item) -> Any:
    return item.row, tuple(sorted(item.at.items())), item.request.key


def _value(call: Call, question: Question) -> Any:
    if call.error is not None:
        raise StepFailed(f"{_called(question.where)}: {call.error}") from None
    answer = call.answer
    if answer is None:
        return None
    return answer.text if question.ask.schema is None else answer.parsed


def _called(where: Where) -> str:
    """``notes.check (item 3, turn 2)``."""
    loops = [f"item {item}" for item in where.items] + [f"turn {turn}" for turn in where.turns]
    return f"{where.step} ({', '.join(loops)})" if loops else where.step


async def _everything(_proposal: object) -> bool:
    """Trusted unseen."""
    return True


def _end(rows: asyncio.Task[Any], timeout_s: float | None) -> None:
    rows.cancel(None if timeout_s is None else time_is_over(timeout_s))


async def _settled(rows: asyncio.Task[Outcomes]) -> Outcomes:
    """The outcomes, also when whoever waits is cancelled: then the rows are."""
    while not rows.done():
        try:
            await asyncio.wait({rows})
        except asyncio.CancelledError:
            rows.cancel()
    return rows.result()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """All have ended; a bug in one is raised at once."""
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
