"""The session: the one place where things are put together, and the Python face of the toolkit.

    from orchestrator_nb import session

    session().simulate(True)
    frame = session().compare(["Why is the sky blue?"], ["sonnet", "flash"])

Every blocking call works in a cell, in a script, inside a running loop and inside a plugin; each has an awaitable twin with an ``a`` in front.
"""

from __future__ import annotations

import atexit
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from orchestrator_nb import config as configuration
from orchestrator_nb.budgets import Budgets
from orchestrator_nb.calls import Params
from orchestrator_nb.catalog import Catalog, ModelSpec
from orchestrator_nb.chain_plans import chain_plan
from orchestrator_nb.chaining import ChainPlan, ChainRunning, Earlier, Tell, chain_again, rows_for
from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.drafting import Draft, Drafting
from orchestrator_nb.chains.engine import Approve, nobody
from orchestrator_nb.chains.planning import Plan as MadeChain
from orchestrator_nb.chains.planning import plan as plan_of_chain
from orchestrator_nb.config import Config
from orchestrator_nb.config.paths import HOME, Paths
from orchestrator_nb.diagnosis import Check
from orchestrator_nb.errors import UserError
from orchestrator_nb.forecast import LOOK
from orchestrator_nb.history import By, History, Rest
from orchestrator_nb.job import Job, Plan
from orchestrator_nb.judging import Judging
from orchestrator_nb.kernel.amounts import usd_of
from orchestrator_nb.kernel.budget import Budget
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.desk import News as Heard
from orchestrator_nb.kernel.fanout import Progress
from orchestrator_nb.kernel.portal import Portal
from orchestrator_nb.kernel.stopping import Stop
from orchestrator_nb.keyless import Keyless
from orchestrator_nb.keyring import Keyring
from orchestrator_nb.library import Library
from orchestrator_nb.marks import Mark
from orchestrator_nb.prompts.grid import expand
from orchestrator_nb.prompts.options import params_of
from orchestrator_nb.results.estimate import Estimate
from orchestrator_nb.results.reply import Reply, reply_of
from orchestrator_nb.running import GridRunning, Running, versions
from orchestrator_nb.runs import Run, new_run_id
from orchestrator_nb.secret import Veiled
from orchestrator_nb.source import AnswersFrom
from orchestrator_nb.store.measured import Measured, measured
from orchestrator_nb.store.store import Store
from orchestrator_nb.store.told import RunTold, Spent
from orchestrator_nb.streaming import pieces
from orchestrator_nb.structured import json_schema_of
from orchestrator_nb.talk import Conversation
from orchestrator_nb.talks import Talks
from orchestrator_nb.tapes import Tapes
from orchestrator_nb.types import Clock
from orchestrator_nb.vault import sources
from orchestrator_nb.ways import Ways, answers_from
from orchestrator_nb.wiring import Wiring

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.simulator import Simulator

_ONCE: Final = (HOME, sources.FILE, sources.COMMAND)
"""Variables that are read when the session opens: a project's .env that is loaded later moves no vault and runs no command."""

OnError = Literal["return", "continue", "stop"]
"""After a failure: run everything (the first two differ in what a cell makes of it), or start nothing new."""


class Session:
    """Settings, catalogue, keys and the handler that makes calls. Closes what it opened; a context manager."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        self.last: Run | None = None
        self._clock = clock or SystemClock()
        self._portal = Portal()
        self._wiring = wiring = Wiring(config, environ, self._clock, self._portal)
        keyless = Keyless(environ, lambda: self.config.catalog, wiring.known)
        self._history = History(lambda: self.config, self._clock, keyless.without)
        self._budgets = Budgets(lambda: self.config, lambda: self._history.store, self._clock)
        tapes = Tapes(versions, keyless.held_by)
        self._ways = Ways(wiring, tapes, self._history, self._budgets, keyless, self._clock)
        self._judging = Judging(lambda: self._history.store, lambda: self.last)
        self.chains = Library(lambda: self.config)
        self.talks = Talks(self, self._clock, keyless)

    @classmethod
    def open(
        cls,
        *,
        home: Path | str | None = None,
        cwd: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        profile: str | None = None,
        lenient: bool = False,
    ) -> Self:
        """A session for the folder ``cwd``. ``home`` overrides ``ORCHESTRATOR_NB_HOME``, ``profile`` the chosen one. Raises `ConfigError`.

        A ``lenient`` one is there also while the settings cannot be loaded, for `doctor` and `own_vault`; whatever else is asked of it raises then.
        """
        environ = Veiled(environ, once=_ONCE)  # it holds keys, and stands in frames and attributes
        if home:
            environ = Veiled({**environ, HOME: str(Path(home).absolute())})
        loaded = configuration.load(
            Paths.find(environ), Path(cwd or Path.cwd()), environ, profile=profile, problems=[] if lenient else None
        )
        return cls(loaded, environ=environ, clock=clock)

    # What there is

    @property
    def config(self) -> Config:
        """The settings as they are now."""
        return self._wiring.config

    @property
    def catalog(self) -> Catalog:
        """Vendors and models, as configured; with the simulator on, the same models at its address."""
        return self._wiring.line().catalog

    @property
    def simulating(self) -> bool:
        """Whether calls go to the simulator."""
        return self._wiring.simulating

    def simulate(self, on: bool, script: str | Path | None = None) -> str | None:
        """Switch the simulator on or off for all vendors; its address when on. Answers are marked ``simulated``, no key is used.

        ``script`` is a file of answers (docs/simulator.md); naming one starts the simulator anew. Raises `UserError` for a script that cannot be used.
        """
        return self._wiring.simulate(on, script)

    @property
    def simulator(self) -> Simulator:
        """The simulator at work, to order answers and faults: ``simulator.fail("429", times=2)``. Raises `UserError` when it is off."""
        return self._wiring.simulator

    @property
    def vault(self) -> Keyring:
        """The profile's vault: ``vault.unlock()``, ``vault.set("OPENAI_API_KEY")``; each asks for what it needs and shows no value."""
        return self._wiring.vault

    def own_vault(self) -> Keyring:
        """`vault`, by the user's own settings as they are now: a project that is refused keeps nobody from it. Raises `ConfigError`."""
        return self._wiring.own_vault()

    def source(self, mode: str | None = None, tape: str | Path | None = None) -> AnswersFrom:
        """Where answers come from, for all that is asked from now on: ``source("record", "study.jsonl")``; without arguments, what holds now.

        ``auto`` and ``live`` ask, ``record`` asks and writes the answers to ``tape``, ``replay`` answers from it alone: no key, no connection, no cost.
        A relative path begins at the session's folder. Raises `UserError` for an unknown mode or a missing tape, `StoreError` for one that cannot be used.
        """
        if mode is not None:
            self._ways.choose(f"{mode} {tape or ''}")
        return self._ways.source

    def source_of(self, plan: Plan | ChainPlan) -> AnswersFrom:
        """Where the answers to ``plan`` would come from. Raises `UserError` when a tape is missing."""
        return self._ways.source_of(plan)

    def missing_keys(self) -> Mapping[str, str]:
        """The vendors that cannot be asked now, each with why. Nothing is asked for, and no connection opened."""
        return self._wiring.missing_keys()

    def rate(self, model: ModelSpec) -> tuple[Decimal, Decimal] | None:
        """USD per million input and output tokens of a short question, now; ``None`` where nobody knows."""
        return self._wiring.line().pricer.rate(model, simulated=self.simulating)

    def measured(self) -> Mapping[str, Measured]:
        """By model, how long its newest calls took and what they cost; of the simulator's calls while it is on. Raises `StoreError`."""
        return measured(self.store.database, "simulated" if self.simulating else "live") if self.store else {}

    def list_models(self, vendor: str) -> Sequence[ModelSpec]:
        """The models that ``vendor`` itself says it has, asked now. Raises `UserError` for an unknown vendor, `ProviderError`."""
        line = self._wiring.line()
        if vendor not in line.catalog.vendors:
            raise UserError(f"unknown vendor {vendor!r}; known: {', '.join(line.catalog.vendors)}.")
        self._wiring.ready([line.catalog.vendors[vendor]])
        return self._portal.run(line.exchange.list_models(line.catalog.vendors[vendor]))

    def count_tokens(self, prompt: str, model: str | None = None, *, system: str | None = None) -> int | None:
        """Input tokens as the vendor counts them, or None where it cannot say."""
        plan = self.plan(prompt, [model] if model else [], system=system)
        self._wiring.ready(spec.vendor for spec in plan.models)
        return self._portal.run(self._wiring.line().exchange.count_tokens(plan.items[0].request))

    # Asking

    def plan(
        self,
        prompt: str,
        models: Sequence[str] = (),
        *,
        system: str | None = None,
        options: Mapping[str, Any] | None = None,
        over: Any = None,
        grid: Mapping[str, Sequence[Any]] | None = None,
        repeat: int = 1,
        schema: Any = None,
        json: bool = False,
        files: Sequence[str | Path] = (),
        namespace: Mapping[str, Any] | None = None,
        stream: bool = True,
        source: str | None = None,
        max_cost: float | str | Decimal | None = None,
    ) -> Plan:
        """The grid rows of ``over`` × ``grid`` × ``models`` × ``repeat``, checked and ready, without asking anything.

        ``source`` is `source`'s, for this plan alone: ``"replay study.jsonl"``. ``max_cost`` is the most that it may cost, in USD: what does not fit is not asked.
        Raises `UserError` for an unknown model, an undefined variable, an empty prompt, a grid of zero, an unknown source.
        """
        wish = answers_from(source) if source is not None else None
        namespace = namespace or {}
        specs = self.models(models)
        params = self._params(options or {}, schema, json, namespace)
        items = expand(
            prompt,
            specs,
            system=system,
            params=params,
            over=over,
            grid=grid,
            repeat=repeat,
            files=files,
            variables=namespace,
            stream=stream,
        )
        return Plan(items, specs, wish, max_cost=None if max_cost is None else usd_of(max_cost))

    def models(self, patterns: Sequence[str] = ()) -> tuple[ModelSpec, ...]:
        """The models that names and globs mean, each once, in that order; the default model when there are none."""
        catalog = self.catalog
        wanted = list(patterns) or [self._default_model()]
        found = itertools.chain.from_iterable(catalog.match(pattern) for pattern in wanted)
        return tuple({model.ref: model for model in found}.values())

    def estimate(self, plan: Plan, *, max_cost: float | str | Decimal | None = None, look: int = LOOK) -> Estimate:
        """What ``plan`` will take: calls new, cached or replayed; tokens and USD as ranges; what they lean on. Nothing is sent and no vault is opened.

        ``max_cost`` is `start`'s. Of a grid with more than ``look`` calls, as many are looked at, taken at random. Raises `UserError` and `StoreError`
        when a tape cannot be used.
        """
        return self._ways.estimate(plan, None if max_cost is None else usd_of(max_cost), look)

    def start(
        self,
        plan: Plan,
        *,
        progress: Progress | None = None,
        parallel: int | None = None,
        timeout_s: float | None = None,
        on_error: OnError = "return",
        about: Mapping[str, Any] | None = None,
        max_cost: float | str | Decimal | None = None,
    ) -> Job:
        """Begin; ``progress(index, event or call)`` is called on the loop thread. At most ``parallel`` calls at once, ``timeout_s`` for the whole run, which may cost
        ``max_cost`` USD (else what the plan says). ``about`` (JSON) is kept with the run: notebook, cell.

        Where a key may be in a locked vault, its password is asked for first. Raises `VaultError` when it cannot be opened, `UserError` and `StoreError`
        when a tape cannot be used.
        """
        way, limits = self._ways.way(plan, max_cost), self.config.settings.limits
        rest = plan.items if isinstance(plan.items, Rest) else None
        run_id = rest.run_id if rest else new_run_id(self._clock.wall(), secrets.token_bytes(3))
        stop = Stop()
        running = GridRunning(
            id=run_id,
            plan=plan,
            way=way,
            book=self._history.book(run_id, rest),
            clock=self._clock,
            parallel=parallel or limits.parallel,
            timeout_s=timeout_s or limits.run_timeout_s,
            stop=stop,
            stop_on_error=on_error == "stop",
            progress=plan.listening(progress or _nothing),
            notices=self._ways.notices,
            about={**self._ways.about(plan), **plan.about, **(about or {})},
        )
        return Job(self._portal, self._portal.submit(self._run(running)), stop, self.attend)

    def run(self, plan: Plan, **how: Any) -> Run:
        """All calls of ``plan``, blocking; keywords as for `start`."""
        return self.start(plan, **how).result()

    async def arun(self, plan: Plan, **how: Any) -> Run:
        """The awaitable twin of `run`."""
        return await self.start(plan, **how)

    def ask(self, prompt: str, model: str | None = None, **how: Any) -> Reply:
        """One answer. ``how`` is what `plan` takes. Raises `ProviderError` or `UserError` when there is none."""
        return reply_of(self.run(self._one(prompt, model, how)))

    async def aask(self, prompt: str, model: str | None = None, **how: Any) -> Reply:
        """The awaitable twin of `ask`."""
        return reply_of(await self.start(self._one(prompt, model, how)))

    def stream(self, prompt: str, model: str | None = None, **how: Any) -> Iterator[str]:
        """The answer's text piece by piece; leaving the loop early cancels the call. Raises as `ask` does."""
        yield from pieces(self, self._one(prompt, model, how))

    def compare(self, prompts: str | Sequence[str], models: Sequence[str], **how: Any) -> pd.DataFrame:
        """Every prompt to every model: a frame with one row per call (docs/dataframe.md). Failures are rows."""
        return self._frame(self.run(self._many(prompts, models, how)))

    async def acompare(self, prompts: str | Sequence[str], models: Sequence[str], **how: Any) -> pd.DataFrame:
        """The awaitable twin of `compare`."""
        return self._frame(await self.start(self._many(prompts, models, how)))

    def conversation(self, name: str) -> Conversation:
        """The conversation called ``name``, which begins if there is none: ``talk.ask(…)`` follows what was said before (docs/conversations.md).

        ``talks`` lists and imports them. Raises `UserError` for what is no name.
        """
        return self.talks.open(name)

    # Chains

    def plan_chain(
        self,
        chain: str | Path | Chain,
        given: Mapping[str, Any] | None = None,
        *,
        over: Any = None,
        model: str | None = None,
        source: str | None = None,
        max_cost: float | str | Decimal | None = None,
        trust_plans: bool = False,
    ) -> ChainPlan:
        """A chain with what it is ``given``, checked and ready, without asking anything (docs/chains.md).

        ``chain`` is the name of one in `chains`, a text of the language, one line of roles, a path of a file, or a `Chain`. With ``over``, a DataFrame or a list
        of dicts, it runs for each row, and takes its inputs from the columns too. ``model`` is asked by steps that name none. ``trust_plans``: what a model
        proposes as further steps runs without asking you. Raises `ChainError` with everything that is wrong, `UserError`.
        """
        read, trusted = self.chains.read(chain)
        rows = rows_for(read, given or {}, over)
        made = plan_of_chain(read, self.chains.world(trusted=trusted))
        limit = None if max_cost is None else usd_of(max_cost)
        wish = answers_from(source) if source is not None else None
        return self._chain_plan(
            made,
            rows,
            model,
            over=over is not None,
            source=wish,
            max_cost=limit,
            trusted=trusted,
            trust_plans=trust_plans,
        )

    def start_chain(
        self,
        plan: ChainPlan,
        *,
        progress: Heard | None = None,
        tell: Tell | None = None,
        approve: Approve = nobody,
        parallel: int | None = None,
        timeout_s: float | None = None,
        about: Mapping[str, Any] | None = None,
        max_cost: float | str | Decimal | None = None,
    ) -> Job:
        """Begin; the keywords are those of `start`. On the loop's thread, ``progress(place, news)`` hears of each question (an `Item`), its events and its
        `Call`, ``tell(row, news)`` of the steps (`orchestrator_nb.chains.walk`), and ``await approve(proposal)`` says whether steps that a model proposes may run;
        without it they may not. The run's ``chained`` tells what the chain gave.
        """
        way, limits, stop = self._ways.way(plan, max_cost), self.config.settings.limits, Stop()
        run_id = plan.resumed or new_run_id(self._clock.wall(), secrets.token_bytes(3))
        running = ChainRunning(
            id=run_id,
            plan=plan,
            way=way,
            book=self._history.book(run_id, plan.earlier),
            clock=self._clock,
            parallel=parallel or limits.parallel,
            timeout_s=timeout_s or limits.run_timeout_s,
            stop=stop,
            progress=progress or _nothing,
            tell=tell or _nothing,
            approve=approve,
            notices=self._ways.notices,
            about={**self._ways.about(plan), **(about or {})},
        )
        return Job(self._portal, self._portal.submit(self._run(running)), stop, self.attend)

    def run_chain(self, chain: str | Path | Chain, given: Mapping[str, Any] | None = None, **how: Any) -> pd.DataFrame:
        """A chain's calls as a frame with a row per call; ``.llm.outputs`` is what it gave. ``how`` is what `plan_chain` takes. A failed step is an error row."""
        return self._frame(self.start_chain(self.plan_chain(chain, given, **how)).result())

    async def arun_chain(
        self, chain: str | Path | Chain, given: Mapping[str, Any] | None = None, **how: Any
    ) -> pd.DataFrame:
        """The awaitable twin of `run_chain`."""
        return self._frame(await self.start_chain(self.plan_chain(chain, given, **how)))

    def draft_chain(self, text: str, model: str | None = None, *, tries: int = 3) -> Draft:
        """A chain that ``model`` (else the session's) drafts from plain English, checked and repaired at most ``tries`` times; nothing of it runs.

        `Draft.chain` is sound, or `Draft.problems` says what is still wrong. Raises `ProviderError` and `UserError` when the model gives no answer.
        """
        drafting = Drafting(text, self._wiring.at_hand(), self.chains.world())

        def ask(prompt: str, system: str) -> str:
            told = {"words": prompt, "rules": system}
            return self.ask("{{ words }}", model, system="{{ rules }}", namespace=told).text

        return drafting.draft(ask, tries)

    def rest_of_chain(self, run: str = "last", *, trust_plans: bool = False) -> ChainPlan:
        """A chain's run that broke off, was stopped or killed, ready to go on: what it answered is kept, what failed is asked again. ``trust_plans`` is that of
        `plan_chain`. Raises `UserError` when there is nothing left of it.
        """
        last = self.last.id if self.last else None
        told, places = self._history.of_chain(run, last=last, simulating=self.simulating)
        about = told.about["chain"]
        trusted = bool(about.get("trusted"))
        made = chain_again(about, self.chains.world(trusted=trusted))
        earlier = Earlier.of(told, places)
        how = {"over": about["over"], "earlier": earlier, "trusted": trusted, "trust_plans": trust_plans}
        return self._chain_plan(made, tuple(about["rows"]), about.get("model"), **how)

    def _chain_plan(self, made: MadeChain, rows: Any, model: str | None, **how: Any) -> ChainPlan:
        params = self.config.settings.params.given
        return chain_plan(made, rows, model, self.chains, self.models, params=params, **how)

    def attend(self, show: Callable[[], object] = lambda: None) -> None:
        """Ask for the vault's password if calls wait for it, after ``show``; for whoever watches a run on the main thread. Refused, those calls fail."""
        self._wiring.attend(show)

    def budget(self, usd: float | str | Decimal) -> AbstractContextManager[Budget]:
        """``with session.budget(usd=1) as budget:`` — what is asked in the block may cost so much in all; it counts in the budgets around it too.

        ``budget.spent`` and ``budget.left`` are USD; an attempt whose cost nobody knows counts at its worst. Raises `UserError` for what is no amount.
        """
        return self._budgets.open(usd_of(usd))

    # What was

    @property
    def store(self) -> Store | None:
        """The store of runs and answers; ``None`` where the settings switch it off."""
        return self._history.store

    def runs(self, days: float | None = None) -> pd.DataFrame:
        """The runs in the store, of the last ``days`` or all, the newest first: a frame with a row per run. Raises `StoreError`, `UserError`."""
        from orchestrator_nb.results.past import runs_frame  # brings pandas: only when a frame is wanted

        return runs_frame(self.told(days))

    def told(self, days: float | None = None) -> list[tuple[RunTold, Spent]]:
        """`runs` as the store tells them, each with what it cost. Raises `StoreError`, `UserError`."""
        return self._history.runs(days)

    def show(self, run: str = "last") -> pd.DataFrame:
        """The frame of an earlier run as it was. ``run`` is its id, the beginning of one, or ``last``. Raises `StoreError`, `UserError`."""
        return self._frame(self.retold(run))

    def retold(self, run: str = "last") -> Run:
        """An earlier run from the store, as `show` takes it."""
        return self._history.show(run, self.last.id if self.last else None)

    def costs(self, by: By = "model") -> pd.DataFrame:
        """What was spent by model, day, run or notebook, the dearest first: USD billed, possibly billed (attempts whose end is unknown, at their worst
        case) and saved by the cache and tapes. Raises `StoreError`, `UserError`.
        """
        from orchestrator_nb.results.past import costs_frame  # as above

        return costs_frame(self._history.costs(by), by)

    def mark(
        self,
        call_id: str,
        *,
        best: bool | None = None,
        rating: int | None = None,
        thumbs: str | None = None,
        note: str | None = None,
    ) -> Mark:
        """Judge an answer: ``best`` (of its prompt), ``rating`` 1 to 5, ``thumbs`` "up" or "down", ``note``. What is ``None`` stays; ``False``, ``0``
        and ``""`` take away. Raises `UserError` for an unknown call and for what no mark can say, `StoreError`.
        """
        return self._judging.mark(call_id, best=best, rating=rating, thumbs=thumbs, note=note)

    def marks(self, run: str = "last") -> Mapping[str, Mark]:
        """By call id, how the answers of a run were judged; ``run`` as `show` takes it. Raises `StoreError`, `UserError`."""
        last = self.last.id if self.last else None
        return self._judging.of(last if run == "last" and last else run, lambda: self._history.find(run, last).id)

    def rest(self, run: str = "last", *, errors: bool = False) -> Plan:
        """What of an earlier run has no answer, ready to be asked; with ``errors``, what failed too. Raises `UserError` when there is nothing."""
        last = self.last.id if self.last else None
        rest = self._history.rest(run, self.catalog, failed=errors, last=last, simulating=self.simulating)
        plan = Plan(rest, tuple({item.request.model.ref: item.request.model for item in rest}.values()))
        return self.talks.resumed(plan, self._history.find(rest.run_id).about)

    def resume(self, run: str = "last", *, errors: bool = False, **how: Any) -> pd.DataFrame:
        """Ask for what `rest` finds, or for the rest of a chain; the frame of the whole run. ``how`` is what `start` takes."""
        if self._history.is_chain(run, self.last.id if self.last else None):
            return self._frame(self.start_chain(self.rest_of_chain(run), **how).result())
        return self._frame(self.run(self.rest(run, errors=errors), **how))

    # Looking after itself

    def doctor(self) -> list[Check]:
        """What works here and what does not, also while the settings cannot be loaded; opens no connection and shows no key."""
        return self._wiring.checks()

    def refresh(self) -> None:
        """Read the settings again if a file changed since."""
        self._wiring.refresh()

    def use(self, config: Config) -> None:
        """Go on with other settings; calls under way keep theirs. The vault of a profile that is left is locked."""
        self._wiring.use(config)

    def close(self) -> None:
        """Cancel what runs, close connections, end the loop thread and the simulator."""
        self._wiring.disconnect()
        self._portal.close()
        self._history.close()
        self._budgets.close()
        self._wiring.lock_vault()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # How it is put together

    def _default_model(self) -> str:
        if model := self.config.settings.model:
            return model
        raise UserError(
            "no model is named: name one (-m MODEL; %llm models lists them), or set one for good: %llm config model sonnet"
        )

    def _params(self, options: Mapping[str, Any], schema: Any, json: bool, namespace: Mapping[str, Any]) -> Params:
        params = params_of({**self.config.settings.params.given, **options})
        return replace(params, schema=json_schema_of(schema, namespace) if schema is not None else None, json=json)

    def _one(self, prompt: str, model: str | None, how: Mapping[str, Any]) -> Plan:
        plan = self.plan(prompt, [model] if model else [], **how)
        if plan.size != 1:
            raise UserError(f"one answer was asked for, but this means {plan.size} calls; use compare().")
        return plan

    def _many(self, prompts: str | Sequence[str], models: Sequence[str], how: Mapping[str, Any]) -> Plan:
        if isinstance(prompts, str):
            return self.plan(prompts, models, stream=False, **how)
        rows = [{"prompt_text": text} for text in prompts]
        return self.plan("{{ prompt_text }}", models, over=rows, stream=False, **how)

    async def _run(self, running: Running) -> Run:
        self.last = await running.run()
        return self.last

    def _frame(self, run: Run) -> pd.DataFrame:
        from orchestrator_nb.results.frames import frame  # brings pandas: only when a frame is wanted

        return frame(run)


def _nothing(_index: int, _news: object) -> None:
    """Nobody is watching."""


_notebook: Session | None = None
_notebook_lock = threading.Lock()


def session() -> Session:
    """The notebook's own session, opened at first use and closed when Python ends."""
    with _notebook_lock:
        found = _of_the_notebook(lenient=False)
        if not found.config.complete:
            found.refresh()
        return found


def notebook_session() -> Session:
    """`session`, also while the settings cannot be loaded (``lenient`` in `Session.open`)."""
    with _notebook_lock:
        return _of_the_notebook(lenient=True)


def _of_the_notebook(*, lenient: bool) -> Session:
    global _notebook  # noqa: PLW0603  # one kernel has one notebook session; this function is its only owner
    if _notebook is None:
        _notebook = Session.open(lenient=lenient)
        atexit.register(_notebook.close)
    return _notebook
