"""A plan at work, and the only part of chains that waits: steps begin as soon as all that they need has ended, items and branches at the same time.

It asks through ``asked`` and knows no vendor, no store and no screen. One failure follows its ``on_error``; what runs beside it is finished first, and what
is finished stays. An interrupt cancels what is under way, no more.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from orchestrator_nb.canonical import plain
from orchestrator_nb.chains.adaptive import Brief, Proposal, not_sound, request, seen
from orchestrator_nb.chains.chain import ELSE, Ask, Block, OnError, Parallel, Propose, Python, Retry, Switch, Use
from orchestrator_nb.chains.expressions import Expression, Template, filled
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.inputs import bind
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.roles import Roles
from orchestrator_nb.chains.room import Room
from orchestrator_nb.chains.verdict import chosen, question
from orchestrator_nb.chains.walk import (
    Began,
    Ended,
    Frame,
    Mapped,
    News,
    Proposed,
    Question,
    StepFailed,
    Tally,
    Unmet,
    Where,
)
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.kernel.budget import Budget
from orchestrator_nb.types import Clock

Asked = Callable[[Question], Awaitable[Any]]
"""Asks one question: the answer's text, or its parsed value where the step has a schema. Raises `OrchestratorError` when there is none."""
Approve = Callable[[Proposal], Awaitable[bool] | bool]
"""Shows steps that a model proposes and says whether they may run; one that is not awaited is called on a thread. Raises `OrchestratorError` where nobody can be asked."""


async def nobody(proposal: Proposal) -> bool:
    """Approves nothing, for there is nobody to ask."""
    raise StepFailed(
        f"{proposal.where.step}: a model proposes steps, and nobody is here to approve them; run the chain where they can be shown, "
        "or say 'trusted: true' under 'plan' to run them unseen."
    )


_ONCE: Final = Retry(times=0)
_FAIL: Final = OnError()


class Engine:
    """Runs plans. ``functions`` are those that ``python`` may call, ``tell`` hears of each step's beginning and end, on the loop's thread, ``approve`` lets proposed steps run."""

    def __init__(
        self,
        asked: Asked,
        clock: Clock,
        *,
        roles: Roles | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        tell: Callable[[News], object] = lambda _news: None,
        approve: Approve = nobody,
    ) -> None:
        self._asked, self._clock, self._tell, self._approve = asked, clock, tell, approve
        self._roles, self._functions = roles or Roles(), functions or {}

    async def run(self, plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name. Raises `ChainError` for inputs that do not fit, and the failure of the step that ended the chain."""
        return await self._chain(plan, given, Frame({}, None))

    async def _chain(self, plan: Plan, given: Mapping[str, Any], around: Frame) -> dict[str, Any]:
        names = bind(plan.chain, given)
        frame = Frame(names, names.get("input"), around.where, around.budgets, tallies=around.tallies)
        values = await _Chain(self, plan).room(plan.graph, frame)
        seen = {**names, **frame.saved, **values}
        return {name: filled(value, seen) for name, value in plan.outputs.items()}


class _Chain:
    """One chain under way."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine, self._plan = engine, plan

    # Rooms

    async def room(self, graph: Graph, frame: Frame) -> dict[str, Any]:
        """The values of a room's steps by id, when all have ended."""
        room = Room(graph, frame.given)
        running: dict[asyncio.Task[Any], Node] = {}
        ended: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
        try:
            while self._begin(room, frame, running, ended):
                task = await ended.get()
                self._end(room, frame, running.pop(task), task)
        finally:
            await _cancelled(running)
        if room.failure:
            raise room.failure
        return room.values

    def _begin(
        self,
        room: Room,
        frame: Frame,
        running: dict[asyncio.Task[Any], Node],
        ended: asyncio.Queue[asyncio.Task[Any]],
    ) -> bool:
        """Begin all that can, and hear in ``ended`` of their ends; whether anything runs. What is skipped ends at once, so that what waits for it is looked at again."""
        while ready := room.ready():
            for node in ready:
                where = frame.where.at(node)
                try:
                    skips = room.skips(node, frame)
                except OrchestratorError as error:
                    self._failed(room, node, where, error)
                    continue
                if skips:
                    room.skip(node)
                    self._say(where, "skipped", needs=self._needs(node, frame))
                    continue
                seen, before = room.seen(node, frame), room.before(node)
                self._engine._tell(Began(where, self._engine._clock.monotonic()))
                task = asyncio.create_task(self._step(node, replace(frame, where=where), seen, before))
                task.add_done_callback(ended.put_nowait)
                running[task] = node
        return bool(running)

    def _end(self, room: Room, frame: Frame, node: Node, task: asyncio.Task[Any]) -> None:
        where = frame.where.at(node)
        try:
            value = task.result()
        except OrchestratorError as error:
            self._failed(room, node, where, error)
            return
        room.end(node, value)
        if node.step.save:
            frame.saved[node.step.save] = value
        self._say(where, "done", value, needs=self._needs(node, frame))

    def _failed(self, room: Room, node: Node, where: Where, error: OrchestratorError) -> None:
        room.fail(node, node.step.on_error or _FAIL, error)
        self._say(where, "failed", why=str(error))

    def _needs(self, node: Node, frame: Frame) -> frozenset[str]:
        above = node.path.removesuffix(node.id)
        return frozenset(f"{frame.where.chain}{above}{name}" for name in node.needs)

    def _say(
        self, where: Where, outcome: Any, value: Any = None, *, why: str = "", needs: frozenset[str] = frozenset()
    ) -> None:
        self._engine._tell(Ended(where, self._engine._clock.monotonic(), outcome, value, why, needs))

    # Steps

    async def _step(self, node: Node, frame: Frame, names: Mapping[str, Any], before: Any) -> Any:
        if (usd := node.step.budget_usd) is not None:
            frame = replace(frame, budgets=(*frame.budgets, Budget(usd, f"budget of {frame.where.step}")))
        try:
            async with asyncio.timeout(node.step.timeout_s):
                return await self._items(node, frame, names, before)
        except TimeoutError:
            why = f"{frame.where.step} took longer than its timeout of {node.step.timeout_s:g} s."
        raise StepFailed(why)

    async def _items(self, node: Node, frame: Frame, names: Mapping[str, Any], before: Any) -> Any:
        each = node.step.each
        if each is None:
            return await self._tried(node, frame, names, before)
        items = Expression.of(each.over).value(names) if isinstance(each.over, str) else each.over
        if not isinstance(items, list):
            raise StepFailed(f"{frame.where.step}: each needs a list, and {each.over} gives {type(items).__name__}.")
        for tally in frame.tallies:
            tally.items(len(items))
        places, done = asyncio.Semaphore(each.parallel or max(len(items), 1)), itertools.count(1)

        def say(done: int = 0) -> None:
            self._engine._tell(Mapped(frame.where, self._engine._clock.monotonic(), len(items), done))

        async def one(index: int, item: Any) -> Any:
            async with places:
                where = replace(frame.where, items=(*frame.where.items, index))
                inner = {**names, each.name: item, "index": index}
                try:
                    return await self._forgiven(node, replace(frame, where=where), inner, item)
                finally:
                    say(next(done))

        say()

        return await _all([one(index, item) for index, item in enumerate(items)])

    async def _forgiven(self, node: Node, frame: Frame, names: Mapping[str, Any], before: Any) -> Any:
        """One of many items: where the step may leave something in its place, the item may, and the others are not lost with it."""
        otherwise = node.step.on_error or _FAIL
        try:
            return await self._tried(node, frame, names, before)
        except OrchestratorError:
            if otherwise.act not in {"skip", "default"}:
                raise
        return otherwise.value if otherwise.act == "default" else None

    async def _tried(self, node: Node, frame: Frame, names: Mapping[str, Any], before: Any) -> Any:
        retry = node.step.retry or _ONCE
        for _ in range(retry.times):
            with suppress(OrchestratorError):
                return await self._turns(node, frame, names, before)
            if any(tally.over for tally in frame.tallies):
                break
            await self._engine._clock.sleep(retry.wait_s)
        return await self._turns(node, frame, names, before)

    async def _turns(self, node: Node, frame: Frame, names: Mapping[str, Any], before: Any) -> Any:
        step, repeat = node.step, node.step.repeat
        value = before if step.input is None else filled(step.input, {**names, "input": before})
        if repeat is None:
            return await self._once(node, frame, {**names, "input": value}, value)
        until = Expression.of(repeat.until) if repeat.until else None
        for turn in range(1, repeat.max + 1):
            where = replace(frame.where, turns=(*frame.where.turns, turn))
            seen = {**names, "input": value, "previous": value, "turn": turn}
            previous, value = value, await self._once(node, replace(frame, where=where), seen, value)
            if until and until.condition({**seen, "previous": previous, "current": value}):
                break
        else:
            if until:
                self._engine._tell(Unmet(frame.where, self._engine._clock.monotonic(), repeat.max))
        return value

    async def _once(self, node: Node, frame: Frame, names: Mapping[str, Any], given: Any) -> Any:  # noqa: PLR0911  # one of each kind
        for tally in frame.tallies:
            tally.deed()
        match node.step.do:
            case Ask() as ask:
                return await self._ask(ask, frame, names, given)
            case Block(steps):
                return (await self._inside(node, "", frame, names, given))[steps[-1].id]
            case Parallel():
                return await self._branches(node, frame, names, given)
            case Switch() as switch:
                return await self._switch(node, switch, frame, names, given)
            case Use(chain, values):
                inner = replace(frame, where=frame.where.inside())
                made = self._plan.used[chain]
                outputs = await self._engine._chain(made, filled(dict(values), names), inner)
                return outputs if made.chain.outputs else outputs[made.chain.steps[-1].id]
            case Python(function, values):
                return await self._call(function, filled(dict(values), names), frame)
            case Propose() as propose:
                return await self._propose(node, propose, frame, names, given)

    async def _inside(
        self, node: Node, name: str, frame: Frame, names: Mapping[str, Any], given: Any
    ) -> dict[str, Any]:
        where = replace(frame.where, branch=name or frame.where.branch)
        return await self.room(node.inside[name], replace(frame, names=names, given=given, where=where))

    async def _branches(self, node: Node, frame: Frame, names: Mapping[str, Any], given: Any) -> dict[str, Any]:
        values = await _all([self._inside(node, name, frame, names, given) for name in node.inside])
        return {name: found[name] for name, found in zip(node.inside, values, strict=True)}

    async def _switch(self, node: Node, switch: Switch, frame: Frame, names: Mapping[str, Any], given: Any) -> Any:
        ids = [case.id for case in switch.cases]
        if switch.ask is not None:
            words = question(Template.of(switch.ask.prompt or "").text(names), ids)
            said = await self._put(switch.ask, frame, words, None)
        else:
            said = Expression.of(switch.on or "").value(names)
        name = chosen(said, ids, asked=switch.ask is not None) or (ELSE if ELSE in node.inside else None)
        return (await self._inside(node, name, frame, names, given))[name] if name else None

    async def _call(self, name: str, given: Mapping[str, Any], frame: Frame) -> Any:
        function = self._engine._functions[name]
        try:
            found = function(**given) if inspect.iscoroutinefunction(function) else asyncio.to_thread(function, **given)
            return plain(await found)
        except Exception as error:  # noqa: BLE001  # it is the user's own code
            why = f"{frame.where.step}: the function {name} failed: {type(error).__name__}: {error}"
        raise StepFailed(why)

    # Steps that a model proposes

    async def _propose(self, node: Node, propose: Propose, frame: Frame, names: Mapping[str, Any], given: Any) -> Any:
        visible = seen(node, names, given)
        brief = Brief(frame.where, node.path, propose, visible, node.step.budget_usd, self._plan.world)
        proposal, made = await self._sound(brief, frame, Template.of(propose.ask.prompt or "").text(names))
        trusted = propose.trusted and self._plan.world.trusted
        if not trusted and not await _said(self._engine._approve, proposal):
            raise StepFailed(f"{frame.where.step}: the proposed steps were not approved.")
        return await self._proposed(made, propose, replace(frame, names=visible, given=given))

    async def _sound(self, brief: Brief, frame: Frame, task: str) -> tuple[Proposal, Plan]:
        """Steps with which nothing is wrong. What is refused goes back with the reasons, a few times."""
        proposal: Proposal | None = None
        for number in range(brief.propose.repair + 1):
            answer = await self._put(brief.propose.ask, frame, request(task, proposal), brief.system(), sample=number)
            proposal = brief.read(answer or "")
            self._engine._tell(Proposed(frame.where, proposal.text, proposal.problems))
            if proposal.plan:
                return proposal, proposal.plan
        assert proposal  # noqa: S101  # there is one try at least
        raise not_sound(proposal, brief.propose.repair + 1)

    async def _proposed(self, made: Plan, propose: Propose, frame: Frame) -> Any:
        """The value of the last proposed step. With one call too many the whole step has failed, whatever its parts make of it, so that it does not matter which call that was."""
        where, most = frame.where, propose.max_calls
        tally = Tally(where.step, most, most * propose.max_steps)
        cap = propose.max_cost_usd
        budgets = frame.budgets if cap is None else (*frame.budgets, Budget(cap, f"max_cost of {where.step}"))
        inside = replace(frame, budgets=budgets, saved={}, tallies=(*frame.tallies, tally))
        try:
            values = await _Chain(self._engine, made).room(made.graph, inside)
        except OrchestratorError:
            if not tally.over:
                raise
        if tally.over:
            raise tally.failure
        return values[made.chain.steps[-1].id]

    # Asking

    async def _ask(self, ask: Ask, frame: Frame, names: Mapping[str, Any], given: Any) -> Any:
        prompt = Template.of(ask.prompt).text(names) if ask.prompt is not None else _text(given)
        system = (
            Template.of(ask.system).text(names) if ask.system else self._engine._roles.system(ask.role, ask.persona)
        )
        answers = [
            self._put(ask, frame, prompt, system or None, model, sample)
            for model in ask.model or (None,)
            for sample in range(ask.samples or 1)
        ]
        found = await _all(answers)
        return found if len(ask.model) > 1 or ask.samples else found[0]

    async def _put(
        self, ask: Ask, frame: Frame, prompt: str, system: str | None, model: str | None = None, sample: int = 0
    ) -> Any:
        """One answer, by a fallback where the model has none."""
        first = model or (ask.model[0] if ask.model else None)
        made = Question(frame.where, ask, first, prompt, system, sample, frame.budgets)
        for other in ask.fallback:
            with suppress(OrchestratorError):
                return await self._answer(made, frame)
            made = replace(made, model=other)
        return await self._answer(made, frame)

    async def _answer(self, made: Question, frame: Frame) -> Any:
        for tally in frame.tallies:
            tally.call()
        return await self._engine._asked(made)


async def _said(approve: Approve, proposal: Proposal) -> bool:
    said = approve(proposal) if inspect.iscoroutinefunction(approve) else await asyncio.to_thread(approve, proposal)
    return (await said if inspect.isawaitable(said) else said) is True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else Template.of("{{ input }}").text({"input": value})


async def _all(acts: Sequence[Awaitable[Any]]) -> list[Any]:
    """The results in their order, when all have ended; the first failure then, for what runs beside it is finished."""
    if len(acts) == 1:
        return [await acts[0]]  # most steps ask one question, and a task of its own costs as much as all else
    tasks = [asyncio.ensure_future(act) for act in acts]
    try:
        found = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await _cancelled(tasks)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return found


async def _cancelled(tasks: Any) -> None:
    """What is still under way ends before its room does."""
    left = [task for task in tasks if not (task.done() and (task.cancelled() or not task.exception()))]
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
