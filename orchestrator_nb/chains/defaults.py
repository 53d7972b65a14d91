"""A step with the chain's defaults filled in, where it asks a model and does not say otherwise."""

from __future__ import annotations

from dataclasses import replace

from orchestrator_nb.chains.chain import Ask, Block, Defaults, Parallel, Propose, Step, Switch


def with_defaults(step: Step, defaults: Defaults) -> Step:
    """The step, and those in it, as they will run."""

    def inside(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(with_defaults(part, defaults) for part in steps)

    match step.do:
        case Ask() as ask:
            return _limits(replace(step, do=_asked(ask, defaults)), defaults)
        case Block(steps):
            return replace(step, do=Block(inside(steps)))
        case Parallel(branches):
            return replace(step, do=Parallel(inside(branches)))
        case Switch(cases, ask=ask, default=default) as switch:
            other = with_defaults(default, defaults) if default else None
            judge = _judge(ask, defaults) if ask else None
            return replace(step, do=replace(switch, cases=inside(cases), ask=judge, default=other))
        case Propose(ask=ask) as propose:
            return _limits(replace(step, do=replace(propose, ask=_judge(ask, defaults))), defaults)
    return step


def _asked(ask: Ask, defaults: Defaults) -> Ask:
    persona = ask.persona or (None if ask.system else defaults.persona)
    system = ask.system or (None if ask.role or persona else defaults.system)
    return replace(_judge(ask, defaults), persona=persona, system=system, mode=ask.mode or defaults.mode)


def _judge(ask: Ask, defaults: Defaults) -> Ask:
    """Whom to ask and how, without what is said to it."""
    return replace(
        ask,
        model=ask.model or defaults.model,
        fallback=ask.fallback or defaults.fallback,
        options={**defaults.options, **ask.options},
    )


def _limits(step: Step, defaults: Defaults) -> Step:
    return replace(
        step,
        retry=step.retry or defaults.retry,
        on_error=step.on_error or defaults.on_error,
        timeout_s=defaults.timeout_s if step.timeout_s is None else step.timeout_s,
        budget_usd=defaults.budget_usd if step.budget_usd is None else step.budget_usd,
    )
