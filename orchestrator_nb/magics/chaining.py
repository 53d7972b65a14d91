"""One chain from a cell or a line, between what was typed and its frame: check, look its inputs up, plan, confirm, start, and end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd

from orchestrator_nb.chaining import ChainPlan
from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.load import load
from orchestrator_nb.chains.planning import check
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.errors import ChainError, OrchestratorError, UserError
from orchestrator_nb.job import Job
from orchestrator_nb.magics.asking import source_of, variable
from orchestrator_nb.magics.chain_args import ChainLine
from orchestrator_nb.magics.chain_consent import Consent, consent_for
from orchestrator_nb.magics.chain_preview import counted, preview
from orchestrator_nb.magics.chain_values import broken, columns_of, given, missing
from orchestrator_nb.magics.chain_watch import ChainScreen, screen_for
from orchestrator_nb.magics.outcome import Interrupted, unsettled
from orchestrator_nb.magics.place import place_of
from orchestrator_nb.magics.shell import Shell, say
from orchestrator_nb.prompts.template import fill
from orchestrator_nb.results.frames import frame
from orchestrator_nb.results.page import count
from orchestrator_nb.runs import Run
from orchestrator_nb.sessions import Session
from orchestrator_nb.vault.telling import place


class ChainFailed(OrchestratorError):
    """A chain, or some rows of one, came to no end; the run's frame says why."""

    kind = "chain"


@dataclass(frozen=True)
class Attended:
    """A job whose user may also be asked whether proposed steps may run."""

    job: Job
    consent: Consent

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.job.done

    def stop(self) -> None:
        """Keep what is finished, cancel the rest."""
        self.job.stop()

    def attend(self, show: Callable[[], object]) -> None:
        """Ask the user what the run needs to know, after ``show``."""
        self.job.attend(show)
        self.consent.attend(show)


@dataclass(frozen=True)
class ChainAsked:
    """A chain under way: its line, its job and the screen that shows it."""

    line: ChainLine
    job: Attended
    screen: ChainScreen
    kept: bool = True
    """Whether the run stands in the store, so that it can go on."""

    @cached_property
    def run(self) -> Run:
        """The run, when it has ended."""
        return self.job.job.result()

    def end(self) -> pd.DataFrame:
        """Shows the final result and gives the frame. Raises `Interrupted` when a stopped job does not come to rest, for the user wants the cell back."""
        if not self.job.done:
            raise unsettled(self.line.name)
        self.screen.finish(self.run, told=self.line.on_error != "return" and not self.line.quiet)
        return frame(self.run)

    def error(self, stopped: bool) -> BaseException | None:
        """What fails the cell after all is shown and assigned: an interrupt, or a failed chain unless that was asked for as a row."""
        if stopped:
            return interrupted(self.run, self.line.name, kept=self.kept)
        return None if self.line.on_error == "return" else failure(self.run, self.line.name, kept=self.kept)


def begin(line: ChainLine, body: str, session: Session, shell: Shell) -> ChainAsked | None:
    """Checks and starts the chain of a cell; ``None`` where it was only kept or looked at. Raises `UserError` before anything is sent."""
    if not body.strip():
        raise UserError("there is no chain; write it below the %%chain line (%%chain? shows how).")
    chain = _checked(body, line, session, shell)
    _named(chain, session)
    if line.save:
        _save(line, body, session)
        if not line.inputs and line.over is None and (open_inputs := missing(chain, ())):
            say(
                f"it was not run, for it needs {', '.join(item.name for item in open_inputs)}: {_how_to_run(line.save, chain)}"
            )
            return None
    try:
        return planned(line, chain, session, shell)
    except ChainError as error:
        refused = error
    raise refused if type(refused) is not ChainError else broken(refused, cell=True)


def planned(line: ChainLine, chain: Chain | str | Path, session: Session, shell: Shell) -> ChainAsked | None:
    """Starts a chain with what the line gives it; ``None`` after a dry run."""
    plan = _plan(line, chain, session, shell)
    if line.dry_run:
        for text in preview(plan, session, line.max_cost):
            say(text)
        return None
    confirm(plan, line, session)
    return start(plan, line, session, shell)


def start(plan: ChainPlan, line: ChainLine, session: Session, shell: Shell) -> ChainAsked:
    """Starts what is planned, on a screen of its own."""
    screen, consent = screen_for(plan, line, session, shell), consent_for(shell)
    job = session.start_chain(
        plan,
        progress=screen.hear,
        tell=screen.tell,
        approve=consent,
        parallel=line.max_parallel,
        timeout_s=line.timeout,
        max_cost=line.max_cost,
        about=place_of(shell),
    )
    return ChainAsked(line, Attended(job, consent), screen, session.store is not None)


def confirm(plan: ChainPlan, line: ChainLine, session: Session) -> None:
    """Raises `UserError` for as many calls as nobody said yes to, as far as they are known beforehand."""
    most = session.config.settings.limits.confirm_calls
    calls = counted(plan)
    if calls.sure > most and not line.yes:
        upto = "at least " if calls.most is None else "up to " if calls.least < calls.sure else ""
        raise UserError(
            f"this chain means {upto}{calls.sure:,} calls, more than limits.confirm_calls ({most:,}); "
            "add --yes to go ahead, or --dry-run to look first."
        )


def interrupted(run: Run, name: str | None, *, kept: bool) -> Interrupted:
    """The sentence after an interrupt."""
    answers = sum(call.error is None for call in run.calls)
    again = f"; %chain resume {run.id} goes on" if kept else ""
    return Interrupted(f"stopped; {count(answers, 'answer')} kept, all rows are in {name or '_'}{again}.")


def failure(run: Run, name: str | None, *, kept: bool) -> OrchestratorError | None:
    """What to raise for a chain that failed, or for rows of a frame on which it did."""
    chained = run.chained
    failed = [error for error in chained.errors if error is not None] if chained else []
    if chained is None or not failed:
        return None
    again = f" %chain resume {run.id} keeps what is answered and tries the rest again." if kept else ""
    if not chained.over:
        return ChainFailed(f"{_line(failed[0])}{again}")
    return ChainFailed(
        f"the chain failed on {len(failed):,} of {len(chained.rows):,} rows; {name or '_'}.llm.outputs has them, "
        f"--on-error return lets the cell pass.{again} The first: {_line(failed[0])}"
    )


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _plan(line: ChainLine, chain: Chain | str | Path, session: Session, shell: Shell) -> ChainPlan:
    names = shell.user_ns
    read = chain if isinstance(chain, Chain) else session.chains.read(chain)[0]
    over = None if line.over is None else variable(line.over, names, "--over")
    values = given(read, line.inputs, columns_of(over) if over is not None else (), names)
    return session.plan_chain(
        chain,
        values,
        over=over,
        model=None if line.model is None else fill(line.model, names),
        source=source_of(line.source, line.fresh, session, names),
        max_cost=line.max_cost,
        trust_plans=line.trust_plans,
    )


def _columns(line: ChainLine, shell: Shell) -> tuple[str, ...]:
    return () if line.over is None else columns_of(variable(line.over, shell.user_ns, "--over"))


def _checked(body: str, line: ChainLine, session: Session, shell: Shell) -> Chain:
    """The chain of a cell. Raises `BrokenChain` with everything that is wrong with it."""
    if problems := check(body, name=line.save, world=session.chains.world()):
        columns = _columns(line, shell)
        raise broken(ChainError([_hinted(problem, columns, shell.user_ns) for problem in problems]), cell=True)
    return load(body, name=line.save)


_UNKNOWN: Final = re.compile(r"'(\w+)' is not known here")


def _hinted(problem: Problem, columns: Collection[str], names: Mapping[str, Any]) -> Problem:
    """For a name that the notebook knows and the chain does not: it has to be declared, and given."""
    found = _UNKNOWN.match(problem.message)
    name = found[1] if found else ""
    if name in columns:
        how = f"a column of --over is declared too: inputs: {{{name}: any}}."
    elif name in names and not name.startswith("_"):
        how = f"a notebook variable is an input: inputs: {{{name}: any}}, and --input {name}={{{{ {name} }}}} on the first line."
    else:
        return problem
    return replace(problem, message=f"{name!r} is not known here; {how}")


def _named(chain: Chain, session: Session) -> None:
    """A chain that says its name is known by it in this notebook."""
    if ("name",) in chain.origin.lines:
        session.chains.define(chain.name, chain)


def _save(line: ChainLine, body: str, session: Session) -> None:
    """Keeps a sound chain. Raises `UserError` where another has its name, and nobody said ``--replace``."""
    name = line.save or ""
    kept = session.chains.all().get(name)
    if kept and kept.text is not None and kept.text.strip() == body.strip():
        return
    if kept and kept.origin == "user" and not line.replace:
        raise UserError(f"another chain is kept as {name!r} ({kept.path}); add --replace, or take another name.")
    path = session.chains.save(name, body, replace=line.replace)
    if not line.quiet:
        say(f"{name} is kept in {place(path)}.")


def _how_to_run(name: str, chain: Chain) -> str:
    return " ".join([f"%chain run {name}", *(f"--input {item.name}=…" for item in missing(chain, ()))])
